/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_watch_work.c -- tests wait/watch: futures that keep work for the thread
 * that waits, with a clock that only work advances
 */

#include "watched.h"

#include "wait/waiters.h"

uint64_t __wrap_mia_clock_ns(void);

uint64_t
__wrap_mia_clock_ns(void)
{
	return work_clock_ns;
}

static int
work_setup(void **state)
{
	work_clock_ns = 1000000;
	piece_ns = 1000;
	return setup(state);
}

/* The first pass polls these, which may do that. */
static void
assert_first_pass(const char *names, const char *offers)
{
	clear_log();
	assert_true(mia_watch_pass_all(&watch, MIA_EFFORT_WORK));
	assert_string_equal(polled, names);
	assert_string_equal(offered, offers);
}

/* The next pass polls these, and offers to work later. */
static void
assert_pass_offers(const char *names, enum result result)
{
	assert_pass(names, result);
	for (size_t i = 0; i < npolled; i++)
		assert_int_equal(offered[i], 'o');
}

/* Work is kept, and the future of this name gets the next piece. */
static void
assert_works(const char *name)
{
	clear_log();
	assert_true(mia_watch_has_work(&watch));
	mia_watch_work(&watch, MIA_EFFORT_WORK);
	assert_string_equal(polled, name);
	assert_string_equal(offered, "w");
}

static void
assert_no_work(void)
{
	assert_false(mia_watch_has_work(&watch));
}

static void
same_future_works_until_it_is_done(void **state)
{
	(void)state;
	WATCH("KKKe", "KKe", "w");
	assert_first_pass("abc", "www");
	assert_false(mia_watch_needs_passes(&watch));
	assert_int_equal(watch.nleft, 3);
	assert_works("a");
	assert_works("a");
	assert_works("a");
	assert_int_equal(watch.nleft, 2);
	assert_works("b");

	/* Passes do not poll it without a reason. */
	assert_pass("", NOTHING);
	assert_works("b");
	assert_no_work();
	assert_int_equal(watch.nleft, 1);
	assert_sleeps();
}

/* As when workers have taken the rest. */
static void
future_that_keeps_nothing_any_more_goes_to_its_list(void **state)
{
	(void)state;
	WATCH("Kw", "Kn", "Ka", "Kr", "K");
	assert_first_pass("abcde", "wwwww");
	assert_works("a");
	assert_works("b");

	/* Its first poll after the kept one takes another for the word. */
	clear_log();
	mia_watch_work(&watch, MIA_EFFORT_WORK);
	assert_string_equal(polled, "cc");
	assert_works("d");
	assert_works("e");
	assert_works("e");
	assert_pass("bd", NOTHING);
	futures[2].data.words[0]++;
	assert_pass("bcd", PROGRESS);
	wake('a');
	assert_pass("abd", PROGRESS);
	assert_works("e");
}

/* Workers may have ended the next one while this thread did the first. */
static void
each_kept_future_has_its_turn(void **state)
{
	(void)state;
	WATCH("K", "K", "Kc");
	assert_first_pass("abc", "www");
	for (int i = 0; i < 8; i++)
		assert_works("a");
	for (int i = 0; i < 8; i++)
		assert_works("b");
	assert_works("c");
	for (int i = 0; i < 8; i++)
		assert_works("a");
	assert_works("b");
}

/* Polls of one pass work for some 15 us, and then only offer to. */
static void
first_pass_works_for_a_short_time(void **state)
{
	static const struct {
		uint64_t piece_ns;
		size_t min, max;
	} cases[] = {{100, MANY, MANY}, {1000, 15, 21}, {14999, 2, 3},
		{15000, 1, 2}, {50000, 1, 2}, {UINT64_C(1) << 60, 1, 2}};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		size_t worked = 0;

		piece_ns = cases[c].piece_ns;
		for (size_t i = 0; i < MANY; i++)
			script(i, "K");
		watch_first(MANY);
		clear_log();
		mia_watch_pass_all(&watch, MIA_EFFORT_WORK);
		assert_int_equal(npolled, MANY);
		while (worked < MANY && offered[worked] == 'w')
			worked++;
		assert_in_range(worked, cases[c].min, cases[c].max);
		for (size_t i = worked; i < MANY; i++)
			assert_int_equal(offered[i], 'o');
	}
}

/* Time that goes by without work does not count. */
static void
polls_that_do_not_work_keep_the_offer(void **state)
{
	(void)state;
	piece_ns = 20000;
	WATCH("k", "w", "c", "n", "K", "k", "K", "k");
	assert_first_pass("abcdefgh", "wwwwwwwo");
}

static void
net_makes_no_new_offer(void **state)
{
	(void)state;
	WATCH("K", "w");
	clear_log();
	assert_true(mia_watch_pass_all(&watch, MIA_EFFORT_OFFER));
	assert_string_equal(offered, "--");
	assert_no_work();
}

/* A wake must be looked at, by a poll that does not work. */
static void
woken_future_is_polled_and_stays_kept(void **state)
{
	(void)state;
	WATCH("K", "K", "KKc", "w");
	assert_first_pass("abcd", "wwww");
	wake('c');
	wake('a');
	assert_int_equal(rouses, 1);
	assert_pass_offers("ac", PROGRESS);
	assert_pass_offers("", NOTHING);

	/* Both are at the end now. */
	assert_works("b");
	mia_watch_clear(&watch, 0);
	assert_no_work();

	/* Complete by that poll. */
	WATCH("Kc", "K", "KK");
	assert_first_pass("abc", "www");
	wake('a');
	wake('c');
	assert_pass_offers("ac", PROGRESS);
	assert_int_equal(watch.nleft, 2);
	assert_works("b");
}

static void
only_kept_future_is_woken_and_done(void **state)
{
	(void)state;
	WATCH("Kc");
	assert_first_pass("a", "w");
	wake('a');
	assert_pass_offers("a", PROGRESS);
	assert_no_work();
	assert_int_equal(watch.nleft, 0);

	/* The list is in order. */
	WATCH("Ke", "Ke");
	assert_first_pass("ab", "ww");
	assert_works("a");
	assert_works("b");
	assert_no_work();
}

/* The net polls kept ones too, and files them in the order of adding. */
static void
net_files_the_kept_anew(void **state)
{
	(void)state;
	WATCH("KKKK", "KKKKK", "KKw", "w", "wK");
	assert_first_pass("abcde", "wwwww");
	wake('a');
	assert_pass_offers("a", PROGRESS);
	assert_works("b");
	assert_pass_all("abcde", NOTHING);
	assert_string_equal(offered, "ooo--");
	assert_works("a");
	assert_pass_all("abcde", NOTHING);
	assert_works("a");
	mia_watch_clear(&watch, 0);

	WATCH("Kw", "KK", "Ke");
	assert_first_pass("abc", "www");
	assert_pass_all("abc", NOTHING);
	assert_works("b");
	assert_works("b");
	wake('b');
	assert_pass_offers("b", PROGRESS);
	assert_works("c");
	assert_works("b");
}

/* While polls of passes do work, others get what is kept. */
static void
future_without_an_offer_keeps_nothing(void **state)
{
	(void)state;
	WATCH("KKK", "K", "n");
	assert_first_pass("abc", "www");
	clear_log();
	mia_watch_work(&watch, MIA_EFFORT_NONE);
	assert_string_equal(polled, "a");
	assert_string_equal(offered, "-");
	assert_works("b");
	assert_pass_offers("c", NOTHING);
	clear_log();
	mia_watch_work(&watch, MIA_EFFORT_NONE);
	assert_string_equal(polled, "b");
	assert_no_work();
	assert_int_equal(watch.nleft, 3);
	wake('a');
	assert_pass_offers("ac", PROGRESS);
	assert_works("a");
}

static void
clear_drops_the_kept(void **state)
{
	(void)state;
	WATCH("K", "K");
	assert_first_pass("ab", "ww");
	mia_watch_clear(&watch, 0);
	assert_no_work();
	WATCH("w", "K");
	assert_first_pass("ab", "ww");
	assert_works("b");
	mia_waiters_free(mia_watch_strip(&watch, NULL));
	WATCH("K");
	assert_first_pass("a", "w");
	assert_works("a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, work_setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(same_future_works_until_it_is_done),
		TEST(future_that_keeps_nothing_any_more_goes_to_its_list),
		TEST(first_pass_works_for_a_short_time),
		TEST(polls_that_do_not_work_keep_the_offer),
		TEST(each_kept_future_has_its_turn),
		TEST(net_makes_no_new_offer),
		TEST(woken_future_is_polled_and_stays_kept),
		TEST(only_kept_future_is_woken_and_done),
		TEST(net_files_the_kept_anew),
		TEST(future_without_an_offer_keeps_nothing),
		TEST(clear_drops_the_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
