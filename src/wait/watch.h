/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * watch.h -- the futures that one thread waits for, and which a pass polls
 *
 * watch.c explains the nouns. The life of the watch of a runtime's wait:
 *
 *	mia_watch_init()
 *	  mia_watch_reserve(), _clear(), _add()   for each set of futures
 *	  mia_watch_pass_all()                    starts all futures
 *	  mia_watch_pass(), mia_watch_work(), ... until the goal is reached
 *	  mia_watch_give_up()                     if futures are left
 *	mia_watch_fini()
 *
 * In that of a completion queue, futures come and go:
 *
 *	mia_watch_init()
 *	  mia_watch_reserve(), _put()             starts a future
 *	  mia_watch_pass(), ...                   until it is complete
 *	  mia_watch_take_done()                   its number is free again
 *	mia_watch_fini()
 *
 * Threads: one at a time. Wakers, from any thread, use only ready.h.
 */

#ifndef LIBMINIASYNC_WATCH_H
#define LIBMINIASYNC_WATCH_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libminiasync/future.h"
#include "wait/list.h"
#include "wait/meter.h"
#include "wait/pace.h"
#include "wait/ready.h"
#include "wait/waiter.h"

/* The memory of a watch's futures. */
struct mia_waiters;

struct mia_watch {
	/* I: */
	struct mia_ready *ready;

	/* Of the thread that waits: */
	struct mia_waiters *waiters; /* NULL: capacity is 0 */
	size_t capacity;             /* room, in futures */
	size_t nadded;               /* numbers in use, or used before */
	size_t nleft;                /* pointers to futures not complete */
	struct mia_goal goal;
	bool lists_done;
	bool roused; /* a taken wake called rouse(). The user clears it */
	struct mia_list hot;
	struct mia_list kept;    /* the next to work is the first */
	unsigned npieces;        /* of the first kept, in a row */
	struct mia_list refused; /* the next to be polled is the first */
	struct mia_list done;    /* complete, in the order of the polls */
	struct mia_list unused;  /* numbers that were taken from there */
};

/* Whether the watch remembers which futures are complete. */
enum mia_watch_done { MIA_WATCH_COUNTS_DONE, MIA_WATCH_LISTS_DONE };

/* The watch becomes the taker of ready, and the only user of its numbers. */
void mia_watch_init(struct mia_watch *watch, struct mia_ready *ready,
	enum mia_watch_done done);

/* ready goes after the watch. */
void mia_watch_fini(struct mia_watch *watch);

/* The slow way of mia_watch_reserve(). */
int mia_watch_grow(struct mia_watch *watch, size_t n);

/* Makes room for n futures. Returns 0, or -ENOMEM and leaves all as it was. */
static inline int
mia_watch_reserve(struct mia_watch *watch, size_t n)
{
	return n <= watch->capacity ? 0 : mia_watch_grow(watch, n);
}

/*
 * Drops all futures. Their late wakes do no harm. The caller may then add n
 * futures, for which there must be room. The goal is that all are complete.
 */
void mia_watch_clear(struct mia_watch *watch, size_t n);

/*
 * Adds the futures that are not complete, each once. A future has one notifier,
 * so only one of two waiters for the same future would be woken. For the goal
 * it counts as often as there are pointers to it.
 */
void mia_watch_add(struct mia_watch *watch, struct future *futs[], size_t n);

/*
 * Polls all futures, except refused ones. True: a future started or ended.
 *
 * MIA_EFFORT_ONCE   for the only pass of a wait: polls each future once
 * MIA_EFFORT_WORK   for the first pass: some polls may work, for a short time
 *                   together
 * MIA_EFFORT_OFFER  for the safety net: an offer goes only to futures that left
 *                   work. A task may have lost the answer of others. Ends
 *                   when the goal is reached
 */
bool mia_watch_pass_all(struct mia_watch *watch, enum mia_effort effort);

/*
 * Which futures a pass polls. Those that were refused wait for the end of
 * others, so each pass polls a few of them.
 */
enum mia_pass {
	MIA_PASS_READY, /* ready ones */
	MIA_PASS_DUE,   /* and hot ones, except if their word is unchanged */
};

/*
 * Ends when the goal is reached. True: a future started or is complete, or
 * there was a wake or a changed word. meter may be NULL.
 */
bool mia_watch_pass(struct mia_watch *watch, enum mia_pass which,
	enum mia_effort effort, struct mia_meter *meter);

enum mia_put {
	MIA_PUT_DONE,    /* it is complete */
	MIA_PUT_HOT,     /* passes are due without a wake */
	MIA_PUT_WAITING, /* for a wake */
};

/*
 * With room for one more: adds a future that the watch does not have, and polls
 * it once. *number is its number.
 */
enum mia_put mia_watch_put(
	struct mia_watch *watch, struct future *fut, size_t *number);

/* The number of the next complete future, or MIA_READY_NONE. */
size_t mia_watch_take_done(struct mia_watch *watch);

/* Whether passes are due without a wake. */
static inline bool
mia_watch_needs_passes(const struct mia_watch *watch)
{
	return !mia_list_is_empty(&watch->hot) ||
		!mia_list_is_empty(&watch->refused);
}

/* Whether a poll left work for this thread. */
static inline bool
mia_watch_has_work(const struct mia_watch *watch)
{
	return !mia_list_is_empty(&watch->kept);
}

/*
 * Polls the first future that left work. With MIA_EFFORT_WORK the poll does a
 * piece of it. With MIA_EFFORT_NONE others get the work. After some pieces it
 * is the turn of the next future: workers may have ended its operation.
 */
void mia_watch_work(struct mia_watch *watch, enum mia_effort effort);

/* Whether as many are complete as the goal asks for. */
static inline bool
mia_watch_has_enough(const struct mia_watch *watch)
{
	return watch->nleft <= watch->goal.max_left;
}

/* The thread does not wait any more. Others get the work left for it. */
void mia_watch_give_up(struct mia_watch *watch);

/*
 * Takes the memory from a watch without futures, whose capacity is 0 then. Puts
 * the memory in front of the list, which is NULL or an earlier result. Returns
 * the list.
 */
struct mia_waiters *mia_watch_strip(
	struct mia_watch *watch, struct mia_waiters *list);

#endif /* LIBMINIASYNC_WATCH_H */
