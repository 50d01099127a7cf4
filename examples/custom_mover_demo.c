/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * custom_mover_demo.c -- copies with the mover of custom_mover.c
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
#define COPY_MIB 1
#define COPY_BYTES ((size_t)COPY_MIB << 20)

int
main(int argc, char *argv[])
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		puts("usage: custom_mover_demo\n"
		     "Makes 8 copies of 1 MiB with the mover of "
		     "custom_mover.c.\n"
		     "  --help  print this help\n"
		     "Example: custom_mover_demo");
		return EXIT_SUCCESS;
	}
	if (argc > 1) {
		fprintf(stderr,
			"custom_mover_demo: '%s': unexpected argument\n"
			"usage: custom_mover_demo\n",
			argv[1]);
		return 2;
	}

	struct custom_mover *mover = custom_mover_new();
	struct runtime *runtime = runtime_new();
	char *src = malloc(COPIES * COPY_BYTES);
	char *dst = calloc(COPIES, COPY_BYTES);
	struct vdm_operation_future copies[COPIES];
	struct future *futs[COPIES];
	int equal;

	if (mover == NULL || runtime == NULL || src == NULL || dst == NULL) {
		perror("custom_mover_demo");
		exit(EXIT_FAILURE);
	}
	for (size_t i = 0; i < COPIES * COPY_BYTES; i++)
		src[i] = (char)(i * 31);

	for (size_t i = 0; i < COPIES; i++) {
		copies[i] = vdm_memcpy(custom_mover_get_vdm(mover),
			dst + i * COPY_BYTES, src + i * COPY_BYTES, COPY_BYTES,
			0);
		futs[i] = FUTURE_AS_RUNNABLE(&copies[i]);
	}
	runtime_wait_multiple(runtime, futs, COPIES);

	equal = memcmp(src, dst, COPIES * COPY_BYTES) == 0;
	for (size_t i = 0; i < COPIES; i++)
		if (FUTURE_OUTPUT(&copies[i])->result != VDM_SUCCESS)
			equal = 0;
	printf("%d copies of %d MiB, moved by the kernel: %s\n", COPIES,
		COPY_MIB, equal ? "equal" : "DIFFERENT");

	runtime_delete(runtime);
	custom_mover_delete(mover);
	free(src);
	free(dst);
	return equal ? EXIT_SUCCESS : EXIT_FAILURE;
}
