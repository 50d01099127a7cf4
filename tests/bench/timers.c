/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * timers.c -- the delay of a timer that is waited for beside a long copy
 *
 * One wait has two futures: a copy of 1 GiB on the threads mover, and a timer
 * that expires again and again until the copy is complete. The timer is set
 * before the wait begins. The delay runs from the expiry to the poll that sees
 * it. Two kinds of timers:
 *
 *  - One announces nothing. Its poll looks at the clock.
 *  - One is announced. A thread that sleeps until the expiry calls the waker.
 *    Its expiry is the moment before that call, because how late the system
 *    wakes the thread is not the runtime's work.
 *
 * Only expiries during the copy count. The moment at which the copy is complete
 * is that of the mover's op_delete(), which the poll calls that completes the
 * future. So a wait that does the whole copy in one poll shows as one very late
 * timer, and a wait that sleeps after the copy is not to blame.
 */

#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The threads mover's, with a clock in op_delete(). */
static struct observed {
	struct vdm vdm;   /* that is called */
	struct vdm *real; /* that does the work */
	double ended_ns;  /* 0: the copy is not complete */
} observed;

static void *
observed_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	(void)vdm;
	return observed.real->op_new(observed.real, type);
}

static void
observed_delete(void *data, const struct vdm_operation *op,
	struct vdm_operation_output *output)
{
	observed.ended_ns = clock_ns(CLOCK_MONOTONIC);
	observed.real->op_delete(data, op, output);
}

/* The delays that were seen. */
struct delays {
	double *ns;
	int n, wanted;
	int expiries; /* also those after the copy */
};

/* An expiry at due_ns was seen now. It counts if the copy was not complete. */
static void
note_delay(struct delays *delays, double due_ns, double now)
{
	if (observed.ended_ns != 0 && due_ns > observed.ended_ns)
		return;
	if (delays->n < delays->wanted)
		delays->ns[delays->n++] = now - due_ns;
}

/* Half to one and a half spacings, in steps that no other period has. */
static double
next_due(struct delays *delays, double now)
{
	const int part = delays->expiries++ * 37 % 100;

	return now + settings.spacing_ns * (0.5 + part / 100.0);
}

/* The timer that announces nothing. */
struct silent_data {
	struct delays *delays;
	double due_ns;
};

FUTURE(silent_future, struct silent_data, int);

static enum future_state
silent_task(struct future_context *context, struct future_notifier *n)
{
	struct silent_data *data = future_context_get_data(context);
	const double now = clock_ns(CLOCK_MONOTONIC);

	(void)n;
	if (observed.ended_ns != 0 && data->due_ns > observed.ended_ns)
		return FUTURE_STATE_COMPLETE;
	if (now < data->due_ns)
		return FUTURE_STATE_RUNNING;

	note_delay(data->delays, data->due_ns, now);
	if (observed.ended_ns != 0)
		return FUTURE_STATE_COMPLETE;
	data->due_ns = next_due(data->delays, now);
	return FUTURE_STATE_RUNNING;
}

/* A thread that calls a waker at a time. All is under the lock. */
struct alarm {
	pthread_mutex_t lock;
	pthread_cond_t is_set;
	pthread_t thread;
	struct future_waker waker; /* wake is NULL: not polled yet */
	double at_ns;              /* 0: not set */
	double fired_ns; /* when it was at_ns; 0: not yet, or it was seen */
	bool is_waking;  /* the waker is being called */
	bool is_over;    /* the thread shall end */
};

static void
sleep_until(double ns)
{
	struct timespec until = {(time_t)(ns / 1e9), 0};

	until.tv_nsec = (long)(ns - (double)until.tv_sec * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
		EINTR)
		continue;
}

static void *
alarm_run(void *arg)
{
	struct alarm *alarm = arg;

	pthread_mutex_lock(&alarm->lock);
	for (;;) {
		while (alarm->at_ns == 0 && !alarm->is_over)
			pthread_cond_wait(&alarm->is_set, &alarm->lock);
		if (alarm->is_over)
			break;

		const double at_ns = alarm->at_ns;

		alarm->at_ns = 0;
		pthread_mutex_unlock(&alarm->lock);
		sleep_until(at_ns);
		pthread_mutex_lock(&alarm->lock);

		const struct future_waker waker = alarm->waker;

		alarm->is_waking = true;
		alarm->fired_ns = clock_ns(CLOCK_MONOTONIC);
		pthread_mutex_unlock(&alarm->lock);
		if (waker.wake != NULL)
			FUTURE_WAKER_WAKE(&waker);
		pthread_mutex_lock(&alarm->lock);
		alarm->is_waking = false;
	}
	pthread_mutex_unlock(&alarm->lock);
	return NULL;
}

/* Before the first poll. */
static void
alarm_set(struct alarm *alarm, double at_ns)
{
	pthread_mutex_lock(&alarm->lock);
	alarm->waker.wake = NULL;
	alarm->fired_ns = 0;
	alarm->at_ns = at_ns;
	pthread_mutex_unlock(&alarm->lock);
	pthread_cond_signal(&alarm->is_set);
}

static void
alarm_start(struct alarm *alarm)
{
	*alarm = (struct alarm){.at_ns = 0};
	pthread_mutex_init(&alarm->lock, NULL);
	pthread_cond_init(&alarm->is_set, NULL);
	if (pthread_create(&alarm->thread, NULL, alarm_run, alarm) != 0)
		fail("cannot start a thread");
}

static void
alarm_end(struct alarm *alarm)
{
	pthread_mutex_lock(&alarm->lock);
	alarm->is_over = true;
	pthread_mutex_unlock(&alarm->lock);
	pthread_cond_signal(&alarm->is_set);
	pthread_join(alarm->thread, NULL);
	pthread_cond_destroy(&alarm->is_set);
	pthread_mutex_destroy(&alarm->lock);
}

/* The timer that is announced. */
struct announced_data {
	struct delays *delays;
	struct alarm *alarm;
};

FUTURE(announced_future, struct announced_data, int);

/* Under the lock. A waker must not be called once its future is complete. */
static void
wait_for_waker(struct alarm *alarm)
{
	while (alarm->is_waking) {
		pthread_mutex_unlock(&alarm->lock);
		sched_yield();
		pthread_mutex_lock(&alarm->lock);
	}
}

static enum future_state
announced_task(struct future_context *context, struct future_notifier *n)
{
	struct announced_data *data = future_context_get_data(context);
	struct alarm *alarm = data->alarm;
	enum future_state state = FUTURE_STATE_RUNNING;

	pthread_mutex_lock(&alarm->lock);
	const double now = clock_ns(CLOCK_MONOTONIC);

	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	alarm->waker = n->waker;
	if (alarm->fired_ns != 0) {
		note_delay(data->delays, alarm->fired_ns, now);
		alarm->fired_ns = 0;
		if (observed.ended_ns == 0) {
			alarm->at_ns = next_due(data->delays, now);
		} else {
			wait_for_waker(alarm);
			state = FUTURE_STATE_COMPLETE;
		}
	}
	pthread_mutex_unlock(&alarm->lock);
	pthread_cond_signal(&alarm->is_set);
	return state;
}

/* Waits for one copy and a timer beside it. */
static void
wait_beside(struct runtime *runtime, struct work work, struct delays *delays,
	struct alarm *alarm)
{
	struct vdm_operation_future copy =
		vdm_memcpy(&observed.vdm, work.dst, work.src, work.size, 0);
	const double due_ns = next_due(delays, clock_ns(CLOCK_MONOTONIC));
	struct silent_future silent = {.data = {delays, due_ns}};
	struct announced_future announced = {.data = {delays, alarm}};
	struct future *futs[2] = {FUTURE_AS_RUNNABLE(&copy), NULL};

	FUTURE_INIT(&silent, silent_task);
	FUTURE_INIT(&announced, announced_task);
	futs[1] = FUTURE_AS_RUNNABLE(&silent);
	observed.ended_ns = 0;
	if (alarm != NULL) {
		futs[1] = FUTURE_AS_RUNNABLE(&announced);
		alarm_set(alarm, due_ns);
	}
	runtime_wait_multiple(runtime, futs, 2);
	check(&copy);
}

static void
report_delays(struct runtime *runtime, struct work work, const char *what,
	struct alarm *alarm)
{
	const int wanted = settings.pairs;
	double *ns = new_memory((size_t)wanted * sizeof(*ns));
	double median[MAX_ROUNDS], p99[MAX_ROUNDS];
	struct figure f;

	memset(work.dst, 0x5a, work.size);
	for (int b = 0; b < settings.blocks; b++) {
		struct delays delays = {ns, 0, wanted, 0};

		for (int runs = 0; delays.n < wanted; runs++) {
			if (runs > 100 * wanted)
				fail("no timer expired during a copy");
			wait_beside(runtime, work, &delays, alarm);
		}
		median[b] = quantile(ns, wanted, 0.5);
		p99[b] = quantile(ns, wanted, 0.99);
	}
	if (memcmp(work.dst, work.src, work.size) != 0)
		fail("wrong bytes after a copy with a timer");

	f = figure_of(p99, settings.blocks);
	f.median /= 1e3;
	f.low /= 1e3;
	f.high /= 1e3;
	report_row(what, quantile(median, settings.blocks, 0.5),
		quantile(p99, settings.blocks, 0.5), f, "us", AT_MOST, 100);
	free(ns);
}

/* Not more than a third of the memory for one of two buffers. */
static size_t
size_of_copy(void)
{
	const double memory = (double)sysconf(_SC_AVPHYS_PAGES) *
		(double)sysconf(_SC_PAGESIZE);
	size_t size = settings.beside_size;

	while (size > MIB && 3 * (double)size > memory)
		size /= 2;
	return size;
}

void
bench_timer(void)
{
	const size_t size = size_of_copy();
	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt = data_mover_threads_default();
	char *dst = new_memory(size), *src = new_memory(size);
	const struct work work = {dst, src, size, 1};
	struct alarm alarm;
	char title[64];

	if (runtime == NULL || dmt == NULL)
		fail("cannot make a runtime or a mover");
	for (size_t i = 0; i < size; i += 4 * KIB)
		memset(src + i, (int)(i / (4 * KIB) * 7 % 251), 4 * KIB);
	observed.real = data_mover_threads_get_vdm(dmt);
	observed.vdm = *observed.real;
	observed.vdm.op_new = observed_new;
	observed.vdm.op_delete = observed_delete;

	snprintf(title, sizeof(title),
		"delay of a timer during a copy of %zu MiB", size / MIB);
	report_section(title, "median", "p99");
	report_delays(runtime, work, "timer without a waker, p99", NULL);
	alarm_start(&alarm);
	report_delays(runtime, work, "timer with a waker, p99", &alarm);
	alarm_end(&alarm);

	data_mover_threads_delete(dmt);
	runtime_delete(runtime);
	free(dst);
	free(src);
}
