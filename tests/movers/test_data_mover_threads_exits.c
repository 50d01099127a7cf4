/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_exits.c -- tests movers/data_mover_threads: functions
 * and wakers of the program that end the thread of a worker
 */

#include "test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "threads_mover.h"
#include "wakers.h"

static char src[SHARED], dst[SHARED];

/* Functions that end the thread */

static void *
exit_in_memcpy(void *to, const void *from, size_t n, unsigned flags)
{
	(void)to;
	(void)from;
	(void)n;
	(void)flags;
	pthread_exit(NULL);
}

static void *
exit_in_memset(void *str, int c, size_t n, unsigned flags)
{
	(void)str;
	(void)c;
	(void)n;
	(void)flags;
	pthread_exit(NULL);
}

/* One after the other, or 32 at once: each has memory of its own. */
static struct vdm_operation_future
operation(struct vdm *vdm, int i)
{
	static struct vdm_segment segments[32][2];
	struct vdm_segment *two = segments[i % 32];
	char *to = dst + (size_t)(i % 32) * 4096;

	switch (i % 4) {
	case 0:
		return vdm_memcpy(vdm, to, src, 1000, 0);
	case 1:
		return vdm_memmove(vdm, to, src, 1000, 0);
	case 2:
		return vdm_memset(vdm, to, 7, 1000, 0);
	}
	two[0] = (struct vdm_segment){to, src, 100};
	two[1] = (struct vdm_segment){to + 200, src, 100};
	return vdm_memcpyv(vdm, two, 2, 0);
}

/* Follows its wakes. */
static enum vdm_operation_result
run_operation(struct vdm_operation_future f, struct counter *counter)
{
	struct future_notifier n = {.waker = {counter, wake_counter}};

	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		assert_true(await(&counter->sem));
	while (sem_trywait(&counter->sem) == 0)
		continue;
	return FUTURE_OUTPUT(&f)->result;
}

static void
set_functions(struct data_mover_threads *dmt, memcpy_fn copy, memset_fn set)
{
	data_mover_threads_set_memcpy_fn(dmt, copy);
	data_mover_threads_set_memmove_fn(dmt, copy);
	data_mover_threads_set_memset_fn(dmt, set);
}

static void
function_that_ends_its_thread_corrupts_its_operation_only(void **state)
{
	(void)state;
	for (size_t workers = 1; workers <= 3; workers += 2) {
		struct data_mover_threads *dmt = mover_new(workers, 8);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);
		struct counter counter;

		counter_init(&counter);
		for (int i = 0; i < TEST_ROUNDS(200); i++) {
			const int calls = counter.calls;

			set_functions(dmt, exit_in_memcpy, exit_in_memset);
			assert_int_equal(
				run_operation(operation(vdm, i), &counter),
				VDM_ERROR_JOB_CORRUPTED);
			assert_true(counter.calls > calls);
			set_functions(dmt, plain_memcpy, plain_memset);
			assert_int_equal(
				run_operation(operation(vdm, i), &counter),
				VDM_SUCCESS);
		}
		data_mover_threads_delete(dmt);
		counter_fini(&counter);
	}
}

static void
waits_of_a_runtime_end_too(void **state)
{
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct runtime *runtime = runtime_new();

	(void)state;
	set_functions(dmt, exit_in_memcpy, exit_in_memset);
	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		struct vdm_operation_future f[4];
		struct future *futures[4];

		for (int k = 0; k < 4; k++) {
			f[k] = operation(vdm, k);
			futures[k] = FUTURE_AS_RUNNABLE(&f[k]);
		}
		runtime_wait_multiple(runtime, futures, 4);
		for (int k = 0; k < 4; k++)
			assert_int_equal(FUTURE_OUTPUT(&f[k])->result,
				VDM_ERROR_JOB_CORRUPTED);
	}
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
}

/* Wakers that end the thread */

static void
exit_in_waker(void *data)
{
	wake_counter(data);
	pthread_exit(NULL);
}

/* Large ones are shared. Then a helper may call the waker. */
static void
waker_that_ends_its_thread_has_returned(void **state)
{
	static const size_t sizes[] = {8, HANDED_OVER, SHARED};

	(void)state;
	for (size_t workers = 1; workers <= 3; workers++) {
		struct data_mover_threads *dmt = mover_new(workers, 8);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);
		struct counter counter;

		counter_init(&counter);
		for (int i = 0; i < TEST_ROUNDS(200); i++) {
			struct future_notifier n = {
				.waker = {&counter, exit_in_waker}};
			struct vdm_operation_future f =
				vdm_memset(vdm, dst, i % 100, sizes[i % 3], 0);
			struct future *fut = FUTURE_AS_RUNNABLE(&f);

			while (future_poll(fut, &n) != FUTURE_STATE_COMPLETE)
				assert_true(await(&counter.sem));
			while (sem_trywait(&counter.sem) == 0)
				continue;
			assert_int_equal(
				FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
			assert_int_equal(dst[sizes[i % 3] - 1], i % 100);
		}
		data_mover_threads_delete(dmt);
		counter_fini(&counter);
	}
}

/* A waker that ends its thread in its first call, when it may go. */
struct held {
	struct counter counter;
	sem_t go;
};

static void
exit_in_first_call(void *data)
{
	struct held *held = data;
	const int calls = held->counter.calls;

	wake_counter(&held->counter);
	if (calls > 0)
		return;
	await(&held->go);
	pthread_exit(NULL);
}

static void
waker_that_ends_its_thread_is_called_again_after_a_poll_gave_up(void **state)
{
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct held held;
		struct future_notifier n = {
			.waker = {&held, exit_in_first_call}};
		struct vdm_operation_future f = operation(vdm, i);
		struct future *fut = FUTURE_AS_RUNNABLE(&f);

		counter_init(&held.counter);
		sem_init(&held.go, 0, 0);
		assert_int_equal(future_poll(fut, &n), FUTURE_STATE_RUNNING);
		assert_true(await(&held.counter.sem));
		assert_int_equal(future_poll(fut, &n), FUTURE_STATE_RUNNING);
		sem_post(&held.go);
		do
			assert_true(await(&held.counter.sem));
		while (future_poll(fut, &n) != FUTURE_STATE_COMPLETE);
		assert_in_range(held.counter.calls, 2, 10);
		counter_fini(&held.counter);
		sem_destroy(&held.go);
	}
	data_mover_threads_delete(dmt);
}

/* A waker that completes its own future, which is on the heap, and frees it. */
struct own {
	struct vdm_operation_future f;
	sem_t *done;
};

static void
complete_and_exit(void *data)
{
	struct own *own = data;
	sem_t *done = own->done;

	if (future_poll(FUTURE_AS_RUNNABLE(&own->f), NULL) !=
		FUTURE_STATE_COMPLETE)
		abort();
	free(own);
	sem_post(done);
	pthread_exit(NULL);
}

/* The first poll must be over, so a function holds the worker. */
static void
waker_may_complete_its_own_future_and_end_its_thread(void **state)
{
	struct data_mover_threads *dmt = gated_mover(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	sem_t done;

	(void)state;
	sem_init(&done, 0, 0);
	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		struct own *own = malloc(sizeof(*own));

		assert_non_null(own);
		struct future_notifier n = {.waker = {own, complete_and_exit}};

		own->done = &done;
		own->f = vdm_memcpy(vdm, dst, src, 8, 0);
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&own->f), &n),
			FUTURE_STATE_RUNNING);
		open_gate(1);
		assert_true(await(&done));
	}
	data_mover_threads_delete(dmt);
	sem_destroy(&done);
}

/* A worker */

static void
cancel_in_waker(void *data)
{
	pthread_cancel(pthread_self());
	wake_counter(data);
}

static void
worker_cannot_be_cancelled(void **state)
{
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct counter counter;

	(void)state;
	counter_init(&counter);
	for (int i = 0; i < 10; i++) {
		struct future_notifier n = {
			.waker = {&counter, cancel_in_waker}};
		struct vdm_operation_future f = operation(vdm, i);

		while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) !=
			FUTURE_STATE_COMPLETE)
			assert_true(await(&counter.sem));
		while (sem_trywait(&counter.sem) == 0)
			continue;
		/* Until the worker sleeps, which is a cancellation point. */
		test_sleep_ns(1 * MS);
	}
	data_mover_threads_delete(dmt);
	counter_fini(&counter);
}

/* Delete finds threads that end, and others that begin. */
static void
delete_waits_for_all_that_was_started(void **state)
{
	enum { N = 20 };
	uint64_t seed = test_seed("exits");

	(void)state;
	for (int i = 0; i < TEST_ROUNDS(300); i++) {
		const size_t workers = 1 + test_random(&seed) % 4;
		struct data_mover_threads *dmt = mover_new(workers, 4);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);
		struct counter counter;

		counter_init(&counter);
		for (int k = 0; k < N; k++) {
			const bool exits = test_random(&seed) % 2;
			struct future_notifier n = {
				.waker = {&counter,
					exits ? exit_in_waker : wake_counter}};
			struct vdm_operation_future f = operation(vdm, k);

			data_mover_threads_set_memcpy_fn(dmt,
				test_random(&seed) % 3 == 0 ? exit_in_memcpy
							    : NULL);
			(void)future_poll(FUTURE_AS_RUNNABLE(&f), &n);
		}
		data_mover_threads_delete(dmt);
		/* Each poll asks for a second call if the first is long. */
		assert_in_range(counter.calls, N, 2 * N);
		counter_fini(&counter);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			function_that_ends_its_thread_corrupts_its_operation_only),
		cmocka_unit_test(waits_of_a_runtime_end_too),
		cmocka_unit_test(waker_that_ends_its_thread_has_returned),
		cmocka_unit_test(
			waker_that_ends_its_thread_is_called_again_after_a_poll_gave_up),
		cmocka_unit_test(
			waker_may_complete_its_own_future_and_end_its_thread),
		cmocka_unit_test(worker_cannot_be_cancelled),
		cmocka_unit_test(delete_waits_for_all_that_was_started),
	};

	sem_init(&gate, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
