/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wait.h -- one call of runtime_wait*(): a thread polls and sleeps
 *
 * A wait has a watch, and a parker on which the thread sleeps. Waits are
 * recycled, so most calls need no memory. Wakers may come late, so a wait is
 * deleted only with its runtime.
 *
 * Threads: a wait belongs to the thread that is in the call. Wakers, from any
 * thread, use ready and parker.
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

	/* Of the thread in the call. L, while unused: */
	_Alignas(MIA_CACHE_LINE) struct mia_watch watch;
	struct mia_yields yields;
	unsigned vain;       /* lingered in vain so many times in a row */
	unsigned small_uses; /* in a row: see runtime.c */

	/* L: the runtime's lock */
	struct mia_wait *next_unused;
	struct mia_wait *next; /* in the list of all waits */
};

/* Returns 0 or -errno. */
int mia_wait_new(struct mia_wait **wait);
void mia_wait_delete(struct mia_wait *wait);

/* The rest of mia_wait_run(), after the first pass. */
void mia_wait_until_complete(
	struct mia_wait *wait, const struct mia_net_times *times);

/*
 * Polls and sleeps until n futures are complete. There must be room for them.
 * Inline: the first poll completes most small operations.
 */
static inline void
mia_wait_run(struct mia_wait *wait, struct future *futs[], size_t n,
	const struct mia_net_times *times)
{
	mia_watch_clear(&wait->watch, n);
	mia_watch_add(&wait->watch, futs, n);
	mia_watch_pass_all(&wait->watch, MIA_EFFORT_WORK);
	if (wait->watch.nleft > 0)
		mia_wait_until_complete(wait, times);
}

/* The same without memory: polls all futures in turn, with growing pauses. */
void mia_wait_by_polling(struct future *futs[], size_t n);

#endif /* LIBMINIASYNC_WAIT_H */
