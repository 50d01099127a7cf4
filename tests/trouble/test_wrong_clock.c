/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wrong_clock.c -- tests all waits with a monotonic clock that stands
 * still, leaps, falls or fails
 *
 * No wait lasts for ever, and nothing is lost.
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>

#include "scenario.h"

#define HOUR_NS (UINT64_C(3600000) * MS)

/* The clock stands still, or its lead stays the same, for these times. */
#define CLOCK_STEP_NS (100 * MS)
#define CLOCK_SHORT_STEP_NS (MS / 10)

static enum clock_mode {
	CLOCK_RIGHT,
	CLOCK_STANDS_STILL,
	CLOCK_LEAPS, /* by hours, forwards */
	CLOCK_FALLS, /* by hours, backwards; in short steps */
	CLOCK_FAILS,
	CLOCK_FAILS_AT_TIMES,
} clock_mode;

#define CLOCK_MODES (CLOCK_FAILS_AT_TIMES + 1)

static const char *const clock_names[] = {
	"right", "stands still", "leaps", "falls", "fails", "fails at times"};

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

/* The right time. */
static uint64_t
real_ns(void)
{
	struct timespec ts;

	__real_clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

/* Returns the lead of the clock in nanoseconds, modulo 2^64. */
static uint64_t
clock_ahead(uint64_t now)
{
	switch (clock_mode) {
	case CLOCK_STANDS_STILL:
		return -(now % CLOCK_STEP_NS);
	case CLOCK_LEAPS:
		return now / CLOCK_STEP_NS % 100000 * HOUR_NS;
	case CLOCK_FALLS:
		/* Never below zero, which 32 bits of seconds cannot wrap. */
		return (100000 - now / CLOCK_SHORT_STEP_NS % 100000) * HOUR_NS;
	case CLOCK_RIGHT:
	case CLOCK_FAILS:
	case CLOCK_FAILS_AT_TIMES:
		break;
	}
	return 0;
}

int
__wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (clock != CLOCK_MONOTONIC || clock_mode == CLOCK_RIGHT)
		return __real_clock_gettime(clock, ts);

	uint64_t now = real_ns();

	const bool is_odd_step = now / CLOCK_STEP_NS % 2 == 1;

	if (clock_mode == CLOCK_FAILS ||
		(clock_mode == CLOCK_FAILS_AT_TIMES && is_odd_step)) {
		errno = EPERM;
		return -1;
	}
	now += clock_ahead(now);
	ts->tv_sec = (time_t)(now / (1000 * MS));
	ts->tv_nsec = (long)(now % (1000 * MS));
	return 0;
}

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until);

/*
 * It uses the same wrong clock as the caller. If the clock has fallen since
 * then, the end is hours away. Then the wait ends early, as a spurious wake,
 * before the deadline of the test.
 */
int
__wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until)
{
	const uint64_t now = real_ns();
	uint64_t end = (uint64_t)until->tv_sec * 1000 * MS +
		(uint64_t)until->tv_nsec - clock_ahead(now);
	const bool is_far = (int64_t)(end - now) > (int64_t)CLOCK_STEP_NS;

	if (is_far)
		end = now + CLOCK_STEP_NS;

	const struct timespec real_until = {
		.tv_sec = (time_t)(end / (1000 * MS)),
		.tv_nsec = (long)(end % (1000 * MS))};

	const int error =
		__real_pthread_cond_timedwait(cond, mutex, &real_until);
	return is_far ? 0 : error;
}

static void
clock_that_lies_ends_all_waits(void **state)
{
	(void)state;
	for (int mode = 0; mode < CLOCK_MODES; mode++) {
		const uint64_t start = real_ns();

		deadline(60);
		clock_mode = (enum clock_mode)mode;
		scenario_waits(
			mode == CLOCK_FALLS ? NO_SLOW_WAKER : SLOW_WAKER);
		clock_mode = CLOCK_RIGHT;
		printf("clock %s: %llu ms\n", clock_names[mode],
			(unsigned long long)((real_ns() - start) / MS));
		assert_int_equal(atomic_load(&scenario_wrong), 0);
	}
	deadline(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_that_lies_ends_all_waits),
	};

	atomic_store(&scenario_seed, test_seed("wrong_clock"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
