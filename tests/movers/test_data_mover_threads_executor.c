/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_executor.c -- tests movers/data_mover_threads: wakers
 * that poll a join of operations under one lock, as executors do
 *
 * The polls of a waker meet other wakers that wait for the same lock.
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "system/cpus.h"
#include "threads_mover.h"
#include "wakers.h"

#define OPERATIONS 16
#define MAX_THREADS 8

struct join {
	struct data_mover_threads *dmt;
	pthread_t thread;
	uint64_t seed;
	int rounds;
	sem_t over;
	char *bytes;
	atomic_int inside, wakes; /* wakers that run; calls */

	/* under the lock */
	pthread_mutex_t lock;
	struct vdm_operation_future futures[OPERATIONS];
	int left;
	int wrong; /* a waker that runs after all is complete */
};

static size_t
size_of(int i)
{
	static const size_t sizes[] = {8, 1000, HANDED_OVER / 2, HANDED_OVER};

	return sizes[i % 4];
}

static void join_wake(void *data);

/* A waker calls this with wakers 1, the starting thread with 0. */
static void
poll_all(struct join *join, int wakers)
{
	struct future_notifier n = {.waker = {join, join_wake}};
	int left = 0;

	if (join->left == 0)
		return;
	for (int i = 0; i < OPERATIONS; i++)
		if (FUTURE_STATE(&join->futures[i]) != FUTURE_STATE_COMPLETE)
			left += future_poll(
					FUTURE_AS_RUNNABLE(&join->futures[i]),
					&n) != FUTURE_STATE_COMPLETE;
	join->left = left;
	if (left > 0)
		return;
	/* All others have returned. */
	if (atomic_load(&join->inside) != wakers)
		join->wrong++;
	sem_post(&join->over);
}

static void
join_wake(void *data)
{
	struct join *join = data;

	atomic_fetch_add(&join->wakes, 1);
	atomic_fetch_add(&join->inside, 1);
	pthread_mutex_lock(&join->lock);
	poll_all(join, 1);
	/* The next waker may find that all is complete, and see this. */
	atomic_fetch_sub(&join->inside, 1);
	pthread_mutex_unlock(&join->lock);
}

/* Some polls beside those of the wakers. */
static void
poll_at_random(struct join *join)
{
	for (uint64_t polls = test_random(&join->seed) % 4; polls > 0;
		polls--) {
		pthread_mutex_lock(&join->lock);
		poll_all(join, 0);
		pthread_mutex_unlock(&join->lock);
		if (test_random(&join->seed) % 2)
			sched_yield();
	}
}

static void
run_round(struct join *join, int c)
{
	struct vdm *vdm = data_mover_threads_get_vdm(join->dmt);

	pthread_mutex_lock(&join->lock);
	for (int i = 0; i < OPERATIONS; i++)
		join->futures[i] =
			vdm_memset(vdm, join->bytes + (size_t)i * HANDED_OVER,
				c, size_of(i + c), 0);
	join->left = OPERATIONS;
	poll_all(join, 0);
	pthread_mutex_unlock(&join->lock);
	poll_at_random(join);
	if (!await(&join->over))
		abort(); /* a wake was lost */
	pthread_mutex_lock(&join->lock);
	for (int i = 0; i < OPERATIONS; i++) {
		const char *bytes = join->bytes + (size_t)i * HANDED_OVER;

		if (bytes[0] != (char)c || bytes[size_of(i + c) - 1] != (char)c)
			join->wrong++;
	}
	pthread_mutex_unlock(&join->lock);
}

static void *
join_run(void *arg)
{
	struct join *join = arg;

	for (int r = 0; r < join->rounds; r++)
		run_round(join, r % 100);
	return NULL;
}

/* More threads than CPUs, so that each is interrupted anywhere. */
static void
joins_that_wakers_poll_under_a_lock_are_completed_by_few_calls(void **state)
{
	const size_t cpus = mia_usable_cpus();
	const size_t n = cpus + 2 < MAX_THREADS ? cpus + 2 : MAX_THREADS;
	const int rounds = TEST_ROUNDS(10000);
	uint64_t seed = test_seed("executor");

	(void)state;
	for (size_t workers = 1; workers <= n; workers += n / 2) {
		struct data_mover_threads *dmt = mover_new(workers, 8);
		struct join *joins = calloc(n, sizeof(*joins));
		long wakes = 0;

		assert_non_null(joins);
		for (size_t i = 0; i < n; i++) {
			struct join *join = &joins[i];

			join->dmt = dmt;
			join->seed = test_random(&seed);
			join->rounds = rounds;
			join->bytes = malloc(OPERATIONS * HANDED_OVER);
			assert_non_null(join->bytes);
			pthread_mutex_init(&join->lock, NULL);
			sem_init(&join->over, 0, 0);
			assert_int_equal(pthread_create(&join->thread, NULL,
						 join_run, join),
				0);
		}
		for (size_t i = 0; i < n; i++)
			pthread_join(joins[i].thread, NULL);
		data_mover_threads_delete(dmt);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(joins[i].wrong, 0);
			assert_int_equal(joins[i].left, 0);
			assert_int_equal(joins[i].inside, 0);
			wakes += joins[i].wakes;
			pthread_mutex_destroy(&joins[i].lock);
			sem_destroy(&joins[i].over);
			free(joins[i].bytes);
		}
		printf("%zu workers: %.3f wakes per operation\n", workers,
			(double)wakes / (double)n / rounds / OPERATIONS);
		assert_true(wakes <= 2L * (long)n * rounds * OPERATIONS);
		free(joins);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			joins_that_wakers_poll_under_a_lock_are_completed_by_few_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
