/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue_polls.c -- tests wait/completion_queue: the polls of
 * futures that do not wake, that wake too early, or that have a word
 */

#include "queue.h"

/* They are polled by the clock, and not by the number of the reaps. */
static void
silent_futures_are_polled_at_growing_intervals(void **state)
{
	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
	uint64_t ns, last_ns = 0;
	unsigned nreaps = 0, nms = 0; /* milliseconds in which a reap ended */

	(void)state;
	add(0, FUTURE_NOTIFIER_NONE);
	do {
		assert_int_equal(reap(N), 0);
		nreaps++;
		ns = test_clock_ns(CLOCK_MONOTONIC) - start_ns;
		nms += ns / MS > last_ns / MS;
		last_ns = ns;
	} while (ns < 20 * MS);
	/* 10 until the interval is 1 ms, and then 20. */
	printf("%u reaps, in %u ms of %u us; %u polls\n", nreaps, nms,
		(unsigned)(ns / 1000), (unsigned)events[0].polls);
	assert_true(events[0].polls <= 12 + ns / MS);
	/* One that ends in the third after a poll began 1 ms after it. */
	assert_true(events[0].polls >= nms / 3);
	atomic_store(&events[0].done, 1);
	do
		ns = test_clock_ns(CLOCK_MONOTONIC) - start_ns;
	while (reap(N) == 0 && ns < LATE_NS);
	assert_true(ns < LATE_NS);
	ASSERT_OUT(1, 0);
}

/* Neither wakes nor new futures move their time away. */
static void
silent_future_is_polled_beside_busy_ones(void **state)
{
	int nslow = 0;

	(void)state;
	for (int round = 0; round < 40; round++) {
		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
		size_t n;

		add(0, FUTURE_NOTIFIER_NONE);
		atomic_store(&events[0].done, 1);
		do {
			add(1,
				round % 2 ? FUTURE_NOTIFIER_WAKER
					  : FUTURE_NOTIFIER_NONE);
			complete(1);
			while ((n = reap(N)) == 0)
				continue;
		} while (n == 1 && out[0].user_data == &events[1]);

		if (test_clock_ns(CLOCK_MONOTONIC) - start_ns > 50000)
			nslow++;
		while (completion_queue_pending(cq) > 0)
			reap(N);
	}
	printf("%d of 40 are slow\n", nslow);
	assert_true(!TEST_IS_FAST || nslow < 20);
}

/* The cost grows with the completions, and not with the silent futures. */
static void
call_that_finds_enough_polls_no_silent_futures(void **state)
{
	unsigned polls = 0;

	(void)state;
	for (int i = 0; i < N - 1; i++)
		add(i, FUTURE_NOTIFIER_NONE);

	/* Until their interval is long. */
	assert_int_equal(completion_queue_wait(cq, out, N, 1, 50000000), 0);
	for (int i = 0; i < N - 1; i++)
		polls += events[i].polls;

	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

	for (int round = 0; round < 100; round++) {
		add(N - 1, FUTURE_NOTIFIER_WAKER);
		atomic_store(&events[N - 1].done, 1);
		event_wake(&events[N - 1]);
		ASSERT_OUT(round % 2 ? completion_queue_wait(cq, out, 1, 1, -1)
				     : completion_queue_wait(cq, out, 1, 1, 0),
			N - 1);
	}

	const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start_ns;

	for (int i = 0; i < N - 1; i++)
		polls -= events[i].polls;
	printf("%u polls in %u us\n", 0 - polls, (unsigned)(ns / 1000));
	/* The interval is 1 ms. */
	assert_true(0 - polls <= (10 + ns / MS) * (N - 1));
	for (int i = 0; i < N - 1; i++)
		complete(i);
	assert_int_equal(completion_queue_wait(cq, out, N, N, -1), N - 1);
}

static void
changed_word_brings_a_poll(void **state)
{
	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

	(void)state;
	add(0, FUTURE_NOTIFIER_POLLER);
	while (test_clock_ns(CLOCK_MONOTONIC) - start_ns < 5 * MS)
		assert_int_equal(reap(N), 0);

	/* The second reads the word before it. */
	assert_true(events[0].polls <= 2);
	atomic_store(&events[0].done, 7);
	while (reap(N) == 0)
		assert_true(
			test_clock_ns(CLOCK_MONOTONIC) - start_ns < LATE_NS);
	ASSERT_OUT(1, 0);
}

/* A wake that comes before the end: the queue looks again, for a time. */
static void
early_wake_is_not_the_last_poll(void **state)
{
	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	event_wake(&events[0]);
	assert_int_equal(reap(N), 0);
	atomic_store(&events[0].done, 1);
	while (reap(N) == 0)
		assert_true(
			test_clock_ns(CLOCK_MONOTONIC) - start_ns < LATE_NS);
	ASSERT_OUT(1, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(silent_futures_are_polled_at_growing_intervals),
		QUEUE_TEST(silent_future_is_polled_beside_busy_ones),
		QUEUE_TEST(call_that_finds_enough_polls_no_silent_futures),
		QUEUE_TEST(changed_word_brings_a_poll),
		QUEUE_TEST(early_wake_is_not_the_last_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
