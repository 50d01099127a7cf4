/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_operation_pool_memory.c -- tests operation/operation_pool: the memory of
 * a pool, and its return after bursts, after threads and with the pool
 */

#include "test.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "pools.h"
#include "system.h"

static void
one_after_the_other_takes_memory_for_a_few(void **state)
{
	struct mia_operation_pool *pool = pool_new(64);

	(void)state;
	for (int i = 0; i < TEST_ROUNDS(1000000); i++)
		mia_operation_pool_put(mia_operation_pool_get(pool));
	assert_true(mia_operation_pool_bytes(pool) <= 16 * KIB);
	pool_delete(pool);
}

static void *slots[MIA_OPERATION_POOL_MAX];

/* In order, backwards, and shuffled. */
static void
memory_of_a_burst_goes_back(void **state)
{
	const size_t n = 200000;
	uint64_t seed = test_seed("burst");

	(void)state;
	for (int order = 0; order < 3; order++) {
		struct mia_operation_pool *pool = pool_new(64);

		for (size_t i = 0; i < n; i++)
			slots[i] = mia_operation_pool_get(pool);
		assert_true(mia_operation_pool_bytes(pool) >= n * 64);
		for (size_t i = 0; order == 1 && i < n / 2; i++) {
			void *slot = slots[i];

			slots[i] = slots[n - 1 - i];
			slots[n - 1 - i] = slot;
		}
		for (size_t i = n; order == 2 && i-- > 1;) {
			const size_t j = test_random(&seed) % i;
			void *slot = slots[i];

			slots[i] = slots[j];
			slots[j] = slot;
		}
		for (size_t i = 0; i < n; i++)
			mia_operation_pool_put(slots[i]);
		/* A thread keeps at most 126 slots, in slabs of 16 KiB. */
		assert_true(mia_operation_pool_bytes(pool) <= 127 * 16 * KIB);
		pool_delete(pool);
	}
}

/* 25 MiB of slots. Then 2 warm spans remain, and 1 or 2 in use. */
static void
resident_memory_of_a_burst_goes_back(void **state)
{
	const size_t n = 200000;
	struct mia_operation_pool *pool = pool_new(128);

	(void)state;
	/* Their pages are touched before. */
	for (size_t i = 0; i < n; i++)
		slots[i] = &slots[i];
	const size_t before = test_resident_kib();

	for (size_t i = 0; i < n; i++) {
		slots[i] = mia_operation_pool_get(pool);
		memset(slots[i], 1, 128);
	}
	const size_t burst = test_resident_kib();

	for (size_t i = 0; i < n; i++)
		mia_operation_pool_put(slots[i]);
	const size_t after = test_resident_kib();

	pool_delete(pool);
	printf("resident: %zu KiB, %zu in the burst, %zu after\n", before,
		burst, after);
	if (TEST_SLOWDOWN == 1 && getenv("MIA_TEST_EMULATED") == NULL)
		assert_true(after < before + 10 * KIB);
}

/* Also if what allocates and what frees do not belong together. */
static void
memory_of_pools_goes_back_to_the_system(void **state)
{
	enum { ROUNDS = 100, N = 20000 };
	size_t before = 0;

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(ROUNDS); round++) {
		struct mia_operation_pool *pool = pool_new(128);

		for (size_t i = 0; i < N; i++)
			memset(mia_operation_pool_get(pool), round, 128);
		pool_delete(pool);
		if (round == 5)
			before = test_resident_kib();
	}
	printf("resident: %zu KiB, then %zu KiB\n", before,
		test_resident_kib());
	if (TEST_SLOWDOWN == 1)
		assert_true(test_resident_kib() < before + 64 * KIB ||
			getenv("MIA_TEST_EMULATED") != NULL);
}

static void *
take_some(void *arg)
{
	for (size_t i = 0; i < 10000; i++)
		slots[i] = mia_operation_pool_get(arg);
	return NULL;
}

static void *
put_some(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < 10000; i++)
		mia_operation_pool_put(slots[i]);
	return NULL;
}

static void
on_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
	pthread_join(thread, NULL);
}

static void
memory_goes_back_when_the_threads_are_gone(void **state)
{
	struct mia_operation_pool *pool = pool_new(64);

	(void)state;
	for (int i = 0; i < 20; i++) {
		on_thread(take_some, pool);
		on_thread(put_some, pool);
		assert_true(mia_operation_pool_bytes(pool) <= 16 * KIB);
	}
	pool_delete(pool);
}

/* Thread-specific data whose destructor uses a pool, in each round. */
static pthread_key_t key;
static int rounds[PTHREAD_DESTRUCTOR_ITERATIONS + 1];
/* Atomic: ThreadSanitizer takes a thread for ended before its last rounds. */
static atomic_int last_round;

static void
use_pool(void *arg)
{
	struct mia_operation_pool *pool = arg;

	mia_operation_pool_put(mia_operation_pool_get(pool));
}

static struct mia_operation_pool *pool_of_destructors;

static void
use_pool_and_go_on(void *arg)
{
	int *round = arg;

	const int number = (int)(round - rounds) + 1;

	atomic_store(&last_round, number);
	use_pool(pool_of_destructors);
	if (number < PTHREAD_DESTRUCTOR_ITERATIONS)
		pthread_setspecific(key, round + 1);
}

static void *
end_with_destructors(void *first_use)
{
	if (first_use != NULL)
		use_pool(first_use);
	pthread_setspecific(key, rounds);
	return NULL;
}

/* The slots of caches that nobody frees would be missing. */
static void
destructors_of_a_thread_leave_nothing_behind(void **state)
{
	(void)state;
	if (!TEST_LATE_DESTRUCTORS)
		skip();

	struct mia_operation_pool *pool = pool_new(64);

	pool_of_destructors = pool;
	assert_int_equal(pthread_key_create(&key, use_pool_and_go_on), 0);
	for (int i = 0; i < 20; i++) {
		on_thread(end_with_destructors, pool);
		on_thread(end_with_destructors, NULL);
	}
	assert_int_equal(
		atomic_load(&last_round), PTHREAD_DESTRUCTOR_ITERATIONS);
	assert_true(mia_operation_pool_bytes(pool) <= 16 * KIB);
	pthread_key_delete(key);
	pool_delete(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/*
		 * The first, because the spans of a repeated burst stay mapped.
		 */
		cmocka_unit_test(resident_memory_of_a_burst_goes_back),
		cmocka_unit_test(memory_of_a_burst_goes_back),
		cmocka_unit_test(one_after_the_other_takes_memory_for_a_few),
		cmocka_unit_test(memory_of_pools_goes_back_to_the_system),
		cmocka_unit_test(memory_goes_back_when_the_threads_are_gone),
		cmocka_unit_test(destructors_of_a_thread_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
