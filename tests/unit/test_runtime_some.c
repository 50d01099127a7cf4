/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_runtime_some.c -- tests wait/runtime: what runtime_wait_some() returns,
 * also without memory
 *
 * The linker puts __wrap_malloc() and __wrap_mia_aligned_alloc() before the
 * functions.
 */

#include "steps.h"

#include "some.h"

#include "system/platform.h"

static atomic_uint allocations;
static atomic_bool without_memory;

void *__real_mia_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mia_aligned_alloc(size_t alignment, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *
__wrap_mia_aligned_alloc(size_t alignment, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_mia_aligned_alloc(alignment, size);
}

void *
__wrap_malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return atomic_load(&without_memory) ? NULL : __real_malloc(size);
}

static void
wait_ends_when_enough_are_complete(void **state)
{
	struct finisher finisher = {&events[4], 10 * MS, WAKE};
	pthread_t thread;
	uint64_t ns;

	(void)state;
	make_events();
	complete(0);
	pthread_create(&thread, NULL, finisher_run, &finisher);
	assert_int_equal(timed_wait(N, 2, -1, &ns), 2);
	assert_true(ns < LATE_NS);
	pthread_join(thread, NULL);
	for (int i = 0; i < N; i++)
		assert_int_equal(FUTURE_STATE(&f[i]),
			i % 4 == 0 ? FUTURE_STATE_COMPLETE
				   : FUTURE_STATE_RUNNING);

	/* One that was complete before counts, and nothing is waited for. */
	assert_int_equal(timed_wait(N, 1, -1, &ns), 2);
	assert_true(ns < LATE_NS);

	/* The others are waited for again. */
	finisher = (struct finisher){&events[1], 10 * MS, WAKE};
	pthread_create(&thread, NULL, finisher_run, &finisher);
	assert_int_equal(timed_wait(N, 3, 60000 * MS, &ns), 3);
	assert_true(ns < LATE_NS);
	pthread_join(thread, NULL);
}

static void
more_than_there_are_means_all(void **state)
{
	uint64_t ns;

	(void)state;
	make_events();
	for (int i = 0; i < N - 1; i++)
		complete(i);
	assert_int_equal(timed_wait(N, SIZE_MAX, MS, &ns), N - 1);
	complete(N - 1);
	assert_int_equal(timed_wait(N, N + 1, -1, &ns), N);
	assert_int_equal(timed_wait(N, SIZE_MAX, 0, &ns), N);
	assert_int_equal(runtime_wait_some(runtime, NULL, 0, 1, -1), 0);
	assert_int_equal(runtime_wait_some(runtime, NULL, 0, 0, 0), 0);
}

static void
same_future_twice_counts_twice(void **state)
{
	struct future *twice[5];
	struct finisher finisher = {&events[0], 10 * MS, WAKE};
	pthread_t thread;

	(void)state;
	make_events();
	twice[0] = twice[2] = twice[3] = futs[0];
	twice[1] = twice[4] = futs[1];
	assert_int_equal(runtime_wait_some(runtime, twice, 5, 0, 0), 0);
	pthread_create(&thread, NULL, finisher_run, &finisher);
	assert_int_equal(runtime_wait_some(runtime, twice, 5, 3, -1), 3);
	pthread_join(thread, NULL);
	assert_int_equal(runtime_wait_some(runtime, twice, 5, 4, 5 * MS), 3);
	complete(1);
	assert_int_equal(runtime_wait_some(runtime, twice, 5, 4, -1), 5);
}

static void
array_keeps_its_order(void **state)
{
	struct future *copy[N];
	uint64_t ns;

	(void)state;
	make_events();
	memcpy(copy, futs, sizeof(futs));
	complete(4);
	complete(2);
	timed_wait(N, 3, 5 * MS, &ns);
	assert_memory_equal(copy, futs, sizeof(futs));
	timed_wait(N, 0, 0, &ns);
	assert_memory_equal(copy, futs, sizeof(futs));
}

/* A task of this wait polls another future of it. */
static void
complete_the_first(void)
{
	atomic_store(&events[0].done, 1);
	future_poll(FUTURE_AS_RUNNABLE(&f[0]), NULL);
}

static void
future_that_another_task_completed_counts(void **state)
{
	struct steps_future last = steps(2, 0);
	struct future *both[2];

	(void)state;
	make_events();
	both[0] = futs[0];
	both[1] = FUTURE_AS_RUNNABLE(&last);
	last.data.at_end = complete_the_first;
	assert_int_equal(runtime_wait_some(runtime, both, 2, 1, -1), 2);
}

/* The pass that finds enough polls no further. */
static void
pass_ends_when_enough_are_complete(void **state)
{
	struct steps_future s[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		s[i] = steps(2, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&s[i]);
	}
	assert_int_equal(runtime_wait_some(runtime, futs, N, 2, -1), 2);
	for (int i = 0; i < N; i++)
		assert_int_equal(s[i].data.polls, i < 2 ? 0 : 1);
}

/* More futures than the runtime has room for. */
static void
all_of_it_holds_without_memory(void **state)
{
	enum { MANY = 1000 };
	static struct event many_events[MANY];
	static struct event_future many[MANY];
	static struct future *all[MANY];
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	(void)state;
	for (int i = 0; i < MANY; i++) {
		many[i] = event_future(&many_events[i], FUTURE_NOTIFIER_WAKER);
		many_events[i].async = i % 2 == 0;
		all[i] = FUTURE_AS_RUNNABLE(&many[i]);
	}
	atomic_store(&without_memory, true);
	assert_int_equal(runtime_wait_some(runtime, all, MANY, 0, -1), 0);
	assert_int_equal(runtime_wait_some(runtime, all, MANY, MANY, 0), 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(atomic_load(&many_events[i].polls), 2);

	assert_int_equal(runtime_wait_some(runtime, all, MANY, 1, 30 * MS), 0);
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start >= 30 * MS);
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < LATE_NS);

	/* 200 are complete, and all when they are polled. */
	for (int i = 0; i < MANY; i++)
		atomic_store(&many_events[i].done, i < 200);
	assert_int_equal(
		runtime_wait_some(runtime, all, MANY, MANY, 5 * MS), 200);
	assert_int_equal(runtime_wait_some(runtime, all, MANY, 200, -1), 200);
	for (int i = 0; i < MANY; i++)
		atomic_store(&many_events[i].done, 1);
	assert_int_equal(runtime_wait_some(runtime, all, MANY, MANY, -1), MANY);
	atomic_store(&without_memory, false);
}

/* Nothing is kept for a future that a wait leaves behind. */
static void
million_waits_for_one_future_take_no_memory(void **state)
{
	uint64_t ns;

	(void)state;
	make_events();
	timed_wait(N, N, 1, &ns);
	atomic_store(&allocations, 0);
	for (int i = 0; i < TEST_ROUNDS(1000000); i++)
		assert_int_equal(timed_wait(1, 1, 1, &ns), 0);
	for (int i = 0; i < TEST_ROUNDS(1000000) / N; i++)
		assert_int_equal(timed_wait((size_t)(i % N) + 1, 1, 1, &ns), 0);
	assert_int_equal(allocations, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait_ends_when_enough_are_complete),
		cmocka_unit_test(more_than_there_are_means_all),
		cmocka_unit_test(same_future_twice_counts_twice),
		cmocka_unit_test(array_keeps_its_order),
		cmocka_unit_test(future_that_another_task_completed_counts),
		cmocka_unit_test(pass_ends_when_enough_are_complete),
		cmocka_unit_test(all_of_it_holds_without_memory),
		cmocka_unit_test(million_waits_for_one_future_take_no_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
