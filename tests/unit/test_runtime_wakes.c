/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_runtime_wakes.c -- the runtime and wakes: few polls, wakes that are late
 * or many, futures that never wake
 */

#include "event.h"
#include "net.h"
#include "system.h"
#include "test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Waits for an event that another thread completes. Returns nanoseconds. */
static uint64_t
wait_for(enum future_notifier_type kind, uint64_t delay_ns,
	enum finisher_wake wake, uint64_t *cpu_ns, unsigned *polls)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, kind);
	struct finisher finisher = {&e, delay_ns, wake};
	pthread_t thread;

	assert_non_null(runtime);
	pthread_create(&thread, NULL, finisher_run, &finisher);

	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	const uint64_t cpu_start = test_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	*cpu_ns = test_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_start;

	const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	*polls = e.polls;
	pthread_join(thread, NULL);
	runtime_delete(runtime);
	return ns;
}

static void
waker_ends_the_sleep_and_sleeping_costs_no_cpu(void **state)
{
	uint64_t cpu = 0;
	unsigned polls = 0;

	(void)state;
	wait_for(FUTURE_NOTIFIER_WAKER, 50 * MS, WAKE, &cpu, &polls);
	printf("50 ms: %u polls, %llu us of CPU\n", polls,
		(unsigned long long)cpu / 1000);
	/* The net polls after 4, 8, ... ms. The wake adds 16 polls. */
	assert_true(polls < 40);
	assert_true(cpu < (TEST_IS_FAST ? 5 : 100) * MS);
}

/* A poll of this length counts as work: see meter.c. */
#define WORK_NS 500

static void
futures_that_never_wake_are_found(void **state)
{
	uint64_t cpu = 0;
	unsigned polls = 0;

	(void)state;
	TEST_NEEDS_NET();
	/* WAKER without a wake: the safety net. */
	assert_true(wait_for(FUTURE_NOTIFIER_WAKER, 20 * MS, NO_WAKE, &cpu,
			    &polls) < 1000 * MS);
	/* NONE: polls with growing pauses. In slow builds they are work. */
	assert_true(wait_for(FUTURE_NOTIFIER_NONE, 20 * MS, NO_WAKE, &cpu,
			    &polls) < 1000 * MS);
	assert_true(polls < 2000 || cpu / polls > WORK_NS);
	assert_true(wait_for(FUTURE_NOTIFIER_POLLER, 20 * MS, NO_WAKE, &cpu,
			    &polls) < 1000 * MS);
	assert_true(polls < 40);
	/* A wake that comes too early. */
	assert_true(wait_for(FUTURE_NOTIFIER_WAKER, 5 * MS, EARLY_WAKE, &cpu,
			    &polls) < 1000 * MS);
	/* After a long time, the net still polls every 64 ms. */
	assert_true(wait_for(FUTURE_NOTIFIER_WAKER, 1100 * MS, NO_WAKE, &cpu,
			    &polls) < 1800 * MS);
}

/* Futures that only polls advance, whatever they answered. */
struct steps_data {
	int left;
	enum finisher_wake wake; /* WAKE: during the first poll only */
};

FUTURE(steps_future, struct steps_data, char);

static enum future_state
steps_task(struct future_context *context, struct future_notifier *n)
{
	struct steps_data *data = future_context_get_data(context);

	if (data->left-- == 0)
		return FUTURE_STATE_COMPLETE;
	if (data->wake == WAKE) {
		data->wake = NO_WAKE;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		FUTURE_WAKER_WAKE(&n->waker);
	}
	return FUTURE_STATE_RUNNING;
}

static uint64_t
wait_for_steps(struct runtime *runtime, int steps, enum finisher_wake wake)
{
	struct steps_future f = {.data = {steps, wake}};
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	FUTURE_INIT(&f, steps_task);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	return test_clock_ns(CLOCK_MONOTONIC) - start;
}

/* The safety net alone takes 17 s for the first, and 4 s for the others. */
static void
futures_that_need_more_polls_get_them_soon(void **state)
{
	struct runtime *runtime = test_runtime_new();
	uint64_t ns = 0;

	(void)state;
	assert_true(wait_for_steps(runtime, 300, NO_WAKE) < 5000 * MS);
	for (int i = 0; i < 10; i++)
		ns += wait_for_steps(runtime, 12, WAKE);
	assert_true(ns < 2000 * MS);
	runtime_delete(runtime);
}

/* Late wakes, also after a bigger wait has used the same memory. */
static void
late_wakes_touch_no_freed_memory(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_WAKER);
	struct steps_future many[1000];
	struct future *futs[1000];
	struct finisher finisher = {&e, MS, WAKE};
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, finisher_run, &finisher);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	pthread_join(thread, NULL);
	for (int i = 0; i < 1000; i++) {
		many[i].data = (struct steps_data){2, NO_WAKE};
		FUTURE_INIT(&many[i], steps_task);
		futs[i] = FUTURE_AS_RUNNABLE(&many[i]);
	}
	runtime_wait_multiple(runtime, futs, 1000);
	event_wake(&e);
	event_wake(&e);
	assert_int_equal(wait_for_steps(runtime, 2, NO_WAKE) < 5000 * MS, 1);
	event_wake(&e);
	runtime_delete(runtime);
}

/* Gives its waker once, to threads that then wake very often. */
struct storm {
	struct future_waker waker;
	atomic_bool has_waker;
	atomic_bool done;
	sem_t start;
};

FUTURE(storm_future, struct storm *, char);

static enum future_state
storm_task(struct future_context *context, struct future_notifier *n)
{
	struct storm *storm =
		*(struct storm **)future_context_get_data(context);

	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	if (!atomic_load(&storm->has_waker)) {
		storm->waker = n->waker;
		atomic_store(&storm->has_waker, true);
		sem_post(&storm->start);
		sem_post(&storm->start);
	}
	/* Relaxed: only the wakes synchronise the threads. */
	return atomic_load_explicit(&storm->done, memory_order_relaxed)
		? FUTURE_STATE_COMPLETE
		: FUTURE_STATE_RUNNING;
}

static void *
storm_run(void *arg)
{
	struct storm *storm = arg;

	while (sem_wait(&storm->start) != 0)
		continue;
	for (int i = 0; i < TEST_ROUNDS(100000); i++)
		FUTURE_WAKER_WAKE(&storm->waker);
	atomic_store_explicit(&storm->done, true, memory_order_relaxed);
	FUTURE_WAKER_WAKE(&storm->waker);
	return NULL;
}

/* ThreadSanitizer sees whether wakes alone suffice. */
static void
wakes_need_nothing_of_their_callers(void **state)
{
	struct runtime *runtime = test_runtime_new();

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct storm storm = {.done = false};
		struct storm_future f = {.data = &storm};
		pthread_t threads[2];

		sem_init(&storm.start, 0, 0);
		for (int k = 0; k < 2; k++)
			pthread_create(&threads[k], NULL, storm_run, &storm);
		FUTURE_INIT(&f, storm_task);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		for (int k = 0; k < 2; k++)
			pthread_join(threads[k], NULL);
		sem_destroy(&storm.start);
	}
	runtime_delete(runtime);
}

/* Wakes itself in every poll, until another future is complete. */
struct noisy_data {
	struct future *other;
	uint64_t words[2];
	bool names_words; /* in turn, and does not wake */
	unsigned polls;
};

FUTURE(noisy_future, struct noisy_data, char);

static enum future_state
noisy_task(struct future_context *context, struct future_notifier *n)
{
	struct noisy_data *data = future_context_get_data(context);

	if (data->other->context.state == FUTURE_STATE_COMPLETE)
		return FUTURE_STATE_COMPLETE;
	data->polls++;
	if (data->names_words) {
		n->notifier_used = FUTURE_NOTIFIER_POLLER;
		n->poller.ptr_to_monitor = &data->words[data->polls % 2];
	} else {
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		FUTURE_WAKER_WAKE(&n->waker);
	}
	return FUTURE_STATE_RUNNING;
}

/* The other future does not wake, so the safety net must poll it. */
static void
a_noisy_future_starves_nobody(void **state)
{
	(void)state;
	TEST_NEEDS_NET();

	struct runtime *runtime = test_runtime_new();

	for (int names_words = 0; names_words < 2; names_words++) {
		struct event e;
		struct event_future f = event_future(&e, FUTURE_NOTIFIER_WAKER);
		struct finisher finisher = {&e, 10 * MS, NO_WAKE};
		struct noisy_future noisy = {.data = {FUTURE_AS_RUNNABLE(&f),
						     {0, 0}, names_words, 0}};
		struct future *futs[] = {
			FUTURE_AS_RUNNABLE(&noisy), FUTURE_AS_RUNNABLE(&f)};
		pthread_t thread;

		FUTURE_INIT(&noisy, noisy_task);
		pthread_create(&thread, NULL, finisher_run, &finisher);
		test_deadline(60);
		runtime_wait_multiple(runtime, futs, 2);
		test_deadline(0);
		pthread_join(thread, NULL);
	}
	runtime_delete(runtime);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			waker_ends_the_sleep_and_sleeping_costs_no_cpu),
		cmocka_unit_test(futures_that_never_wake_are_found),
		cmocka_unit_test(futures_that_need_more_polls_get_them_soon),
		cmocka_unit_test(late_wakes_touch_no_freed_memory),
		cmocka_unit_test(wakes_need_nothing_of_their_callers),
		cmocka_unit_test(a_noisy_future_starves_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
