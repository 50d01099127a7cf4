/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_watch.c -- tests wait/watch: the futures that a pass polls, and their
 * order
 */

#include "watched.h"

#include <errno.h>

#include "wait/waiters.h"

static void
first_pass_polls_all_and_asynchronous_ones_first(void **state)
{
	(void)state;
	WATCH("n", "w", "c", "r", "n");
	futures[1].data.async = true;
	futures[4].data.async = true;
	assert_int_equal(watch.nadded, 5);
	assert_int_equal(watch.nleft, 5);
	assert_pass_all("beacd", PROGRESS);
	assert_int_equal(watch.nleft, 4);
}

static void
later_passes_poll_asynchronous_ones_first(void **state)
{
	(void)state;
	WATCH("n", "n", "n");
	assert_pass_all("abc", PROGRESS);
	futures[2].data.async = true;
	assert_pass("cab", NOTHING);
	futures[2].data.async = false;
	futures[1].data.async = true;
	assert_pass("bac", NOTHING);
}

static void
complete_futures_and_twins_are_not_added(void **state)
{
	struct future *futs[5];

	(void)state;
	script(0, "n");
	script(1, "c");
	script(2, "n");
	futs[0] = FUTURE_AS_RUNNABLE(&futures[0]);
	futs[1] = FUTURE_AS_RUNNABLE(&futures[1]);
	futs[2] = FUTURE_AS_RUNNABLE(&futures[0]);
	futs[3] = FUTURE_AS_RUNNABLE(&futures[2]);
	futs[4] = FUTURE_AS_RUNNABLE(&futures[2]);
	futures[1].base.context.state = FUTURE_STATE_COMPLETE;
	assert_int_equal(mia_watch_reserve(&watch, 8), 0);
	mia_watch_clear(&watch, 8);
	mia_watch_add(&watch, futs, 5);
	mia_watch_add(&watch, futs, 3);
	assert_int_equal(watch.nadded, 2);

	/* Each pointer counts: four to a, and two to c. */
	assert_int_equal(watch.nleft, 6);
	assert_pass_all("ac", PROGRESS);
	futures[2].data.next = "c";
	assert_pass("ac", PROGRESS);
	assert_int_equal(watch.nleft, 4);
	futures[0].data.next = "c";
	assert_pass("a", PROGRESS);
	assert_int_equal(watch.nleft, 0);

	/* After a clear the same futures are no twins. */
	mia_watch_clear(&watch, 5);
	assert_int_equal(watch.nleft, 0);
	script(0, "n");
	script(2, "n");
	mia_watch_add(&watch, futs, 5);
	assert_int_equal(watch.nleft, 4);
	assert_pass_all("ac", PROGRESS);
}

static void
twins_are_found_among_many(void **state)
{
	uint64_t seed = test_seed("twins");
	struct future *futs[MANY];
	bool used[MANY];

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		script(i, "c");
	assert_int_equal(mia_watch_reserve(&watch, MANY), 0);
	for (int round = 0; round < 1000; round++) {
		const size_t n = (size_t)(test_random(&seed) % MANY) + 1;
		size_t different = 0;

		memset(used, 0, sizeof(used));
		for (size_t i = 0; i < n; i++) {
			const size_t k = (size_t)(test_random(&seed) % n);

			futs[i] = FUTURE_AS_RUNNABLE(&futures[k]);
			different += !used[k];
			used[k] = true;
		}
		mia_watch_clear(&watch, n);
		mia_watch_add(&watch, futs, n);
		assert_int_equal(watch.nadded, different);
	}
}

static void
future_that_answers_none_is_polled_in_every_pass(void **state)
{
	(void)state;
	WATCH("nnnc", ".", "w");
	assert_pass_all("abc", PROGRESS);
	assert_true(mia_watch_needs_passes(&watch));
	assert_pass("ab", NOTHING);
	assert_pass("ab", NOTHING);
	assert_pass("ab", PROGRESS);
	assert_pass("b", NOTHING);
	assert_int_equal(watch.nleft, 2);
}

static void
future_that_answers_waker_is_polled_after_a_wake(void **state)
{
	(void)state;
	WATCH("w", "wwc", "w");
	assert_pass_all("abc", PROGRESS);
	assert_sleeps();
	wake('b');
	assert_int_equal(rouses, 1);
	assert_pass("b", PROGRESS);
	assert_pass("b", PROGRESS);
	assert_sleeps();

	/* A wake of a complete future. */
	wake('b');
	assert_pass("", PROGRESS);
	assert_sleeps();
	assert_int_equal(watch.nleft, 2);
}

static void
woken_future_is_hot_for_a_time(void **state)
{
	(void)state;
	WATCH("w", "w");
	assert_pass_all("ab", PROGRESS);
	wake('b');
	assert_pass("b", PROGRESS);
	for (int i = 1; i < 16; i++) {
		assert_true(mia_watch_needs_passes(&watch));
		assert_pass("b", NOTHING);
	}
	assert_sleeps();
}

static void
woken_futures_are_polled_in_the_order_of_adding(void **state)
{
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		script(i, "w");
	watch_first(MANY);
	mia_watch_pass_all(&watch, MIA_EFFORT_WORK);
	for (size_t i = MANY; i-- > 0;)
		if (i % 3 == 0)
			FUTURE_WAKER_WAKE(&futures[i].data.waker);
	clear_log();
	mia_watch_pass(&watch, MIA_PASS_DUE, MIA_EFFORT_OFFER, &meter);
	for (size_t i = 0; i < npolled; i++)
		assert_int_equal(polled[i], (char)('a' + 3 * i));
	assert_int_equal(npolled, (MANY + 2) / 3);
}

/* A hot future that is woken gets one poll, and not two. */
static void
hot_and_woken_is_polled_once(void **state)
{
	(void)state;
	WATCH("n", "n", "w");
	assert_pass_all("abc", PROGRESS);
	wake('c');
	wake('b');
	assert_pass("abc", PROGRESS);
}

static void
wake_during_the_poll_brings_another_poll(void **state)
{
	(void)state;
	WATCH("x", "xc");
	assert_pass_all("ab", PROGRESS);
	assert_pass("ab", PROGRESS);
	assert_int_equal(watch.nleft, 1);
	assert_pass("a", PROGRESS);
}

static void
refused_futures_are_polled_16_at_a_time_in_turn(void **state)
{
	(void)state;

	/* Futures, then chains. */
	for (int chained = 0; chained < 2; chained++) {
		for (size_t i = 0; i < 20; i++)
			script(i, chained ? "R" : "r");
		script(20, "n");
		watch_first(21);
		assert_pass_all("abcdefghijklmnopqrstu", PROGRESS);
		assert_true(mia_watch_needs_passes(&watch));
		assert_pass("abcdefghijklmnopu", NOTHING);

		/* The other four come first, and go to the end so. */
		assert_pass("abcdefghijklqrstu", NOTHING);
		assert_pass("abcdefghijklmnopu", NOTHING);

		/* The safety net leaves them to their turn. */
		assert_pass_all("u", NOTHING);
		assert_pass("abcdefghijklqrstu", NOTHING);
	}
}

static void
refused_future_that_starts_is_progress(void **state)
{
	(void)state;
	WATCH("rrnrc", "RRnc", "rw");
	assert_pass_all("abc", PROGRESS);
	assert_pass("abc", PROGRESS);
	assert_pass("ab", PROGRESS);
	assert_pass("ab", PROGRESS);
	assert_pass("a", PROGRESS);
	assert_int_equal(watch.nleft, 1);
	assert_sleeps();
}

static void
late_wakes_do_no_harm(void **state)
{
	struct future_waker late[12];

	(void)state;
	for (size_t i = 0; i < 12; i++)
		script(i, "w");
	watch_first(12);
	mia_watch_pass_all(&watch, MIA_EFFORT_WORK);
	for (size_t i = 0; i < 12; i++)
		late[i] = futures[i].data.waker;

	/* A wake before the clear has no effect. */
	FUTURE_WAKER_WAKE(&late[0]);
	WATCH("w", "w");
	assert_pass_all("ab", PROGRESS);
	assert_sleeps();

	/* Of numbers that are not in use. */
	FUTURE_WAKER_WAKE(&late[2]);
	FUTURE_WAKER_WAKE(&late[11]);
	assert_pass("", PROGRESS);
	assert_sleeps();

	/* Of another future's number: a poll that was not needed. */
	FUTURE_WAKER_WAKE(&late[1]);
	FUTURE_WAKER_WAKE(&late[5]);
	assert_pass("b", PROGRESS);

	/* With more room, and with none. */
	assert_int_equal(mia_watch_reserve(&watch, 5000), 0);
	FUTURE_WAKER_WAKE(&late[11]);
	WATCH("w");
	assert_pass_all("a", PROGRESS);
	assert_sleeps();
	mia_waiters_free(mia_watch_strip(&watch, NULL));
	FUTURE_WAKER_WAKE(&late[0]);
	assert_pass("", PROGRESS);
}

static void
room_grows_and_is_given_up(void **state)
{
	(void)state;
	assert_int_equal(watch.capacity, 0);
	assert_int_equal(mia_watch_reserve(&watch, 0), 0);
	assert_int_equal(watch.capacity, 0);
	assert_int_equal(mia_watch_reserve(&watch, 1), 0);
	assert_int_equal(watch.capacity, 8);
	WATCH("n", "n");
	assert_int_equal(mia_watch_reserve(&watch, SIZE_MAX), -ENOMEM);
	assert_int_equal(mia_watch_reserve(&watch, UINT32_MAX), -ENOMEM);
	assert_int_equal(watch.capacity, 8);
	assert_pass_all("ab", PROGRESS);
	assert_int_equal(mia_watch_reserve(&watch, 8), 0);
	assert_pass("ab", NOTHING);

	assert_int_equal(mia_watch_reserve(&watch, 9), 0);
	assert_int_equal(watch.capacity, 16);
	assert_int_equal(watch.nleft, 2);
	assert_pass("ab", NOTHING);

	struct mia_waiters *list = mia_watch_strip(&watch, NULL);

	assert_non_null(list);
	assert_int_equal(watch.capacity, 0);
	assert_ptr_equal(mia_watch_strip(&watch, list), list);
	assert_int_equal(mia_watch_reserve(&watch, 1), 0);
	list = mia_watch_strip(&watch, list);
	mia_waiters_free(list);
	mia_watch_clear(&watch, 0);
	assert_pass("", NOTHING);
}

static void
passes_are_metered(void **state)
{
	(void)state;
	WATCH("n");
	mia_watch_pass_all(&watch, MIA_EFFORT_WORK);
	meter.all_ns = UINT64_MAX;
	assert_pass("a", NOTHING);
	assert_int_not_equal(meter.all_ns, UINT64_MAX);
	assert_true(meter.all_ns > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WATCH_TEST(first_pass_polls_all_and_asynchronous_ones_first),
		WATCH_TEST(later_passes_poll_asynchronous_ones_first),
		WATCH_TEST(complete_futures_and_twins_are_not_added),
		WATCH_TEST(twins_are_found_among_many),
		WATCH_TEST(future_that_answers_none_is_polled_in_every_pass),
		WATCH_TEST(future_that_answers_waker_is_polled_after_a_wake),
		WATCH_TEST(woken_future_is_hot_for_a_time),
		WATCH_TEST(woken_futures_are_polled_in_the_order_of_adding),
		WATCH_TEST(hot_and_woken_is_polled_once),
		WATCH_TEST(wake_during_the_poll_brings_another_poll),
		WATCH_TEST(refused_futures_are_polled_16_at_a_time_in_turn),
		WATCH_TEST(refused_future_that_starts_is_progress),
		WATCH_TEST(late_wakes_do_no_harm),
		WATCH_TEST(room_grows_and_is_given_up),
		WATCH_TEST(passes_are_metered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
