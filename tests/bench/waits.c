/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * waits.c -- the cost of a wait
 *
 * Cost per future: the same 10,000 futures are waited for 10, 100, 1,000 or
 * 10,000 at a time. They are created beforehand, so that the caches see the
 * same and only the number in one call differs. One kind completes in its first
 * poll. The waker of the other kind is called when all futures of a call have
 * been polled.
 *
 * Work in polls: each poll of a future sums up a number of bytes, and announces
 * nothing. A plain loop polls it, and a runtime waits for it.
 */

#include "bench.h"

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
		fail("runtime_wait_multiple: polled without a notifier");
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
				.n = w->n, .wakers = &w->wakers[i]};
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
			fail("runtime_wait_multiple: a future is not complete");
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
	snprintf(what, sizeof(what), "%s, max / min", kind);
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
		fail("cannot make a runtime or a mover");
	w.vdm = data_mover_sync_get_vdm(dms);
	w.copies = new_memory(FUTURES * sizeof(*w.copies));
	w.futures = new_memory(FUTURES * sizeof(*w.futures));
	w.announcements = new_memory(FUTURES * sizeof(*w.announcements));
	w.wakers = new_memory(FUTURES * sizeof(*w.wakers));
	w.futs = new_memory(FUTURES * sizeof(struct future *));

	report_section(
		"runtime_wait_multiple, cost per future", "lowest", "highest");
	wait_cost_of(&w, "complete in first poll");
	w.announced = true;
	wait_cost_of(&w, "complete after a wake");

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
	static const size_t steps[] = {2048, 8192}; /* about 1 and 4 us */
	const size_t size = MIB;
	struct runtime *runtime = runtime_new();
	unsigned char *memory = new_memory(size);

	if (runtime == NULL)
		fail("cannot make a runtime");
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
			fail("runtime_wait: wrong sum");
		snprintf(what, sizeof(what), "%zu bytes, runtime / loop",
			steps[i]);
		report_row(what, c[0].median, c[1].median, ratio(&c[1], &c[0]),
			"x", AT_MOST, 1.2);
	}
	runtime_delete(runtime);
	free(memory);
}
