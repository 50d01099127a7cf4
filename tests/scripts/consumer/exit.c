/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * exit.c -- a program that ends while workers are busy, and never deletes its
 * mover
 */

#include <libminiasync.h>

static struct vdm_operation_future copies[4096];
static char src[100000], dst[sizeof(src)];

int
main(void)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(4, 128, FUTURE_NOTIFIER_WAKER);

	if (dmt == NULL)
		return 1;
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		copies[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt), dst,
			src, sizeof(src), 0);
		future_poll(FUTURE_AS_RUNNABLE(&copies[i]), NULL);
	}
	return 0;
}
