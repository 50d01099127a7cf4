/* SPDX-License-Identifier: BSD-3-Clause */

/* bad_line.c -- see bad_line.h */

#include "test.h"

#include <poll.h>
#include <unistd.h>

#include "bad_line.h"

/* The thread looks so often whether it has to end. */
#define LOOK_NS (50 * MS)

/* Packets that are read before those that are due are written. */
#define BATCH 64

/* By its time: those with more jitter are overtaken. */
static void
add(struct bad_line *line, struct bad_line_way *way,
	struct bad_line_packet *packet)
{
	struct bad_line_packet **place = &way->first;

	while (*place != NULL && (*place)->due_ns <= packet->due_ns)
		place = &(*place)->later;
	if (*place != NULL)
		line->overtakings++;
	packet->later = *place;
	*place = packet;
	way->n++;
}

static void
receive(struct bad_line *line, struct bad_line_way *way, uint64_t now)
{
	for (int i = 0; i < BATCH; i++) {
		struct bad_line_packet *packet = malloc(sizeof(*packet));
		ssize_t n = -1;

		if (packet != NULL)
			n = read(way->from, packet->bytes,
				sizeof(packet->bytes));
		if (n <= 0) {
			free(packet);
			return;
		}
		line->packets++;
		if (way->n == BAD_LINE_PACKETS ||
			test_random(&line->seed) % 10000 <
				atomic_load(&line->lost)) {
			line->losses++;
			free(packet);
			continue;
		}
		packet->size = (size_t)n;
		packet->due_ns = now + line->delay_ns;
		if (line->jitter_ns > 0)
			packet->due_ns +=
				test_random(&line->seed) % line->jitter_ns;
		if (test_random(&line->seed) % 10000 < line->damaged) {
			const uint64_t bit =
				test_random(&line->seed) % ((uint64_t)n * 8);

			packet->bytes[bit / 8] ^=
				(unsigned char)(1U << bit % 8);
			line->damages++;
		}
		add(line, way, packet);
	}
}

/* Returns when the next one is due. */
static uint64_t
deliver(struct bad_line_way *way, uint64_t now)
{
	while (way->first != NULL && way->first->due_ns <= now) {
		struct bad_line_packet *packet = way->first;

		/* Refused: damaged, or the device is down. It is lost. */
		(void)!write(way->to, packet->bytes, packet->size);
		way->first = packet->later;
		way->n--;
		free(packet);
	}
	return way->first != NULL ? way->first->due_ns : UINT64_MAX;
}

static void *
run(void *arg)
{
	struct bad_line *line = arg;

	while (!atomic_load(&line->stop)) {
		uint64_t now = test_clock_ns(CLOCK_MONOTONIC);
		uint64_t next = now + LOOK_NS;
		struct pollfd ready[2];

		for (int i = 0; i < 2; i++) {
			const uint64_t due = deliver(&line->ways[i], now);

			next = due < next ? due : next;
			ready[i] = (struct pollfd){
				.fd = line->ways[i].from, .events = POLLIN};
		}

		const struct timespec wait = {.tv_nsec = (long)(next - now)};

		(void)ppoll(ready, 2, &wait, NULL);
		now = test_clock_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < 2; i++)
			if (ready[i].revents != 0)
				receive(line, &line->ways[i], now);
	}
	return NULL;
}

void
bad_line_start(struct bad_line *line, const int fds[2], uint64_t seed)
{
	for (int i = 0; i < 2; i++)
		line->ways[i] =
			(struct bad_line_way){.from = fds[i], .to = fds[1 - i]};
	line->seed = seed;
	line->packets = line->losses = line->damages = line->overtakings = 0;
	atomic_store(&line->stop, 0);
	assert_int_equal(pthread_create(&line->thread, NULL, run, line), 0);
}

void
bad_line_stop(struct bad_line *line)
{
	atomic_store(&line->stop, 1);
	pthread_join(line->thread, NULL);
	for (int i = 0; i < 2; i++)
		(void)deliver(&line->ways[i], UINT64_MAX);
}
