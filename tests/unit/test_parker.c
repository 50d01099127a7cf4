/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_parker.c -- tests system/parker: tokens, timeouts, signals, and no lost
 * wake
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "system/parker.h"
#include "system/platform.h"

#ifndef MIA_PARKER_PORTABLE
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define SECOND UINT64_C(1000000000)

static void
unpark_before_park_is_not_lost(void **state)
{
	struct mia_parker parker;

	(void)state;
	assert_int_equal(mia_parker_init(&parker), 0);
	mia_parker_unpark(&parker);
	mia_parker_unpark(&parker);
	assert_true(mia_parker_park(&parker, 60 * SECOND));
	/* One token, however many put it there. */
	assert_false(mia_parker_park(&parker, 0));
	mia_parker_fini(&parker);
}

static void
park_times_out_and_keeps_errno(void **state)
{
	struct mia_parker parker;

	(void)state;
	assert_int_equal(mia_parker_init(&parker), 0);
	errno = 777;
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	assert_false(mia_parker_park(&parker, SECOND / 50));
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start >= SECOND / 50);
	assert_int_equal(errno, 777);
	mia_parker_fini(&parker);
}

#if !defined(_WIN32)
/* Returns arg, unless a cancellation point ends the thread before. */
static void *
park_cancelled(void *arg)
{
	struct mia_parker parker;

	pthread_cancel(pthread_self());
	if (mia_parker_init(&parker) != 0)
		return NULL;
	mia_parker_park(&parker, SECOND / 50);
	mia_sleep(SECOND / 50);
	mia_parker_fini(&parker);
	return arg;
}

static void
no_sleep_is_a_cancellation_point(void **state)
{
	char ended;
	void *result = NULL;
	pthread_t thread;

	(void)state;
	assert_int_equal(
		pthread_create(&thread, NULL, park_cancelled, &ended), 0);
	pthread_join(thread, &result);
	assert_ptr_equal(result, &ended);
}
#endif

/*
 * A signal is no token, and a late wake of an earlier token is no token. The
 * sleep goes on.
 */
struct stray {
	struct mia_parker *parker;
	pthread_t sleeper;
	atomic_bool stop;
};

#ifdef SIGUSR1
static void
ignore(int number)
{
	(void)number;
}

static void
catch_signals(void)
{
	const struct sigaction action = {.sa_handler = ignore};

	sigaction(SIGUSR1, &action, NULL);
}

static void
send_signal(pthread_t thread)
{
	pthread_kill(thread, SIGUSR1);
}
#else
static void
catch_signals(void)
{
	printf("left out: signals, of which this system has none\n");
}

static void
send_signal(pthread_t thread)
{
	(void)thread;
}
#endif

static void *
stray_run(void *arg)
{
	struct stray *stray = arg;

	while (!atomic_load(&stray->stop)) {
		send_signal(stray->sleeper);
#ifdef MIA_PARKER_PORTABLE
		/* helgrind wants the lock for it, as the parker does it. */
		mia_mutex_lock(&stray->parker->mutex);
		mia_cond_signal(&stray->parker->cond);
		mia_mutex_unlock(&stray->parker->mutex);
#else
		syscall(SYS_futex, &stray->parker->state,
			1 | 128 /* FUTEX_WAKE_PRIVATE */, 1, NULL, NULL, 0);
#endif
		sched_yield();
	}
	return NULL;
}

static void
stray_wakes_and_signals_do_not_end_the_sleep(void **state)
{
	struct mia_parker parker;
	struct stray stray = {.parker = &parker, .sleeper = pthread_self()};
	pthread_t thread;

	(void)state;
	assert_int_equal(mia_parker_init(&parker), 0);
	catch_signals();
	pthread_create(&thread, NULL, stray_run, &stray);
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	const bool token = mia_parker_park(&parker, SECOND / 10);
	const uint64_t slept = test_clock_ns(CLOCK_MONOTONIC) - start;

	atomic_store(&stray.stop, true);
	pthread_join(thread, NULL);
	assert_false(token);
	assert_true(slept >= SECOND / 10);
	mia_parker_fini(&parker);
}

/* Two threads wake each other in turn; a lost wake would time out. */
#define LONG (10 * SECOND)

struct ping {
	struct mia_parker parkers[2];
	uint64_t counter; /* handed over with the token, not atomic */
	int rounds;
	int lost;
};

/* Returns 1 if no token came, or one whose wake was lost. */
static int
slept_long(struct mia_parker *parker)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	return !mia_parker_park(parker, LONG) ||
		test_clock_ns(CLOCK_MONOTONIC) - start >= LONG;
}

static void *
ping_run(void *arg)
{
	struct ping *ping = arg;

	for (int i = 0; i < ping->rounds; i++) {
		ping->lost += slept_long(&ping->parkers[1]);
		ping->counter++;
		mia_parker_unpark(&ping->parkers[0]);
	}
	return NULL;
}

static void
no_wake_is_lost_and_data_goes_with_the_token(void **state)
{
	struct ping ping = {.rounds = TEST_ROUNDS(30000)};
	pthread_t thread;
	int lost = 0;

	(void)state;
	mia_parker_init(&ping.parkers[0]);
	mia_parker_init(&ping.parkers[1]);
	pthread_create(&thread, NULL, ping_run, &ping);
	for (int i = 0; i < ping.rounds; i++) {
		ping.counter++;
		mia_parker_unpark(&ping.parkers[1]);
		lost += slept_long(&ping.parkers[0]);
	}
	pthread_join(thread, NULL);
	assert_int_equal(lost, 0);
	assert_int_equal(ping.lost, 0);
	assert_int_equal(ping.counter, 2 * ping.rounds);
	mia_parker_fini(&ping.parkers[0]);
	mia_parker_fini(&ping.parkers[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unpark_before_park_is_not_lost),
		cmocka_unit_test(park_times_out_and_keeps_errno),
#if !defined(_WIN32)
		cmocka_unit_test(no_sleep_is_a_cancellation_point),
#endif
		cmocka_unit_test(stray_wakes_and_signals_do_not_end_the_sleep),
		cmocka_unit_test(no_wake_is_lost_and_data_goes_with_the_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
