/* SPDX-License-Identifier: BSD-3-Clause */

/* test_runtime.c -- which futures a runtime polls, and in which order */

#include "event.h"
#include "net.h"
#include "test.h"

static char order[64];
static size_t norder;

struct order_data {
	char name;
	bool async;
	int left;
};

FUTURE(order_future, struct order_data, char);

static enum future_state
order_task(struct future_context *context, struct future_notifier *n)
{
	struct order_data *data = future_context_get_data(context);

	(void)n;
	order[norder++] = data->name;
	data->async = data->name == 'd'; /* d is async after its poll */
	return data->left-- > 0 ? FUTURE_STATE_RUNNING : FUTURE_STATE_COMPLETE;
}

static int
order_has_property(void *future, enum future_property property)
{
	return property == FUTURE_PROPERTY_ASYNC &&
		((struct order_future *)future)->data.async;
}

static void
asynchronous_futures_first_else_the_callers_order(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct order_future f[5];
	struct future *futs[5], *copy[5];
	const bool async[] = {false, true, false, false, true};

	(void)state;
	memset(order, 0, sizeof(order));
	norder = 0;
	for (int i = 0; i < 5; i++) {
		f[i].data = (struct order_data){(char)('a' + i), async[i], 1};
		FUTURE_INIT_EXT(&f[i], order_task, order_has_property);
		copy[i] = futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	runtime_wait_multiple(runtime, futs, 5);
	/* First pass b e, then a c d; in the second only d is async. */
	assert_string_equal(order, "beacddabce");
	assert_memory_equal(copy, futs, sizeof(futs));
	runtime_delete(runtime);
}

/* The last of three futures wakes all, itself first. */
static struct future_waker wakers[3];

static enum future_state
reverse_task(struct future_context *context, struct future_notifier *n)
{
	struct order_data *data = future_context_get_data(context);

	order[norder++] = data->name;
	if (data->left-- == 0)
		return FUTURE_STATE_COMPLETE;
	wakers[data->name - 'a'] = n->waker;
	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	for (int i = 2; i >= 0 && data->name == 'c'; i--)
		FUTURE_WAKER_WAKE(&wakers[i]);
	return FUTURE_STATE_RUNNING;
}

static void
woken_futures_are_polled_in_the_callers_order(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct order_future f[3];
	struct future *futs[3];

	(void)state;
	norder = 0;
	for (int i = 0; i < 3; i++) {
		f[i].data = (struct order_data){(char)('a' + i), false, 1};
		FUTURE_INIT(&f[i], reverse_task);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	runtime_wait_multiple(runtime, futs, 3);
	assert_int_equal(norder, 6);
	assert_memory_equal(order, "abcabc", 6);
	runtime_delete(runtime);
}

struct room {
	bool is_taken;
	size_t npolls;
};

FUTURE(room_future, struct room *, char);

struct room_chain_data {
	FUTURE_CHAIN_ENTRY_LAST(struct room_future, only);
};

FUTURE(room_chain, struct room_chain_data, char);

/* Starts if there is room. Its next poll completes it and makes room. */
static enum future_state
room_task(struct future_context *context, struct future_notifier *n)
{
	struct room *room = *(struct room **)future_context_get_data(context);

	n->notifier_used = FUTURE_NOTIFIER_NONE;
	room->npolls++;
	if (context->state == FUTURE_STATE_RUNNING) {
		room->is_taken = false;
		return FUTURE_STATE_COMPLETE;
	}
	if (room->is_taken)
		return FUTURE_STATE_IDLE;
	room->is_taken = true;
	return FUTURE_STATE_RUNNING;
}

/*
 * The number of polls grows with the number of futures, and not with its
 * square. The same holds for chains, which are RUNNING while refused.
 */
static void
refused_futures_are_tried_a_few_at_a_time(void **state)
{
	enum { N = 4000 };
	struct runtime *runtime = test_runtime_new();
	static struct room_future f[N];
	static struct room_chain chains[N];
	static struct future *futs[N];

	(void)state;
	for (int chained = 0; chained < 2; chained++) {
		struct room room = {0};

		for (size_t i = 0; i < N; i++) {
			f[i].data = &room;
			FUTURE_INIT(&f[i], room_task);
			FUTURE_CHAIN_ENTRY_INIT(
				&chains[i].data.only, f[i], NULL, NULL);
			FUTURE_CHAIN_INIT(&chains[i]);
			futs[i] = chained ? FUTURE_AS_RUNNABLE(&chains[i])
					  : FUTURE_AS_RUNNABLE(&f[i]);
		}
		runtime_wait_multiple(runtime, futs, N);
		printf("%.1f polls per future\n", (double)room.npolls / N);
		assert_in_range(room.npolls, 2 * N, 100 * N);
	}
	runtime_delete(runtime);
}

static void
complete_none_twice_and_null_property_are_fine(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_NONE);
	struct event_future complete;
	struct future *futs[] = {FUTURE_AS_RUNNABLE(&complete),
		FUTURE_AS_RUNNABLE(&f), FUTURE_AS_RUNNABLE(&f),
		FUTURE_AS_RUNNABLE(&complete)};

	(void)state;
	memset(&complete, 0, sizeof(complete));
	FUTURE_INIT_COMPLETE(&complete);
	f.base.has_property = NULL;
	e.done = 1;
	runtime_wait_multiple(runtime, NULL, 0);
	runtime_wait_multiple(runtime, futs, 4);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	assert_int_equal(e.polls, 1);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&complete));
	runtime_delete(runtime);
	runtime_delete(NULL);
}

/* The same future three times is polled like one. */
static void
duplicates_finish_with_the_first_wake(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_WAKER);
	struct future *futs[] = {FUTURE_AS_RUNNABLE(&f), FUTURE_AS_RUNNABLE(&f),
		FUTURE_AS_RUNNABLE(&f)};
	struct finisher finisher = {&e, 40 * MS, WAKE};
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, finisher_run, &finisher);

	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	runtime_wait_multiple(runtime, futs, 3);

	const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

	/* The first, after 4, 12 and 28 ms, and some after the wake. */
	assert_true(e.polls < 10 + ns / (64 * MS));
	pthread_join(thread, NULL);
	runtime_delete(runtime);
}

/* Started with a NULL notifier, so its mover has no waker. */
static enum future_state
first_notifier_task(struct future_context *context, struct future_notifier *n)
{
	struct event_data *data = future_context_get_data(context);

	if (context->state == FUTURE_STATE_IDLE)
		return event_task(context, n);
	return atomic_load(&data->event->done) ? FUTURE_STATE_COMPLETE
					       : FUTURE_STATE_RUNNING;
}

static void
future_started_before_finishes(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_WAKER);
	struct finisher finisher = {&e, 10 * MS, WAKE};
	pthread_t thread;

	(void)state;
	f.base.task = first_notifier_task;
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	pthread_create(&thread, NULL, finisher_run, &finisher);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	pthread_join(thread, NULL);
	runtime_delete(runtime);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			asynchronous_futures_first_else_the_callers_order),
		cmocka_unit_test(woken_futures_are_polled_in_the_callers_order),
		cmocka_unit_test(refused_futures_are_tried_a_few_at_a_time),
		cmocka_unit_test(
			complete_none_twice_and_null_property_are_fine),
		cmocka_unit_test(duplicates_finish_with_the_first_wake),
		cmocka_unit_test(future_started_before_finishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
