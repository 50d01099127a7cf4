/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_runtime_memory.c -- the memory of unused waits, and of calls that never
 * returned
 */

#include "net.h"
#include "steps.h"
#include "system.h"
#include "test.h"

#include <pthread.h>

enum { THREADS = 8, BIG = 50000 };
static pthread_barrier_t barrier;

static void
meet(void)
{
	pthread_barrier_wait(&barrier);
}

/* Waits for many futures, while all other threads do the same. */
static void *
wait_for_many(void *arg)
{
	struct steps_future *futures = calloc(BIG, sizeof(*futures));
	struct future **futs = calloc(BIG, sizeof(struct future *));

	for (size_t i = 0; i < BIG; i++) {
		futures[i] = steps(1, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&futures[i]);
	}
	futures[0].data.at_end = meet;
	runtime_wait_multiple(arg, futs, BIG);
	free(futs);
	free(futures);
	return NULL;
}

/* A runtime that keeps all memory has 9 MiB for each thread. */
static void
unused_waits_keep_little(void **state)
{
	pthread_t threads[THREADS];
	const size_t before = test_allocated_bytes();

	(void)state;
	if (before == 0)
		TEST_LEFT_OUT("how much is allocated cannot be told");

	struct runtime *runtime = test_runtime_new();

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, wait_for_many, runtime);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);

	const size_t one = test_allocated_bytes() - before;

	/* After some small waits, the last wait gives up its memory, too. */
	for (int i = 0; i < 40; i++) {
		struct steps_future f = steps(2, 0);

		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}

	const size_t none = test_allocated_bytes() - before;

	printf("%zu KiB, and %zu after small waits\n", one / 1024, none / 1024);
	assert_true(one < (size_t)16 << 20);
	assert_true(none < (size_t)2 << 20);
	runtime_delete(runtime);
}

static jmp_buf out;

static void
jump(void)
{
	longjmp(out, 1);
}

/* A wait takes about 2 KiB. LeakSanitizer finds a leak, too. */
static void
delete_and_check(struct runtime *runtime, size_t before)
{
	assert_true(test_allocated_bytes() >= before);
	runtime_delete(runtime);
	if (before != 0)
		assert_true(test_allocated_bytes() < before + 100000);
}

/* runtime_delete() frees the waits of calls that never returned. */
static void
waits_that_were_left_are_freed(void **state)
{
	const size_t before = test_allocated_bytes();
	struct runtime *runtime = test_runtime_new();

	(void)state;
	for (volatile int i = 0; i < 1000; i++) {
		struct steps_future f = steps(1, 0);

		f.data.at_end = jump;
		if (setjmp(out) == 0)
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}
	delete_and_check(runtime, before);
}

#if !defined(_WIN32)
extern void __asan_init(void) __attribute__((weak));

static void *
wait_until_cancelled(void *arg)
{
	struct steps_future f = steps(1, 0);

	f.data.at_end = pthread_testcancel;
	pthread_cancel(pthread_self());
	runtime_wait(arg, FUTURE_AS_RUNNABLE(&f));
	return NULL;
}

static void
waits_of_cancelled_threads_are_freed(void **state)
{
	(void)state;

	/* It reports its own use of the stack that such a thread has left. */
	if (__asan_init != NULL)
		TEST_LEFT_OUT("AddressSanitizer does not know cancellation");

	const size_t before = test_allocated_bytes();
	struct runtime *runtime = test_runtime_new();

	for (int i = 0; i < 200; i++) {
		pthread_t thread;
		void *result;

		pthread_create(&thread, NULL, wait_until_cancelled, runtime);
		pthread_join(thread, &result);
		assert_ptr_equal(result, PTHREAD_CANCELED);
	}
	delete_and_check(runtime, before);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unused_waits_keep_little),
		cmocka_unit_test(waits_that_were_left_are_freed),
#if !defined(_WIN32)
		cmocka_unit_test(waits_of_cancelled_threads_are_freed),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
