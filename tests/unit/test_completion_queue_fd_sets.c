/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue_fd_sets.c -- tests wait/completion_queue: the number of
 * writes to the descriptor, and writes that come late
 */

#include "queue_fd.h"

#include "system.h"

/* A batch of wakes takes one system call, and none if the reader is awake. */
static void
first_wake_after_a_reap_costs_a_set(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	assert_int_equal(sets, 0);
	for (int i = 0; i < 3; i++)
		complete(i);
	assert_int_equal(sets, 1);

	/* Something is left, so it is readable anyway. */
	ASSERT_OUT(reap(1), 0);
	for (int i = 3; i < 6; i++)
		complete(i);
	assert_int_equal(sets, 1);
	ASSERT_OUT(reap(N), 1, 2, 3, 4, 5);
	assert_int_equal(sets, 1);
	assert_false(is_readable());
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	assert_int_equal(sets, 2);
	ASSERT_OUT(reap(N), 0);
}

/* Is complete after the poll that completes another future. */
struct pusher {
	int other;
	struct future_waker waker;
};

FUTURE(pusher_future, struct pusher, char);

static enum future_state
pusher_task(struct future_context *context, struct future_notifier *n)
{
	struct pusher *pusher = future_context_get_data(context);

	if (context->state == FUTURE_STATE_IDLE) {
		pusher->waker = n->waker;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		return FUTURE_STATE_RUNNING;
	}
	complete(pusher->other);
	return FUTURE_STATE_COMPLETE;
}

static void
wakes_of_a_reap_cost_no_set(void **state)
{
	struct pusher_future pusher = {.data.other = 2};

	(void)state;
	FUTURE_INIT(&pusher, pusher_task);
	add(2, FUTURE_NOTIFIER_WAKER);
	add(1, FUTURE_NOTIFIER_WAKER);
	completion_queue_add(cq, FUTURE_AS_RUNNABLE(&pusher), NULL);
	FUTURE_WAKER_WAKE(&pusher.data.waker);
	assert_int_equal(sets, 1);
	assert_int_equal(reap(N), 2);
	assert_ptr_equal(out[0].future, FUTURE_AS_RUNNABLE(&pusher));
	assert_ptr_equal(out[1].user_data, &events[2]);
	assert_int_equal(sets, 1);
	assert_false(is_readable());

	/* With room for one, the other is left. */
	FUTURE_INIT(&pusher, pusher_task);
	pusher.data.other = 1;
	completion_queue_add(cq, FUTURE_AS_RUNNABLE(&pusher), NULL);
	FUTURE_WAKER_WAKE(&pusher.data.waker);
	assert_int_equal(reap(1), 1);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 1);
	assert_false(is_readable());
}

static void
come_late(void)
{
	are_held = false;
	for (; nheld > 0; nheld--)
		__real_mia_event_fd_set(held_fd);
}

/* The reap that follows finds nothing, and mends it. */
static void
late_set_is_taken_back(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	are_held = true;
	complete(0);
	assert_false(is_readable());
	ASSERT_OUT(reap(N), 0);
	come_late();
	assert_true(is_readable());
	assert_int_equal(reap(N), 0);
	assert_false(is_readable());

	/* The next wake sets it, and then the late set comes. */
	add(0, FUTURE_NOTIFIER_WAKER);
	add(1, FUTURE_NOTIFIER_WAKER);
	are_held = true;
	complete(0);
	ASSERT_OUT(reap(N), 0);
	are_held = false;
	complete(1);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 1);
	assert_false(is_readable());
	come_late();
	assert_true(is_readable());
	assert_int_equal(reap(N), 0);
	assert_false(is_readable());
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 0);
}

/* What is left is announced by the late set. */
static void
late_set_is_not_lost(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	add(1, FUTURE_NOTIFIER_WAKER);
	are_held = true;
	complete(0);
	complete(1);
	ASSERT_OUT(reap(1), 0);
	come_late();
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 1);
	assert_false(is_readable());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_FD_TEST(first_wake_after_a_reap_costs_a_set),
		QUEUE_FD_TEST(wakes_of_a_reap_cost_no_set),
		QUEUE_FD_TEST(late_set_is_taken_back),
		QUEUE_FD_TEST(late_set_is_not_lost),
	};

	/* A lost wake is a loop that waits for ever. */
	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
