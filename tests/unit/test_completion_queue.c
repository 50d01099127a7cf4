/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue.c -- tests wait/completion_queue: the futures that
 * calls return, and when; waits, late wakes, deletion, many futures
 */

#include "queue.h"

#include "libminiasync/data_mover_threads.h"
#include "libminiasync/runtime.h"

static void
complete_futures_come_out_in_the_order_of_their_wakes(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	assert_int_equal(completion_queue_pending(cq), 6);
	assert_nothing();
	complete(3);
	ASSERT_OUT(reap(N), 3);
	complete(1);
	complete(5);
	ASSERT_OUT(reap(1), 1);
	complete(0);
	ASSERT_OUT(reap(N), 5, 0);
	assert_int_equal(completion_queue_pending(cq), 2);
	assert_nothing();

	/* Nobody polls a future that was not announced. */
	assert_int_equal(events[2].polls, 1);
	atomic_store(&events[2].done, 1);
	assert_nothing();
	assert_int_equal(events[2].polls, 1);
	event_wake(&events[2]);
	ASSERT_OUT(reap(N), 2);
	complete(4);
	ASSERT_OUT(reap(N), 4);
	assert_int_equal(completion_queue_pending(cq), 0);
	assert_nothing();
}

static void
complete_future_comes_out_at_once(void **state)
{
	(void)state;
	f[0] = event_future(&events[0], FUTURE_NOTIFIER_WAKER);
	f[1] = event_future(&events[1], FUTURE_NOTIFIER_NONE);
	atomic_store(&events[0].done, 1);
	atomic_store(&events[1].done, 1);
	FUTURE_BUSY_POLL(&f[0]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(completion_queue_add(cq,
					 FUTURE_AS_RUNNABLE(&f[i]), &events[i]),
			0);
	assert_int_equal(events[0].polls, 1);
	assert_int_equal(events[1].polls, 1);
	assert_int_equal(completion_queue_pending(cq), 2);
	ASSERT_OUT(reap(1), 0);
	ASSERT_OUT(completion_queue_wait(cq, out, N, 1, -1), 1);
}

static void
nothing_is_taken_into_no_room(void **state)
{
	(void)state;
	assert_int_equal(completion_queue_reap(cq, NULL, 0), 0);
	assert_int_equal(completion_queue_wait(cq, NULL, 0, 5, -1), 0);
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	assert_int_equal(completion_queue_reap(cq, NULL, 0), 0);
	assert_int_equal(completion_queue_wait(cq, NULL, 0, 5, -1), 0);
	ASSERT_OUT(reap(N), 0);
}

static void
wait_returns_when_enough_are_complete(void **state)
{
	struct finisher finishers[3] = {{&events[2], 10 * MS, WAKE},
		{&events[0], 30 * MS, WAKE}, {&events[4], 60 * MS, NO_WAKE}};
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 5; i++)
		add(i, i == 4 ? FUTURE_NOTIFIER_NONE : FUTURE_NOTIFIER_WAKER);
	/* The others begin later, so the first one is alone beside load. */
	pthread_create(&threads[0], NULL, finisher_run, &finishers[0]);
	ASSERT_OUT(completion_queue_wait(cq, out, N, 1, -1), 2);
	for (int i = 1; i < 3; i++)
		pthread_create(&threads[i], NULL, finisher_run, &finishers[i]);
	assert_int_equal(completion_queue_wait(cq, out, N, 2, 60000 * MS), 2);
	/* In any order, if this thread gets no CPU between the two. */
	assert_int_equal(FUTURE_STATE(&f[0]), FUTURE_STATE_COMPLETE);
	assert_int_equal(FUTURE_STATE(&f[4]), FUTURE_STATE_COMPLETE);
	assert_int_equal(completion_queue_pending(cq), 2);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);

	/* Not more than there is room for, and not more than there are. */
	complete(1);
	ASSERT_OUT(completion_queue_wait(cq, out, 1, 5, -1), 1);
	complete(3);
	ASSERT_OUT(completion_queue_wait(cq, out, N, SIZE_MAX, -1), 3);
	assert_int_equal(completion_queue_wait(cq, out, N, 1, -1), 0);
}

static void
wait_ends_at_its_time_and_not_before(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	add(1, FUTURE_NOTIFIER_WAKER);
	complete(1);
	for (int64_t timeout_ns = 1; timeout_ns < 40000000; timeout_ns *= 20) {
		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
		const size_t n =
			completion_queue_wait(cq, out, N, 2, timeout_ns);
		const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start_ns;

		if (timeout_ns == 1)
			ASSERT_OUT(n, 1);
		else
			assert_int_equal(n, 0);
		assert_true(ns >= (uint64_t)timeout_ns);
		assert_true(ns < (uint64_t)timeout_ns + LATE_NS);
	}
	assert_int_equal(completion_queue_wait(cq, out, N, 1, 0), 0);
	assert_int_equal(completion_queue_wait(cq, out, N, 0, -1), 0);

	/* A wait with no time finds what is complete. */
	complete(0);
	ASSERT_OUT(completion_queue_wait(cq, out, N, 1, 0), 0);
}

/* The future goes on where it is, with the waker of the last poll. */
static void
future_moves_between_queue_wait_and_busy_poll(void **state)
{
	struct runtime *runtime = runtime_new();
	struct future *fut = FUTURE_AS_RUNNABLE(&f[0]);

	(void)state;
	for (int round = 0; round < 3; round++) {
		f[0] = event_future(&events[0], FUTURE_NOTIFIER_WAKER);
		runtime_wait_some(runtime, &fut, 1, 1, 1);
		assert_int_equal(completion_queue_add(cq, fut, &events[0]), 0);
		assert_nothing();

		/* Polls without a notifier leave the waker there. */
		for (int i = 0; i < 3; i++)
			future_poll(fut, NULL);
		complete(0);
		if (round == 1)
			future_poll(fut, NULL);
		ASSERT_OUT(reap(N), 0);

		/* A late wake is for nobody, or for the next. */
		event_wake(&events[0]);
		assert_nothing();
	}
	runtime_delete(runtime);
}

/* Late wakes of reaped futures have the numbers of others. */
static void
late_wakes_do_no_harm(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	for (int i = 0; i < N - 1; i++)
		complete(i);
	assert_int_equal(reap(N), N - 1);
	for (int i = 0; i < 4; i++) {
		f[i].data.event = &events[i];
		const struct future_waker late = events[i].waker;

		add(i, FUTURE_NOTIFIER_WAKER);
		FUTURE_WAKER_WAKE(&late);
	}
	for (int i = 4; i < N - 1; i++)
		event_wake(&events[i]);
	assert_nothing();
	for (int i = 0; i < 4; i++)
		complete(i);
	complete(N - 1);
	assert_int_equal(reap(N), 5);
}

/* The mover has room for one. The others are refused until it is free. */
static void
refused_futures_start_when_there_is_room(void **state)
{
	enum { BYTES = 1 << 20, COPIES = 8 };
	static char src[BYTES], dst[COPIES][BYTES];
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 1, FUTURE_NOTIFIER_WAKER);
	struct vdm_operation_future copies[COPIES];
	size_t n = 0;

	(void)state;
	assert_non_null(dmt);
	memset(src, 5, sizeof(src));
	for (int i = 0; i < COPIES; i++) {
		copies[i] = vdm_memcpy(
			data_mover_threads_get_vdm(dmt), dst[i], src, BYTES, 0);
		assert_int_equal(completion_queue_add(cq,
					 FUTURE_AS_RUNNABLE(&copies[i]), NULL),
			0);
	}

	/* One of those that have not started is given up. */
	const int last = COPIES - 1;
	const int canceled = FUTURE_STATE(&copies[last]) == FUTURE_STATE_IDLE &&
		vdm_operation_cancel(&copies[last]);

	while (completion_queue_pending(cq) > 0)
		n += completion_queue_wait(cq, out, N, 1, -1);
	assert_int_equal(n, COPIES);
	for (int i = 0; i < COPIES - canceled; i++)
		assert_memory_equal(dst[i], src, BYTES);
	data_mover_threads_delete(dmt);
}

static void
queue_with_futures_is_deleted_when_they_are_complete(void **state)
{
	struct finisher finishers[3] = {{&events[0], 20 * MS, WAKE},
		{&events[1], 5 * MS, NO_WAKE}, {&events[2], 10 * MS, WAKE}};
	pthread_t threads[3];

	completion_queue_delete(NULL);
	for (int with_fd = 0; with_fd < 2; with_fd++) {
		struct future_notifier other = {.notifier_used = 0};

		add(0, FUTURE_NOTIFIER_WAKER);
		add(1, FUTURE_NOTIFIER_NONE);
		add(2, FUTURE_NOTIFIER_WAKER);
		add(3, FUTURE_NOTIFIER_WAKER);
		complete(3);
		if (with_fd)
			completion_queue_fd(cq);

		/* Against the rules. The queue looks at it once more. */
		future_poll(FUTURE_AS_RUNNABLE(&f[2]), &other);
		for (int i = 0; i < 3; i++)
			pthread_create(
				&threads[i], NULL, finisher_run, &finishers[i]);
		completion_queue_delete(cq);
		for (int i = 0; i < 4; i++)
			assert_int_equal(
				FUTURE_STATE(&f[i]), FUTURE_STATE_COMPLETE);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		set_up(state);
	}
}

/* Marks these as reaped. */
static size_t
reap_done(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct event *e = out[i].user_data;

		assert_int_equal(e->done, 1);
		e->done = 2;
	}
	return n;
}

/* Each is reaped once, whatever the order. */
static void
queue_holds_many_futures(void **state)
{
	enum { MANY = 100000 };
	const size_t many = TEST_ROUNDS(MANY);
	struct event *all = calloc(many, sizeof(*all));
	struct event_future *futures = calloc(many, sizeof(*futures));
	uint64_t seed = test_seed("many futures");
	size_t *order = calloc(many, sizeof(*order));
	size_t nreaped = 0;

	(void)state;
	for (size_t i = 0; i < many; i++) {
		order[i] = i;
		futures[i] = event_future(&all[i], FUTURE_NOTIFIER_WAKER);
		assert_int_equal(
			completion_queue_add(
				cq, FUTURE_AS_RUNNABLE(&futures[i]), &all[i]),
			0);
	}
	assert_int_equal(completion_queue_pending(cq), many);
	for (size_t i = 0; i < many; i++) {
		/* A random one of those that are left. */
		const size_t k = i + (size_t)(test_random(&seed) % (many - i));
		const size_t at = order[k];

		order[k] = order[i];
		atomic_store(&all[at].done, 1);
		event_wake(&all[at]);
		if (test_random(&seed) % 4 == 0)
			nreaped += reap_done(reap(N));
	}
	for (size_t n; (n = reap(N)) > 0;)
		nreaped += reap_done(n);
	assert_int_equal(nreaped, many);
	assert_int_equal(completion_queue_pending(cq), 0);
	for (size_t i = 0; i < many; i++) {
		assert_int_equal(all[i].done, 2);
		assert_int_equal(all[i].polls, 2);
	}
	free(all);
	free(futures);
	free(order);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(
			complete_futures_come_out_in_the_order_of_their_wakes),
		QUEUE_TEST(complete_future_comes_out_at_once),
		QUEUE_TEST(nothing_is_taken_into_no_room),
		QUEUE_TEST(wait_returns_when_enough_are_complete),
		QUEUE_TEST(wait_ends_at_its_time_and_not_before),
		QUEUE_TEST(future_moves_between_queue_wait_and_busy_poll),
		QUEUE_TEST(late_wakes_do_no_harm),
		QUEUE_TEST(refused_futures_start_when_there_is_room),
		QUEUE_TEST(
			queue_with_futures_is_deleted_when_they_are_complete),
		QUEUE_TEST(queue_holds_many_futures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
