/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * completion_queue.c -- futures come and go, and one thread reaps them
 *
 * A queue is a wait whose watch lists complete futures. Its thread is awake
 * during a call, so it is a quiet taker (ready.h). The queue listens while its
 * thread is parked, and between two calls if the queue has a descriptor.
 *
 * The descriptor, between two calls:
 *   - It is set if a wake has arrived, or a complete future is not reaped. Then
 *     the queue is quiet, so further wakes make no system call.
 *   - Otherwise the queue listens, and the first wake sets the descriptor. If
 *     futures need polls without a wake, the timer sets it.
 *
 * Only a quiet queue resets the descriptor, and listens afterwards. A waker
 * that has lost its CPU may set the descriptor late. Then the descriptor is
 * readable without a reason, until the next reap finds nothing and resets it.
 * The Spin model is tests/model/queue.pml.
 *
 * A forked child polls all futures once, with descriptors of its own.
 *
 * Threads: one at a time. Wakers use ready, parker and fd from any thread.
 */

#include "libminiasync/completion_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "system/forks.h"
#include "system/platform.h"
#include "system/probe.h"
#include "wait/glance.h"
#include "wait/queue_fd.h"
#include "wait/wait.h"

struct completion_queue {
	struct mia_wait wait; /* the first member: see rouse() */
	struct mia_queue_fd fd;
	uint32_t forks; /* mia_forks() of the queue's process */

	/* Owned by the queue's thread: */
	struct mia_gap gap;       /* until the next poll of hot futures */
	size_t npending;          /* futures added and not reaped */
	struct completion *added; /* index: the number of a future */
	size_t capacity;          /* entries of added */
};

/* Any thread. wait is the first member of a queue, and ready of a wait. */
static void
rouse(struct mia_ready *ready)
{
	struct completion_queue *cq = (struct completion_queue *)(void *)ready;

	mia_parker_unpark(&cq->wait.parker);
	mia_queue_fd_rouse(&cq->fd);
}

MIA_PUBLIC struct completion_queue *
completion_queue_new(void)
{
	struct completion_queue *cq = mia_aligned_alloc(
		_Alignof(struct completion_queue), sizeof(*cq));

	if (cq == NULL)
		return NULL;

	memset(cq, 0, sizeof(*cq));

	const int error = mia_wait_init(
		&cq->wait, rouse, MIA_READY_IS_QUIET, MIA_WATCH_LISTS_DONE);

	if (error != 0) {
		mia_aligned_free(cq);
		mia_restore_errno(-error);
		return NULL;
	}

	mia_queue_fd_init(&cq->fd);
	cq->forks = mia_forks();
	cq->gap.end_ns = MIA_NEVER;
	return cq;
}

static size_t
take(struct completion_queue *cq, struct completion *out, size_t max)
{
	size_t n = 0, number;

	while (n < max &&
		(number = mia_watch_take_done(&cq->wait.watch)) !=
			MIA_READY_NONE)
		out[n++] = cq->added[number];
	cq->npending -= n;
	return n;
}

/* Ends a call that took n futures. If 0, a late waker may have set fd. */
static void
settle(struct completion_queue *cq, size_t n)
{
	struct mia_watch *watch = &cq->wait.watch;

	if (!mia_queue_fd_is_open(&cq->fd))
		return;

	cq->fd.is_set |= watch->roused;
	watch->roused = false;
	if (!mia_list_is_empty(&watch->done)) {
		mia_queue_fd_set(&cq->fd);
		return;
	}
	if (cq->fd.is_set || n == 0)
		mia_queue_fd_reset(&cq->fd);
	if (!mia_ready_listen(&cq->wait.ready))
		mia_queue_fd_set(&cq->fd);
	mia_queue_fd_set_timer(&cq->fd, cq->gap.end_ns);
}

/* In a child, wakes of the parent may never come. Not inlined: registers. */
MIA_NOINLINE static void
begin_anew(struct completion_queue *cq)
{
	cq->forks = mia_forks();
	mia_wait_renew(&cq->wait);
	mia_queue_fd_renew(&cq->fd);
	cq->wait.watch.roused = false;
	mia_watch_pass_all(&cq->wait.watch, MIA_EFFORT_ONCE);
	mia_glance_plan(&cq->gap, &cq->wait.watch);
	settle(cq, 1);
}

static void
enter(struct completion_queue *cq)
{
	if (mia_forked_since(cq->forks))
		begin_anew(cq);
}

MIA_PUBLIC int
completion_queue_fd(struct completion_queue *cq)
{
	enter(cq);
	if (!mia_queue_fd_is_open(&cq->fd)) {
		const int error = mia_queue_fd_open(&cq->fd);

		if (error != 0) {
			errno = -error;
			return -1;
		}

		/* Earlier wakes did not set the descriptor. */
		cq->wait.watch.roused = false;
		settle(cq, 1);
	}

	return cq->fd.fd.epoll;
}

/* Makes room for one more future. */
static int
reserve(struct completion_queue *cq)
{
	struct mia_watch *watch = &cq->wait.watch;

	if (!mia_list_is_empty(&watch->unused) || watch->nadded < cq->capacity)
		return 0;

	if (mia_watch_reserve(watch, watch->nadded + 1) != 0)
		return -ENOMEM;

	struct completion *added =
		realloc(cq->added, watch->capacity * sizeof(struct completion));

	if (added == NULL)
		return -ENOMEM;

	cq->added = added;
	cq->capacity = watch->capacity;
	return 0;
}

MIA_PUBLIC int
completion_queue_add(
	struct completion_queue *cq, struct future *fut, void *user_data)
{
	enter(cq);
	const int saved_errno = errno;
	const int error = reserve(cq);
	size_t number;

	mia_restore_errno(error != 0 ? -error : saved_errno);
	if (error != 0)
		return -1;

	const enum mia_put put = mia_watch_put(&cq->wait.watch, fut, &number);

	cq->added[number] = (struct completion){fut, user_data};
	cq->npending++;
	if (put == MIA_PUT_HOT)
		mia_gap_shorten(&cq->gap);
	if (!mia_queue_fd_is_open(&cq->fd))
		return 0;
	if (put == MIA_PUT_DONE)
		mia_queue_fd_set(&cq->fd);
	else if (put == MIA_PUT_HOT)
		mia_queue_fd_set_timer(&cq->fd, cq->gap.end_ns);
	return 0;
}

MIA_PUBLIC size_t
completion_queue_reap(
	struct completion_queue *cq, struct completion *out, size_t max)
{
	size_t n = 0, found;

	if (max == 0)
		return 0;
	enter(cq);

	/* Repeats while it finds futures, and wakes have arrived meanwhile. */
	do {
		mia_glance(&cq->gap, &cq->wait.watch, MIA_EFFORT_NONE);
		found = take(cq, out + n, max - n);
		n += found;
	} while (found > 0 && n < max && !mia_ready_is_empty(&cq->wait.ready));

	MIA_PROBE3(reap, cq, n, cq->npending);
	settle(cq, n);
	return n;
}

static void
wait_for_goal(
	struct completion_queue *cq, struct mia_limit limit, uint64_t start_ns)
{
	mia_wait_for_goal(&cq->wait, limit, &MIA_NET_TIMES, start_ns);
	cq->wait.watch.goal = MIA_NO_GOAL;
	if (cq->gap.end_ns != MIA_NEVER)
		mia_gap_again(&cq->gap, MIA_NET_EMPTY, mia_clock_ns());
	mia_glance_plan(&cq->gap, &cq->wait.watch);
}

MIA_PUBLIC size_t
completion_queue_wait(struct completion_queue *cq, struct completion *out,
	size_t max, size_t nwanted, int64_t timeout_ns)
{
	struct mia_watch *watch = &cq->wait.watch;
	const uint64_t start_ns = timeout_ns > 0 ? mia_clock_ns() : 0;

	if (max == 0)
		return 0;
	enter(cq);
	if (nwanted > max)
		nwanted = max;
	if (nwanted > cq->npending)
		nwanted = cq->npending;

	const struct mia_limit limit = {
		.max_left = cq->npending - nwanted, .timeout_ns = timeout_ns};

	MIA_PROBE3(wait_begin, cq, cq->npending, nwanted);
	mia_glance(&cq->gap, &cq->wait.watch, MIA_EFFORT_OFFER);
	if (timeout_ns != 0 && watch->nleft > limit.max_left)
		wait_for_goal(cq, limit, start_ns);
	if (mia_watch_has_work(watch))
		mia_watch_give_up(watch);
	MIA_PROBE2(wait_end, cq, watch->nleft);

	const size_t n = take(cq, out, max);

	MIA_PROBE3(reap, cq, n, cq->npending);
	settle(cq, n);
	return n;
}

MIA_PUBLIC size_t
completion_queue_pending(const struct completion_queue *cq)
{
	return cq->npending;
}

MIA_PUBLIC void
completion_queue_delete(struct completion_queue *cq)
{
	if (cq == NULL)
		return;

	enter(cq);
	/* Polls all, because another poll may have replaced a waker. */
	mia_watch_pass_all(&cq->wait.watch, MIA_EFFORT_WORK);
	if (cq->wait.watch.nleft > 0)
		wait_for_goal(cq, (struct mia_limit){0, -1}, 0);
	mia_queue_fd_fini(&cq->fd);
	mia_wait_fini(&cq->wait);
	free(cq->added);
	mia_aligned_free(cq);
}
