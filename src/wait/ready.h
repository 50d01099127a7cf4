/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ready.h -- numbers that wakers push from any thread and one thread takes
 *
 * Nouns:
 *   number  represents a future: 0, 1, 2, ... The owner assigns the numbers.
 *   data    the argument of mia_ready_wake(). It refers to one number.
 *   group   MIA_READY_BITS numbers in a row: a bit for each, and a link.
 *   taker   the one thread that calls all functions except mia_ready_wake().
 *
 * A wake sets the bit of its number. If no bit of the group was set, the wake
 * also pushes the group onto a list. If the list was empty, the wake calls
 * rouse(). So the taker must take the list after each rouse. A wake takes no
 * lock. A number that was pushed several times is taken once.
 *
 * No wake is lost. The taker clears the bits of a group before it returns the
 * group's first number. A later wake pushes the number again.
 *
 * A late wake has a number that now represents another future or none. The
 * taker gets that number like any other, once in a batch. Only mia_ready_fini()
 * frees groups, so a late wake touches no freed memory. A group costs one byte
 * for each number.
 *
 * A taker that is awake needs no rouse(). A quiet taker leaves a mark on the
 * empty list. Wakes push in front of the mark, and do not call rouse(). Before
 * a quiet taker sleeps, it removes the mark. Then it listens until its next
 * take.
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

/* No number is left. */
#define MIA_READY_NONE SIZE_MAX

struct mia_ready;

struct mia_ready_group {
	/* I: */
	_Alignas(MIA_CACHE_LINE) struct mia_ready *ready;

	/* Of the taker: */
	size_t first; /* number */

	/* A: */
	_Atomic uintptr_t bits;

	/* Owned by the waker that set the first bit, then by the taker: */
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

/*
 * Wakers read and write this struct. Keep it on cache lines without other data.
 */
struct mia_ready {
	/* A: */
	_Atomic(struct mia_ready_group *) pushed; /* the last pushed first */

	/* I: called by any thread */
	void (*rouse)(struct mia_ready *ready);

	/* Of the taker: */
	struct mia_ready_group *empty;   /* I: after a take: NULL or mark */
	struct mia_ready_group **groups; /* by number / MIA_READY_BITS */
	size_t ngroups;
	struct mia_ready_groups *newest;
};

/* The mark of quiet takers. No thread writes it. */
extern struct mia_ready_group mia_ready_mark;

void mia_ready_init(struct mia_ready *ready,
	void (*rouse)(struct mia_ready *ready), enum mia_ready_taker taker);

/* Call this when no more wakes can come. */
void mia_ready_fini(struct mia_ready *ready);

/*
 * Call this in a forked child. Discards all wakes, also wakes that workers of
 * the parent left half done. No other thread may use the struct meanwhile.
 */
void mia_ready_renew(struct mia_ready *ready);

/* Makes room for numbers below n. Data stays valid. Returns 0 or -ENOMEM. */
int mia_ready_reserve(struct mia_ready *ready, size_t n);

/*
 * Returns the data of a number that has room. The lowest bits of the address
 * are the index of the number's bit.
 */
static inline void *
mia_ready_data(const struct mia_ready *ready, size_t number)
{
	struct mia_ready_group *group = ready->groups[number / MIA_READY_BITS];

	return (char *)group + number % MIA_READY_BITS;
}

/* Pushes the number of data. A future_waker_wake_fn, for any thread. */
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
 * Makes a quiet taker listen until its next take: the next wake calls rouse().
 * Returns false if a wake has arrived without a call of rouse(). Other takers
 * always listen.
 */
bool mia_ready_listen(struct mia_ready *ready);

/* Numbers that were taken together. */
struct mia_ready_batch {
	struct mia_ready_group *next; /* the next to open */
	size_t first;                 /* first number of the open group */
	uintptr_t bits;               /* left in the open group */
	bool roused;                  /* the first wake calls rouse() */
};

/* Takes all groups of the list, in the order in which they were pushed. */
struct mia_ready_batch mia_ready_take(struct mia_ready *ready);

/*
 * Returns the next number, or MIA_READY_NONE. The numbers of a group are in
 * ascending order. The taker must continue until MIA_READY_NONE, because wakes
 * do not push a group that is in a batch.
 */
size_t mia_ready_pop(struct mia_ready_batch *batch);

#endif /* LIBMINIASYNC_READY_H */
