/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wait.h -- a thread polls and sleeps until enough futures are complete
 *
 * A wait has a watch, and a parker on which the thread sleeps. A runtime has
 * one wait for each thread in a call, and recycles the waits. A completion
 * queue has one wait. Wakes may come late, so a wait is freed only with its
 * runtime or queue.
 *
 * A call may return before its futures are complete. A runtime keeps nothing
 * for the abandoned futures. Their wakers refer to the wait, which may then be
 * unused, or used for other futures: see watch.c.
 *
 * Threads: the thread in the call owns the wait. Wakers use ready and parker
 * from any thread.
 */

#ifndef LIBMINIASYNC_WAIT_H
#define LIBMINIASYNC_WAIT_H 1

#include <stddef.h>

#include "libminiasync/future.h"
#include "system/backoff.h"
#include "system/parker.h"
#include "system/platform.h"
#include "wait/pace.h"
#include "wait/ready.h"
#include "wait/watch.h"

struct mia_wait {
	/* A: a waker writes both, so they share a cache line. */
	_Alignas(MIA_CACHE_LINE) struct mia_ready ready;
	struct mia_parker parker;

	/* Owned by the thread in the call: */
	_Alignas(MIA_CACHE_LINE) struct mia_watch watch;
	struct mia_yields yields;
	unsigned vain; /* vain lingers in a row */
};

/* rouse() must unpark the parker. Returns 0 or -errno. */
int mia_wait_init(struct mia_wait *wait, void (*rouse)(struct mia_ready *ready),
	enum mia_ready_taker taker, enum mia_watch_done done);
void mia_wait_fini(struct mia_wait *wait);

/*
 * Call this in a forked child. Discards the wakes of the parent, which may be
 * half done. No other thread may use the wait meanwhile.
 */
void mia_wait_renew(struct mia_wait *wait);

/*
 * Call this after the first pass. Polls and sleeps until the limit is reached.
 * The timeout starts at start_ns, or now if start_ns is 0.
 */
void mia_wait_for_goal(struct mia_wait *wait, struct mia_limit limit,
	const struct mia_net_times *times, uint64_t start_ns);

/*
 * Polls n futures once. Then polls and sleeps until the limit is reached. The
 * watch must have room for n futures. Returns the number of entries that are
 * not complete.
 *
 * Inline: the first poll completes most small operations. Reading the clock
 * takes half as long as such a poll. So the timeout of a wait for one future
 * starts after its first poll.
 */
static inline size_t
mia_wait_run(struct mia_wait *wait, struct future *futs[], size_t n,
	struct mia_limit limit, const struct mia_net_times *times)
{
	struct mia_watch *watch = &wait->watch;
	const uint64_t start_ns =
		limit.timeout_ns > 0 && n > 1 ? mia_clock_ns() : 0;

	mia_watch_clear(watch, n);
	mia_watch_add(watch, futs, n);
	watch->goal.max_left = limit.max_left;
	if (limit.timeout_ns == 0 || mia_watch_has_enough(watch)) {
		mia_watch_pass_all(watch, MIA_EFFORT_ONCE);
		return watch->nleft;
	}

	mia_watch_pass_all(watch, MIA_EFFORT_WORK);
	if (!mia_watch_has_enough(watch))
		mia_wait_for_goal(wait, limit, times, start_ns);
	if (mia_watch_has_work(watch))
		mia_watch_give_up(watch);
	return watch->nleft;
}

#endif /* LIBMINIASYNC_WAIT_H */
