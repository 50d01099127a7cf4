/* SPDX-License-Identifier: BSD-3-Clause */

/* plugin.c -- a plug-in that contains the library; use() copies once */

#include <libminiasync.h>

int use(void);

int
use(void)
{
	struct data_mover_sync *mover = data_mover_sync_new();
	char from = 'x', to = 0;

	if (mover == NULL)
		return 0;

	struct vdm_operation_future f =
		vdm_memcpy(data_mover_sync_get_vdm(mover), &to, &from, 1, 0);

	FUTURE_BUSY_POLL(&f);
	data_mover_sync_delete(mover);
	return to == from;
}
