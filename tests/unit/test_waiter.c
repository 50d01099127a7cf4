/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_waiter.c -- tests wait/waiter: what a poll finds in the notifier, and
 * what its answer leaves behind
 */

#include "test.h"

#include <stdbool.h>

#include "wait/waiter.h"

/* What a task does to its notifier. */
struct act {
	enum future_state state;
	bool takes_work;
	bool keeps;
	bool answers; /* with used */
	enum future_notifier_type used;
	uint64_t *word; /* of a POLLER; NULL: leaves the pointer as it is */
	bool in_a_copy; /* does all that to a copy of the notifier */
};

struct act_data {
	const struct act *act;
	struct future_notifier seen;
	enum { SEEN_NOTHING, SEEN_OFFER, SEEN_WORK } offer;
	unsigned polls;
};

FUTURE(act_future, struct act_data, char);

static struct act_future future;
static struct mia_waiter waiter;

static void
see_offer(struct act_data *data, struct future_notifier *n)
{
	data->offer = SEEN_NOTHING;
	if (n->poller.ptr_to_monitor == future_notifier_offer_impl(n))
		data->offer = SEEN_OFFER;
	if (n->poller.ptr_to_monitor == future_notifier_work_impl(n))
		data->offer = SEEN_WORK;
}

static enum future_state
act_task(struct future_context *context, struct future_notifier *n)
{
	struct act_data *data = future_context_get_data(context);
	const struct act *act = data->act;
	struct future_notifier copy = *n;

	data->polls++;
	data->seen = *n;
	if (act->in_a_copy)
		n = &copy;
	see_offer(data, n);
	assert_true(future_notifier_is_inline_impl(n));
	if (act->takes_work && data->offer == SEEN_WORK)
		n->poller.ptr_to_monitor = future_notifier_offer_impl(n);
	if (act->answers)
		n->notifier_used = act->used;
	if (act->word != NULL)
		n->poller.ptr_to_monitor = act->word;
	if (act->keeps)
		n->padding = FUTURE_NOTIFIER_WORK_;
	return act->state;
}

static void
nothing_wakes(void *data)
{
	(void)data;
}

static void
begin(void)
{
	memset(&future, 0, sizeof(future));
	FUTURE_INIT(&future, act_task);
	mia_waiter_init(&waiter, FUTURE_AS_RUNNABLE(&future),
		(struct future_waker){&future, nothing_wakes});
}

/* Polls once, and fails if that takes more polls. */
static struct mia_polled
poll(struct act act, enum mia_effort effort)
{
	const unsigned before = future.data.polls;

	future.data.act = &act;

	const struct mia_polled polled = mia_waiter_poll(&waiter, effort);

	assert_int_equal(future.data.polls, before + 1);
	return polled;
}

static const enum mia_effort efforts[] = {
	MIA_EFFORT_NONE, MIA_EFFORT_OFFER, MIA_EFFORT_WORK};

static void
poll_finds_what_it_may_do(void **state)
{
	static const struct act runs = {.state = FUTURE_STATE_RUNNING,
		.answers = true,
		.used = FUTURE_NOTIFIER_WAKER};

	(void)state;
	begin();
	for (int round = 0; round < 9; round++) {
		(void)poll(runs, efforts[round % 3]);
		assert_int_equal(future.data.offer, round % 3);
		assert_int_equal(
			future.data.seen.padding, FUTURE_NOTIFIER_INLINE_);
		assert_ptr_equal(future.data.seen.waker.data, &future);
		assert_true(future.data.seen.waker.wake == nothing_wakes);

		/* The pointers are gone afterwards. */
		assert_null(waiter.notifier.poller.ptr_to_monitor);
		assert_false(waiter.kept);
	}
}

/*
 * The last answer may have been WORK. What nobody has offered to do is not
 * kept.
 */
static void
each_poll_begins_without_an_answer(void **state)
{
	static const struct act keeps = {.state = FUTURE_STATE_RUNNING,
		.keeps = true,
		.answers = true,
		.used = FUTURE_NOTIFIER_WAKER};

	(void)state;
	begin();
	for (int round = 0; round < 9; round++) {
		(void)poll(keeps, efforts[round % 3]);
		assert_int_equal(
			future.data.seen.padding, FUTURE_NOTIFIER_INLINE_);
		assert_int_not_equal(
			future.data.seen.notifier_used, FUTURE_NOTIFIER_WAKER);
		assert_int_equal(waiter.kept, round % 3 != 0);
	}
}

static void
word_stays_though_the_poll_brought_an_offer(void **state)
{
	static const struct act runs = {.state = FUTURE_STATE_RUNNING};
	uint64_t word = 5;
	const struct act names = {.state = FUTURE_STATE_RUNNING,
		.answers = true,
		.used = FUTURE_NOTIFIER_POLLER,
		.word = &word};

	(void)state;
	for (int e = 0; e < 3; e++) {
		begin();
		future.data.act = &names;
		(void)mia_waiter_poll(&waiter, efforts[e]);
		assert_int_equal(future.data.polls, 2);
		for (int silent = 0; silent < 4; silent++) {
			assert_int_equal(
				mia_waiter_look(&waiter), MIA_LOOK_UNCHANGED);
			word++;
			assert_int_equal(
				mia_waiter_look(&waiter), MIA_LOOK_CHANGED);
			(void)poll(runs, efforts[(e + silent) % 3]);
			assert_ptr_equal(
				waiter.notifier.poller.ptr_to_monitor, &word);
			assert_int_equal(waiter.notifier.notifier_used,
				FUTURE_NOTIFIER_POLLER);
		}
	}
}

static void
waiter_is_kept_by_the_answer_of_its_last_poll(void **state)
{
	struct act act = {.state = FUTURE_STATE_RUNNING, .keeps = true};
	uint64_t words[2] = {0, 0};

	(void)state;
	begin();
	assert_false(waiter.kept);
	assert_int_equal(poll(act, MIA_EFFORT_OFFER).what, MIA_POLL_STARTED);
	assert_true(waiter.kept);

	/* A new word, too, takes no second poll: it is polled soon anyway. */
	act.answers = true;
	act.used = FUTURE_NOTIFIER_POLLER;
	for (int i = 0; i < 4; i++) {
		act.word = &words[i % 2];
		assert_int_equal(
			poll(act, MIA_EFFORT_WORK).what, MIA_POLL_NOTHING);
		assert_true(waiter.kept);
	}
	act = (struct act){.state = FUTURE_STATE_RUNNING};
	(void)poll(act, MIA_EFFORT_OFFER);
	assert_false(waiter.kept);
	assert_ptr_equal(waiter.notifier.poller.ptr_to_monitor, &words[1]);
}

static void
poll_worked_if_it_took_the_offer_to_work(void **state)
{
	(void)state;
	for (int i = 0; i < 3 * 2 * 2; i++) {
		const enum mia_effort effort = efforts[i % 3];
		const bool takes = i / 3 % 2;
		const bool ends = i / 6;
		const struct act act = {.state = ends ? FUTURE_STATE_COMPLETE
						      : FUTURE_STATE_RUNNING,
			.takes_work = takes,
			.answers = true,
			.used = FUTURE_NOTIFIER_WAKER};

		begin();

		const struct mia_polled polled = poll(act, effort);

		assert_int_equal(
			polled.worked, takes && effort == MIA_EFFORT_WORK);
		assert_int_equal(polled.what,
			ends ? MIA_POLL_COMPLETE : MIA_POLL_STARTED);
		assert_int_equal(waiter.fut == NULL, ends);
	}
}

/* A second poll at once gets what the first has left. */
static void
second_poll_may_not_work_once_more(void **state)
{
	uint64_t word = 0;
	const struct act act = {.state = FUTURE_STATE_RUNNING,
		.takes_work = true,
		.answers = true,
		.used = FUTURE_NOTIFIER_POLLER,
		.word = NULL};

	(void)state;
	begin();
	(void)poll(act, MIA_EFFORT_WORK);
	assert_int_equal(future.data.offer, SEEN_WORK);

	struct act names = act;

	names.word = &word;
	future.data.act = &names;
	future.data.polls = 0;

	/* Another word: the answer was in the place of the offer. */
	const struct mia_polled polled =
		mia_waiter_poll(&waiter, MIA_EFFORT_WORK);

	assert_int_equal(future.data.polls, 2);
	assert_int_equal(future.data.offer, SEEN_NOTHING);
	assert_true(polled.worked);
}

static void
copy_of_the_notifier_brings_no_offer(void **state)
{
	const struct act act = {.state = FUTURE_STATE_RUNNING,
		.takes_work = true,
		.keeps = true,
		.answers = true,
		.used = FUTURE_NOTIFIER_WAKER,
		.in_a_copy = true};

	(void)state;
	begin();
	for (int e = 0; e < 3; e++) {
		const struct mia_polled polled = poll(act, efforts[e]);

		assert_int_equal(future.data.offer, SEEN_NOTHING);
		assert_false(polled.worked);
		assert_false(waiter.kept);
		assert_null(waiter.notifier.poller.ptr_to_monitor);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poll_finds_what_it_may_do),
		cmocka_unit_test(each_poll_begins_without_an_answer),
		cmocka_unit_test(word_stays_though_the_poll_brought_an_offer),
		cmocka_unit_test(waiter_is_kept_by_the_answer_of_its_last_poll),
		cmocka_unit_test(poll_worked_if_it_took_the_offer_to_work),
		cmocka_unit_test(second_poll_may_not_work_once_more),
		cmocka_unit_test(copy_of_the_notifier_brings_no_offer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
