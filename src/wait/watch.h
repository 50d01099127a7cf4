/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * watch.h -- the futures of a wait, and which of them a pass polls
 *
 * watch.c explains the nouns. The calls for a wait of a runtime:
 *
 *	mia_watch_init()
 *	  mia_watch_reserve(), _clear(), _add()   for each set of futures
 *	  mia_watch_pass_all()                    starts all futures
 *	  mia_watch_pass(), mia_watch_work(), ... until the goal is reached
 *	  mia_watch_give_up()                     if futures are left
 *	mia_watch_fini()
 *
 * The calls for a completion queue, whose futures come and go:
 *
 *	mia_watch_init()
 *	  mia_watch_reserve(), _put()             starts a future
 *	  mia_watch_pass(), ...                   until it is complete
 *	  mia_watch_take_done()                   its number is free again
 *	mia_watch_fini()
 *
 * Threads: one at a time. Wakers use only ready.h, from any thread.
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

	/* Owned by the waiting thread: */
	struct mia_waiters *waiters; /* NULL: capacity is 0 */
	size_t capacity;             /* room, in futures */
	size_t nadded;               /* numbers in use, or used before */
	size_t nleft;                /* pointers to incomplete futures */
	struct mia_goal goal;
	bool lists_done;
	bool roused; /* a taken wake called rouse(). The queue clears it */
	struct mia_list hot;
	struct mia_list kept;    /* the first works next */
	unsigned npieces;        /* pieces of the first kept, in a row */
	struct mia_list refused; /* the first is polled next */
	struct mia_list done;    /* complete, in the order of the polls */
	struct mia_list unused;  /* numbers that were taken from done */
};

/* Whether the watch only counts complete futures, or lists them. */
enum mia_watch_done { MIA_WATCH_COUNTS_DONE, MIA_WATCH_LISTS_DONE };

/* The watch becomes the taker of ready, and the only user of its numbers. */
void mia_watch_init(struct mia_watch *watch, struct mia_ready *ready,
	enum mia_watch_done done);

/* Call this before mia_ready_fini(). */
void mia_watch_fini(struct mia_watch *watch);

/* The slow path of mia_watch_reserve(). */
int mia_watch_grow(struct mia_watch *watch, size_t n);

/* Makes room for n futures. Returns 0, or -ENOMEM and changes nothing. */
static inline int
mia_watch_reserve(struct mia_watch *watch, size_t n)
{
	return n <= watch->capacity ? 0 : mia_watch_grow(watch, n);
}

/*
 * Abandons all futures. Their late wakes do no harm. The caller may then add n
 * futures, for which there must be room. The new goal is that all are complete.
 */
void mia_watch_clear(struct mia_watch *watch, size_t n);

/*
 * Adds the futures that are not complete, each once. A future has one notifier,
 * so only one of two waiters for the same future would be woken. For the goal,
 * a future counts once for each pointer to it.
 */
void mia_watch_add(struct mia_watch *watch, struct future *futs[], size_t n);

/*
 * Polls all futures, except refused futures. Returns true if a future has
 * started or completed.
 *
 * MIA_EFFORT_ONCE   for the only pass of a wait: polls each future once
 * MIA_EFFORT_WORK   for the first pass: some polls may work, for a short time
 *                   together
 * MIA_EFFORT_OFFER  for the safety net: only kept futures get an offer, because
 *                   a task may have lost the answer of others. The pass ends
 *                   when the goal is reached.
 */
bool mia_watch_pass_all(struct mia_watch *watch, enum mia_effort effort);

/*
 * The futures that a pass polls. Refused futures wait until others complete, so
 * each pass also polls a few of them.
 */
enum mia_pass {
	MIA_PASS_READY, /* ready futures */
	MIA_PASS_DUE,   /* hot futures too, except if the word is unchanged */
};

/*
 * Makes a pass, which ends when the goal is reached. Returns true if a future
 * has started or completed, a wake has arrived, or a word has changed. meter
 * may be NULL.
 */
bool mia_watch_pass(struct mia_watch *watch, enum mia_pass which,
	enum mia_effort effort, struct mia_meter *meter);

enum mia_put {
	MIA_PUT_DONE,    /* the future is complete */
	MIA_PUT_HOT,     /* passes are due without a wake */
	MIA_PUT_WAITING, /* the future waits for a wake */
};

/*
 * Adds a future that the watch does not have, and polls it once. There must be
 * room for it. *number becomes its number.
 */
enum mia_put mia_watch_put(
	struct mia_watch *watch, struct future *fut, size_t *number);

/* Returns the number of the next complete future, or MIA_READY_NONE. */
size_t mia_watch_take_done(struct mia_watch *watch);

/* Whether passes are due without a wake. */
static inline bool
mia_watch_needs_passes(const struct mia_watch *watch)
{
	return !mia_list_is_empty(&watch->hot) ||
		!mia_list_is_empty(&watch->refused);
}

/* Whether a poll has kept work for this thread. */
static inline bool
mia_watch_has_work(const struct mia_watch *watch)
{
	return !mia_list_is_empty(&watch->kept);
}

/*
 * Polls the first kept future. With MIA_EFFORT_WORK the poll does a piece of
 * the work. With MIA_EFFORT_NONE workers get the work. After some pieces the
 * next kept future gets its turn, because workers may have completed the first
 * operation.
 */
void mia_watch_work(struct mia_watch *watch, enum mia_effort effort);

/* Whether as many futures are complete as the goal requires. */
static inline bool
mia_watch_has_enough(const struct mia_watch *watch)
{
	return watch->nleft <= watch->goal.max_left;
}

/* Call this at the end of a wait. Workers get the kept work. */
void mia_watch_give_up(struct mia_watch *watch);

/*
 * Takes the memory of a watch without futures, and sets its capacity to 0. Puts
 * the memory in front of the list, which is NULL or an earlier result. Returns
 * the list.
 */
struct mia_waiters *mia_watch_strip(
	struct mia_watch *watch, struct mia_waiters *list);

#endif /* LIBMINIASYNC_WATCH_H */
