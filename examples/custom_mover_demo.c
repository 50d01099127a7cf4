/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * custom_mover_demo.c -- uses the mover of custom_mover.c like any other
 *
 *	cc custom_mover_demo.c custom_mover.c \
 *		$(pkg-config --cflags --libs libminiasync) -o custom_mover_demo
 *	./custom_mover_demo
 *	8 copies of 1 MiB, moved by the kernel: equal
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libminiasync.h>

#include "custom_mover.h"

#define COPIES 8
#define SIZE ((size_t)1 << 20)

int
main(void)
{
	struct custom_mover *mover = custom_mover_new();
	struct runtime *runtime = runtime_new();
	char *src = malloc(COPIES * SIZE), *dst = calloc(COPIES, SIZE);
	struct vdm_operation_future copies[COPIES];
	struct future *futs[COPIES];
	int equal;

	if (mover == NULL || runtime == NULL || src == NULL || dst == NULL) {
		perror("custom_mover_demo");
		exit(EXIT_FAILURE);
	}
	for (size_t i = 0; i < COPIES * SIZE; i++)
		src[i] = (char)(i * 31);

	for (size_t i = 0; i < COPIES; i++) {
		copies[i] = vdm_memcpy(custom_mover_get_vdm(mover),
			dst + i * SIZE, src + i * SIZE, SIZE, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&copies[i]);
	}
	runtime_wait_multiple(runtime, futs, COPIES);

	equal = memcmp(src, dst, COPIES * SIZE) == 0;
	for (size_t i = 0; i < COPIES; i++)
		if (FUTURE_OUTPUT(&copies[i])->result != VDM_SUCCESS)
			equal = 0;
	printf("%d copies of 1 MiB, moved by the kernel: %s\n", COPIES,
		equal ? "equal" : "DIFFERENT");

	runtime_delete(runtime);
	custom_mover_delete(mover);
	free(src);
	free(dst);
	return equal ? EXIT_SUCCESS : EXIT_FAILURE;
}
