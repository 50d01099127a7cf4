/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * waiters.h -- the memory of a watch: waiters, and a table that finds twins
 *
 * A twin is a second pointer to the same future. A future has one notifier, so
 * only one of two waiters for the same future would be woken.
 *
 * Threads: one at a time.
 */

#ifndef LIBMINIASYNC_WAITERS_H
#define LIBMINIASYNC_WAITERS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libminiasync/future.h"
#include "wait/waiter.h"

/* The table has two entries for each waiter. */
struct mia_waiters {
	struct mia_waiters *next; /* in a list of mia_watch_strip() */
	size_t capacity;          /* a power of two */
	bool has_twins;
	size_t mask;      /* of the part of the table that is in use */
	uint32_t *table;  /* numbers plus 1, or 0 if free */
	uint32_t *ntwins; /* by number, if a waiter has twins */
	struct mia_waiter waiters[];
};

/* Room for n waiters, one at least. Without twins. NULL: no memory. */
struct mia_waiters *mia_waiters_new(size_t n);

/* Frees a list of them. */
void mia_waiters_free(struct mia_waiters *list);

/* There are no futures, and n will be added. */
void mia_waiters_clear(struct mia_waiters *waiters, size_t n);

/*
 * Whether a waiter since the last clear has the same future, and counts it
 * then. Otherwise the waiter with this number is going to have the future.
 */
bool mia_waiters_is_twin(
	struct mia_waiters *waiters, const struct future *fut, size_t number);

/* How many. There are twins. */
static inline size_t
mia_waiters_twins(
	const struct mia_waiters *waiters, const struct mia_waiter *waiter)
{
	return waiters->ntwins[waiter - waiters->waiters];
}

#endif /* LIBMINIASYNC_WAITERS_H */
