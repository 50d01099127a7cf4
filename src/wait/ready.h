/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ready.h -- numbers that wakers push from any thread and one thread takes
 *
 * Nouns:
 *   number  stands for a future: 0, 1, 2, ... The owner decides for which.
 *   data    the argument of mia_ready_wake(). It leads to one number.
 *   group   MIA_READY_BITS numbers in a row: a bit for each, and a link.
 *   taker   the one thread that calls all functions except mia_ready_wake().
 *
 * A wake sets the bit of its number. If no bit of the group was set, the wake
 * also pushes the group onto a list. If the list was empty, the wake calls
 * rouse(). So the taker must take the list after each rouse. None of this takes
 * a lock. A number is taken once, however often it was pushed before.
 *
 * No wake is lost. The taker clears the bits of a group before it returns the
 * group's first number. A wake that comes later pushes the number again.
 *
 * A late wake is for a number that now stands for another future or for none.
 * The taker gets that number like any other, once in a batch. Groups are freed
 * by mia_ready_fini() only, so a late wake touches no freed memory. A group
 * costs a byte for each number.
 *
 * A taker that is awake needs no rouse(). A quiet taker leaves a mark on the
 * empty list. Wakes push in front of the mark, and do not rouse. Before such a
 * taker sleeps it takes the mark off: it listens until its next take.
 */

#ifndef LIBMINIASYNC_READY_H
#define LIBMINIASYNC_READY_H 1

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "system/platform.h"

#define MIA_READY_BITS (sizeof(uintptr_t) * CHAR_BIT)

/* There is no further number. */
#define MIA_READY_NONE SIZE_MAX

struct mia_ready;

struct mia_ready_group {
	/* I: */
	_Alignas(MIA_CACHE_LINE) struct mia_ready *ready;

	/* Of the taker: */
	size_t first; /* number */

	/* A: */
	_Atomic uintptr_t bits;

	/* Of the waker that set the first bit, then of the taker: */
	struct mia_ready_group *next;
};

/* Groups that were allocated together. */
struct mia_ready_groups {
	/* I: */
	_Alignas(MIA_CACHE_LINE) struct mia_ready_groups *older;
	struct mia_ready_group groups[];
};

enum mia_ready_taker {
	MIA_READY_LISTENS, /* always */
	MIA_READY_IS_QUIET,
};

/* Wakers read and write it, so it belongs on a cache line of their own. */
struct mia_ready {
	/* A: */
	_Atomic(struct mia_ready_group *) pushed; /* the last one first */

	/* I: called by any thread */
	void (*rouse)(struct mia_ready *ready);

	/* Of the taker: */
	struct mia_ready_group *empty; /* I: what a take leaves: NULL or mark */
	struct mia_ready_group **groups; /* by number / MIA_READY_BITS */
	size_t ngroups;
	struct mia_ready_groups *newest;
};

/* The mark of quiet takers. Nobody writes it. */
extern struct mia_ready_group mia_ready_mark;

void mia_ready_init(struct mia_ready *ready,
	void (*rouse)(struct mia_ready *ready), enum mia_ready_taker taker);

/* No waker may come any more. */
void mia_ready_fini(struct mia_ready *ready);

/*
 * The process was forked: drops all wakes, and what wakers of the parent left
 * half done. The caller is the only thread that knows the taker.
 */
void mia_ready_renew(struct mia_ready *ready);

/* Makes room for the numbers below n. Data stays valid. 0 or -ENOMEM. */
int mia_ready_reserve(struct mia_ready *ready, size_t n);

/*
 * The data of a number, for which there is room. The lowest bits of the address
 * are the number of the bit.
 */
static inline void *
mia_ready_data(const struct mia_ready *ready, size_t number)
{
	struct mia_ready_group *group = ready->groups[number / MIA_READY_BITS];

	return (char *)group + number % MIA_READY_BITS;
}

/* Pushes a number. A future_waker_wake_fn, for any thread. */
void mia_ready_wake(void *data);

/* Relaxed: only a hint. mia_ready_take() acquires. */
static inline bool
mia_ready_is_empty(struct mia_ready *ready)
{
	const struct mia_ready_group *first =
		atomic_load_explicit(&ready->pushed, memory_order_relaxed);

	return first == NULL || first == &mia_ready_mark;
}

/*
 * A quiet taker listens until its next take: the next wake calls rouse().
 * False: a wake has come, which did not. The other takers always listen.
 */
bool mia_ready_listen(struct mia_ready *ready);

/* Numbers that were taken together. */
struct mia_ready_batch {
	struct mia_ready_group *next; /* to be opened */
	size_t first;                 /* number of the open group */
	uintptr_t bits;               /* that are left in the open group */
	bool roused;                  /* the first wake calls rouse() */
};

/* Takes all groups of the list. The one that was pushed first comes first. */
struct mia_ready_batch mia_ready_take(struct mia_ready *ready);

/*
 * Returns the next number, or MIA_READY_NONE. Numbers of a group come in
 * ascending order. The taker must go on until MIA_READY_NONE: wakes do not push
 * a group that is in a batch.
 */
size_t mia_ready_pop(struct mia_ready_batch *batch);

#endif /* LIBMINIASYNC_READY_H */
