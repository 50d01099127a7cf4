/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bad_line.h -- moves packets between two descriptors, late, out of order,
 * damaged or not at all
 *
 * A thread reads packets from each of two TUN devices and writes them to the
 * other one. What becomes of a packet is drawn from a seed.
 */

#ifndef LIBMINIASYNC_TEST_BAD_LINE_H
#define LIBMINIASYNC_TEST_BAD_LINE_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Packets of each direction on the way at once. More are lost. */
#define BAD_LINE_PACKETS 4000

struct bad_line_packet {
	struct bad_line_packet *later;
	uint64_t due_ns;
	size_t size;
	unsigned char bytes[2048];
};

struct bad_line_way {
	int from, to;
	size_t n;
	struct bad_line_packet *first;
};

struct bad_line {
	/* Set these before the start. */
	uint64_t delay_ns;  /* one way, at least */
	uint64_t jitter_ns; /* and at most so much more */
	unsigned damaged;   /* of 10,000 packets: a bit is turned */

	atomic_uint lost; /* of 10,000 packets; may be changed at any time */

	/* What happened: read these after the stop. */
	uint64_t packets, losses, damages, overtakings;

	/* Of the thread. */
	uint64_t seed;
	struct bad_line_way ways[2];
	atomic_int stop;
	pthread_t thread;
};

/* fds: the two TUN devices, which do not block. */
void bad_line_start(struct bad_line *line, const int fds[2], uint64_t seed);
void bad_line_stop(struct bad_line *line);

#endif /* LIBMINIASYNC_TEST_BAD_LINE_H */
