/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_fork.c -- tests system/fork_lock and operation/operation_pool: forks at
 * any moment, from fork handlers that use pools, and from signal handlers that
 * have interrupted a pool
 *
 * Linux only. Each test has a deadline by alarm(). The signals that fork come
 * from a separate timer, which a child does not inherit.
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/fork_lock.h"
#include "operation/operation_pool.h"
#include "system.h"

/*
 * The lock alone
 */

static struct mia_fork_lock lock;
static long counter; /* under the lock */

static void *
count(void *arg)
{
	for (int i = 0; i < TEST_ROUNDS(100000); i++) {
		mia_fork_lock_enter(&lock);
		counter++;
		mia_fork_lock_leave(&lock);
	}
	return arg;
}

static void
lock_lets_in_one_thread_at_a_time(void **state)
{
	enum { N = 5 };
	pthread_t threads[N];

	(void)state;
	for (int i = 0; i < N; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, count, NULL), 0);
	for (int i = 0; i < N; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, (long)N * TEST_ROUNDS(100000));
}

static bool
is_free(void)
{
	if (!mia_fork_lock_try_enter(&lock))
		return false;
	mia_fork_lock_leave(&lock);
	return true;
}

/* Returns the lock if it is free for the thread that runs this. */
static void *
lock_if_free(void *arg)
{
	(void)arg;
	return is_free() ? &lock : NULL;
}

static bool
is_free_for_others(void)
{
	pthread_t thread;
	void *found = NULL;

	assert_int_equal(pthread_create(&thread, NULL, lock_if_free, NULL), 0);
	pthread_join(thread, &found);
	return found != NULL;
}

static void
forking_thread_enters_and_others_do_not(void **state)
{
	(void)state;
	mia_fork_lock_before_fork(&lock);
	mia_fork_lock_enter(&lock);
	mia_fork_lock_leave(&lock);
	assert_false(is_free_for_others());

	/* A fork handler of the program forks. */
	mia_fork_lock_before_fork(&lock);
	mia_fork_lock_enter(&lock);
	mia_fork_lock_leave(&lock);
	mia_fork_lock_after_fork(&lock);
	assert_false(is_free_for_others());
	mia_fork_lock_enter(&lock);
	mia_fork_lock_leave(&lock);

	mia_fork_lock_after_fork(&lock);
	assert_true(is_free_for_others());
}

static void
fork_inside_stays_inside(void **state)
{
	(void)state;
	mia_fork_lock_enter(&lock);
	for (int i = 0; i < 2; i++) {
		mia_fork_lock_before_fork(&lock);
		mia_fork_lock_before_fork(&lock);
		mia_fork_lock_after_fork(&lock);
		mia_fork_lock_after_fork(&lock);
		assert_false(is_free_for_others());
	}
	mia_fork_lock_leave(&lock);
	assert_true(is_free_for_others());
}

/*
 * Two pools with the same place in the caches of a thread. Each use of one
 * evicts the other, and takes the lock. When both have a slab, no use
 * allocates. A signal handler that interrupts malloc() could not fork.
 */

static struct mia_operation_pool pools[MIA_OPERATION_CACHES + 1];

static void
make_pools(void)
{
	for (int i = 0; i <= MIA_OPERATION_CACHES; i++)
		mia_operation_pool_init(&pools[i], 64, NULL);
	if (pools[0].place != pools[MIA_OPERATION_CACHES].place)
		abort();
}

static void
end_pools(void)
{
	for (int i = 0; i <= MIA_OPERATION_CACHES; i++)
		mia_operation_pool_fini(&pools[i]);
}

static void
use_pools(void)
{
	void *a = mia_operation_pool_get(&pools[0]);
	void *b = mia_operation_pool_get(&pools[MIA_OPERATION_CACHES]);

	if (a == NULL || b == NULL)
		abort();
	memset(a, 1, 64);
	memset(b, 2, 64);
	mia_operation_pool_put(a);
	mia_operation_pool_put(b);
}

/*
 * Fork handlers of the program that were registered before ours. They run while
 * the lock is held.
 */

static enum handlers { IDLE, USE_POOLS, USE_POOLS_AND_FORK } handlers;
static int nhandled;

static void
before_fork(void)
{
	int status = -1;

	if (handlers == IDLE)
		return;
	use_pools();
	nhandled++;
	if (handlers == USE_POOLS)
		return;

	handlers = USE_POOLS;
	const pid_t child = fork();

	if (child == 0) {
		use_pools();
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		abort();
	handlers = USE_POOLS_AND_FORK;
}

static void
after_fork(void)
{
	if (handlers == IDLE)
		return;
	use_pools();
	nhandled++;
}

/* The first of all constructors. */
__attribute__((constructor(101))) static void
register_early(void)
{
	if (pthread_atfork(before_fork, after_fork, after_fork) != 0)
		abort();
}

static void
fork_in(enum handlers what)
{
	int status = -1;

	nhandled = 0;
	handlers = what;
	const pid_t child = fork();

	handlers = IDLE;
	if (child == 0) {
		alarm(20);
		use_pools();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
fork_handlers_registered_early_use_pools(void **state)
{
	(void)state;
	test_deadline(60);
	make_pools();
	fork_in(USE_POOLS);
	assert_int_equal(nhandled, 2);
	fork_in(USE_POOLS_AND_FORK);
	assert_int_equal(nhandled, 4);
	assert_true(is_free_for_others());
	use_pools();
	end_pools();
	test_deadline(0);
}

/*
 * Forks by a signal handler. The child continues at the instruction that was
 * interrupted, uses the pools once more and ends.
 */

static volatile sig_atomic_t nforks, is_child, child_failed;

static void
fork_now(int signal)
{
	const int saved_errno = errno;
	int status = -1;

	(void)signal;
	if (is_child)
		return;
	const pid_t child = fork();

	if (child == 0) {
		is_child = 1;
		alarm(20);
		return;
	}
	if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
		child_failed = 1;
	nforks++;
	errno = saved_errno;
}

static void
use_pools_while_signals_fork(int forks)
{
	struct itimerspec soon = {.it_value.tv_nsec = 1};
	uint64_t seed = test_seed("forks");
	int narmed = 0;
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct sigaction action = {
		.sa_handler = fork_now, .sa_flags = SA_RESTART};
	timer_t timer;

	use_pools();
	nforks = child_failed = 0;
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	while (nforks < forks && !child_failed) {
		if (nforks == narmed) {
			soon.it_value.tv_nsec =
				(long)(20000 + test_random(&seed) % 200000);
			timer_settime(timer, 0, &soon, NULL);
			narmed++;
		}
		use_pools();
		if (is_child) {
			use_pools();
			_exit(0);
		}
	}
	timer_delete(timer);
	assert_int_equal(child_failed, 0);
	assert_true(nforks >= forks);
}

/* The first test, because the process has only one thread here. */
static void
signal_handler_of_the_only_thread_forks(void **state)
{
	(void)state;
	/* TSan's fork() allocates, and reports this in a signal handler. */
	if (TEST_TSAN)
		skip();
	test_deadline(120);
	make_pools();
	use_pools_while_signals_fork(TEST_ROUNDS(1500));
	end_pools();
	test_deadline(0);
}

static atomic_bool stop;

static void *
use_pools_until_stop(void *arg)
{
	/* Relaxed: the flag alone. */
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		use_pools();
	return arg;
}

static void
signal_handler_beside_busy_threads_forks(void **state)
{
	enum { N = 3 };
	pthread_t threads[N];
	sigset_t set, old;

	(void)state;
	/* Locks of sanitizers and emulators do not survive this fork. */
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL)
		skip();
	test_deadline(120);
	make_pools();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < N; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 use_pools_until_stop, NULL),
			0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	use_pools_while_signals_fork(500);
	atomic_store(&stop, true);
	for (int i = 0; i < N; i++)
		pthread_join(threads[i], NULL);
	end_pools();
	test_deadline(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signal_handler_of_the_only_thread_forks),
		cmocka_unit_test(fork_handlers_registered_early_use_pools),
		cmocka_unit_test(lock_lets_in_one_thread_at_a_time),
		cmocka_unit_test(forking_thread_enters_and_others_do_not),
		cmocka_unit_test(fork_inside_stays_inside),
		cmocka_unit_test(signal_handler_beside_busy_threads_forks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
