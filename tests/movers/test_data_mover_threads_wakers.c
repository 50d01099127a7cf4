/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_wakers.c -- tests movers/data_mover_threads: wakers
 * that take locks, are slow, or are replaced
 */

#include "test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "threads_mover.h"
#include "wakers.h"

/* A waker that takes a lock which the polling thread holds while it polls. */
struct locked {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int woken; /* under the lock */
};

static void
locked_wake(void *data)
{
	struct locked *l = data;

	pthread_mutex_lock(&l->lock);
	l->woken++;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

static void
waker_may_take_a_lock_that_the_poll_holds(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt = mover_new(2, 8);
	struct locked l = {
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
	uint64_t longest = 0;

	(void)state;
	for (int i = 0; i < TEST_ROUNDS(1000); i++) {
		struct future_notifier n = {.waker = {&l, locked_wake}};
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);

		pthread_mutex_lock(&l.lock);
		/* Now and then the lock is held for many polls. */
		for (int polls = i % 100 == 0 ? 40 : 1;;) {
			const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
			const enum future_state s =
				future_poll(FUTURE_AS_RUNNABLE(&f),
					i % 2               ? &n
						: polls % 2 ? &n
							    : NULL);
			const uint64_t ns =
				test_clock_ns(CLOCK_MONOTONIC) - start;

			longest = ns > longest ? ns : longest;
			if (s == FUTURE_STATE_COMPLETE)
				break;
			if (--polls > 0)
				continue;
			while (l.woken == 0)
				pthread_cond_wait(&l.cond, &l.lock);
			l.woken = 0;
		}
		pthread_mutex_unlock(&l.lock);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	}
	printf("longest poll under the lock: %.1f ms\n", (double)longest / 1e6);
	data_mover_threads_delete(dmt);
}

/* A waker that takes such a lock, and says that it is about to. */
struct blocked {
	pthread_mutex_t lock;
	sem_t begun;
};

static void
blocked_wake(void *data)
{
	struct blocked *b = data;

	sem_post(&b->begun);
	pthread_mutex_lock(&b->lock);
	pthread_mutex_unlock(&b->lock);
}

static void
poll_under_a_lock_that_the_waker_waits_for_takes_microseconds(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt = mover_new(2, 8);
	struct blocked b = {.lock = PTHREAD_MUTEX_INITIALIZER};
	uint64_t shortest = UINT64_MAX;

	(void)state;
	sem_init(&b.begun, 0, 0);
	for (int i = 0; i < 20; i++) {
		struct future_notifier n = {.waker = {&b, blocked_wake}};
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);
		struct future *fut = FUTURE_AS_RUNNABLE(&f);

		pthread_mutex_lock(&b.lock);
		assert_int_equal(future_poll(fut, &n), FUTURE_STATE_RUNNING);
		assert_true(await(&b.begun));

		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		assert_int_equal(future_poll(fut, &n), FUTURE_STATE_RUNNING);
		const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

		shortest = ns < shortest ? ns : shortest;
		pthread_mutex_unlock(&b.lock);
		do
			assert_true(await(&b.begun));
		while (future_poll(fut, &n) != FUTURE_STATE_COMPLETE);
		while (sem_trywait(&b.begun) == 0)
			continue;
	}
	printf("shortest poll: %.1f us\n", (double)shortest / 1e3);
	/* Some 20 us, and time slices beside load. It was 20 ms at least. */
	assert_true(shortest < 15 * MS);
	data_mover_threads_delete(dmt);
	sem_destroy(&b.begun);
}

/* A waker that posts, and returns late. */
static void
slow_wake(void *data)
{
	sem_post(data);
	test_sleep_ns(60 * MS);
}

static void
poll_that_meets_a_slow_waker_is_woken_again(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt = mover_new(2, 8);
	sem_t woken;
	int polls = 0;

	(void)state;
	sem_init(&woken, 0, 0);
	for (int i = 0; i < 4; i++) {
		struct future_notifier n = {.waker = {&woken, slow_wake}};
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);

		for (; future_poll(FUTURE_AS_RUNNABLE(&f), &n) !=
			FUTURE_STATE_COMPLETE;
			polls++)
			assert_true(await(&woken));
		/* Surplus calls must not count in the next round. */
		while (sem_trywait(&woken) == 0)
			continue;
	}
	printf("polls that found it running: %d\n", polls);
	/* Without longer waits, only luck would end one after 60 ms. */
	assert_true(polls <= 50);
	data_mover_threads_delete(dmt);
	sem_destroy(&woken);
}

/* A waker that returns some time after go was posted. */
struct held {
	sem_t begun, go;
	atomic_bool has_returned;
};

static void
held_wake(void *data)
{
	struct held *held = data;

	if (atomic_load(&held->has_returned))
		return;
	sem_post(&held->begun);
	await(&held->go);
	test_sleep_ns(80 * MS);
	atomic_store(&held->has_returned, true);
}

/* Also after a poll that returned RUNNING because its wait took too long. */
static void
poll_that_replaces_a_waker_waits_for_it(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt = mover_new(1, 8);
	uint64_t shortest = UINT64_MAX;
	sem_t woken;

	(void)state;
	sem_init(&woken, 0, 0);
	for (int i = 0; i < 10; i++) {
		struct held held = {.has_returned = false};
		struct future_notifier old = {.waker = {&held, held_wake}};
		struct future_notifier n = {.waker = {&woken, wake_by_post}};
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);
		struct future *fut = FUTURE_AS_RUNNABLE(&f);

		sem_init(&held.begun, 0, 0);
		sem_init(&held.go, 0, 0);
		uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		assert_int_equal(future_poll(fut, &old), FUTURE_STATE_RUNNING);
		assert_true(await(&held.begun));
		/* Says so after 10 us. */
		assert_int_equal(future_poll(fut, NULL), FUTURE_STATE_RUNNING);

		const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

		/* Later operations meet the state that the first ones left. */
		if (i >= 6 && ns < shortest)
			shortest = ns;
		sem_post(&held.go);
		start = test_clock_ns(CLOCK_MONOTONIC);
		enum future_state s = future_poll(fut, &n);

		/* It may give up if this machine is that busy. */
		assert_true(atomic_load(&held.has_returned) ||
			test_clock_ns(CLOCK_MONOTONIC) - start >= 200 * MS);
		while (s != FUTURE_STATE_COMPLETE) {
			assert_true(await(&woken));
			s = future_poll(fut, NULL);
		}
		while (sem_trywait(&woken) == 0)
			continue;
		sem_destroy(&held.begun);
		sem_destroy(&held.go);
	}
	assert_in_range(shortest, 10000, 20 * MS);
	data_mover_threads_delete(dmt);
	sem_destroy(&woken);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waker_may_take_a_lock_that_the_poll_holds),
		cmocka_unit_test(
			poll_under_a_lock_that_the_waker_waits_for_takes_microseconds),
		cmocka_unit_test(poll_that_meets_a_slow_waker_is_woken_again),
		cmocka_unit_test(poll_that_replaces_a_waker_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
