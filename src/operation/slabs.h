/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * slabs.h -- memory for slabs, from spans of pages that go back to the system
 *
 * A span is 2 MiB of pages, aligned to that. Its first 16 KiB hold the span's
 * own data; the rest are 127 slabs of 16 KiB. A slab finds its span by masking
 * its address.
 *
 * A span whose slabs are all free goes back to the system as a whole, unless it
 * is kept warm. Slabs come from the fullest span, so that the others empty.
 *
 * The caller has a lock around every call whose comment says so. The system is
 * called only by the two functions that are not under the lock.
 */

#ifndef LIBMINIASYNC_SLABS_H
#define LIBMINIASYNC_SLABS_H 1

#include <stdbool.h>
#include <stddef.h>

#define MIA_SLAB_SIZE ((size_t)16384)
#define MIA_SPAN_SIZE ((size_t)2097152)
#define MIA_SPAN_SLABS (MIA_SPAN_SIZE / MIA_SLAB_SIZE - 1)

struct mia_span;

/* Zero at first. Under the lock. */
struct mia_slabs {
	struct mia_span *by_nfree[MIA_SPAN_SLABS + 1]; /* lists */
	size_t nspans;
	size_t nempty;    /* of these; none of their slabs is in use */
	size_t keep;      /* empty spans beyond MIA_SLABS_WARM to keep */
	size_t nreleased; /* and not mapped again, in this period */
	size_t nunneeded; /* the fewest empty spans in this period */
	size_t period;    /* slabs that were taken in it */
};

/* Empty spans that are always kept. */
#define MIA_SLABS_WARM ((size_t)2)

/*
 * Under the lock: a slab, or NULL if there is no free one. *used: it may hold
 * anything; otherwise it is zero. Spans that are not needed any more go to
 * *garbage.
 */
void *mia_slabs_take(
	struct mia_slabs *slabs, bool *used, struct mia_span **garbage);

/* Under the lock: takes a slab back. */
void mia_slabs_put(
	struct mia_slabs *slabs, void *slab, struct mia_span **garbage);

/* Not under the lock: a span, or NULL if memory is short. Keeps errno. */
struct mia_span *mia_span_new(bool first);

/* Under the lock: adds a list of spans without used slabs; it may be empty. */
void mia_slabs_add_all(struct mia_slabs *slabs, struct mia_span *spans);

/* Under the lock: takes all spans away, in use or not. */
struct mia_span *mia_slabs_take_all(struct mia_slabs *slabs);

/*
 * Not under the lock: gives a list of spans back to the system. Returns those
 * that the system does not take, which is possible at its limit of mappings.
 * Keeps errno.
 */
struct mia_span *mia_spans_free(struct mia_span *garbage);

#endif /* LIBMINIASYNC_SLABS_H */
