/* SPDX-License-Identifier: BSD-3-Clause */

/* wakers.c -- the parts of program.c with wakers */

#include "program.h"

#include <string.h>

/*
 * A waker writes data of the program. Its owner reads that when complete. On a
 * busy machine a poll may wait for it in vain, and it is called once more.
 */
struct woken {
	int calls;
	int before; /* written before the poll that brings the waker */
	atomic_int inside;
	atomic_int asked;
};

/* Not on the stack, where clang does not let the tool see all accesses. */
static struct woken *
woken_new(void)
{
	struct woken *woken = calloc(1, sizeof(*woken));

	assert(woken != NULL);
	return woken;
}

static void
wake(void *data)
{
	struct woken *woken = data;

	woken->calls += woken->before;
}

void
plain_waker(int round)
{
	struct woken *woken = woken_new();
	struct future_notifier n = {.waker = {woken, wake}};
	struct vdm_operation_future f = copy();

	fill(round);
	woken->before = 2;
	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		continue;
	assert(woken->calls % 2 == 0);
	woken->calls++;
	free(woken);
	check(round);
}

/* Returns some time after it began. */
static void
wake_slowly(void *data)
{
	struct woken *woken = data;

	raise_flag(&woken->inside);
	usleep(3000);
	woken->calls++;
}

/* The poll that completes finds the waker running. */
void
slow_waker(void)
{
	struct woken *woken = woken_new();
	struct future_notifier n = {.waker = {woken, wake_slowly}};
	struct vdm_operation_future f = copy();

	if (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		await(&woken->inside);
	FUTURE_BUSY_POLL(&f);
	assert(woken->calls++ > 0);
	free(woken);
}

/* Stays until a poll has returned RUNNING, and is therefore called again. */
static void
wake_again(void *data)
{
	struct woken *woken = data;

	if (!atomic_load_explicit(&woken->asked, memory_order_relaxed)) {
		raise_flag(&woken->inside);
		await(&woken->asked);
	} else {
		woken->calls += woken->before;
	}
}

void
waker_called_again(void)
{
	struct woken *woken = woken_new();
	struct future_notifier n = {.waker = {woken, wake_again}};
	struct vdm_operation_future f = copy();

	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	await(&woken->inside);
	woken->before = 1;
	if (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_RUNNING)
		abort();
	raise_flag(&woken->asked);
	FUTURE_BUSY_POLL(&f);
	assert(woken->calls++ > 0);
	free(woken);
}

static atomic_int may_copy;

static void *
copy_when_told(void *to, const void *from, size_t n, unsigned flags)
{
	(void)flags;
	await(&may_copy);
	return memcpy(to, from, n);
}

/* The second waker is newer than the operation. */
void
replaced_waker(int round)
{
	struct woken *first = woken_new(), *second = woken_new();
	struct future_notifier n = {.waker = {first, wake}};
	struct vdm_operation_future f = copy();

	fill(round);
	atomic_store_explicit(&may_copy, 0, memory_order_relaxed);
	data_mover_threads_set_memcpy_fn(dmt, copy_when_told);
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	second->before = 1;
	n.waker.data = second;
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	free(first);
	raise_flag(&may_copy);
	FUTURE_BUSY_POLL(&f);
	assert(second->calls++ > 0);
	free(second);
	check(round);
}
