/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_overflow.c -- tests movers/data_mover_threads: more operations than the
 * ring holds; none is refused, none is overtaken for long, and all wake
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "system.h"
#include "threads_mover.h"
#include "wakers.h"

/* A function for the mover: it waits at the gate, and notes its order. */
static atomic_uint arrived;
static unsigned order[1000];

static void *
numbered_memcpy(void *dst, const void *src, size_t n, unsigned flags)
{
	wait_at_gate();
	order[atomic_fetch_add(&arrived, 1)] = *(const unsigned *)src;
	(void)flags;
	return memcpy(dst, src, n);
}

/* Each is polled once with a waker, and again after the call of the waker. */
static void
no_poll_is_refused_and_each_waker_is_called(void **state)
{
	enum { N = TEST_SLOWDOWN > 10 ? 200 : 1000, FEW = 7 };
	static const size_t sizes[] = {1, 2, 5, 128};
	static unsigned src[N], dst[N];
	static struct vdm_operation_future f[N];

	(void)state;
	for (size_t s = 0; s < 4; s++) {
		struct data_mover_threads *dmt = mover_new(1, sizes[s]);
		struct counter counter;

		counter_init(&counter);
		atomic_store(&arrived, 0);
		data_mover_threads_set_memcpy_fn(dmt, numbered_memcpy);
		for (unsigned i = 0; i < N; i++) {
			struct future_notifier n = {
				.waker = {&counter, wake_counter}};

			src[i] = i;
			dst[i] = N;
			f[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				&dst[i], &src[i], sizeof(src[i]), 0);
			assert_int_equal(
				future_poll(FUTURE_AS_RUNNABLE(&f[i]), &n),
				FUTURE_STATE_RUNNING);
			assert_int_equal(
				n.notifier_used, FUTURE_NOTIFIER_WAKER);

			/* The ring has room again, and others are first. */
			if (i == N / 2) {
				open_gate(FEW);
				while (atomic_load(&arrived) < FEW)
					sched_yield();
			}
		}
		open_gate(N - FEW);
		for (size_t i = 0; i < N; i++)
			assert_true(await(&counter.sem));
		for (size_t i = 0; i < N; i++) {
			FUTURE_BUSY_POLL(&f[i]);
			assert_int_equal(
				FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
			assert_int_equal(dst[i], i);
			/* With one worker none overtakes another. */
			assert_int_equal(order[i], i);
		}
		assert_called(counter.calls, N);
		data_mover_threads_delete(dmt);
		counter_fini(&counter);
	}
}

/* Also operations without a further poll. */
static void
deleting_waits_for_the_overflow(void **state)
{
	enum { N = TEST_SLOWDOWN > 10 ? 100 : 500 };
	static unsigned src[N], dst[N];

	(void)state;
	for (size_t threads = 1; threads <= 4; threads++) {
		struct data_mover_threads *dmt = mover_new(threads, 2);

		atomic_store(&arrived, 0);
		data_mover_threads_set_memcpy_fn(dmt, numbered_memcpy);
		for (unsigned i = 0; i < N; i++) {
			struct vdm_operation_future f;

			src[i] = i + 1;
			dst[i] = 0;
			f = vdm_memcpy(data_mover_threads_get_vdm(dmt), &dst[i],
				&src[i], sizeof(src[i]), 0);
			future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		}
		open_gate(N);
		data_mover_threads_delete(dmt);
		assert_memory_equal(src, dst, sizeof(src));
	}
}

/*
 * Functions that wait for each other. Each of two needs the other one on
 * another worker.
 */
static pthread_barrier_t pair;

static void *
pairing_memcpy(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	pthread_barrier_wait(&pair);
	return memcpy(dst, src, n);
}

static void
two_workers_take_from_the_overflow_at_once(void **state)
{
	enum { N = 200, ROUNDS = TEST_ROUNDS(100) };
	static char src[N], dst[N];
	static struct vdm_operation_future f[N];
	struct data_mover_threads *dmt = mover_new(2, 2);

	(void)state;
	pthread_barrier_init(&pair, NULL, 2);
	data_mover_threads_set_memcpy_fn(dmt, pairing_memcpy);
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < N; i++) {
			f[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				&dst[i], &src[i], 1, 0);
			future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		}
		for (size_t i = 0; i < N; i++)
			FUTURE_BUSY_POLL(&f[i]);
	}
	data_mover_threads_delete(dmt);
	pthread_barrier_destroy(&pair);
}

/* Many threads, tiny rings, all kinds of polls: each operation runs once. */
struct producer {
	struct vdm *vdm;
	uint64_t seed;
	size_t rounds;
	pthread_t thread;
};

static atomic_uint copies;

static void *
counting_memcpy(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	atomic_fetch_add_explicit(&copies, 1, memory_order_relaxed);
	return memcpy(dst, src, n);
}

static void *
produce(void *arg)
{
	enum { MOST = 40 };
	struct producer *p = arg;
	struct runtime *runtime = runtime_new();
	uint64_t src[MOST], dst[MOST];
	struct vdm_operation_future f[MOST];
	struct future *futs[MOST];

	for (size_t round = 0; round < p->rounds; round++) {
		const size_t n = 1 + test_random(&p->seed) % MOST;
		const bool polls_first = test_random(&p->seed) % 2;

		for (size_t i = 0; i < n; i++) {
			src[i] = test_random(&p->seed);
			dst[i] = 0;
			f[i] = vdm_memcpy(p->vdm, &dst[i], &src[i], 8, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
			if (polls_first)
				future_poll(futs[i], NULL);
		}
		if (test_random(&p->seed) % 4 > 0)
			runtime_wait_multiple(runtime, futs, n);
		for (size_t i = 0; i < n; i++)
			FUTURE_BUSY_POLL(&f[i]);
		for (size_t i = 0; i < n; i++)
			if (dst[i] != src[i])
				return p;
	}
	runtime_delete(runtime);
	return NULL;
}

static void
nothing_is_lost_between_many_threads(void **state)
{
	enum { PRODUCERS = 4 };
	uint64_t seed = test_seed("overflow");

	(void)state;
	for (int round = 0; round < 4; round++) {
		const size_t workers = 1 + test_random(&seed) % 5;
		struct data_mover_threads *dmt =
			mover_new(workers, 1 + test_random(&seed) % 8);
		struct producer producers[PRODUCERS];

		data_mover_threads_set_memcpy_fn(dmt, counting_memcpy);
		for (int i = 0; i < PRODUCERS; i++) {
			producers[i].vdm = data_mover_threads_get_vdm(dmt);
			producers[i].seed = test_random(&seed);
			producers[i].rounds = TEST_ROUNDS(1000);
			pthread_create(&producers[i].thread, NULL, produce,
				&producers[i]);
		}
		for (int i = 0; i < PRODUCERS; i++) {
			void *wrong;

			pthread_join(producers[i].thread, &wrong);
			assert_null(wrong);
		}
		data_mover_threads_delete(dmt);
	}
	printf("%u copies\n", atomic_load(&copies));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_poll_is_refused_and_each_waker_is_called),
		cmocka_unit_test(deleting_waits_for_the_overflow),
		cmocka_unit_test(two_workers_take_from_the_overflow_at_once),
		cmocka_unit_test(nothing_is_lost_between_many_threads),
	};

	test_deadline(250);
	sem_init(&gate, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
