/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_refused_sleep.c -- tests all waits with sleeps that end at once or fail,
 * wakes that fail, and yields that do nothing
 *
 * No wait lasts for ever, and nothing is lost.
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scenario.h"
#include "threads_mover.h"

static enum sleep_mode {
	SLEEP_RIGHT,
	SLEEP_RETURNS,     /* 0 at once, without a wake */
	SLEEP_INTERRUPTED, /* EINTR */
	SLEEP_AGAIN,       /* EAGAIN */
	SLEEP_MISSING,     /* ENOSYS, and the wake too */
	SLEEP_FORBIDDEN,   /* EPERM, and the wake too */
	SLEEP_MIXED,       /* any of these, or right */
	WAKE_FAILS,        /* the sleep is right */
	SLEEP_MODES
} sleep_mode;
static const char *const sleep_names[] = {"right", "returns at once", "EINTR",
	"EAGAIN", "ENOSYS", "EPERM", "mixed", "wake fails"};
static atomic_long nsleeps;

/* Returns whether this sleep ends at once. Sets *error to its errno, or 0. */
static bool
sleep_fails(int *error)
{
	static const int errors[] = {0, 0, EINTR, EAGAIN, ENOSYS, EPERM};
	enum sleep_mode mode = sleep_mode;

	atomic_fetch_add(&nsleeps, 1);
	if (mode == SLEEP_MIXED)
		mode = (enum sleep_mode)(scenario_random() % SLEEP_MIXED);
	*error = mode < SLEEP_MIXED ? errors[mode] : 0;
	return mode != SLEEP_RIGHT && mode != WAKE_FAILS;
}

static bool
wake_fails(void)
{
	return sleep_mode == SLEEP_MISSING || sleep_mode == SLEEP_FORBIDDEN ||
		sleep_mode == WAKE_FAILS;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* The only direct system call of the library is futex. */
long
__wrap_syscall(long number, ...)
{
	va_list args;
	long a[6];
	int error = 0;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);

	const bool is_wake = number == SYS_futex && (a[1] & 127) == 1;
	const bool is_sleep = number == SYS_futex && !is_wake;
	const bool failing =
		(is_wake && wake_fails()) || (is_sleep && sleep_fails(&error));

	if (!failing)
		return __real_syscall(
			number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (is_wake)
		error = sleep_mode == SLEEP_FORBIDDEN ? EPERM : ENOSYS;
	errno = error;
	return error == 0 ? 0 : -1;
}

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until);

int
__wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until)
{
	int error;

	return sleep_fails(&error)
		? 0 /* it may wake without a reason */
		: __real_pthread_cond_timedwait(cond, mutex, until);
}

static atomic_bool sem_wait_interrupted; /* most of the time */
static atomic_long ninterrupted;

int __real_sem_wait(sem_t *sem);
int __wrap_sem_wait(sem_t *sem);

int
__wrap_sem_wait(sem_t *sem)
{
	if (sem_wait_interrupted && scenario_random() % 16 != 0) {
		atomic_fetch_add(&ninterrupted, 1);
		errno = EINTR;
		return -1;
	}
	return __real_sem_wait(sem);
}

static bool yields_do_nothing;
static atomic_long nyields;

int __real_sched_yield(void);
int __wrap_sched_yield(void);

int
__wrap_sched_yield(void)
{
	if (!yields_do_nothing)
		return __real_sched_yield();
	atomic_fetch_add(&nyields, 1);
	return 0;
}

static void
sleep_that_is_none_ends_all_waits(void **state)
{
	(void)state;
	for (int mode = 0; mode < SLEEP_MODES; mode++) {
		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		deadline(60);
		atomic_store(&nsleeps, 0);
		sleep_mode = (enum sleep_mode)mode;
		scenario_waits(SLOW_WAKER);
		sleep_mode = SLEEP_RIGHT;
		printf("sleep %s: %llu ms, %ld times\n", sleep_names[mode],
			(unsigned long long)((test_clock_ns(CLOCK_MONOTONIC) -
						     start) /
				MS),
			atomic_load(&nsleeps));
		assert_int_equal(atomic_load(&scenario_wrong), 0);
		assert_true(atomic_load(&nsleeps) > 0);
	}
	deadline(0);
}

/* 15 of 16 sleeps of a worker are interrupted. */
static void
interrupted_workers_lose_nothing(void **state)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(2, 4, FUTURE_NOTIFIER_WAKER);

	(void)state;
	deadline(60);
	sem_wait_interrupted = true;
	for (int i = 0; i < 100; i++) {
		struct vdm_operation_future f =
			scenario_make(data_mover_threads_get_vdm(dmt), 0);

		scenario_fill();
		FUTURE_BUSY_POLL(&f);
		scenario_check(&f, 0);
		test_sleep_ns(MS); /* they fall asleep */
	}
	data_mover_threads_delete(dmt);
	sem_wait_interrupted = false;
	assert_int_equal(atomic_load(&scenario_wrong), 0);
	printf("%ld interruptions\n", atomic_load(&ninterrupted));
	/* Under valgrind the workers seldom get to sleep. */
	assert_true(
		atomic_load(&ninterrupted) > (TEST_SLOWDOWN > 10 ? 10 : 100));
	deadline(0);
}

static void
yield_that_does_nothing_ends_all_waits(void **state)
{
	(void)state;
	deadline(120);
	yields_do_nothing = true;
	scenario_waits(SLOW_WAKER);
	yields_do_nothing = false;
	assert_int_equal(atomic_load(&scenario_wrong), 0);
	printf("%ld yields\n", atomic_load(&nyields));
	assert_true(atomic_load(&nyields) > 0);
	deadline(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleep_that_is_none_ends_all_waits),
		cmocka_unit_test(interrupted_workers_lose_nothing),
		cmocka_unit_test(yield_that_does_nothing_ends_all_waits),
	};

	atomic_store(&scenario_seed, test_seed("refused_sleep"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
