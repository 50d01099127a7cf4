/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_fork_kept_waits.c -- tests wait/waits: runtimes that were made before a
 * fork, in the child
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "kept_child.h"
#include "libminiasync.h"

static struct runtime *runtime; /* made before the fork */

/* Child: waits for what its own workers do, and for what is lost. */
static void
wait_and_delete(void)
{
	struct data_mover_threads *first = dmt;
	struct vdm_operation_future new;

	check_copy(N, NULL);
	new = vdm_memcpy(vdm(), dst[0], src, SHARED, 0);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&new));
	CHILD_CHECK(FUTURE_OUTPUT(&new)->result == VDM_SUCCESS);
	for (int i = 0; CHILD_HAS_THREADS && i < 10; i++) {
		struct vdm_operation_future pair[2];
		struct future *futs[2];

		if (i == 0)
			dmt = data_mover_threads_new(
				2, 4, FUTURE_NOTIFIER_WAKER);
		for (int j = 0; j < 2; j++) {
			pair[j] = vdm_memset(vdm(), dst[j], i, SHARED, 0);
			futs[j] = FUTURE_AS_RUNNABLE(&pair[j]);
		}
		runtime_wait_multiple(runtime, futs, 2);
		CHILD_CHECK(dst[0][0] == i && dst[1][SHARED - 1] == i);
	}
	runtime_delete(runtime);
	if (dmt != first)
		data_mover_threads_delete(dmt);
	data_mover_threads_delete(first);
}

static void
child_waits(void **state)
{
	(void)state;
	dmt = mover_new(2, 4);
	runtime = runtime_new();
	ASSERT_CHILD(wait_and_delete);
	f[0] = vdm_memcpy(vdm(), dst[0], src, SHARED, 0);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f[0]));
	ASSERT_CHILD(wait_and_delete);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
}

/* Another thread waits on the runtime at the fork. */
static void *
wait_here(void *arg)
{
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f[0]));
	return arg;
}

static void
lose_and_wait(void)
{
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f[1]));
	CHILD_CHECK(FUTURE_OUTPUT(&f[1])->result == VDM_ERROR_JOB_CORRUPTED);
	wait_and_delete();
}

static void
other_thread_is_in_a_wait(void **state)
{
	pthread_t thread;

	(void)state;
	dmt = gated_mover(2, 4);
	runtime = runtime_new();
	for (int i = 0; i < 2; i++)
		copy_begin(i, N, NULL);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	assert_int_equal(pthread_create(&thread, NULL, wait_here, NULL), 0);
	test_sleep_ns(20 * MS);
	ASSERT_CHILD(lose_and_wait);
	open_gate(2);
	pthread_join(thread, NULL);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f[1]));
	assert_int_equal(FUTURE_OUTPUT(&f[1])->result, VDM_SUCCESS);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
}

/*
 * Other threads enter and leave the runtime all the time, so that some forks
 * find its lock locked, and wakers half done.
 */
static atomic_bool stop;
static sem_t is_ready;

static void *
wait_again_and_again(void *arg)
{
	struct data_mover_threads *own = mover_new(1, 4);
	static unsigned char bytes[N];
	unsigned char to[N];

	sem_post(&is_ready);
	while (!atomic_load(&stop)) {
		struct vdm_operation_future new =
			vdm_memcpy(data_mover_threads_get_vdm(own), to, bytes,
				1 + N / 4, 0);

		future_poll(FUTURE_AS_RUNNABLE(&new), NULL);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&new));
		for (int i = 0; i < 50; i++)
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&new));
	}
	data_mover_threads_delete(own);
	return arg;
}

static void
other_threads_come_and_go(void **state)
{
	enum { THREADS = 3, FORKS = 100 };
	pthread_t threads[THREADS];

	(void)state;
	/* Allocators of sanitizers and locks of QEMU do not survive that. */
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL)
		TEST_LEFT_OUT("a fork beside threads that allocate");
	sem_init(&is_ready, 0, 0);
	dmt = mover_new(2, 4);
	runtime = runtime_new();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, wait_again_and_again, NULL);
	/*
	 * A child of a process that was just making threads once waited in
	 * pthread_join() for a thread that was gone (glibc 2.36).
	 */
	for (int i = 0; i < THREADS; i++)
		assert_true(await(&is_ready));
	for (int i = 0; i < FORKS; i++)
		ASSERT_CHILD(wait_and_delete);
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
}

/* Threads of the child come into the runtime at once. */
static void *
wait_once(void *arg)
{
	static unsigned char to[4][N];
	struct vdm_operation_future new =
		vdm_memcpy(vdm(), to[(size_t)(uintptr_t)arg], src, N, 0);

	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&new));
	return NULL;
}

static void
wait_by_threads(void)
{
	pthread_t threads[4];

	for (uintptr_t i = 0; i < 4; i++)
		CHILD_CHECK(pthread_create(&threads[i], NULL, wait_once,
				    (void *)i) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	wait_and_delete();
}

static void
threads_of_the_child_wait(void **state)
{
	(void)state;
	if (!CHILD_HAS_THREADS)
		TEST_LEFT_OUT("threads in a child");
	dmt = mover_new(2, 4);
	runtime = runtime_new();
	for (int i = 0; i < TEST_ROUNDS(100); i++)
		ASSERT_CHILD(wait_by_threads);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_waits),
		cmocka_unit_test(other_thread_is_in_a_wait),
		cmocka_unit_test(other_threads_come_and_go),
		cmocka_unit_test(threads_of_the_child_wait),
	};

	/* A worker may be inside of the sanitizer's allocator at the fork. */
	if (TEST_SLOWDOWN > 1) {
		printf("left out: children that allocate\n");
		return 77;
	}
	kept_child_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
