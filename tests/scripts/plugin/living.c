/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * living.c -- a plug-in whose mover is never deleted. Each use() waits for the
 * copy of the use before, and starts another one, which a worker does.
 */

#include <libminiasync.h>

#include <string.h>

#define SIZE ((size_t)64 << 20)

static char from[SIZE], to[SIZE];

int use(void);

int
use(void)
{
	static struct data_mover_threads *mover;
	static struct vdm_operation_future f;

	if (mover == NULL) {
		mover = data_mover_threads_new(1, 16, FUTURE_NOTIFIER_WAKER);
		if (mover == NULL)
			return 0;
	} else {
		FUTURE_BUSY_POLL(&f);
		if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS ||
			memcmp(to, from, SIZE) != 0)
			return 0;
	}
	memset(from, from[0] + 1, SIZE);
	f = vdm_memcpy(data_mover_threads_get_vdm(mover), to, from, SIZE, 0);
	/* It may be complete at once if this thread loses its CPU. */
	(void)future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	return 1;
}
