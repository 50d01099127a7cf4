/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * waiter.h -- one future, and the answer of its last poll
 *
 * Nouns:
 *   answer    notifier_used after a poll: NONE, WAKER, or POLLER with a word
 *   hot       the answer is NONE or POLLER. Or a wake has just arrived, and
 *             more polls may help.
 *   kept      the last poll has kept work for the next polls. A poll that gets
 *             an offer does one piece of the work, in a bounded time.
 *   refused   hot, but the future could not start (IDLE and NONE), or it is a
 *             chain whose entry could not start. Its mover has no room now.
 *   doubtful  an answer of a chain that advanced during the poll. The answer
 *             may be from a complete entry, if the current entry gave none.
 *
 * Threads: one at a time. Wakers never touch a waiter.
 */

#ifndef LIBMINIASYNC_WAITER_H
#define LIBMINIASYNC_WAITER_H 1

#include <stdbool.h>
#include <stdint.h>

#include "libminiasync/future.h"
#include "wait/list.h"

/* Polls of a future after a wake, one in each pass. */
#define MIA_LINGER_POLLS 16

struct mia_waiter {
	struct mia_link link; /* the first member: see mia_waiter_of() */
	struct future *fut;   /* NULL: complete */
	struct future_notifier notifier;
	uint64_t word;    /* POLLER: value before the last poll */
	uint32_t padding; /* of the future's context, after the last poll */
	uint8_t linger;   /* hot for this many more polls */
	bool doubtful;
	bool kept;
	bool polled; /* in this pass */
};

static inline struct mia_waiter *
mia_waiter_of(struct mia_link *link)
{
	return (struct mia_waiter *)(void *)link;
}

/* Makes a new waiter, on no list, for a future that was not polled yet. */
static inline void
mia_waiter_init(struct mia_waiter *waiter, struct future *fut,
	struct future_waker waker)
{
	waiter->link.prev = NULL;
	waiter->fut = fut;
	waiter->notifier.waker = waker;
	waiter->notifier.poller.ptr_to_monitor = NULL;
	waiter->notifier.notifier_used = FUTURE_NOTIFIER_NONE;
	waiter->notifier.padding = 0;
	waiter->padding = fut->context.padding;
	waiter->linger = 0;
	waiter->doubtful = false;
	waiter->kept = false;
}

/* Call this after a wake. */
static inline void
mia_waiter_woken(struct mia_waiter *waiter)
{
	waiter->linger = MIA_LINGER_POLLS;
}

static inline bool
mia_waiter_is_hot(const struct mia_waiter *waiter)
{
	return waiter->linger > 0 ||
		waiter->notifier.notifier_used != FUTURE_NOTIFIER_WAKER;
}

static inline bool
mia_waiter_is_refused(const struct mia_waiter *waiter)
{
	const struct future_context *context = &waiter->fut->context;
	const bool not_started = context->state == FUTURE_STATE_IDLE ||
		(context->padding & FUTURE_CONTEXT_REFUSED_) != 0;

	return not_started &&
		waiter->notifier.notifier_used == FUTURE_NOTIFIER_NONE;
}

enum mia_look {
	MIA_LOOK_NO_WORD, /* or a poll is due anyway */
	MIA_LOOK_UNCHANGED,
	MIA_LOOK_CHANGED,
};

/* Compares a hot waiter's word with its value before the last poll. */
enum mia_look mia_waiter_look(const struct mia_waiter *waiter);

/* The work that a poll may do for the future. */
enum mia_effort {
	MIA_EFFORT_ONCE,  /* small work, and only one poll */
	MIA_EFFORT_NONE,  /* small work */
	MIA_EFFORT_OFFER, /* small work, and later polls may do more */
	MIA_EFFORT_WORK,  /* this poll may do more too */
};

enum mia_poll {
	MIA_POLL_COMPLETE, /* fut is NULL now */
	MIA_POLL_STARTED,  /* the future, or the refused entry of the chain */
	MIA_POLL_NOTHING,
};

struct mia_polled {
	enum mia_poll what;
	bool worked; /* only with MIA_EFFORT_WORK: more than small work */
};

/* Polls the future, which must not be complete. */
struct mia_polled mia_waiter_poll(
	struct mia_waiter *waiter, enum mia_effort effort);

#endif /* LIBMINIASYNC_WAITER_H */
