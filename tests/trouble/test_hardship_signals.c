/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_hardship_signals.c -- tests the threads mover and the runtime in storms
 * of signals, which interrupt or restart system calls
 *
 * Linux only.
 */

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "libminiasync.h"
#include "rounds.h"

/*
 * 10 kHz of signals on each of two threads that use movers, and as many again
 * on the process. The handler has no atomics. In a handler, an atomic of gcc
 * 12's ThreadSanitizer runs the handler of the next signal, and then leaves all
 * signals blocked.
 */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static _Thread_local bool takes_signals;
static _Thread_local volatile sig_atomic_t nsignals;
static volatile sig_atomic_t is_misled;

static void
on_signal(int number)
{
	(void)number;
	if (takes_signals)
		nsignals++;
	else
		is_misled = 1;
}

struct storm {
	struct rounds rounds;
	long nsignals;
	bool has_ended; /* a signal came late, and the mask is as it was */
};

static void *
storm_run(void *arg)
{
	struct storm *storm = arg;
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	const long ns = 107000L * TEST_SLOWDOWN;
	const struct itimerspec spec = {{0, ns}, {0, ns}};
	sigset_t none, mask;
	timer_t timer;

	sigemptyset(&none);
	takes_signals = true;
	nsignals = 0;
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
		return NULL;
	timer_settime(timer, 0, &spec, NULL);
	do_rounds(&storm->rounds, 1500);
	/* Workers are made, and movers deleted, in the storm, too. */
	for (int i = 0; i < 25; i++)
		data_mover_threads_delete(
			data_mover_threads_new(2, 8, FUTURE_NOTIFIER_WAKER));
	pthread_sigmask(SIG_BLOCK, NULL, &mask);

	const long before = nsignals;

	for (int i = 0; i < 1000 && nsignals == before; i++)
		sleep_ms(1);
	storm->has_ended = nsignals > before && !sigismember(&mask, SIGUSR1) &&
		!sigismember(&mask, SIGALRM);
	timer_delete(timer);
	storm->nsignals = nsignals;
	return NULL;
}

static void
storm_of_signals_loses_nothing(int flags)
{
	const struct sigaction action = {
		.sa_handler = on_signal, .sa_flags = flags};
	const long us = 100 * TEST_SLOWDOWN;
	const struct itimerval interval = {{0, us}, {0, us}}, off = {0};
	struct storm storms[2];
	sigset_t all, old;
	pthread_t thread;

	deadline(60);
	is_misled = 0;
	memset(storms, 0, sizeof(storms));
	rounds_init(&storms[0].rounds, 2);
	rounds_init(&storms[1].rounds, 1);
	takes_signals = true;
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);

	/* A thread that starts takes no signal before it unblocks signals. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	assert_int_equal(
		pthread_create(&thread, NULL, storm_run, &storms[1]), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	storm_run(&storms[0]);
	pthread_join(thread, NULL);
	setitimer(ITIMER_REAL, &off, NULL);
	for (int i = 0; i < 2; i++) {
		printf("%ld signals\n", storms[i].nsignals);
		rounds_check(&storms[i].rounds, "storm");
		rounds_fini(&storms[i].rounds);
		assert_true(storms[i].has_ended);
		/* Signals to a thread without a CPU merge into one. */
		assert_true(storms[i].nsignals > 20 / TEST_SLOWDOWN);
	}
	assert_int_equal(is_misled, 0);
	deadline(0);
}

static void
storm_of_interrupting_signals_loses_nothing(void **state)
{
	(void)state;
	storm_of_signals_loses_nothing(0);
}

static void
storm_of_restarting_signals_loses_nothing(void **state)
{
	(void)state;
	storm_of_signals_loses_nothing(SA_RESTART);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm_of_interrupting_signals_loses_nothing),
		cmocka_unit_test(storm_of_restarting_signals_loses_nothing),
	};

	rounds_seed = test_seed("hardship_signals");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
