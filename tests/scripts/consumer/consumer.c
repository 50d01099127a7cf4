/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * consumer.c -- a program that uses the installed library: one copy, one wait,
 * and its version
 */

#include <libminiasync.h>
#include <string.h>

/* The version of the package, where the build knows it. */
#ifndef VERSION
#define VERSION MINIASYNC_VERSION
#endif

int
main(void)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f;
	char to = 'a';

	if (dms == NULL || runtime == NULL)
		return 1;
	if (strcmp(MINIASYNC_VERSION, VERSION) != 0 ||
		strcmp(miniasync_version(), VERSION) != 0)
		return 1;
	f = vdm_memset(data_mover_sync_get_vdm(dms), &to, 'b', 1, 0);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	runtime_delete(runtime);
	data_mover_sync_delete(dms);
	return to == 'b' ? 0 : 1;
}
