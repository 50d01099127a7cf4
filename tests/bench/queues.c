/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queues.c -- the cost of a completion queue, and of a time limit
 *
 * One operation: a copy of 64 bytes, which its first poll does, is polled, or
 * goes through a queue: add and reap. Beside that, add and wait, and io_uring's
 * way through the kernel: submit a NOP and wait for its completion.
 *
 * Cost per completion: a queue always has 10 or 10,000 futures. The oldest is
 * woken and reaped, and the next is added. In both cases the same 10,000
 * futures take part in the same order, so that the caches see the same of them.
 *
 * Time limit: runtime_wait_some() with a limit that is never reached, against
 * the waits without one.
 */

#include "bench.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef BENCH_LIBURING
#include <liburing.h>
#endif

#define SIZE ((size_t)64)

/* One operation */

enum how { POLLED, REAPED, WAITED, URING };

struct one {
	enum how how;
	struct vdm *vdm;
	struct completion_queue *cq;
	void *ring;
	char *dst, *src;
};

#ifdef BENCH_LIBURING

static void *
new_ring(void)
{
	struct io_uring *ring = malloc(sizeof(*ring));

	if (ring != NULL && io_uring_queue_init(8, ring, 0) == 0)
		return ring;
	free(ring);
	return NULL; /* the system forbids it */
}

static void
delete_ring(void *ring)
{
	if (ring != NULL)
		io_uring_queue_exit(ring);
	free(ring);
}

static void
run_ring(void *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;

	if (sqe == NULL)
		fail("io_uring: the queue is full");
	io_uring_prep_nop(sqe);
	if (io_uring_submit_and_wait(ring, 1) < 0 ||
		io_uring_wait_cqe(ring, &cqe) != 0)
		fail("io_uring: an operation failed");
	io_uring_cqe_seen(ring, cqe);
}

#else

static void *
new_ring(void)
{
	return NULL;
}

static void
delete_ring(void *ring)
{
	(void)ring;
}

static void
run_ring(void *ring)
{
	(void)ring;
}

#endif

static void
run_copy(struct one *one, size_t size)
{
	struct vdm_operation_future f =
		vdm_memcpy(one->vdm, one->dst, one->src, size, 0);
	struct future *fut = FUTURE_AS_RUNNABLE(&f);
	struct completion done = {fut, one};

	if (one->how == POLLED)
		FUTURE_BUSY_POLL(&f);
	else if (completion_queue_add(one->cq, fut, one) != 0)
		fail("out of memory");
	if (one->how == REAPED && completion_queue_reap(one->cq, &done, 1) != 1)
		fail("completion queue: nothing was reaped");
	if (one->how == WAITED &&
		completion_queue_wait(one->cq, &done, 1, 1, -1) != 1)
		fail("completion queue: the wait returned nothing");
	if (done.future != fut || done.user_data != one)
		fail("completion queue: returned a wrong future");
	if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
		check(&f);
}

static double
run_one(void *arg, size_t repeats)
{
	struct one *one = arg;
	const size_t size = hide(SIZE);
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++)
		if (one->how == URING)
			run_ring(one->ring);
		else
			run_copy(one, size);
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static void
bench_one(struct completion_queue *cq, char *dst, char *src)
{
	struct data_mover_threads *dmt = data_mover_threads_default();
	void *ring = new_ring();
	struct one one[4];
	struct contestant c[4] = {0};
	const size_t n = ring != NULL ? 4 : 3;

	if (dmt == NULL)
		fail("cannot make a mover");
	for (size_t i = 0; i < n; i++) {
		one[i] = (struct one){(enum how)i,
			data_mover_threads_get_vdm(dmt), cq, ring, dst, src};
		c[i] = (struct contestant){
			.run = run_one, .arg = &one[i], .units = 1};
	}
	contest(c, n, settings.target_ns);
	report_section("one copy of 64 B, minus its poll", "polled", "other");
	report_row("add and reap", c[POLLED].median, c[REAPED].median,
		difference(&c[REAPED], &c[POLLED]), "ns", AT_MOST, 60);
	report_row("add and wait", c[POLLED].median, c[WAITED].median,
		difference(&c[WAITED], &c[POLLED]), "ns", NO_TARGET, 0);
	if (ring != NULL)
		report_row("io_uring: a NOP and its wait", c[POLLED].median,
			c[URING].median, difference(&c[URING], &c[POLLED]),
			"ns", NO_TARGET, 0);
	delete_ring(ring);
	data_mover_threads_delete(dmt);
}

/* Cost per completion */

#define FUTURES ((size_t)10000)

struct item {
	struct future_waker waker;
	bool done;
};

FUTURE(item_future, struct item, char);

static enum future_state
item_task(struct future_context *context, struct future_notifier *n)
{
	struct item *item = future_context_get_data(context);

	if (item->done)
		return FUTURE_STATE_COMPLETE;
	item->waker = n->waker;
	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	return FUTURE_STATE_RUNNING;
}

struct window {
	struct completion_queue *cq;
	struct item_future *items; /* FUTURES */
	size_t n;                  /* in the queue */
	size_t first;              /* the oldest of these */
};

static void
add_item(struct window *w, size_t i)
{
	struct item_future *item = &w->items[i % FUTURES];

	item->data.done = false;
	FUTURE_INIT(item, item_task);
	if (completion_queue_add(w->cq, FUTURE_AS_RUNNABLE(item), item) != 0)
		fail("out of memory");
}

static void
take_first(struct window *w)
{
	struct item_future *item = &w->items[w->first % FUTURES];
	struct completion done;

	item->data.done = true;
	FUTURE_WAKER_WAKE(&item->data.waker);
	if (completion_queue_reap(w->cq, &done, 1) != 1 ||
		done.user_data != item)
		fail("completion queue: did not return the oldest future");
	w->first++;
}

static double
run_window(void *arg, size_t repeats)
{
	struct window *w = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats * FUTURES; r++) {
		take_first(w);
		add_item(w, w->first + w->n - 1);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static void
bench_many(void)
{
	struct window windows[2] = {{.n = 10}, {.n = FUTURES}};
	struct contestant c[2] = {0};

	for (size_t i = 0; i < 2; i++) {
		struct window *w = &windows[i];

		w->cq = completion_queue_new();
		w->items = new_memory(FUTURES * sizeof(*w->items));
		if (w->cq == NULL)
			fail("cannot make a completion queue");
		for (size_t k = 0; k < w->n; k++)
			add_item(w, k);
		c[i] = (struct contestant){
			.run = run_window, .arg = w, .units = FUTURES};
	}
	contest(c, 2, settings.target_ns);
	report_section("time of a completion, by futures in the queue", "10",
		"10,000");
	report_row("wake, reap and add, 10,000 / 10", c[0].median, c[1].median,
		ratio(&c[1], &c[0]), "x", AT_MOST, 1.5);
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < windows[i].n; k++)
			take_first(&windows[i]);
		completion_queue_delete(windows[i].cq);
		free(windows[i].items);
	}
}

/* Time limit */

#define MAX_COPIES ((size_t)16)

struct limited {
	struct runtime *runtime;
	struct vdm *vdm;
	bool has_limit;
	size_t n;
	char *dst, *src;
};

static double
run_limited(void *arg, size_t repeats)
{
	struct limited *l = arg;
	const size_t size = hide(SIZE);
	struct vdm_operation_future f[MAX_COPIES];
	struct future *futs[MAX_COPIES];
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		for (size_t i = 0; i < l->n; i++) {
			f[i] = vdm_memcpy(l->vdm, l->dst + i * SIZE,
				l->src + i * SIZE, size, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		if (l->has_limit)
			runtime_wait_some(
				l->runtime, futs, l->n, l->n, INT64_MAX);
		else
			runtime_wait_multiple(l->runtime, futs, l->n);
		for (size_t i = 0; i < l->n; i++)
			if (FUTURE_OUTPUT(&f[i])->result != VDM_SUCCESS)
				check(&f[i]);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static void
bench_limit(char *dst, char *src)
{
	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt = data_mover_threads_default();

	if (runtime == NULL || dmt == NULL)
		fail("cannot make a runtime or a mover");

	report_section(
		"wait with a timeout minus wait without", "without", "with");
	for (size_t n = 1; n <= MAX_COPIES; n *= MAX_COPIES) {
		struct limited l[2];
		struct contestant c[2] = {0};
		char what[64];

		for (size_t i = 0; i < 2; i++) {
			l[i] = (struct limited){runtime,
				data_mover_threads_get_vdm(dmt), i == 1, n, dst,
				src};
			c[i] = (struct contestant){
				.run = run_limited, .arg = &l[i], .units = 1};
		}
		contest(c, 2, settings.target_ns);
		snprintf(what, sizeof(what), "%zu x 64 B", n);
		report_row(what, c[0].median, c[1].median,
			difference(&c[1], &c[0]), "ns", AT_MOST, 30);
	}
	data_mover_threads_delete(dmt);
	runtime_delete(runtime);
}

void
bench_queues(void)
{
	struct completion_queue *cq = completion_queue_new();
	char *dst = new_memory(MAX_COPIES * SIZE);
	char *src = new_memory(MAX_COPIES * SIZE);

	if (cq == NULL)
		fail("cannot make a completion queue");
	bench_one(cq, dst, src);
	bench_many();
	bench_limit(dst, src);
	completion_queue_delete(cq);
	free(dst);
	free(src);
}
