/* SPDX-License-Identifier: BSD-3-Clause */

/* test_runtime_lost.c -- the runtime loses no wake of many threads */

#include "event.h"
#include "net.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

/*
 * Threads wait for batches, on one runtime. Other threads complete the batches,
 * and wake before or after that, twice, or late. Without the safety net, a lost
 * wake takes longer than LOST_NS.
 */
#define LOST_NS ((TEST_SLOWDOWN > 10 ? 250000 : 10000) * MS)
#define WAITERS 4
#define BATCH 50

struct batch {
	struct runtime *runtime;
	uint64_t seed;
	uint64_t slowest_ns;
};

struct ender {
	struct event *events;
	uint64_t seed;
};

static void *
ender_run(void *arg)
{
	struct ender *ender = arg;

	for (int i = 0; i < BATCH; i++) {
		struct event *e = &ender->events[i];

		if (test_random(&ender->seed) % 8 == 0)
			event_wake(e);
		if (test_random(&ender->seed) % 4 == 0)
			sched_yield();
		atomic_store(&e->done, 1);
		event_wake(e);
		if (test_random(&ender->seed) % 8 == 0)
			event_wake(e);
	}
	return NULL;
}

static void *
batch_run(void *arg)
{
	struct batch *batch = arg;
	struct event *events = malloc(BATCH * sizeof(*events));
	struct event_future f[BATCH];
	struct future *futs[BATCH];

	for (int round = 0; round < TEST_ROUNDS(400); round++) {
		struct ender ender = {events, test_random(&batch->seed)};
		pthread_t thread;

		for (int i = 0; i < BATCH; i++) {
			f[i] = event_future(&events[i],
				(enum future_notifier_type)(
					test_random(&batch->seed) % 3));
			futs[BATCH - 1 - i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		pthread_create(&thread, NULL, ender_run, &ender);

		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		runtime_wait_multiple(batch->runtime, futs, BATCH);

		const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

		if (ns > batch->slowest_ns)
			batch->slowest_ns = ns;
		/* Late wakes are allowed until the runtime is deleted. */
		pthread_join(thread, NULL);
	}
	free(events);
	return NULL;
}

static void
no_wake_is_lost_by_several_threads(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct batch batches[WAITERS];
	pthread_t threads[WAITERS];
	uint64_t seed = test_seed("runtime stress");

	(void)state;
	for (int i = 0; i < WAITERS; i++) {
		batches[i] = (struct batch){runtime, test_random(&seed), 0};
		pthread_create(&threads[i], NULL, batch_run, &batches[i]);
	}
	for (int i = 0; i < WAITERS; i++) {
		pthread_join(threads[i], NULL);
		printf("slowest batch: %llu us\n",
			(unsigned long long)batches[i].slowest_ns / 1000);
		assert_true(batches[i].slowest_ns < LOST_NS);
	}
	runtime_delete(runtime);
}

/*
 * Two threads hand a token back and forth. Each waits in the runtime for the
 * other's wake.
 */
struct pong {
	struct event events[2];
	struct runtime *runtime;
	int rounds;
	uint64_t slowest_ns;
};

enum pong_turn { STARTS, ANSWERS };

static void
pong_round(struct pong *p, int me, enum pong_turn turn)
{
	struct event_future f;

	if (turn == STARTS) {
		atomic_store(&p->events[1 - me].done, 1);
		event_wake(&p->events[1 - me]);
	}
	f.data.event = &p->events[me];
	FUTURE_INIT(&f, event_task);
	runtime_wait(p->runtime, FUTURE_AS_RUNNABLE(&f));
	atomic_store(&p->events[me].done, 0);
	if (turn == ANSWERS) {
		atomic_store(&p->events[1 - me].done, 1);
		event_wake(&p->events[1 - me]);
	}
}

static void *
pong_run(void *arg)
{
	struct pong *p = arg;

	for (int i = 0; i < p->rounds; i++)
		pong_round(p, 1, ANSWERS);
	return NULL;
}

static void
no_wake_is_lost_between_two_sleepers(void **state)
{
	struct pong p = {
		.runtime = test_runtime_new(), .rounds = TEST_ROUNDS(20000)};
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 2; i++)
		(void)event_future(&p.events[i], FUTURE_NOTIFIER_WAKER);

	pthread_create(&thread, NULL, pong_run, &p);

	const uint64_t begin = test_clock_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < p.rounds && p.slowest_ns < LOST_NS; i++) {
		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		pong_round(&p, 0, STARTS);

		const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

		if (ns > p.slowest_ns)
			p.slowest_ns = ns;
	}
	printf("round trip: %llu ns, the slowest %llu us\n",
		(unsigned long long)(test_clock_ns(CLOCK_MONOTONIC) - begin) /
			(unsigned long long)p.rounds,
		(unsigned long long)p.slowest_ns / 1000);
	assert_true(p.slowest_ns < LOST_NS);
	pthread_join(thread, NULL);
	runtime_delete(p.runtime);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_is_lost_by_several_threads),
		cmocka_unit_test(no_wake_is_lost_between_two_sleepers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
