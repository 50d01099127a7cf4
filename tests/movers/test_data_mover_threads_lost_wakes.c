/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_lost_wakes.c -- tests movers/data_mover_threads: no
 * wake is lost, no waker is touched after its future is complete, no worker
 * misses work
 *
 * Each waiter sleeps until its waker is called. There is no safety net: a
 * waiter whose wake is lost sleeps for a minute. MIA_STRESS multiplies the
 * operations.
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "threads_mover.h"
#include "wakers.h"

static size_t
stress_factor(void)
{
	const char *given = getenv("MIA_STRESS");

	return given != NULL ? strtoul(given, NULL, 0) : 1;
}

/*
 * Every poll with a waker has a new one. The waker is freed as soon as
 * possible: when the future is complete, or when another waker has replaced it.
 */
struct waker {
	uint64_t alive; /* ALIVE until it is freed */
	struct waiter *waiter;
	struct waker *next; /* given up */
};

/*
 * A poll that replaces a running waker waits so long for it. If the poll took
 * this time, the old waker may still be called.
 */
#define PROMISED_NS (200 * MS)

#define ALIVE UINT64_C(0xa11fe)
#define DEAD UINT64_C(0xdead)

struct waiter {
	struct stress *stress;
	sem_t woken;
	uint64_t seed;
	struct waker *given_up; /* freed when the mover is gone */
};

enum wakers { WAKERS_STAY, WAKERS_REPLACED /* now and then */ };

struct stress {
	struct vdm *vdm;
	size_t operations; /* of each thread */
	enum wakers wakers;
	atomic_size_t wakes;
	atomic_int lost, late, wrong;
};

static void
waker_wake(void *data)
{
	struct waker *waker = data;
	struct stress *stress = waker->waiter->stress;

	if (waker->alive != ALIVE)
		atomic_fetch_add(&stress->late, 1);
	atomic_fetch_add(&stress->wakes, 1);
	sem_post(&waker->waiter->woken);
	if (waker->alive != ALIVE)
		atomic_fetch_add(&stress->late, 1);
}

static struct waker *
waker_new(struct waiter *waiter, struct future_notifier *n)
{
	struct waker *waker = malloc(sizeof(*waker));

	if (waker == NULL)
		abort();
	*waker = (struct waker){ALIVE, waiter, NULL};
	*n = (struct future_notifier){.waker = {waker, waker_wake}};
	return waker;
}

static void
waker_free(struct waker *waker)
{
	waker->alive = DEAD;
	free(waker);
}

/* One operation in flight, and its waker. */
struct flight {
	struct vdm_operation_future f;
	struct waker *waker;
	uint64_t src[4], dst[4];
	bool done;
};

static bool
replaces_one_in(struct waiter *waiter, unsigned n)
{
	return waiter->stress->wakers == WAKERS_REPLACED &&
		test_random(&waiter->seed) % n == 0;
}

static bool
fly(struct waiter *waiter, struct flight *flight)
{
	struct future *fut = FUTURE_AS_RUNNABLE(&flight->f);
	struct stress *stress = waiter->stress;
	struct future_notifier n;
	enum future_state state;

	if (flight->waker == NULL) {
		/* A third is started without a notifier. */
		if (replaces_one_in(waiter, 3))
			future_poll(fut, NULL);
		flight->waker = waker_new(waiter, &n);
		state = future_poll(fut, &n);
		if (state == FUTURE_STATE_RUNNING &&
			n.notifier_used != FUTURE_NOTIFIER_WAKER)
			atomic_fetch_add(&stress->wrong, 1);
	} else if (replaces_one_in(waiter, 4)) {
		struct waker *old = flight->waker;
		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		flight->waker = waker_new(waiter, &n);
		state = future_poll(fut, &n);
		if (test_clock_ns(CLOCK_MONOTONIC) - start < PROMISED_NS) {
			waker_free(old);
		} else {
			old->next = waiter->given_up;
			waiter->given_up = old;
		}
	} else {
		state = future_poll(fut, NULL);
	}

	if (state == FUTURE_STATE_COMPLETE) {
		waker_free(flight->waker);
		flight->done = true;
		if (FUTURE_OUTPUT(&flight->f)->result != VDM_SUCCESS ||
			memcmp(flight->src, flight->dst, 32) != 0)
			atomic_fetch_add(&stress->wrong, 1);
	} else if (state == FUTURE_STATE_IDLE) {
		/* Not now: it has no waker yet. */
		waker_free(flight->waker);
		flight->waker = NULL;
	}
	return flight->done;
}

#define FLIGHTS 16

static void *
waiter_run(void *arg)
{
	struct waiter *waiter = arg;
	struct stress *stress = waiter->stress;
	static _Thread_local struct flight flights[FLIGHTS];
	size_t left = stress->operations;

	while (left > 0) {
		size_t n = 1 + test_random(&waiter->seed) % FLIGHTS;
		size_t done = 0;

		n = n < left ? n : left;
		left -= n;
		for (size_t i = 0; i < n; i++) {
			struct flight *flight = &flights[i];

			flight->src[0] = test_random(&waiter->seed);
			flight->dst[0] = 0;
			flight->waker = NULL;
			flight->done = false;
			flight->f = vdm_memcpy(
				stress->vdm, flight->dst, flight->src, 32, 0);
			done += fly(waiter, flight);
		}
		while (done < n) {
			bool idle = false;

			for (size_t i = 0; i < n; i++) {
				if (flights[i].done)
					continue;
				done += fly(waiter, &flights[i]);
				idle |= flights[i].waker == NULL;
			}
			if (done == n)
				break;
			/* Every running operation will wake this thread. */
			if (idle)
				sched_yield();
			else if (!await(&waiter->woken))
				atomic_fetch_add(&stress->lost, 1);
		}
	}
	return NULL;
}

static void
stress(size_t workers, size_t queue, enum wakers wakers, size_t operations)
{
	enum { THREADS = 5 };
	struct data_mover_threads *dmt = mover_new(workers, queue);
	struct stress s = {.vdm = data_mover_threads_get_vdm(dmt),
		.operations = operations / THREADS,
		.wakers = wakers};
	struct waiter waiters[THREADS];
	pthread_t threads[THREADS];
	uint64_t seed = test_seed("lost_wakes");

	for (size_t i = 0; i < THREADS; i++) {
		waiters[i].stress = &s;
		waiters[i].given_up = NULL;
		waiters[i].seed = test_random(&seed);
		sem_init(&waiters[i].woken, 0, 0);
		pthread_create(&threads[i], NULL, waiter_run, &waiters[i]);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	data_mover_threads_delete(dmt);
	printf("%zu workers, queue %zu: %zu operations, %zu wakes\n", workers,
		queue, s.operations * THREADS, (size_t)s.wakes);
	assert_int_equal(s.lost, 0);
	assert_int_equal(s.late, 0);
	assert_int_equal(s.wrong, 0);
	for (size_t i = 0; i < THREADS; i++) {
		while (waiters[i].given_up != NULL) {
			struct waker *next = waiters[i].given_up->next;

			waker_free(waiters[i].given_up);
			waiters[i].given_up = next;
		}
		sem_destroy(&waiters[i].woken);
	}
}

static void
no_wake_is_lost_or_late(void **state)
{
	const size_t n = TEST_ROUNDS(500000) * stress_factor();

	(void)state;
	stress(1, 1, WAKERS_STAY, n);
	stress(2, 128, WAKERS_STAY, n);
	stress(8, 16, WAKERS_STAY, n);
}

static void
no_wake_is_lost_or_late_when_wakers_are_replaced(void **state)
{
	const size_t n = TEST_ROUNDS(500000) * stress_factor();

	(void)state;
	stress(1, 128, WAKERS_REPLACED, n);
	stress(3, 16, WAKERS_REPLACED, n);
}

/* Operations that wait for each other: every worker must run one of them. */
static pthread_barrier_t barrier;

static void *
meet(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	pthread_barrier_wait(&barrier);
	return memset(str, c, n);
}

static void
every_worker_gets_work(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 5; workers++) {
		struct data_mover_threads *dmt = mover_new(workers, 8);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);
		uint64_t seed = test_seed("lost_wakes, meeting");

		pthread_barrier_init(&barrier, NULL, workers);
		data_mover_threads_set_memset_fn(dmt, meet);
		for (int i = 0; i < TEST_ROUNDS(2000); i++) {
			struct vdm_operation_future f[5];
			const uint64_t pause_ns = test_random(&seed) % 100000;
			char a[5];

			for (unsigned k = 0; k < workers; k++) {
				f[k] = vdm_memset(vdm, &a[k], 'x', 1, 0);
				future_poll(FUTURE_AS_RUNNABLE(&f[k]), NULL);
			}
			for (unsigned k = 0; k < workers; k++)
				FUTURE_BUSY_POLL(&f[k]);
			/* Workers at every stage of falling asleep. */
			if (i % 4 == 0)
				test_sleep_ns(pause_ns);
		}
		data_mover_threads_delete(dmt);
		pthread_barrier_destroy(&barrier);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_is_lost_or_late),
		cmocka_unit_test(
			no_wake_is_lost_or_late_when_wakers_are_replaced),
		cmocka_unit_test(every_worker_gets_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
