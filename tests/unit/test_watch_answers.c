/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_watch_answers.c -- tests wait/watch and wait/waiter: how the answer of a
 * future decides its next polls
 */

#include "watched.h"

static void
unchanged_word_is_not_polled(void **state)
{
	(void)state;
	WATCH("a", "w", "a");

	/* The word is read before a poll, so a new one takes two polls. */
	assert_pass_all("aabcc", PROGRESS);
	assert_true(mia_watch_needs_passes(&watch));
	assert_pass("", NOTHING);
	assert_pass("", NOTHING);
	futures[2].data.words[0]++;
	assert_pass("c", PROGRESS);
	assert_pass("", NOTHING);
	futures[0].data.words[0]++;
	futures[2].data.words[0]++;
	futures[0].data.words[1]++;
	assert_pass("ac", PROGRESS);
	assert_pass("", NOTHING);

	/* The safety net and a wake cause polls, with any value of the word. */
	assert_pass_all("abc", NOTHING);
	assert_pass("", NOTHING);
	wake('a');
	assert_pass("a", PROGRESS);
	assert_pass("a", NOTHING);
}

static void
word_that_changes_during_the_poll_brings_another_poll(void **state)
{
	(void)state;
	WATCH("aass", "w");
	assert_pass_all("aab", PROGRESS);
	futures[0].data.words[0]++;
	assert_pass("a", PROGRESS);
	assert_pass("a", PROGRESS);
	assert_pass("a", PROGRESS);
}

static void
another_word_takes_another_poll(void **state)
{
	(void)state;
	WATCH("aaabb", "n");
	assert_pass_all("aab", PROGRESS);
	futures[0].data.words[0]++;
	assert_pass("ab", PROGRESS);
	futures[0].data.words[0]++;
	assert_pass("aab", PROGRESS);

	/* Word b counts now. */
	futures[0].data.words[0]++;
	assert_pass("b", NOTHING);
	futures[0].data.words[1]++;
	assert_pass("ab", PROGRESS);
}

/* Two polls at most, so that the other one gets its poll. */
static void
future_that_names_new_words_for_ever_is_hot(void **state)
{
	(void)state;
	WATCH("abababababab", "n");
	assert_pass_all("aab", PROGRESS);
	assert_pass("aab", NOTHING);
	assert_pass("aab", NOTHING);
}

static void
poller_without_a_word_is_polled_in_every_pass(void **state)
{
	(void)state;
	WATCH("?", "?c");
	assert_pass_all("ab", PROGRESS);
	assert_pass("ab", PROGRESS);
	assert_pass("a", NOTHING);
}

/* Another future's task may complete a future, or poll a chain on. */
static void
word_is_not_read_after_others_went_on_with_the_future(void **state)
{
	(void)state;
	WATCH("a", "aaan", "w");
	assert_pass_all("aabbc", PROGRESS);
	assert_pass("", NOTHING);
	futures[0].base.context.state = FUTURE_STATE_COMPLETE;
	futures[1].base.context.padding += FUTURE_CONTEXT_MOVED_;
	assert_pass("bb", PROGRESS);
	assert_int_equal(watch.nleft, 2);
	assert_pass("b", NOTHING);
}

static void
no_answer_means_the_last_answer(void **state)
{
	(void)state;
	WATCH("w.", "a.", "n.");
	assert_pass_all("abbc", PROGRESS);
	assert_pass("c", NOTHING);
	wake('a');
	futures[1].data.words[0]++;
	assert_pass("abc", PROGRESS);
	for (int i = 1; i < 16; i++)
		assert_pass("ac", NOTHING);
	assert_pass("c", NOTHING);
}

static void
answer_does_not_hold_for_the_next_entry_of_a_chain(void **state)
{
	(void)state;

	/*
	 * The current entry gives no answer. The answer of the last entry is
	 * void.
	 */
	WATCH("wm.", "w", "W.", "A.", "M.");
	assert_pass_all("abccdde", PROGRESS);
	assert_pass("cde", NOTHING);
	wake('a');
	assert_pass("acde", PROGRESS);
	for (int i = 0; i < 20; i++)
		assert_pass("acde", NOTHING);
}

static void
doubtful_answer_is_confirmed_by_another_poll(void **state)
{
	(void)state;
	WATCH("Ww", "Aaa", "WWWw");

	/* The word of b counts after a third poll, and c needs a fourth. */
	assert_pass_all("aabbcc", PROGRESS);
	assert_pass("bcc", NOTHING);
	assert_pass("", NOTHING);
	futures[1].data.words[0]++;
	assert_pass("b", PROGRESS);
	assert_pass("", NOTHING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WATCH_TEST(unchanged_word_is_not_polled),
		WATCH_TEST(
			word_that_changes_during_the_poll_brings_another_poll),
		WATCH_TEST(another_word_takes_another_poll),
		WATCH_TEST(future_that_names_new_words_for_ever_is_hot),
		WATCH_TEST(poller_without_a_word_is_polled_in_every_pass),
		WATCH_TEST(
			word_is_not_read_after_others_went_on_with_the_future),
		WATCH_TEST(no_answer_means_the_last_answer),
		WATCH_TEST(answer_does_not_hold_for_the_next_entry_of_a_chain),
		WATCH_TEST(doubtful_answer_is_confirmed_by_another_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
