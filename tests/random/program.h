/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * program.h -- runs a random program on all movers, and compares memory with a
 * model after each step
 *
 * A program is a stream of numbers, from a seed or from a fuzzer.
 */

#ifndef PROGRAM_H
#define PROGRAM_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the numbers come from. */
struct stream {
	const uint8_t *data; /* NULL: from the seed, without end */
	size_t size;
	uint64_t seed;
};

static inline uint64_t
stream_next(struct stream *stream)
{
	if (stream->data == NULL) {
		uint64_t z = stream->seed += 0x9e3779b97f4a7c15u;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		return z ^ (z >> 31);
	}

	/* Two bytes, so that a fuzzer's changes have small effects. */
	uint64_t number = 0;

	for (int i = 0; i < 2 && stream->size > 0; i++) {
		number = number << 8 | *stream->data++;
		stream->size--;
	}
	return number * 0x9e3779b97f4a7c15u >> 8 ^ number;
}

/* Counts of all programs so far; program_run() adds to them. */
struct tally {
	uint64_t steps;
	uint64_t operations; /* that were completed */
	uint64_t bytes;      /* that were compared */
	uint64_t refused;    /* operations with bad input */
	uint64_t dropped;    /* futures */
	uint64_t canceled;   /* futures */
	uint64_t waits;      /* of a runtime */
	uint64_t given_up;   /* futures, by these waits */
	uint64_t queued;     /* futures, that queues have given back */
	uint64_t queues;     /* that were deleted with futures */
	uint64_t chains;
	uint64_t lists; /* of segments */
	uint64_t wakes;
	uint64_t movers; /* made */
};

/* The movers that several programs share. Any program may replace a mover. */
struct stage;

/* Small regions are for a fuzzer, whose programs are short and many. */
struct stage *stage_new(size_t region_size);
void stage_delete(struct stage *stage);

/*
 * Runs a program to the stream's end, but at most max_steps steps. Any number
 * of threads may run programs on one stage. Returns NULL, or a message for the
 * error.
 */
const char *program_run(struct stage *stage, struct stream *stream,
	uint64_t max_steps, struct tally *tally);

#endif /* PROGRAM_H */
