/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_runtime_some_time.c -- tests wait/runtime: when runtime_wait_some()
 * returns, and what that costs
 *
 * The linker puts __wrap_* before functions of the library, which count.
 */

#include "some.h"

#include "system/parker.h"
#include "system/platform.h"

/* What waiting threads did. */
static atomic_uint clocks, parks, yields;
static _Atomic uint64_t last_park_end_ns;

uint64_t __real_mia_clock_ns(void);
uint64_t __wrap_mia_clock_ns(void);
bool __real_mia_parker_park(struct mia_parker *parker, uint64_t ns);
bool __wrap_mia_parker_park(struct mia_parker *parker, uint64_t ns);
void __real_mia_thread_yield(void);
void __wrap_mia_thread_yield(void);

uint64_t
__wrap_mia_clock_ns(void)
{
	atomic_fetch_add(&clocks, 1);
	return __real_mia_clock_ns();
}

bool
__wrap_mia_parker_park(struct mia_parker *parker, uint64_t ns)
{
	const uint64_t end_ns = __real_mia_clock_ns() + ns;

	atomic_fetch_add(&parks, 1);
	if (end_ns > atomic_load(&last_park_end_ns))
		atomic_store(&last_park_end_ns, end_ns);
	return __real_mia_parker_park(parker, ns);
}

void
__wrap_mia_thread_yield(void)
{
	atomic_fetch_add(&yields, 1);
	__real_mia_thread_yield();
}

/* Each kind of notifier alone, and all. */
static void
wait_ends_in_time_and_never_early(void **state)
{
	static const uint64_t timeouts[] = {
		1, 1000, 50000, MS, 3 * MS, 7 * MS, 90 * MS};
	uint64_t ns;

	(void)state;
	make_events();
	for (size_t t = 0; t < sizeof(timeouts) / sizeof(*timeouts); t++) {
		for (int i = 0; i < 3; i++) {
			const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

			assert_int_equal(runtime_wait_some(runtime, &futs[i], 1,
						 1, (int64_t)timeouts[t]),
				0);
			ns = test_clock_ns(CLOCK_MONOTONIC) - start;
			assert_true(ns >= timeouts[t]);
			assert_true(ns < timeouts[t] + LATE_NS);
		}
		assert_int_equal(
			timed_wait(N, N, (int64_t)timeouts[t], &ns), 0);
		assert_true(ns >= timeouts[t] && ns < timeouts[t] + LATE_NS);
		printf("%llu ns: late by %llu\n",
			(unsigned long long)timeouts[t],
			(unsigned long long)(ns - timeouts[t]));
	}
}

static void
longest_time_does_not_overflow(void **state)
{
	struct finisher finisher = {&events[1], 10 * MS, WAKE};
	pthread_t thread;
	uint64_t ns;

	(void)state;
	make_events();
	pthread_create(&thread, NULL, finisher_run, &finisher);
	assert_int_equal(timed_wait(N, 1, INT64_MAX, &ns), 1);
	assert_true(ns >= 5 * MS);
	pthread_join(thread, NULL);

	finisher = (struct finisher){&events[4], 10 * MS, WAKE};
	pthread_create(&thread, NULL, finisher_run, &finisher);
	assert_int_equal(timed_wait(N, 2, INT64_MIN, &ns), 2);
	assert_true(ns >= 5 * MS);
	pthread_join(thread, NULL);
}

static unsigned
polls_of(int i)
{
	return atomic_load(&events[i].polls);
}

static void
reset_counts(void)
{
	atomic_store(&clocks, 0);
	atomic_store(&parks, 0);
	atomic_store(&yields, 0);
}

/* Also POLLERs, of which other waits poll the first time twice. */
static void
nothing_wanted_or_no_time_polls_each_once(void **state)
{
	uint64_t ns;

	(void)state;
	make_events();
	atomic_store(&events[3].done, 1);
	reset_counts();
	assert_int_equal(timed_wait(N, 0, -1, &ns), 1);
	for (int i = 0; i < N; i++)
		assert_int_equal(polls_of(i), 1);
	assert_int_equal(timed_wait(N, N, 0, &ns), 1);
	for (int i = 0; i < N; i++)
		assert_int_equal(polls_of(i), i == 3 ? 1 : 2);

	/* Enough are complete: the same. */
	assert_int_equal(timed_wait(N, 1, MS, &ns), 1);
	for (int i = 0; i < N; i++)
		assert_int_equal(polls_of(i), i == 3 ? 1 : 3);

	assert_int_equal(parks, 0);
	assert_int_equal(yields, 0);
}

static void
wait_that_the_first_polls_end_reads_no_clock(void **state)
{
	unsigned unlimited_clocks = 0;

	(void)state;
	make_events();
	reset_counts();
	atomic_store(&events[1].done, 1);
	assert_int_equal(runtime_wait_some(runtime, &futs[1], 1, 1, MS), 1);
	assert_int_equal(clocks, 0);

	/* No time, or nothing to wait for. */
	assert_int_equal(runtime_wait_some(runtime, futs, N, N, 0), 1);
	assert_int_equal(runtime_wait_some(runtime, futs, N, 0, -1), 1);
	assert_int_equal(clocks, 0);

	/* Once for several futures, because their polls may take long. */
	for (int limited = 0; limited < 2; limited++) {
		make_events();
		for (int i = 0; i < N; i++) {
			/* After a POLLER's answer the pass looks at times. */
			events[i].kind = FUTURE_NOTIFIER_WAKER;
			atomic_store(&events[i].done, 1);
		}
		reset_counts();
		assert_int_equal(runtime_wait_some(runtime, futs, N, N,
					 limited ? (int64_t)MS : -1),
			N);
		if (limited)
			assert_int_equal(clocks, unlimited_clocks + 1);
		unlimited_clocks = atomic_load(&clocks);
	}
	assert_int_equal(parks, 0);
	assert_int_equal(yields, 0);
}

/* Also if the thread lingers before it sleeps, for some 70 us. */
static void
sleep_is_not_longer_than_the_time(void **state)
{
	uint64_t least = UINT64_MAX;

	(void)state;
	make_events();
	/* Other threads may take the CPU before a sleep, but not each time. */
	for (int i = 0; i < 100; i++) {
		struct runtime *fresh = test_runtime_new();

		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		atomic_store(&last_park_end_ns, 0);
		assert_int_equal(
			runtime_wait_some(fresh, &futs[1], 1, 1, MS), 0);

		const uint64_t end_ns = atomic_load(&last_park_end_ns);

		/* 0: a yield took so long that no sleep was needed. */
		if (end_ns > 0 && end_ns - start < least)
			least = end_ns - start;
		runtime_delete(fresh);
	}
	assert_true(least < MS + MS / (TEST_IS_FAST ? 50 : 2));
}

/* A task whose poll takes longer than the time. */
struct slow_data {
	uint64_t first_ns; /* the first poll */
	uint64_t poll_ns;  /* the others */
	unsigned polls;
};

FUTURE(slow_future, struct slow_data, char);

static enum future_state
slow_task(struct future_context *context, struct future_notifier *n)
{
	struct slow_data *data = future_context_get_data(context);

	(void)n;
	test_sleep_ns(data->polls++ == 0 ? data->first_ns : data->poll_ns);
	return FUTURE_STATE_RUNNING;
}

static struct slow_future
slow(uint64_t first_ns, uint64_t poll_ns)
{
	struct slow_future s;

	memset(&s, 0, sizeof(s));
	s.data = (struct slow_data){first_ns, poll_ns, 0};
	FUTURE_INIT(&s, slow_task);
	return s;
}

static void
time_that_is_over_costs_no_system_call(void **state)
{
	struct slow_future s[2] = {slow(3 * MS, 0), slow(0, 0)};
	struct future *both[] = {
		FUTURE_AS_RUNNABLE(&s[0]), FUTURE_AS_RUNNABLE(&s[1])};

	(void)state;
	reset_counts();
	assert_int_equal(runtime_wait_some(runtime, both, 2, 1, 2 * MS), 0);
	assert_int_equal(parks, 0);
	assert_int_equal(yields, 0);
	assert_int_equal(s[0].data.polls, 1);
	assert_int_equal(s[1].data.polls, 1);
}

/* After the first pass the clock is read after each poll. */
static void
wait_is_late_by_one_poll(void **state)
{
	struct slow_future s[8];
	struct future *all[8];
	unsigned polls = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		s[i] = slow(0, 4 * MS);
		all[i] = FUTURE_AS_RUNNABLE(&s[i]);
	}
	assert_int_equal(runtime_wait_some(runtime, all, 8, 1, 6 * MS), 0);
	for (int i = 0; i < 8; i++)
		polls += s[i].data.polls;
	/* 4 ms and 8 ms after the first pass, or fewer if a nap was long. */
	assert_in_range(polls, 8, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait_ends_in_time_and_never_early),
		cmocka_unit_test(longest_time_does_not_overflow),
		cmocka_unit_test(nothing_wanted_or_no_time_polls_each_once),
		cmocka_unit_test(wait_that_the_first_polls_end_reads_no_clock),
		cmocka_unit_test(sleep_is_not_longer_than_the_time),
		cmocka_unit_test(time_that_is_over_costs_no_system_call),
		cmocka_unit_test(wait_is_late_by_one_poll),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
