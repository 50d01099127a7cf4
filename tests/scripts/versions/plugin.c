/* SPDX-License-Identifier: BSD-3-Clause */

/* plugin.c -- 3,000 operations on a threads mover; see host.c */

#include <libminiasync.h>

#define OPERATIONS 3000

static struct vdm_operation_future futures[OPERATIONS];

int use(void);

/* Returns 1 if all operations succeed. */
int
use(void)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 16, FUTURE_NOTIFIER_WAKER);
	static char src[8] = "x", dst[OPERATIONS][8];
	int succeeded = 0;

	if (dmt == NULL)
		return 0;
	for (int i = 0; i < OPERATIONS; i++)
		futures[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt), dst[i],
			src, sizeof(src), 0);
	for (int i = 0; i < OPERATIONS; i++) {
		FUTURE_BUSY_POLL(&futures[i]);
		succeeded +=
			FUTURE_OUTPUT(&futures[i])->result == VDM_SUCCESS &&
			dst[i][0] == 'x';
	}
	data_mover_threads_delete(dmt);
	return succeeded == OPERATIONS;
}
