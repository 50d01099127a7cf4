/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion.c -- tests operation/completion: its states, and a waker that
 * polls its own completion, is slow, or is replaced
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "completion_run.h"
#include "operation/completion.h"

/* States, by one thread */

static void
completion_is_new_until_it_begins_then_running_until_it_is_finished(
	void **state)
{
	struct mia_completion c;

	(void)state;
	mia_completion_init(&c);
	assert_true(mia_completion_is_new(&c));
	mia_completion_begin(&c, no_waker);
	assert_false(mia_completion_is_new(&c));
	assert_int_equal(state_of(&c), MIA_COMPLETION_PENDING);
	assert_int_equal(mia_completion_poll(&c), FUTURE_STATE_RUNNING);
	mia_completion_finish(&c);
	assert_int_equal(state_of(&c), MIA_COMPLETION_DONE);
	assert_false(mia_completion_is_new(&c));
	assert_false(mia_completion_is_here(&c));
	assert_int_equal(mia_completion_poll(&c), FUTURE_STATE_COMPLETE);
	assert_int_equal(mia_completion_retire(&c), VDM_SUCCESS);
}

static void
finish_here_completes_at_once_with_its_result(void **state)
{
	static const enum vdm_operation_result results[] = {
		VDM_SUCCESS, VDM_ERROR_OUT_OF_MEMORY, VDM_ERROR_JOB_CORRUPTED};
	struct mia_completion c;

	(void)state;
	memset(&c, 0xee, sizeof(c));
	for (int i = 0; i < 3; i++) {
		mia_completion_init(&c);
		mia_completion_finish_here(&c, results[i]);
		assert_int_equal(state_of(&c), MIA_COMPLETION_HERE);
		assert_false(mia_completion_is_new(&c));
		assert_true(mia_completion_is_here(&c));
		assert_int_equal(
			mia_completion_poll(&c), FUTURE_STATE_COMPLETE);
		assert_int_equal(mia_completion_retire(&c), results[i]);
	}
}

static void
poll_that_finds_the_waker_locked_returns_running(void **state)
{
	struct mia_completion c;

	(void)state;
	mia_completion_init(&c);
	mia_completion_begin(&c, no_waker);
	atomic_store(&c.state, MIA_COMPLETION_LOCKED);
	assert_int_equal(mia_completion_poll(&c), FUTURE_STATE_RUNNING);
	assert_int_equal(state_of(&c), MIA_COMPLETION_LOCKED);
}

/* A waker that counts its calls, and notes the state that it finds. */
struct counter {
	struct mia_completion *c;
	int calls, state;
};

static void
count_wake(void *data)
{
	struct counter *counter = data;

	counter->calls++;
	counter->state = state_of(counter->c);
}

static void
finish_calls_the_last_waker_once(void **state)
{
	struct mia_completion c;
	struct counter counters[3] = {{&c, 0, 0}, {&c, 0, 0}, {&c, 0, 0}};
	struct future_waker wakers[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		wakers[i] = (struct future_waker){&counters[i], count_wake};
	mia_completion_init(&c);
	mia_completion_begin(&c, wakers[0]);
	mia_completion_replace_waker(&c, wakers[1]);
	mia_completion_replace_waker(&c, wakers[1]);
	mia_completion_replace_waker(&c, wakers[2]);
	assert_int_equal(state_of(&c), MIA_COMPLETION_PENDING);
	mia_completion_finish(&c);
	assert_int_equal(counters[0].calls + counters[1].calls, 0);
	assert_int_equal(counters[2].calls, 1);
	assert_int_equal(counters[2].state, MIA_COMPLETION_WAKING);

	/* A waker that comes too late is not called. */
	mia_completion_replace_waker(&c, wakers[0]);
	assert_int_equal(state_of(&c), MIA_COMPLETION_DONE);
	assert_int_equal(counters[0].calls, 0);
}

/* The polling thread did the rest of the work: it needs no wake. */
static void
end_here_completes_and_calls_no_waker(void **state)
{
	struct mia_completion c;
	struct counter counters[2] = {{&c, 0, 0}, {&c, 0, 0}};
	const struct future_waker first = {&counters[0], count_wake};
	const struct future_waker second = {&counters[1], count_wake};

	(void)state;
	for (int failed = 0; failed < 2; failed++) {
		mia_completion_init(&c);
		mia_completion_begin(&c, first);
		assert_true(mia_completion_has_waker(&c, first));
		assert_false(mia_completion_has_waker(&c, second));
		mia_completion_replace_waker(&c, second);
		assert_true(mia_completion_has_waker(&c, second));
		assert_int_equal(mia_completion_poll(&c), FUTURE_STATE_RUNNING);
		if (failed)
			mia_completion_fail(&c, VDM_ERROR_JOB_CORRUPTED);
		mia_completion_end_here(&c);
		assert_true(mia_completion_is_ended(&c));
		mia_completion_replace_waker(&c, first);
		assert_int_equal(state_of(&c), MIA_COMPLETION_HERE);
		assert_int_equal(
			mia_completion_poll(&c), FUTURE_STATE_COMPLETE);
		assert_int_equal(mia_completion_retire(&c),
			failed ? VDM_ERROR_JOB_CORRUPTED : VDM_SUCCESS);
		assert_int_equal(counters[0].calls + counters[1].calls, 0);
	}
}

static void
waker_is_told_from_one_with_other_data_or_function(void **state)
{
	struct mia_completion c;
	struct counter counters[2] = {{&c, 0, 0}, {&c, 0, 0}};
	const struct future_waker waker = {&counters[0], count_wake};
	const struct future_waker other_data = {&counters[1], count_wake};
	const struct future_waker other_function = {&counters[0], NULL};

	(void)state;
	mia_completion_init(&c);
	mia_completion_begin(&c, waker);
	assert_true(mia_completion_has_waker(&c, waker));
	assert_false(mia_completion_has_waker(&c, other_data));
	assert_false(mia_completion_has_waker(&c, other_function));
	mia_completion_end_here(&c);
}

static void
retired_completion_begins_again_without_its_past(void **state)
{
	struct mia_completion c;
	struct counter counter = {&c, 0, 0};

	(void)state;
	for (int i = 1; i <= 3; i++) {
		mia_completion_init(&c);
		assert_true(mia_completion_is_new(&c));
		mia_completion_begin(
			&c, (struct future_waker){&counter, count_wake});
		assert_int_equal(c.waits, 0);
		assert_int_equal(mia_completion_poll(&c), FUTURE_STATE_RUNNING);
		if (i < 3)
			mia_completion_fail(&c, VDM_ERROR_JOB_CORRUPTED);
		mia_completion_finish(&c);
		assert_int_equal(counter.calls, i);
		assert_int_equal(
			mia_completion_poll(&c), FUTURE_STATE_COMPLETE);
		assert_int_equal(mia_completion_retire(&c),
			i < 3 ? VDM_ERROR_JOB_CORRUPTED : VDM_SUCCESS);
		c.waits = 5;
	}
}

/* A waker that polls its own completion, and retires it */

struct own {
	struct mia_completion *c;
	bool replaces;
	int calls;
};

static void
poll_and_retire(struct own *own)
{
	struct mia_completion *c = own->c;

	own->calls++;
	if (own->replaces)
		mia_completion_replace_waker(c, no_waker);
	assert_int_equal(mia_completion_poll(c), FUTURE_STATE_COMPLETE);
	assert_int_equal(mia_completion_retire(c), VDM_ERROR_OUT_OF_MEMORY);
}

static void
free_wake(void *data)
{
	struct own *own = data;

	poll_and_retire(own);
	memset(own->c, 0xee, sizeof(*own->c));
	free(own->c);
}

static void
waker_may_complete_and_free_its_own_completion(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		struct own own = {malloc(sizeof(*own.c)), i % 2, 0};

		assert_non_null(own.c);
		mia_completion_init(own.c);
		mia_completion_begin(
			own.c, (struct future_waker){&own, free_wake});
		mia_completion_fail(own.c, VDM_ERROR_OUT_OF_MEMORY);
		mia_completion_finish(own.c);
		assert_int_equal(own.calls, 1);
	}
}

/* As if an operation were canceled that was not started. */
static void
retire_new_wake(void *data)
{
	struct mia_completion other;

	mia_completion_init(&other);
	(void)mia_completion_retire(&other);
	count_wake(data);
}

static void
waker_may_retire_another_completion_that_is_new(void **state)
{
	struct mia_completion c;
	struct counter counter = {&c, 0, 0};

	(void)state;
	mia_completion_init(&c);
	mia_completion_begin(
		&c, (struct future_waker){&counter, retire_new_wake});
	mia_completion_finish(&c);
	assert_int_equal(counter.calls, 1);
	assert_int_equal(state_of(&c), MIA_COMPLETION_DONE);
}

static void
begin_again_wake(void *data)
{
	struct own *own = data;

	poll_and_retire(own);
	mia_completion_init(own->c);
	mia_completion_begin(
		own->c, (struct future_waker){own, begin_again_wake});
	mia_completion_fail(own->c, VDM_ERROR_OUT_OF_MEMORY);
}

static void
completion_that_its_own_waker_began_again_is_left_alone(void **state)
{
	struct mia_completion c;
	struct own own = {.c = &c};

	(void)state;
	mia_completion_init(&c);
	mia_completion_begin(&c, (struct future_waker){&own, begin_again_wake});
	mia_completion_fail(&c, VDM_ERROR_OUT_OF_MEMORY);
	for (int i = 1; i <= 10; i++) {
		own.replaces = i % 2;
		mia_completion_finish(&c);
		assert_int_equal(own.calls, i);
		assert_int_equal(state_of(&c), MIA_COMPLETION_PENDING);
	}
}

/* Polls while a waker runs */

static void
other_wake(void *data)
{
	struct run *run = data;

	run->other++;
}

static struct future_waker
other_waker(struct run *run)
{
	return (struct future_waker){run, other_wake};
}

static void
poll_that_a_slow_waker_outlasts_returns_running_and_gets_another_call(
	void **state)
{
	struct run run;

	(void)state;
	start_waking(&run);
	assert_int_equal(state_of(&run.c), MIA_COMPLETION_WAKING);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			mia_completion_poll(&run.c), FUTURE_STATE_RUNNING);
		assert_int_equal(state_of(&run.c), MIA_COMPLETION_POLLED);
	}
	/* One more call, however many polls there were. */
	end(&run);
	assert_int_equal(flag_get(&run.entered), 2);
	assert_int_equal(flag_get(&run.returned), 2);
}

static void
replacing_a_waker_that_runs_waits_for_its_return(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		const bool is_polled = i % 2;
		struct run run;

		start_waking(&run);
		if (is_polled)
			assert_int_equal(mia_completion_poll(&run.c),
				FUTURE_STATE_RUNNING);
		const uint64_t begin = test_clock_ns(CLOCK_MONOTONIC);

		flag_set(&run.leave, 2);
		mia_completion_replace_waker(&run.c, other_waker(&run));
		/* It gives up if the machine is as busy as that. */
		assert_true(flag_get(&run.returned) == flag_get(&run.entered) ||
			test_clock_ns(CLOCK_MONOTONIC) - begin >=
				REPLACED_WAIT_NS);
		end(&run);
		/* The poll's further call may come before the new waker. */
		assert_in_range(flag_get(&run.entered), 1, is_polled ? 2 : 1);
	}
}

static void
replacing_a_waker_that_does_not_return_gives_up_and_the_new_one_is_called(
	void **state)
{
	const uint64_t begin = test_clock_ns(CLOCK_MONOTONIC);
	struct run run;

	(void)state;
	start_waking(&run);
	mia_completion_replace_waker(&run.c, other_waker(&run));
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - begin >= REPLACED_WAIT_NS);
	assert_int_equal(state_of(&run.c), MIA_COMPLETION_POLLED);
	end(&run);
	assert_int_equal(flag_get(&run.entered), 1);
	assert_int_equal(run.other, 1);
}

static void
same_waker_again_is_not_waited_for_but_one_with_other_data_is(void **state)
{
	struct run run, other;

	(void)state;
	memset(&other, 0, sizeof(other));
	flag_set(&other.leave, 1);
	start_waking(&run);
	/* A wait would end with POLLED. */
	mia_completion_replace_waker(&run.c, held_waker(&run));
	assert_int_equal(state_of(&run.c), MIA_COMPLETION_WAKING);
	mia_completion_replace_waker(&run.c, held_waker(&other));
	assert_int_equal(state_of(&run.c), MIA_COMPLETION_POLLED);
	end(&run);
	assert_int_equal(flag_get(&run.entered), 1);
	assert_int_equal(flag_get(&other.entered), 1);
}

/*
 * Completes its own completion, after main() has given up waiting. The program
 * must order two polls of one future: leave does.
 */
static void
given_up_wake(void *data)
{
	struct run *run = data;

	held_wake(run);
	(void)atomic_load_explicit(&run->leave, memory_order_acquire);
	if (mia_completion_poll(&run->c) == FUTURE_STATE_COMPLETE) {
		mia_completion_retire(&run->c);
		memset(&run->c, 0xee, sizeof(run->c));
		run->note = 1;
	}
}

static void
waker_may_complete_its_own_completion_after_another_poll_gave_up(void **state)
{
	struct run run;

	(void)state;
	start(&run, (struct future_waker){&run, given_up_wake});
	flag_set(&run.go, 1);
	flag_await(&run.entered, 1);
	assert_int_equal(mia_completion_poll(&run.c), FUTURE_STATE_RUNNING);
	atomic_store_explicit(&run.leave, 1, memory_order_release);
	pthread_join(run.finisher, NULL);
	assert_int_equal(run.note, 1);
	assert_int_equal(flag_get(&run.entered), 1);
	assert_int_equal(state_of(&run.c), (int)0xeeeeeeee);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			completion_is_new_until_it_begins_then_running_until_it_is_finished),
		cmocka_unit_test(finish_here_completes_at_once_with_its_result),
		cmocka_unit_test(
			poll_that_finds_the_waker_locked_returns_running),
		cmocka_unit_test(finish_calls_the_last_waker_once),
		cmocka_unit_test(end_here_completes_and_calls_no_waker),
		cmocka_unit_test(
			waker_is_told_from_one_with_other_data_or_function),
		cmocka_unit_test(
			retired_completion_begins_again_without_its_past),
		cmocka_unit_test(
			waker_may_complete_and_free_its_own_completion),
		cmocka_unit_test(
			waker_may_retire_another_completion_that_is_new),
		cmocka_unit_test(
			completion_that_its_own_waker_began_again_is_left_alone),
		cmocka_unit_test(
			poll_that_a_slow_waker_outlasts_returns_running_and_gets_another_call),
		cmocka_unit_test(
			replacing_a_waker_that_runs_waits_for_its_return),
		cmocka_unit_test(
			replacing_a_waker_that_does_not_return_gives_up_and_the_new_one_is_called),
		cmocka_unit_test(
			same_waker_again_is_not_waited_for_but_one_with_other_data_is),
		cmocka_unit_test(
			waker_may_complete_its_own_completion_after_another_poll_gave_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
