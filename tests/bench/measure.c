/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * measure.c -- clock, rounds, medians
 *
 * At first every contestant repeats its work until one turn lasts long enough
 * for the clock. This also warms up caches, pages, threads, and the CPU's
 * frequency. Then come the rounds. In each round, every contestant takes one
 * turn, in an order of that round. Figures are computed within a round, so that
 * a machine that drifts disturbs both sides. The result is the median of the
 * rounds. Turns are many, and shorter than a time slice of other programs, so
 * that most turns are undisturbed.
 */

#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

double
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

void
sleep_ns(double ns)
{
	struct timespec left = {(time_t)(ns / 1e9), 0};

	left.tv_nsec = (long)(ns - (double)left.tv_sec * 1e9);
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		continue;
}

void *
new_memory(size_t size)
{
	const size_t whole = (size + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
	void *memory = aligned_alloc(2 * MIB, whole);

	if (memory == NULL)
		fail("out of memory");
	memset(memory, 0, whole);
	use(memory);
	return memory;
}

size_t
usable_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (size_t)CPU_COUNT(&set);

	const long online = sysconf(_SC_NPROCESSORS_ONLN);

	return online > 0 ? (size_t)online : 1;
}

void
check(const struct vdm_operation_future *f)
{
	if (FUTURE_STATE(f) != FUTURE_STATE_COMPLETE)
		fail("an operation is not complete");
	if (FUTURE_OUTPUT(f)->result != VDM_SUCCESS)
		fail("an operation failed with result %d",
			FUTURE_OUTPUT(f)->result);
}

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
quantile(const double *v, int n, double q)
{
	double *sorted = malloc((size_t)n * sizeof(*sorted));

	if (sorted == NULL)
		fail("out of memory");
	memcpy(sorted, v, (size_t)n * sizeof(*sorted));
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);

	const double result = sorted[(int)(q * (n - 1) + 0.5)];

	free(sorted);
	return result;
}

struct figure
figure_of(const double *v, int n)
{
	return (struct figure){quantile(v, n, 0.5), quantile(v, n, 0.25),
		quantile(v, n, 0.75), n};
}

/* Finds the repeats for a turn of the wanted length. */
static void
calibrate(struct contestant *c, double turn_ns)
{
	c->repeats = 1;
	c->run(c->arg, 1); /* first uses */

	for (;;) {
		double least = c->run(c->arg, c->repeats);

		for (int i = 0; i < 2 && least >= turn_ns; i++) {
			const double ns = c->run(c->arg, c->repeats);

			least = ns < least ? ns : least;
		}
		if (least >= turn_ns || c->repeats > SIZE_MAX / 16)
			return;

		/* In steps to the goal, because small times are inexact. */
		double factor = least > 0 ? 1.2 * turn_ns / least : 10;

		if (factor > 10)
			factor = 10;
		c->repeats = (size_t)((double)c->repeats * factor) + 1;
	}
}

/* A random order for each round. */
static void
shuffle(size_t *order, size_t n)
{
	static uint32_t random;

	if (random == 0)
		random = (uint32_t)(uint64_t)clock_ns(CLOCK_MONOTONIC);
	for (size_t i = n - 1; i > 0; i--) {
		random = random * 1664525 + 1013904223;

		const size_t k = (random >> 16) % (i + 1);
		const size_t other = order[k];

		order[k] = order[i];
		order[i] = other;
	}
}

void
contest(struct contestant *c, size_t n, double ns)
{
	contest_in_turns(c, n, settings.turn_ns, ns);
}

void
contest_in_turns(struct contestant *c, size_t n, double turn_ns, double ns)
{
	size_t order[MAX_CONTESTANTS];
	int rounds = 0;

	if (n > MAX_CONTESTANTS)
		fail("too many contestants: raise MAX_CONTESTANTS");
	for (size_t i = 0; i < n; i++) {
		order[i] = i;
		calibrate(&c[i], turn_ns);
	}

	const double end = clock_ns(CLOCK_MONOTONIC) + ns * (double)n;

	while (rounds < settings.min_rounds ||
		(rounds < MAX_ROUNDS && clock_ns(CLOCK_MONOTONIC) < end)) {
		shuffle(order, n);
		for (size_t k = 0; k < n; k++) {
			struct contestant *turn = &c[order[k]];

			turn->ns[rounds] = turn->run(turn->arg, turn->repeats) /
				(double)(turn->repeats * turn->units);
		}
		rounds++;
	}

	for (size_t i = 0; i < n; i++) {
		c[i].rounds = rounds;
		c[i].median = quantile(c[i].ns, rounds, 0.5);
	}
}

struct figure
of_contestant(const struct contestant *c)
{
	return figure_of(c->ns, c->rounds);
}

struct figure
ratio(const struct contestant *a, const struct contestant *b)
{
	double v[MAX_ROUNDS];

	for (int i = 0; i < a->rounds; i++)
		v[i] = a->ns[i] / b->ns[i];
	return figure_of(v, a->rounds);
}

struct figure
difference(const struct contestant *a, const struct contestant *b)
{
	double v[MAX_ROUNDS];

	for (int i = 0; i < a->rounds; i++)
		v[i] = a->ns[i] - b->ns[i];
	return figure_of(v, a->rounds);
}

struct figure
excess(const struct contestant *a, const struct contestant *b)
{
	double v[MAX_ROUNDS];

	for (int i = 0; i < a->rounds; i++)
		v[i] = a->ns[i] - 1.1 * b->ns[i];
	return figure_of(v, a->rounds);
}
