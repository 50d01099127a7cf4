/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * overlap.c -- computes on one piece of data while the next is being copied
 *
 *	cc -O2 overlap.c $(pkg-config --cflags --libs libminiasync) -o overlap
 *	./overlap [MEBIBYTES]
 *
 * Data goes from a source, a piece at a time, into one of two buffers, and its
 * checksum is computed there: what a program does that takes in blocks, for a
 * storage engine say. First in turn, copy, checksum, copy, checksum, ...; then
 * the copy of the next piece is in flight during the checksum of the last:
 *
 *	mover     | copy 0 | copy 1 | copy 2 | copy 3 |
 *	program            | sum 0  | sum 1  | sum 2  | sum 3 |
 *
 * That takes a mover that works by itself and a second CPU for it to work on.
 */

#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libminiasync.h>

#define PIECE ((size_t)1 << 20)
#define ROUNDS 5

/* Fletcher's checksum over 64-bit words, each sum modulo 2^64. */
struct checksum {
	uint64_t a, b;
};

static void
checksum_add(struct checksum *sum, const void *data, size_t n)
{
	const char *p = data;

	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, p + i, sizeof(word));
		sum->a += word;
		sum->b += sum->a;
	}
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/*
 * Takes in all pieces. With overlap, a piece's copy is started before the
 * checksum of the piece before it, and waited for after that. Returns false
 * if a copy failed.
 */
static bool
take_in(struct vdm *vdm, struct runtime *runtime, const char *src,
	char *buffers[2], size_t pieces, bool overlap, struct checksum *sum)
{
	bool ok = true;

	*sum = (struct checksum){0, 0};
	for (size_t i = 0; i <= pieces; i++) {
		struct vdm_operation_future copy;

		if (i < pieces) {
			copy = vdm_memcpy(
				vdm, buffers[i % 2], src + i * PIECE, PIECE, 0);
			/* The first poll hands the work to the mover. */
			future_poll(FUTURE_AS_RUNNABLE(&copy), NULL);
			if (!overlap)
				runtime_wait(
					runtime, FUTURE_AS_RUNNABLE(&copy));
		}
		if (i > 0)
			checksum_add(sum, buffers[(i - 1) % 2], PIECE);
		if (i < pieces) {
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&copy));
			ok = ok && FUTURE_OUTPUT(&copy)->result == VDM_SUCCESS;
		}
	}
	return ok;
}

static int
run(struct vdm *vdm, struct runtime *runtime, char *src, char *buffers[2],
	size_t pieces)
{
	double best[2] = {1e9, 1e9};
	struct checksum sums[2];

	for (size_t i = 0; i < pieces * PIECE; i++)
		src[i] = (char)(i * 7 + i / PIECE);
	memset(buffers[0], 0, PIECE);
	memset(buffers[1], 0, PIECE);

	/* In turns, so that a machine that changes its speed is fair. */
	for (int round = 0; round < ROUNDS; round++) {
		for (int overlap = 0; overlap < 2; overlap++) {
			const double start = now();

			if (!take_in(vdm, runtime, src, buffers, pieces,
				    overlap, &sums[overlap])) {
				fputs("overlap: a copy failed\n", stderr);
				return EXIT_FAILURE;
			}
			const double seconds = now() - start;

			if (seconds < best[overlap])
				best[overlap] = seconds;
		}
	}

	printf("%zu pieces of %zu KiB, best of %d\n", pieces, PIECE >> 10,
		ROUNDS);
	printf("in turn     %8.2f ms\n", best[0] * 1e3);
	printf("overlapped  %8.2f ms, %.0f %% saved\n", best[1] * 1e3,
		(1 - best[1] / best[0]) * 100);
	printf("checksums %016llx%016llx: %s\n", (unsigned long long)sums[1].a,
		(unsigned long long)sums[1].b,
		sums[0].a == sums[1].a && sums[0].b == sums[1].b ? "equal"
								 : "DIFFERENT");
	return EXIT_SUCCESS;
}

int
main(int argc, char *argv[])
{
	char *end = NULL;
	const unsigned long long mib =
		argc == 2 ? strtoull(argv[1], &end, 10) : 64;

	if (argc > 2 || (end != NULL && *end != '\0') || mib == 0 ||
		mib > SIZE_MAX / PIECE / 2) {
		fputs("usage: overlap [MEBIBYTES]\n", stderr);
		return 2;
	}

	struct data_mover_threads *dmt = data_mover_threads_default();
	struct runtime *runtime = runtime_new();
	char *src = malloc((size_t)mib * PIECE);
	char *buffers[2] = {malloc(PIECE), malloc(PIECE)};
	int status = EXIT_FAILURE;

	if (dmt == NULL || runtime == NULL || src == NULL ||
		buffers[0] == NULL || buffers[1] == NULL)
		perror("overlap");
	else
		status = run(data_mover_threads_get_vdm(dmt), runtime, src,
			buffers, (size_t)mib);

	free(buffers[1]);
	free(buffers[0]);
	free(src);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return status;
}
