/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * soak.c -- random programs on several threads, for a number of steps or
 * minutes, under a storm of signals
 *
 *	soak [--minutes N | --steps N] [--threads N] [--size BYTES] [--seed N]
 *
 * Without --seed the clock gives a seed, which is printed. The exit status is 1
 * after an error.
 */

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if !defined(_WIN32)
#include <sys/time.h>
#endif

#include "fake_dml.h"
#include "system.h"
#include "program.h"

#define MAX_THREADS 64
#define ROUND_STEPS 20000

struct worker {
	struct stage *stage;
	uint64_t seed;
	uint64_t steps; /* to do; 0: until the end */
	double end;     /* on the clock, in seconds */
	struct tally tally;
	const char *wrong;
	uint64_t wrong_seed;
	uint64_t nsignals; /* that it took */
};

/*
 * 1,000 signals a second for the threads that run programs. The first thread
 * blocks signals, because it would get all of them. The handler has no atomics.
 * In a handler, an atomic of gcc 12's ThreadSanitizer runs the handler of the
 * next signal, and then leaves all signals blocked.
 */
#if defined(_WIN32)
static void
start_storm(void)
{
	printf("left out: signals, of which this system has none\n");
}

static void
enter_storm(void)
{
}

static uint64_t
leave_storm(void)
{
	return 0;
}
#else
static _Thread_local volatile sig_atomic_t nsignals;

static void
on_signal(int sig)
{
	(void)sig;
	nsignals++;
}

static void
mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(how, &set, NULL);
}

static void
start_storm(void)
{
	const struct sigaction action = {.sa_handler = on_signal};
	const struct itimerval storm = {{0, 997}, {0, 997}};

	mask(SIG_BLOCK);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &storm, NULL);
}

static void
enter_storm(void)
{
	mask(SIG_UNBLOCK);
}

static uint64_t
leave_storm(void)
{
	mask(SIG_BLOCK);
	return (uint64_t)nsignals;
}
#endif

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Many short programs, so that a failure has the seed of a short program. */
static void *
work(void *arg)
{
	struct worker *w = arg;

	enter_storm();
	while (w->wrong == NULL) {
		struct stream stream = {.seed = w->seed};
		uint64_t steps = ROUND_STEPS;

		if (w->steps != 0) {
			if (w->tally.steps >= w->steps)
				break;
			if (steps > w->steps - w->tally.steps)
				steps = w->steps - w->tally.steps;
		} else if (now() >= w->end) {
			break;
		}
		w->wrong_seed = w->seed;
		w->wrong = program_run(w->stage, &stream, steps, &w->tally);
		w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	}
	w->nsignals = leave_storm();
	return NULL;
}

static uint64_t
number(const char *what, const char *text)
{
	char *end;
	const uint64_t value = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0') {
		fprintf(stderr, "soak: %s: its value is not a number\n", what);
		exit(2);
	}
	return value;
}

int
main(int argc, char *argv[])
{
	static const struct option longs[] = {
		{"minutes", required_argument, NULL, 'm'},
		{"steps", required_argument, NULL, 's'},
		{"threads", required_argument, NULL, 't'},
		{"size", required_argument, NULL, 'z'},
		{"seed", required_argument, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	static struct worker workers[MAX_THREADS];
	static struct tally total;
	const char *given = getenv("MIA_TEST_SEED");
	uint64_t minutes = 0, steps = 100000, nthreads = 4, size = 3 << 20;
	uint64_t signals = 0;
	uint64_t seed =
		given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	int failed = 0, c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'm':
			minutes = number("--minutes", optarg);
			break;
		case 's':
			steps = number("--steps", optarg);
			break;
		case 't':
			nthreads = number("--threads", optarg);
			break;
		case 'z':
			size = number("--size", optarg);
			break;
		case 'r':
			seed = number("--seed", optarg);
			break;
		default:
			return 2;
		}
	}
	if (nthreads == 0 || nthreads > MAX_THREADS || size < 1024) {
		fprintf(stderr,
			"soak: --threads is 1 to %d, --size at least 1024 "
			"bytes\n",
			MAX_THREADS);
		return 2;
	}

	printf("soak: MIA_TEST_SEED=%llu, %llu threads\n",
		(unsigned long long)seed, (unsigned long long)nthreads);
	fflush(stdout);
	start_storm();

	const double start = now();
	struct stage *stage = stage_new(size);
	pthread_t threads[MAX_THREADS];

	for (uint64_t i = 0; i < nthreads; i++) {
		workers[i].stage = stage;
		/* Not a step of stream_next(): that would be one program. */
		workers[i].seed = seed + i * 0xd1342543de82ef95u;
		workers[i].steps = minutes == 0 ? steps / nthreads + 1 : 0;
		workers[i].end = start + (double)minutes * 60;
		if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
			abort();
	}
	for (uint64_t i = 0; i < nthreads; i++) {
		const uint64_t *from = (const uint64_t *)&workers[i].tally;

		pthread_join(threads[i], NULL);
		for (size_t k = 0; k < sizeof(total) / sizeof(uint64_t); k++)
			((uint64_t *)&total)[k] += from[k];
		signals += workers[i].nsignals;
		if (workers[i].wrong != NULL) {
			printf("WRONG: %s; to repeat: soak --threads 1 --seed "
			       "%llu, and the same --size\n",
				workers[i].wrong,
				(unsigned long long)workers[i].wrong_seed);
			failed = 1;
		}
	}
	stage_delete(stage);

	const struct fake_dml_seen seen = fake_dml_seen();
	size_t faults = 0;

	for (int i = FAKE_DML_QUEUE_FULL; i < FAKE_DML_OUTCOMES; i++)
		faults += seen.outcomes[i];
	if (seen.misuses != 0 || seen.inits != seen.finalizes) {
		printf("WRONG: DML: %zu misuses; %zu jobs made, %zu ended\n",
			seen.misuses, seen.inits, seen.finalizes);
		failed = 1;
	}
	if (total.steps >= 1000 &&
		(total.wakes == 0 || total.waits == 0 || total.queued == 0)) {
		printf("WRONG: no wake, no wait or no reap in 1,000 steps\n");
		failed = 1;
	}
	printf("%.0f s: %llu steps, %llu operations, %.1f GiB compared, "
	       "%llu chains, %llu lists, %llu waits, %llu futures not complete "
	       "after a wait, "
	       "%llu wakes, %llu futures reaped, %llu queues deleted with "
	       "futures\n"
	       "%llu bad inputs, %llu futures abandoned, %llu canceled, "
	       "%zu faults of a device, %llu movers, %llu signals, "
	       "peak memory %zu MiB\n",
		now() - start, (unsigned long long)total.steps,
		(unsigned long long)total.operations,
		(double)total.bytes / (1 << 30),
		(unsigned long long)total.chains,
		(unsigned long long)total.lists,
		(unsigned long long)total.waits,
		(unsigned long long)total.given_up,
		(unsigned long long)total.wakes,
		(unsigned long long)total.queued,
		(unsigned long long)total.queues,
		(unsigned long long)total.refused,
		(unsigned long long)total.dropped,
		(unsigned long long)total.canceled, faults,
		(unsigned long long)total.movers, (unsigned long long)signals,
		test_peak_kib() / 1024);
	return failed;
}
