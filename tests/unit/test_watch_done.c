/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_watch_done.c -- tests wait/watch as a completion queue uses it: futures
 * come and go, and are listed when they are complete
 */

#include "watched.h"

static int
setup_done(void **state)
{
	(void)state;
	rouses = 0;
	mia_ready_init(&ready, rouse, MIA_READY_IS_QUIET);
	mia_watch_init(&watch, &ready, MIA_WATCH_LISTS_DONE);
	mia_meter_init(&meter);
	return 0;
}

static enum mia_put result;

/* The future with this name plays the script. Returns its number. */
static size_t
put(char name, const char *letters)
{
	const size_t i = (size_t)(name - 'a');
	size_t number;

	script(i, letters);
	assert_int_equal(mia_watch_reserve(&watch, watch.nadded + 1), 0);
	result =
		mia_watch_put(&watch, FUTURE_AS_RUNNABLE(&futures[i]), &number);
	return number;
}

static void
assert_done(size_t n, const size_t numbers[])
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(mia_watch_take_done(&watch), numbers[i]);
	assert_int_equal(mia_watch_take_done(&watch), MIA_READY_NONE);
}

#define ASSERT_DONE(...) \
	assert_done(sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t), \
		(const size_t[]){__VA_ARGS__})

static void
future_is_polled_once_when_it_is_put(void **state)
{
	(void)state;
	clear_log();

	/* A second poll would be made at once for the word of b. */
	assert_int_equal(put('a', "w"), 0);
	assert_int_equal(result, MIA_PUT_WAITING);
	assert_int_equal(put('b', "a"), 1);
	assert_int_equal(result, MIA_PUT_HOT);
	assert_int_equal(put('c', "c"), 2);
	assert_int_equal(result, MIA_PUT_DONE);
	assert_int_equal(put('d', "k"), 3);
	assert_int_equal(put('e', "!"), 4);
	assert_string_equal(polled, "abcde");
	assert_string_equal(offered, "-----");
	assert_false(mia_watch_has_work(&watch));
	assert_int_equal(watch.nleft, 4);
	ASSERT_DONE(2);
	assert_pass("b", NOTHING);
}

/* Asynchronous futures are polled first. */
static void
complete_futures_come_in_the_order_of_their_polls(void **state)
{
	(void)state;
	for (char name = 'a'; name < 'a' + 6; name++) {
		put(name, "wc");
		futures[name - 'a'].data.async = name == 'e';
	}
	wake('d');
	wake('e');
	wake('b');
	assert_pass("ebd", PROGRESS);
	wake('a');
	wake('f');
	assert_pass("af", PROGRESS);
	assert_int_equal(watch.nleft, 1);
	ASSERT_DONE(4, 1, 3, 0, 5);
	wake('c');
	assert_pass("c", PROGRESS);
	ASSERT_DONE(2);
	assert_int_equal(watch.nleft, 0);
}

static void
numbers_of_taken_futures_are_used_again(void **state)
{
	(void)state;
	put('a', "wc");
	put('b', "c");
	put('c', "wc");
	wake('a');
	assert_pass("a", PROGRESS);

	/* Not taken yet. */
	assert_int_equal(put('d', "w"), 3);
	ASSERT_DONE(1, 0);
	assert_int_equal(put('e', "w"), 0);
	assert_int_equal(put('f', "w"), 1);
	assert_int_equal(put('g', "w"), 4);

	/* A late wake is for another future now. */
	wake('a');
	assert_pass("e", PROGRESS);
	assert_int_equal(watch.nleft, 5);
}

static void
pass_of_ready_ones_leaves_hot_ones(void **state)
{
	(void)state;
	put('a', "n");
	put('b', "w");
	put('c', "a");
	put('d', "n");
	put('e', "r");
	assert_pass("acde", NOTHING);
	assert_pass_of(MIA_PASS_READY, "e", NOTHING);
	futures[2].data.words[0]++;
	wake('b');
	wake('d');
	assert_pass_of(MIA_PASS_READY, "bde", PROGRESS);

	/* d lingers, on the list that it was on before. */
	assert_pass_of(MIA_PASS_READY, "e", NOTHING);
	assert_pass("abcde", PROGRESS);
	assert_pass("abde", NOTHING);
}

/* A wake takes a future off whatever list it is on. */
static void
woken_future_leaves_its_list(void **state)
{
	const char *const scripts[] = {"nw", "rw", "aw", "wkw"};

	for (int i = 0; i < 4; i++) {
		for (int nothers = 0; nothers < 3; nothers++) {
			setup_done(state);
			for (int other = 0; other < nothers; other++)
				put((char)('x' + other), scripts[i]);
			put('a', scripts[i]);
			wake('a');
			mia_watch_pass(&watch, MIA_PASS_READY, MIA_EFFORT_OFFER,
				&meter);
			wake('a');
			mia_watch_pass(&watch, MIA_PASS_READY, MIA_EFFORT_OFFER,
				&meter);
			for (int pass = 0; pass < 40; pass++)
				mia_watch_pass(&watch, MIA_PASS_DUE,
					MIA_EFFORT_NONE, &meter);
			mia_watch_give_up(&watch);
			assert_false(mia_watch_has_work(&watch));
			assert_sleeps();
			teardown(state);
		}
	}
	setup_done(state);
}

/* With futures on all lists, and some that have no list. */
static void
room_grows_under_the_futures(void **state)
{
	const struct mia_waiters *before;

	(void)state;
	put('a', "n");
	put('b', "w");
	put('c', "c");
	put('d', "r");
	put('e', "wk");
	put('f', "c");
	put('g', "c");
	assert_int_equal(mia_watch_take_done(&watch), 2);
	wake('e');
	assert_pass("ade", PROGRESS);
	assert_true(mia_watch_has_work(&watch));
	before = watch.waiters;
	assert_int_equal(mia_watch_reserve(&watch, 1000), 0);
	assert_ptr_not_equal(watch.waiters, before);
	assert_true(mia_watch_has_work(&watch));
	assert_pass("ad", NOTHING);
	wake('b');
	assert_pass("abd", PROGRESS);
	clear_log();
	mia_watch_give_up(&watch);
	assert_string_equal(polled, "e");
	ASSERT_DONE(5, 6);
	assert_int_equal(put('h', "wc"), 6);
	assert_int_equal(put('i', "wc"), 5);
	assert_int_equal(put('j', "wc"), 2);
	assert_int_equal(put('k', "wc"), 7);
	wake('k');
	wake('h');
	mia_watch_pass(&watch, MIA_PASS_READY, MIA_EFFORT_NONE, &meter);
	ASSERT_DONE(6, 7);
	assert_int_equal(watch.nleft, 6);
}

static void
work_that_completes_a_future_lists_it(void **state)
{
	(void)state;
	put('a', "we");
	put('b', "we");
	wake('a');
	wake('b');
	assert_pass("ab", PROGRESS);
	mia_watch_work(&watch, MIA_EFFORT_WORK);
	assert_true(mia_watch_has_work(&watch));
	ASSERT_DONE(0);
	mia_watch_work(&watch, MIA_EFFORT_WORK);
	assert_false(mia_watch_has_work(&watch));
	ASSERT_DONE(1);

	/* Others complete it while this thread gives up. */
	put('c', "wkc");
	wake('c');
	assert_pass("c", PROGRESS);
	mia_watch_give_up(&watch);
	ASSERT_DONE(1);
	assert_int_equal(watch.nleft, 0);
}

static void
watch_knows_whether_a_wake_has_roused(void **state)
{
	(void)state;
	put('a', "w");
	wake('a');
	assert_pass("a", PROGRESS);
	assert_false(watch.roused);
	assert_true(mia_ready_listen(&ready));
	wake('a');
	assert_int_equal(rouses, 1);
	assert_pass("a", PROGRESS);
	assert_true(watch.roused);
	assert_pass("a", NOTHING);
	assert_true(watch.roused);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_done, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(future_is_polled_once_when_it_is_put),
		TEST(complete_futures_come_in_the_order_of_their_polls),
		TEST(numbers_of_taken_futures_are_used_again),
		TEST(pass_of_ready_ones_leaves_hot_ones),
		TEST(woken_future_leaves_its_list),
		TEST(room_grows_under_the_futures),
		TEST(work_that_completes_a_future_lists_it),
		TEST(watch_knows_whether_a_wake_has_roused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
