/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * overlap.c -- computes on one piece of data while a mover copies the next
 *
 *	cc -O2 overlap.c $(pkg-config --cflags --libs libminiasync) -o overlap
 *	./overlap [MEBIBYTES]
 *
 * The program copies pieces of data into two buffers in turn, and computes the
 * checksum of each piece there. A storage engine handles new blocks like this.
 * The program measures two orders:
 *  - in turn: copy, checksum, copy, checksum, ...
 *  - overlapped: the next copy runs during the checksum
 *
 *	mover     | copy 0 | copy 1 | copy 2 | copy 3 |
 *	program            | sum 0  | sum 1  | sum 2  | sum 3 |
 *
 * An overlap needs an asynchronous mover and a second CPU.
 */

#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libminiasync.h>

#define PIECE_BYTES ((size_t)1 << 20)
#define DEFAULT_MIB 64
#define ROUNDS 5

enum order { IN_TURN, OVERLAPPED, NORDERS };

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
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/*
 * Copies all pieces and computes their checksum. OVERLAPPED starts a copy,
 * computes the checksum of the previous piece, and then waits for the copy.
 * Returns false if a copy failed.
 */
static bool
take_in(struct vdm *vdm, struct runtime *runtime, const char *src,
	char *buffers[2], size_t pieces, enum order order, struct checksum *sum)
{
	bool ok = true;

	*sum = (struct checksum){0, 0};
	for (size_t i = 0; i <= pieces; i++) {
		struct vdm_operation_future copy;

		if (i < pieces) {
			copy = vdm_memcpy(vdm, buffers[i % 2],
				src + i * PIECE_BYTES, PIECE_BYTES, 0);
			/* The first poll hands the work to the mover. */
			future_poll(FUTURE_AS_RUNNABLE(&copy), NULL);
			if (order == IN_TURN)
				runtime_wait(
					runtime, FUTURE_AS_RUNNABLE(&copy));
		}
		if (i > 0)
			checksum_add(sum, buffers[(i - 1) % 2], PIECE_BYTES);
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
	double best_s[NORDERS] = {1e9, 1e9};
	struct checksum sums[NORDERS] = {{0, 0}, {0, 0}};

	for (size_t i = 0; i < pieces * PIECE_BYTES; i++)
		src[i] = (char)(i * 7 + i / PIECE_BYTES);
	memset(buffers[0], 0, PIECE_BYTES);
	memset(buffers[1], 0, PIECE_BYTES);

	/* Alternates, so that a change of the CPU's speed affects both. */
	for (int round = 0; round < ROUNDS; round++) {
		for (enum order order = IN_TURN; order < NORDERS; order++) {
			const double start_s = now_s();

			if (!take_in(vdm, runtime, src, buffers, pieces, order,
				    &sums[order])) {
				fputs("overlap: a copy failed\n", stderr);
				return EXIT_FAILURE;
			}
			const double took_s = now_s() - start_s;

			if (took_s < best_s[order])
				best_s[order] = took_s;
		}
	}

	const struct checksum *sum = &sums[OVERLAPPED];
	const bool is_equal =
		sum->a == sums[IN_TURN].a && sum->b == sums[IN_TURN].b;

	printf("%zu pieces of %zu KiB, best of %d rounds\n", pieces,
		PIECE_BYTES >> 10, ROUNDS);
	printf("in turn     %8.2f ms\n", best_s[IN_TURN] * 1e3);
	printf("overlapped  %8.2f ms, %.0f %% saved\n",
		best_s[OVERLAPPED] * 1e3,
		(1 - best_s[OVERLAPPED] / best_s[IN_TURN]) * 100);
	printf("checksums %016llx%016llx: %s\n", (unsigned long long)sum->a,
		(unsigned long long)sum->b, is_equal ? "equal" : "DIFFERENT");
	return is_equal ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Returns the number of pieces for this argument, or 0 if it is wrong. */
static size_t
parse_mib(const char *text)
{
	char *end;
	const unsigned long long mib = strtoull(text, &end, 10);
	const bool is_number = isdigit((unsigned char)*text) && *end == '\0';

	return is_number && mib <= SIZE_MAX / PIECE_BYTES / 2 ? (size_t)mib : 0;
}

int
main(int argc, char *argv[])
{
	static const char usage[] = "usage: overlap [MEBIBYTES]\n";
	const size_t pieces = argc > 1 ? parse_mib(argv[1]) : DEFAULT_MIB;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("%sCopies data and computes its checksum, in turn and "
		       "overlapped.\n"
		       "  MEBIBYTES  MiB to copy, 1 or more; default: %d\n"
		       "  --help     print this help\n"
		       "Example: overlap 256\n",
			usage, DEFAULT_MIB);
		return EXIT_SUCCESS;
	}
	if (argc > 2 || pieces == 0) {
		fprintf(stderr,
			"overlap: '%s': not a valid argument; see overlap "
			"--help\n%s",
			argv[pieces == 0 ? 1 : 2], usage);
		return 2;
	}

	struct data_mover_threads *dmt = data_mover_threads_default();
	struct runtime *runtime = runtime_new();
	char *src = malloc(pieces * PIECE_BYTES);
	char *buffers[2] = {malloc(PIECE_BYTES), malloc(PIECE_BYTES)};
	int status = EXIT_FAILURE;

	if (dmt == NULL || runtime == NULL || src == NULL ||
		buffers[0] == NULL || buffers[1] == NULL)
		perror("overlap");
	else
		status = run(data_mover_threads_get_vdm(dmt), runtime, src,
			buffers, pieces);

	free(buffers[1]);
	free(buffers[0]);
	free(src);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return status;
}
