/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_operation_pool_fork.c -- tests operation/operation_pool: pools in a
 * child and in fork handlers, at any moment of the other threads
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "pools.h"
#include "system.h"

#if defined(_WIN32)

/* Nothing to register handlers with, either. */
static int
register_fork_handlers(void)
{
	return 0;
}

static void
child_of_a_busy_parent_can_use_pools(void **state)
{
	(void)state;
	TEST_LEFT_OUT("this system has no fork()");
}

static void
fork_handlers_of_the_program_may_use_pools(void **state)
{
	(void)state;
	TEST_LEFT_OUT("this system has no fork()");
}

#else

/* A child makes and uses pools, at any moment of the other threads. */
static atomic_bool churn_stop;

static void *
churn(void *arg)
{
	(void)arg;
	while (!atomic_load(&churn_stop)) {
		struct mia_operation_pool *pool = pool_new(8);

		for (int i = 0; i < 200; i++)
			mia_operation_pool_get(pool);
		pool_delete(pool);
	}
	return NULL;
}

static void
child_of_a_busy_parent_can_use_pools(void **state)
{
	pthread_t threads[3];

	(void)state;
	/* The sanitizers' own allocators do not survive a fork of threads. */
	if (TEST_SLOWDOWN > 1)
		skip();
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		const pid_t child = fork();

		if (child == 0) {
			struct mia_operation_pool *pool = pool_new(8);

			test_deadline(30);
			for (int j = 0; j < 500; j++)
				mia_operation_pool_put(
					mia_operation_pool_get(pool));
			pool_delete(pool);
			_exit(0);
		}
		int status = -1;

		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	atomic_store(&churn_stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/*
 * A program that was there first, and uses pools in its fork handlers: ours
 * must not hold the lock then.
 */
static void
use_pool(void)
{
	struct mia_operation_pool *pool = pool_new(8);

	mia_operation_pool_put(mia_operation_pool_get(pool));
	pool_delete(pool);
}

static int
register_fork_handlers(void)
{
	return pthread_atfork(use_pool, use_pool, use_pool);
}

static void
fork_handlers_of_the_program_may_use_pools(void **state)
{
	int status = -1;

	(void)state;
	test_deadline(60);
	const pid_t child = fork();

	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	test_deadline(0);
}

#endif

int
main(void)
{
	if (register_fork_handlers() != 0)
		return 1;

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fork_handlers_of_the_program_may_use_pools),
		cmocka_unit_test(child_of_a_busy_parent_can_use_pools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
