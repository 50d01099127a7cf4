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
	uint32_t *table;  /* numbers plus 1. 0: free */
	uint32_t *ntwins; /* by number; valid if has_twins */
	struct mia_waiter waiters[];
};

/* Allocates room for n waiters, and for at least one. NULL: no memory. */
struct mia_waiters *mia_waiters_new(size_t n);

/* Frees all memory in a list. */
void mia_waiters_free(struct mia_waiters *list);

/* Empties the table, for at most n new futures. */
void mia_waiters_clear(struct mia_waiters *waiters, size_t n);

/*
 * Whether a waiter since the last clear has the same future. Counts the twin
 * then. Otherwise adds the number to the table, and the caller must give the
 * future to the waiter with this number.
 */
bool mia_waiters_is_twin(
	struct mia_waiters *waiters, const struct future *fut, size_t number);

/* Returns the number of twins of a waiter. has_twins must be true. */
static inline size_t
mia_waiters_twins(
	const struct mia_waiters *waiters, const struct mia_waiter *waiter)
{
	return waiters->ntwins[waiter - waiters->waiters];
}

#endif /* LIBMINIASYNC_WAITERS_H */
