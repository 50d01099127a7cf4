/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * crew.c -- plain threads without any library, started beforehand and released
 * by a barrier
 */

#include "bench.h"

#include <sched.h>
#include <stdlib.h>

struct crew {
	size_t n;
	pthread_barrier_t go, done; /* of the threads and the caller */
	void (*job)(void *arg, size_t index); /* NULL: end */
	void *arg;
	struct member {
		struct crew *crew;
		size_t index;
		pthread_t thread;
	} members[];
};

static void *
member_run(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;

	for (;;) {
		pthread_barrier_wait(&crew->go);
		if (crew->job == NULL)
			return NULL;
		crew->job(crew->arg, member->index);
		pthread_barrier_wait(&crew->done);
	}
}

struct crew *
crew_new(size_t n)
{
	struct crew *crew = malloc(sizeof(*crew) + n * sizeof(struct member));

	if (crew == NULL)
		fail("out of memory");
	crew->n = n;
	if (pthread_barrier_init(&crew->go, NULL, (unsigned)n + 1) != 0 ||
		pthread_barrier_init(&crew->done, NULL, (unsigned)n + 1) != 0)
		fail("cannot make barriers");

	for (size_t i = 0; i < n; i++) {
		struct member *member = &crew->members[i];

		member->crew = crew;
		member->index = i;
		if (pthread_create(&member->thread, NULL, member_run, member) !=
			0)
			fail("cannot start a thread");
	}

	return crew;
}

void
crew_delete(struct crew *crew)
{
	crew->job = NULL;
	pthread_barrier_wait(&crew->go);
	for (size_t i = 0; i < crew->n; i++)
		pthread_join(crew->members[i].thread, NULL);
	pthread_barrier_destroy(&crew->go);
	pthread_barrier_destroy(&crew->done);
	free(crew);
}

size_t
crew_size(const struct crew *crew)
{
	return crew->n;
}

double
crew_run(struct crew *crew, void (*job)(void *arg, size_t index), void *arg)
{
	crew->job = job;
	crew->arg = arg;

	const double start = clock_ns(CLOCK_MONOTONIC);

	pthread_barrier_wait(&crew->go);
	pthread_barrier_wait(&crew->done);
	return clock_ns(CLOCK_MONOTONIC) - start;
}

/*
 * The number of arrivals only grows, and the n-th, 2n-th, ... opens. Acquire
 * and release: publishes the work before the barrier to all threads behind it.
 */
void
spin_barrier_wait(struct spin_barrier *barrier, size_t n)
{
	const size_t ticket = atomic_fetch_add_explicit(
		&barrier->arrived, 1, memory_order_acq_rel);
	const size_t open = (ticket / n + 1) * n;
	int spins = 0;

	while (atomic_load_explicit(&barrier->arrived, memory_order_acquire) <
		open) {
		if (++spins < 100)
			future_cpu_pause_impl();
		else
			sched_yield(); /* another program has our CPU */
	}
}
