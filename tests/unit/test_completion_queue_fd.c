/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue_fd.c -- tests wait/completion_queue: when the
 * descriptor is readable
 */

#include "queue_fd.h"

#include <errno.h>

#if !defined(__linux__)

static void
system_without_descriptors_says_so(void **state)
{
	(void)state;
	errno = 0;
	assert_int_equal(completion_queue_fd(cq), -1);
	assert_int_equal(errno, ENOTSUP);
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	ASSERT_OUT(completion_queue_reap(cq, out, N), 0);
	assert_int_equal(sets, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(system_without_descriptors_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#include "system.h"

static void
descriptor_is_readable_while_a_reap_may_find_something(void **state)
{
	(void)state;
	assert_int_equal(completion_queue_fd(cq), fd);
	assert_false(is_readable());
	for (int i = 0; i < 6; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	assert_false(is_readable());
	for (int i = 0; i < 3; i++)
		complete(i);
	for (int i = 0; i < 3; i++) {
		assert_true(is_readable());
		assert_true(is_readable());
		ASSERT_OUT(reap(1), i);
	}
	assert_false(is_readable());

	/* Also if the wait did it. */
	complete(3);
	complete(4);
	ASSERT_OUT(completion_queue_wait(cq, out, 1, 1, -1), 3);
	assert_true(is_readable());
	ASSERT_OUT(completion_queue_wait(cq, out, N, 1, -1), 4);
	assert_false(is_readable());
	assert_int_equal(completion_queue_wait(cq, out, N, 1, 5000000), 0);
	assert_false(is_readable());

	/* Also if it was complete when it was added. */
	add(0, FUTURE_NOTIFIER_WAKER);
	f[1] = event_future(&events[1], FUTURE_NOTIFIER_WAKER);
	atomic_store(&events[1].done, 1);
	completion_queue_add(cq, FUTURE_AS_RUNNABLE(&f[1]), &events[1]);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 1);
	assert_false(is_readable());

	/* A wake in vain. */
	event_wake(&events[5]);
	assert_true(is_readable());
	assert_int_equal(reap(N), 0);
	complete(5);
	complete(0);
	ASSERT_OUT(reap(N), 0, 5);
	assert_false(is_readable());
}

static void
descriptor_made_late_knows_what_came_before(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	fd = completion_queue_fd(cq);
	assert_true(fd >= 0);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 0);
	assert_false(is_readable());
}

/* A waker may be on its way since a wait. ThreadSanitizer sees the rest. */
static void
descriptor_is_made_beside_wakers(void **state)
{
	(void)state;
	for (int round = 0; round < TEST_ROUNDS(1000); round++) {
		atomic_bool stop = false;
		pthread_t thread;

		add(0, FUTURE_NOTIFIER_WAKER);
		pthread_create(&thread, NULL, wake_in_vain, &stop);
		for (int i = 0; i < 20; i++)
			completion_queue_wait(cq, out, N, 1, 1000);
		fd = completion_queue_fd(cq);
		assert_true(fd >= 0);
		atomic_store(&stop, true);
		pthread_join(thread, NULL);
		complete(0);
		assert_true(is_readable());
		while (reap(N) == 0)
			continue;
		tear_down(state);
		set_up(state);
	}
}

/* An event loop that only waits for the descriptor finds silent futures. */
static void
timer_makes_it_readable_for_silent_futures(void **state)
{
	(void)state;
	for (int kind = FUTURE_NOTIFIER_NONE; kind <= FUTURE_NOTIFIER_POLLER;
		kind++) {
		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
		unsigned nturns = 0;
		uint64_t ns;

		if (kind == FUTURE_NOTIFIER_WAKER)
			continue;
		add(0, (enum future_notifier_type)kind);
		do {
			assert_true(is_readable_within(20000));
			assert_int_equal(reap(N), 0);
			nturns++;
			ns = test_clock_ns(CLOCK_MONOTONIC) - start_ns;
		} while (ns < 30 * MS);
		printf("%u turns in %u us\n", nturns, (unsigned)(ns / 1000));
		assert_true(nturns <= 12 + ns / MS);
		atomic_store(&events[0].done, 1);
		do
			assert_true(is_readable_within(20000));
		while (reap(N) == 0);
		ASSERT_OUT(1, 0);

		/* The timer does not come any more, and costs nothing. */
		const unsigned armed = arms;

		assert_false(is_readable_within(20));
		for (int i = 0; i < 10; i++)
			assert_int_equal(reap(N), 0);
		assert_int_equal(arms, armed);

		/* A future that is announced needs none. */
		add(0, FUTURE_NOTIFIER_WAKER);
		assert_int_equal(reap(N), 0);
		complete(0);
		ASSERT_OUT(reap(N), 0);
		assert_int_equal(arms, armed);
	}
}

static void
woken_future_that_is_not_complete_is_looked_at_again(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	event_wake(&events[0]);
	assert_true(is_readable());
	assert_int_equal(reap(N), 0);
	atomic_store(&events[0].done, 1);
	do
		assert_true(is_readable_within(20000));
	while (reap(N) == 0);
	ASSERT_OUT(1, 0);
	assert_false(is_readable_within(20));
}

/* The wait saw the wake, and ended before the future did. */
static void
timer_is_set_after_a_wait_too(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	event_wake(&events[0]);
	assert_int_equal(completion_queue_wait(cq, out, N, 1, 1), 0);
	atomic_store(&events[0].done, 1);
	do
		assert_true(is_readable_within(20000));
	while (reap(N) == 0);
	ASSERT_OUT(1, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_FD_TEST(
			descriptor_is_readable_while_a_reap_may_find_something),
		QUEUE_TEST(descriptor_made_late_knows_what_came_before),
		QUEUE_TEST(descriptor_is_made_beside_wakers),
		QUEUE_FD_TEST(timer_makes_it_readable_for_silent_futures),
		QUEUE_FD_TEST(
			woken_future_that_is_not_complete_is_looked_at_again),
		QUEUE_FD_TEST(timer_is_set_after_a_wait_too),
	};

	/* A lost wake is a loop that waits for ever. */
	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
