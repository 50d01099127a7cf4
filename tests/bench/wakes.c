/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wakes.c -- the cost of a wake-up and of idleness
 *
 * Wake-up: a new thread sleeps for a while, then wakes the sleeper. Both
 * contestants have the same lock, flag, thread and delay, and are woken outside
 * of the lock. The time runs from just before the call that wakes to the return
 * of the sleeper. The contestants take turns, in alternating order.
 *
 * CPU: of the waiting thread, and of the whole process with its workers.
 */

#include "bench.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Wake-up */

enum sleeper { IN_RUNTIME, AT_CONDITION };

/* A sleeper, and the thread that wakes the sleeper. */
struct wake {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct future_waker waker; /* under the lock */
	bool done;                 /* under the lock */
	enum sleeper sleeper;
	long delay_ns;
	double at_ns;
};

struct wake_data {
	struct wake *wake;
};

FUTURE(wake_future, struct wake_data, uint64_t);

static enum future_state
wake_task(struct future_context *context, struct future_notifier *n)
{
	const struct wake_data *data = future_context_get_data(context);
	struct wake *w = data->wake;

	pthread_mutex_lock(&w->lock);
	const bool done = w->done;

	if (n != NULL) {
		w->waker = n->waker;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	}
	pthread_mutex_unlock(&w->lock);
	return done ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

static void *
waker_run(void *arg)
{
	struct wake *w = arg;

	sleep_ns((double)w->delay_ns);
	pthread_mutex_lock(&w->lock);
	w->done = true;
	const struct future_waker waker = w->waker;
	pthread_mutex_unlock(&w->lock);

	w->at_ns = clock_ns(CLOCK_MONOTONIC);
	if (w->sleeper == AT_CONDITION)
		pthread_cond_signal(&w->cond);
	else if (waker.wake != NULL)
		FUTURE_WAKER_WAKE(&waker);
	return NULL;
}

/*
 * Returns nanoseconds from the wake to the return of the wait. *cpu_ns is the
 * CPU time of the thread.
 */
static double
one_wake(struct runtime *runtime, enum sleeper sleeper, long delay_ns,
	double *cpu_ns)
{
	struct wake w = {.sleeper = sleeper, .delay_ns = delay_ns};
	struct wake_future f = {.data = {&w}};
	pthread_t thread;

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	FUTURE_INIT(&f, wake_task);
	if (pthread_create(&thread, NULL, waker_run, &w) != 0)
		fail("cannot start a thread");

	const double cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (sleeper == AT_CONDITION) {
		pthread_mutex_lock(&w.lock);
		while (!w.done)
			pthread_cond_wait(&w.cond, &w.lock);
		pthread_mutex_unlock(&w.lock);
	} else {
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}

	const double end = clock_ns(CLOCK_MONOTONIC);

	*cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	pthread_join(thread, NULL);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return end - w.at_ns;
}

void
bench_wake(void)
{
	const int blocks = settings.blocks, pairs = settings.pairs;
	struct runtime *runtime = runtime_new();
	double *ns[2]; /* of each enum sleeper */
	double median[2][MAX_ROUNDS], p99[2][MAX_ROUNDS];
	double of_median[MAX_ROUNDS], of_p99[MAX_ROUNDS], cpu;

	if (runtime == NULL)
		fail("cannot make a runtime");
	for (int k = 0; k < 2; k++)
		ns[k] = new_memory((size_t)pairs * sizeof(double));

	for (int b = 0; b < blocks; b++) {
		for (int i = 0; i < pairs; i++) {
			/* Shorter and deeper sleeps, below the safety net. */
			const long delay_ns = 200000 + i % 5 * 150000;

			for (int k = 0; k < 2; k++) {
				const int turn = i % 2 == 0 ? k : 1 - k;

				ns[turn][i] = one_wake(runtime,
					(enum sleeper)turn, delay_ns, &cpu);
			}
		}
		for (int k = 0; k < 2; k++) {
			median[k][b] = quantile(ns[k], pairs, 0.5);
			p99[k][b] = quantile(ns[k], pairs, 0.99);
		}
		of_median[b] = median[0][b] / median[1][b];
		of_p99[b] = p99[0][b] / p99[1][b];
	}

	report_section("wake-up of a sleeper", "cond var", "runtime");
	report_row("runtime_wait / cond. variable, median",
		quantile(median[1], blocks, 0.5),
		quantile(median[0], blocks, 0.5), figure_of(of_median, blocks),
		"x", AT_MOST, 1.3);
	report_row("runtime_wait / cond. variable, p99",
		quantile(p99[1], blocks, 0.5), quantile(p99[0], blocks, 0.5),
		figure_of(of_p99, blocks), "x", AT_MOST, 2);
	free(ns[0]);
	free(ns[1]);
	runtime_delete(runtime);
}

/* CPU */

#define WAIT_NS 50000000L

/* A future that only looks at the clock, and announces nothing. */
struct until_data {
	double ns;      /* when it is complete */
	double look_at; /* at the thread's CPU time */
	double cpu_at;  /* the thread's CPU time then */
};

FUTURE(until_future, struct until_data, double);

static enum future_state
until_task(struct future_context *context, struct future_notifier *n)
{
	struct until_data *data = future_context_get_data(context);
	const double now = clock_ns(CLOCK_MONOTONIC);

	(void)n;
	if (data->cpu_at == 0 && now >= data->look_at)
		data->cpu_at = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return now >= data->ns ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

/* The CPU time of a wait for such a future, after 100 ms. */
static double
cpu_of_looking(struct runtime *runtime)
{
	struct until_future f;
	const double start = clock_ns(CLOCK_MONOTONIC);

	FUTURE_INIT(&f, until_task);
	f.data.cpu_at = 0;
	f.data.look_at = start + 2.0 * WAIT_NS;
	f.data.ns = start + 4.0 * WAIT_NS;
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - f.data.cpu_at;
}

/* A copy that takes its time without using the CPU. */
static void *
slow_memcpy(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	sleep_ns((double)WAIT_NS);
	return memcpy(dst, src, n);
}

static struct figure
percent_of(const double *cpu_ns, int n, double ns)
{
	struct figure f = figure_of(cpu_ns, n);

	f.median *= 100 / ns;
	f.low *= 100 / ns;
	f.high *= 100 / ns;
	return f;
}

/* Of a wait for a future that another thread completes after some time. */
static void
cpu_of_waits(struct runtime *runtime, const char *what, long ns, double percent)
{
	/* Each short wait is less exact, so there are more of them. */
	const int waits = settings.waits * (ns < WAIT_NS ? 10 : 1);
	double used[MAX_ROUNDS];

	for (int i = 0; i < waits; i++)
		one_wake(runtime, IN_RUNTIME, ns, &used[i]);
	report_row(what, 0, quantile(used, waits, 0.5),
		percent_of(used, waits, (double)ns), "%", AT_MOST, percent);
}

void
bench_cpu(void)
{
	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt = data_mover_threads_default();
	char *dst = new_memory(64 * KIB), *src = new_memory(64 * KIB);
	double used[MAX_ROUNDS];
	struct figure f;

	if (runtime == NULL || dmt == NULL)
		fail("cannot make a runtime or a mover");
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	report_section("CPU used, part of one CPU", "", "used");
	cpu_of_waits(runtime, "runtime_wait of 5 ms, thread", 5000000, 2);
	cpu_of_waits(runtime, "runtime_wait of 50 ms, thread", WAIT_NS, 0.5);

	for (int i = 0; i < settings.waits; i++)
		used[i] = cpu_of_looking(runtime);
	f = figure_of(used, settings.waits);
	report_row("task without a waker, after 100 ms", 0, f.median,
		percent_of(used, settings.waits, 2.0 * WAIT_NS), "%", AT_MOST,
		1);

	data_mover_threads_set_memcpy_fn(dmt, slow_memcpy);
	for (int i = 0; i < settings.waits; i++) {
		const double cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		struct vdm_operation_future op =
			vdm_memcpy(vdm, dst, src, 64, 0);

		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&op));
		used[i] = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		check(&op);
	}
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	f = figure_of(used, settings.waits);
	report_row("with the threads mover, process", 0, f.median,
		percent_of(used, settings.waits, WAIT_NS), "%", AT_MOST, 1);

	const int idles = 3;

	for (int i = 0; i < idles; i++) {
		struct vdm_operation_future op =
			vdm_memcpy(vdm, dst, src, 64 * KIB, 0);

		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&op));
		check(&op);

		const double cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

		sleep_ns(settings.idle_s * 1e9);
		used[i] = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	}
	f = figure_of(used, idles);
	report_row("idle threads mover, process", 0, f.median,
		percent_of(used, idles, settings.idle_s * 1e9), "%", AT_MOST,
		1);

	data_mover_threads_delete(dmt);
	runtime_delete(runtime);
	free(dst);
	free(src);
}
