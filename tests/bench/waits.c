/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * waits.c -- what a wait, a wake-up and idleness cost
 *
 * Cost per future: the same 10,000 futures, made beforehand, are waited for
 * 10, 100, 1,000 or 10,000 at a time, so that the caches see the same and only
 * the number in one call differs. One kind completes in its first poll, the
 * other is announced by its waker once all of a call have been polled.
 *
 * Wake-up: a thread made for it sleeps a while, then releases the sleeper.
 * Both contestants have the same lock, flag, thread and delay; both are woken
 * outside of the lock, and the time runs from just before that call to the
 * return of the sleeper. They take turns, in alternating order.
 *
 * Work in polls: a future that sums up memory, so many bytes in each poll, and
 * announces nothing; polled by a plain loop, and waited for.
 *
 * CPU: of the waiting thread; of the whole process, where workers count too.
 */

#include "bench.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cost per future */

#define FUTURES ((size_t)10000)

/* The futures of one call: the first poll of the last announces all. */
struct announcement {
	size_t n, polled;
	bool done;
	struct future_waker *wakers;
};

struct announced_data {
	struct announcement *announcement;
	size_t index;
};

FUTURE(announced_future, struct announced_data, uint64_t);

static enum future_state
announced_task(struct future_context *context, struct future_notifier *n)
{
	const struct announced_data *data = future_context_get_data(context);
	struct announcement *a = data->announcement;

	if (a->done)
		return FUTURE_STATE_COMPLETE;
	if (n == NULL)
		fail("runtime_wait_multiple polled without a notifier");
	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	if (context->state == FUTURE_STATE_IDLE)
		a->polled++;
	a->wakers[data->index] = n->waker;
	if (a->polled == a->n) {
		a->done = true;
		for (size_t i = 0; i < a->n; i++)
			FUTURE_WAKER_WAKE(&a->wakers[i]);
	}
	return FUTURE_STATE_RUNNING;
}

struct wait_cost {
	struct runtime *runtime;
	struct vdm *vdm;
	bool announced;
	size_t n; /* in one call */
	struct vdm_operation_future *copies;
	struct announced_future *futures;
	struct announcement *announcements;
	struct future_waker *wakers;
	struct future **futs;
};

static void
make_futures(struct wait_cost *w)
{
	static char dst, src;

	for (size_t i = 0; i < FUTURES; i++) {
		struct announcement *a = &w->announcements[i / w->n];

		if (!w->announced) {
			w->copies[i] = vdm_memcpy(w->vdm, &dst, &src, 1, 0);
			w->futs[i] = FUTURE_AS_RUNNABLE(&w->copies[i]);
			continue;
		}
		if (i % w->n == 0)
			*a = (struct announcement){
				w->n, 0, false, &w->wakers[i]};
		w->futures[i].data = (struct announced_data){a, i % w->n};
		FUTURE_INIT(&w->futures[i], announced_task);
		w->futs[i] = FUTURE_AS_RUNNABLE(&w->futures[i]);
	}
}

static double
run_wait_cost(void *arg, size_t repeats)
{
	struct wait_cost *w = arg;
	double ns = 0;

	for (size_t r = 0; r < repeats; r++) {
		make_futures(w);

		const double start = clock_ns(CLOCK_MONOTONIC);

		for (size_t i = 0; i < FUTURES; i += w->n)
			runtime_wait_multiple(w->runtime, &w->futs[i], w->n);
		ns += clock_ns(CLOCK_MONOTONIC) - start;
	}
	for (size_t i = 0; i < FUTURES; i++) {
		if (w->futs[i]->context.state != FUTURE_STATE_COMPLETE)
			fail("runtime_wait_multiple left a future");
	}

	return ns;
}

static void
wait_cost_of(struct wait_cost *w, const char *kind)
{
	enum { SIZES = 4 };
	struct wait_cost by_size[SIZES];
	struct contestant c[SIZES] = {0};
	const struct contestant *least = &c[0], *most = &c[0];
	size_t n = 10;
	char what[64];

	for (int i = 0; i < SIZES; i++, n *= 10) {
		by_size[i] = *w;
		by_size[i].n = n;
		c[i].run = run_wait_cost;
		c[i].arg = &by_size[i];
		c[i].units = FUTURES;
	}
	contest(c, SIZES, settings.target_ns);

	for (int i = 0; i < SIZES; i++) {
		snprintf(what, sizeof(what), "%s, %zu at once", kind,
			by_size[i].n);
		report_row(
			what, 0, 0, of_contestant(&c[i]), "ns", NO_TARGET, 0);
		least = c[i].median < least->median ? &c[i] : least;
		most = c[i].median > most->median ? &c[i] : most;
	}
	snprintf(what, sizeof(what), "%s, / cheapest", kind);
	report_row(what, least->median, most->median, ratio(most, least), "x",
		AT_MOST, 1.5);
}

void
bench_wait_cost(void)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct wait_cost w = {0};

	w.runtime = runtime_new();
	if (dms == NULL || w.runtime == NULL)
		fail("no mover or no runtime");
	w.vdm = data_mover_sync_get_vdm(dms);
	w.copies = new_memory(FUTURES * sizeof(*w.copies));
	w.futures = new_memory(FUTURES * sizeof(*w.futures));
	w.announcements = new_memory(FUTURES * sizeof(*w.announcements));
	w.wakers = new_memory(FUTURES * sizeof(*w.wakers));
	w.futs = new_memory(FUTURES * sizeof(struct future *));

	report_section("runtime_wait_multiple, cost per future", "cheapest",
		"dearest");
	wait_cost_of(&w, "done in first poll");
	w.announced = true;
	wait_cost_of(&w, "announced by waker");

	runtime_delete(w.runtime);
	data_mover_sync_delete(dms);
	free(w.copies);
	free(w.futures);
	free(w.announcements);
	free(w.wakers);
	free(w.futs);
}

/* Work in polls */

struct sum_data {
	const unsigned char *next;
	size_t left; /* bytes */
	size_t step; /* bytes in one poll */
};

FUTURE(sum_future, struct sum_data, uint64_t);

static enum future_state
sum_task(struct future_context *context, struct future_notifier *n)
{
	struct sum_data *data = future_context_get_data(context);
	uint64_t *sum = future_context_get_output(context);

	(void)n;
	for (size_t i = 0; i < data->step; i++)
		*sum = *sum * 31 + data->next[i];
	data->next += data->step;
	data->left -= data->step;
	return data->left > 0 ? FUTURE_STATE_RUNNING : FUTURE_STATE_COMPLETE;
}

struct summing {
	struct runtime *runtime; /* NULL: a plain loop */
	const unsigned char *memory;
	size_t size, step;
	uint64_t sum;
};

static double
run_summing(void *arg, size_t repeats)
{
	struct summing *s = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		struct sum_future f = {.data = {s->memory, s->size, s->step}};

		FUTURE_INIT(&f, sum_task);
		if (s->runtime != NULL)
			runtime_wait(s->runtime, FUTURE_AS_RUNNABLE(&f));
		else
			while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
				FUTURE_STATE_COMPLETE)
				continue;
		s->sum = f.output;
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

void
bench_work_in_polls(void)
{
	static const size_t steps[] = {2048, 8192}; /* some 1 and 4 us */
	const size_t size = MIB;
	struct runtime *runtime = runtime_new();
	unsigned char *memory = new_memory(size);

	if (runtime == NULL)
		fail("no runtime");
	memset(memory, 1, size);

	report_section("work done in polls, per poll", "loop", "runtime");
	for (int i = 0; i < 2; i++) {
		struct summing plain = {NULL, memory, size, steps[i], 0};
		struct summing waited = {runtime, memory, size, steps[i], 0};
		struct contestant c[2] = {
			{.run = run_summing, .arg = &plain},
			{.run = run_summing, .arg = &waited},
		};
		char what[64];

		c[0].units = c[1].units = size / steps[i];
		contest(c, 2, settings.target_ns);
		if (plain.sum != waited.sum)
			fail("runtime_wait sums up something else");
		snprintf(what, sizeof(what), "%zu bytes, runtime / loop",
			steps[i]);
		report_row(what, c[0].median, c[1].median, ratio(&c[1], &c[0]),
			"x", AT_MOST, 1.2);
	}
	runtime_delete(runtime);
	free(memory);
}

/* Wake-up */

/* A sleeper, and the thread that wakes it after it fell asleep. */
struct wake {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct future_waker waker; /* under the lock */
	bool done;                 /* under the lock */
	bool bare;                 /* the condition variable, no runtime */
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

static void
sleep_ns(double ns)
{
	struct timespec left = {(time_t)(ns / 1e9), 0};

	left.tv_nsec = (long)(ns - (double)left.tv_sec * 1e9);
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		continue;
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
	if (w->bare)
		pthread_cond_signal(&w->cond);
	else if (waker.wake != NULL)
		FUTURE_WAKER_WAKE(&waker);
	return NULL;
}

/* Nanoseconds from the wake to the return of the wait; the thread's CPU. */
static double
one_wake(struct runtime *runtime, bool bare, long delay_ns, double *cpu_ns)
{
	struct wake w = {.bare = bare, .delay_ns = delay_ns};
	struct wake_future f = {.data = {&w}};
	pthread_t thread;

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	FUTURE_INIT(&f, wake_task);
	if (pthread_create(&thread, NULL, waker_run, &w) != 0)
		fail("no more threads");

	const double cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (bare) {
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
	double *ns[2]; /* of runtime_wait; of the condition variable */
	double median[2][MAX_ROUNDS], p99[2][MAX_ROUNDS];
	double of_median[MAX_ROUNDS], of_p99[MAX_ROUNDS], cpu;

	if (runtime == NULL)
		fail("no runtime");
	for (int k = 0; k < 2; k++)
		ns[k] = new_memory((size_t)pairs * sizeof(double));

	for (int b = 0; b < blocks; b++) {
		for (int i = 0; i < pairs; i++) {
			/* Shorter and deeper sleeps, below the safety net. */
			const long delay_ns = 200000 + i % 5 * 150000;

			for (int k = 0; k < 2; k++) {
				const int turn = i % 2 == 0 ? k : 1 - k;

				ns[turn][i] = one_wake(
					runtime, turn == 1, delay_ns, &cpu);
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
	double cpu_at;  /* what that was then */
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

/* CPU that a thread uses in a wait for such a future, after 100 ms. */
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

void
bench_cpu(void)
{
	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt = data_mover_threads_default();
	char *dst = new_memory(64 * KIB), *src = new_memory(64 * KIB);
	double used[MAX_ROUNDS];
	struct figure f;

	if (runtime == NULL || dmt == NULL)
		fail("no runtime or no mover");
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	report_section("CPU used, of one core", "", "used");
	for (int i = 0; i < settings.waits; i++)
		one_wake(runtime, false, WAIT_NS, &used[i]);
	f = figure_of(used, settings.waits);
	report_row("runtime_wait of 50 ms, thread", 0, f.median,
		percent_of(used, settings.waits, WAIT_NS), "%", AT_MOST, 1);

	for (int i = 0; i < settings.waits; i++)
		used[i] = cpu_of_looking(runtime);
	f = figure_of(used, settings.waits);
	report_row("nothing announced, after 100 ms", 0, f.median,
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
