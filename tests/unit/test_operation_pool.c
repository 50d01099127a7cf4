/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_operation_pool.c -- tests operation/operation_pool: slots have one
 * owner, keep their objects, and are limited in number; many pools and many
 * threads
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "pools.h"

struct ended_slot {
	void *pool_link;
	void *made; /* by the first user of the slot */
};

static atomic_size_t nended;

static void
end_slot(void *slot)
{
	struct ended_slot *s = slot;

	if (s->made != NULL)
		nended++;
	free(s->made);
}

/*
 * The next user of a slot finds the object of the first. The object ends once.
 */
static void
slots_keep_what_was_made_until_they_end(void **state)
{
	enum { N = 5000 };
	struct mia_operation_pool pool;
	static struct ended_slot *slots[N];
	size_t nmade = 0;

	(void)state;
	nended = 0;
	mia_operation_pool_init(&pool, sizeof(struct ended_slot), end_slot);

	for (int round = 0; round < 5; round++) {
		const int n = round == 0 ? 10 : N;

		for (int i = 0; i < n; i++) {
			slots[i] = mia_operation_pool_get(&pool);
			assert_non_null(slots[i]);
			slots[i]->pool_link = slots; /* ours while we have it */
			if (slots[i]->made == NULL) {
				slots[i]->made = malloc(10);
				nmade++;
			}
		}
		if (round == 0)
			assert_int_equal(nmade, n);
		for (int i = 0; i < n; i++)
			mia_operation_pool_put(slots[i]);
		if (round == 0) {
			/* Those in this thread's cache come out first. */
			for (int i = 0; i < n; i++)
				slots[i] = mia_operation_pool_get(&pool);
			for (int i = 0; i < n; i++) {
				assert_non_null(slots[i]->made);
				mia_operation_pool_put(slots[i]);
			}
		}
	}
	/*
	 * The memory of the bursts returned to the system, so these slots
	 * ended.
	 */
	assert_in_range(nended, N, nmade - 1);

	assert_non_null(mia_operation_pool_get(&pool)); /* and not put back */
	mia_operation_pool_fini(&pool);
	assert_int_equal(nended, nmade);
}

static void
slots_never_overlap(void **state)
{
	enum { N = 20000 };
	const size_t sizes[] = {1, 8, 12, 64, 100, 512, 4096};
	static unsigned char *slots[N], wanted[4096];

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct mia_operation_pool *pool = pool_new(sizes[s]);

		for (size_t i = 0; i < N; i++) {
			slots[i] = mia_operation_pool_get(pool);
			assert_non_null(slots[i]);
			if (sizes[s] % 64 == 0)
				assert_int_equal((uintptr_t)slots[i] % 64, 0);
			memset(slots[i], (int)i, sizes[s]);
		}
		for (size_t i = 0; i < N; i++) {
			memset(wanted, (int)i, sizes[s]);
			assert_memory_equal(slots[i], wanted, sizes[s]);
		}
		for (size_t i = 0; i < N; i++)
			mia_operation_pool_put(slots[i]);
		pool_delete(pool);
	}
}

static void *slots[MIA_OPERATION_POOL_MAX];

static void *
put_ten(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < 10; i++)
		mia_operation_pool_put(slots[i]);
	/* Lives on, with ten slots in its cache, until the second barrier. */
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return NULL;
}

/* Free slots in another thread's cache do not count against the bound. */
static void
bound_is_exact_and_other_threads_caches_do_not_count(void **state)
{
	struct mia_operation_pool *pool = pool_new(1);
	pthread_barrier_t barrier;
	pthread_t thread;
	size_t n = 0;

	(void)state;
	errno = 4321;
	while (n < MIA_OPERATION_POOL_MAX &&
		(slots[n] = mia_operation_pool_get(pool)) != NULL)
		n++;
	assert_int_equal(n, MIA_OPERATION_POOL_MAX);
	assert_null(mia_operation_pool_get(pool));
	assert_int_equal(errno, 4321);

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, put_ten, &barrier);
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < 10; i++)
		assert_non_null(mia_operation_pool_get(pool));
	assert_null(mia_operation_pool_get(pool));
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
	pool_delete(pool);
}

/* Many more pools than places in a thread's caches, and their deletion. */
static void
many_pools_take_turns(void **state)
{
	enum { N = 3000 };
	static struct mia_operation_pool *pools[N];
	static uint64_t *held[N];

	(void)state;
	for (size_t i = 0; i < N; i++)
		pools[i] = pool_new(8);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			held[i] = mia_operation_pool_get(pools[i]);
			*held[i] = i;
		}
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(*held[i], i);
			mia_operation_pool_put(held[i]);
		}
	}
	for (size_t i = 0; i < N; i++)
		pool_delete(pools[i]);

	/* The caches hold slots of pools that are gone: never seen again. */
	struct mia_operation_pool *pool = pool_new(8);

	for (size_t i = 0; i < 1000; i++)
		memset(mia_operation_pool_get(pool), 0xff, 8);
	pool_delete(pool);
}

/*
 * Stress: threads pass slots to each other through a shared board, delete and
 * make pools, exit and are replaced. A slot carries the mark of its owner.
 */
#define STRESS_THREADS 6
#define BOARD 256

struct stress {
	struct mia_operation_pool *pool;
	_Atomic(uint64_t *) board[BOARD];
	uint64_t seed;
	atomic_int errors;
};

static void *
stress_run(void *arg)
{
	struct stress *stress = arg;
	uint64_t seed = stress->seed ^ (uintptr_t)&seed;
	struct mia_operation_pool *own = pool_new(64);

	for (int i = 0; i < TEST_ROUNDS(20000); i++) {
		struct mia_operation_pool *pool =
			test_random(&seed) % 8 == 0 ? own : stress->pool;
		uint64_t *slot = mia_operation_pool_get(pool);

		*slot = (uintptr_t)slot;
		if (pool == own) {
			if (test_random(&seed) % 2)
				mia_operation_pool_put(slot);
		} else {
			/* acq_rel: hands over a slot and takes another's. */
			slot = atomic_exchange_explicit(
				&stress->board[test_random(&seed) % BOARD],
				slot, memory_order_acq_rel);
			if (slot != NULL) {
				if (*slot != (uintptr_t)slot)
					atomic_fetch_add(&stress->errors, 1);
				*slot = 0;
				mia_operation_pool_put(slot);
			}
		}
		if (test_random(&seed) % 512 == 0) {
			pool_delete(own);
			own = pool_new(64);
		}
	}
	pool_delete(own);
	return NULL;
}

static void
stress_with_threads_that_come_and_go(void **state)
{
	static struct stress stress;
	pthread_t threads[STRESS_THREADS];

	(void)state;
	stress.seed = test_seed("pool stress");
	stress.pool = pool_new(64);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < STRESS_THREADS; i++)
			pthread_create(&threads[i], NULL, stress_run, &stress);
		for (int i = 0; i < STRESS_THREADS; i++)
			pthread_join(threads[i], NULL);
	}
	assert_int_equal(stress.errors, 0);
	for (int i = 0; i < BOARD; i++)
		if (stress.board[i] != NULL)
			mia_operation_pool_put(stress.board[i]);
	assert_true(mia_operation_pool_bytes(stress.pool) <= 127 * 16 * KIB);
	pool_delete(stress.pool);
}

static void
pools_in_use_have_places_of_their_own(void **state)
{
	struct mia_operation_pool *pools[MIA_OPERATION_CACHES];

	(void)state;
	for (int i = 0; i < MIA_OPERATION_CACHES; i++) {
		pools[i] = pool_new(8);
		for (int k = 0; k < MIA_OPERATION_CACHES - 1; k++)
			pool_delete(pool_new(8));
		for (int k = 0; k < i; k++)
			assert_int_not_equal(pools[i]->place, pools[k]->place);
	}
	for (int i = 0; i < MIA_OPERATION_CACHES; i++)
		pool_delete(pools[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_never_overlap),
		cmocka_unit_test(slots_keep_what_was_made_until_they_end),
		cmocka_unit_test(
			bound_is_exact_and_other_threads_caches_do_not_count),
		cmocka_unit_test(many_pools_take_turns),
		cmocka_unit_test(stress_with_threads_that_come_and_go),
		cmocka_unit_test(pools_in_use_have_places_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
