/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * slabs.h -- memory for slabs, from spans of pages that return to the system
 *
 * A span is 2 MiB of pages, aligned to its size. Its first 16 KiB hold data of
 * the span. The rest is 127 slabs of 16 KiB. The masked address of a slab is
 * its span.
 *
 * An empty span has only free slabs. It returns to the system as a whole, or
 * stays mapped (warm). Slabs are taken from the fullest span, so that other
 * spans become empty.
 *
 * Threads: the caller holds a lock around each call marked "Under the lock".
 * Only the two functions marked "Not under the lock" call the system.
 */

#ifndef LIBMINIASYNC_SLABS_H
#define LIBMINIASYNC_SLABS_H 1

#include <stddef.h>

#include "system/platform.h"

#define MIA_SLAB_SIZE ((size_t)16384)
#define MIA_SPAN_SIZE ((size_t)2097152)
#define MIA_SPAN_SLABS (MIA_SPAN_SIZE / MIA_SLAB_SIZE - 1)

struct mia_span;

/* All zero before the first call. Under the lock. */
struct mia_slabs {
	struct mia_span *by_nfree[MIA_SPAN_SLABS + 1]; /* lists */
	size_t nspans;
	size_t nempty;    /* spans without a slab in use */
	size_t keep;      /* empty spans to keep beyond MIA_SLABS_WARM */
	size_t nreleased; /* spans released in this period, minus new ones */
	size_t nunneeded; /* the fewest empty spans in this period */
	size_t period;    /* slabs that were taken in this period */
};

/* Empty spans that are always kept. */
#define MIA_SLABS_WARM ((size_t)2)

struct mia_slab {
	void *memory; /* NULL: no slab is free */
	enum mia_slab_content { MIA_SLAB_ZERO, MIA_SLAB_USED } content;
};

/* Under the lock: takes a slab. Adds spans to unmap to *garbage. */
struct mia_slab mia_slabs_take(
	struct mia_slabs *slabs, struct mia_span **garbage);

/* Under the lock: puts a slab back. Adds spans to unmap to *garbage. */
void mia_slabs_put(
	struct mia_slabs *slabs, void *slab, struct mia_span **garbage);

/*
 * Not under the lock: maps a span. Returns NULL if memory is short. The first
 * span should have small pages. Keeps errno.
 */
struct mia_span *mia_span_new(enum mia_pages pages);

/* Under the lock: adds a list of empty spans. NULL is an empty list. */
void mia_slabs_add_all(struct mia_slabs *slabs, struct mia_span *spans);

/* Under the lock: removes all spans, in use or not, and returns the list. */
struct mia_span *mia_slabs_take_all(struct mia_slabs *slabs);

/*
 * Not under the lock: unmaps a list of spans. Returns the spans that the system
 * does not unmap, because of its limit of mappings. Keeps errno.
 */
struct mia_span *mia_spans_free(struct mia_span *garbage);

#endif /* LIBMINIASYNC_SLABS_H */
