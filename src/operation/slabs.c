/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * slabs.c -- see slabs.h
 *
 * Invariant: each span is in the list of spans with the same number of free
 * slabs. The first list with a span, from list 1 upwards, has the fullest spans
 * that have a free slab.
 *
 * At most MIA_SLABS_WARM + keep empty spans stay mapped. Mapping a span raises
 * keep by one if an empty span was released in this period. After a single
 * burst, MIA_SLABS_WARM spans stay. A repeated burst finds its memory mapped
 * the third time. At the end of a period, half of the unneeded empty spans
 * beyond MIA_SLABS_WARM are released.
 *
 * Threads: the caller holds a lock around most calls; see slabs.h.
 */

#include "operation/slabs.h"

#include <stdint.h>

#include "system/platform.h"

/*
 * A period ends after PERIOD_SLABS taken slabs, plus PERIOD_TURNS times the
 * number of slabs in all spans. Taking 8,192 slabs and using their slots takes
 * about 15 ms. Mapping a span and touching it takes about 0.2 ms.
 */
#define PERIOD_SLABS ((size_t)8192)
#define PERIOD_TURNS ((size_t)8)

struct mia_span {
	struct mia_span *prev; /* in its list */
	struct mia_span *next; /* in its list, or in a list of garbage */
	uint32_t nfree;        /* slabs, put back or fresh */
	uint32_t nfresh;       /* slabs that were never taken: the last ones */

	/* Numbers of the slabs that were put back; the newest is on top. */
	uint8_t stack[MIA_SPAN_SLABS];
};

_Static_assert(sizeof(struct mia_span) <= MIA_SLAB_SIZE, "fits its place");
_Static_assert(MIA_SPAN_SLABS <= UINT8_MAX, "fits the stack");

static struct mia_span *
span_of(void *slab)
{
	return (struct mia_span *)((uintptr_t)slab & ~(MIA_SPAN_SIZE - 1));
}

static void
list_push(struct mia_slabs *slabs, struct mia_span *span)
{
	struct mia_span **list = &slabs->by_nfree[span->nfree];

	span->prev = NULL;
	span->next = *list;
	if (*list != NULL)
		(*list)->prev = span;
	*list = span;
	slabs->nempty += span->nfree == MIA_SPAN_SLABS;
}

static void
list_remove(struct mia_slabs *slabs, struct mia_span *span)
{
	if (span->prev != NULL)
		span->prev->next = span->next;
	else
		slabs->by_nfree[span->nfree] = span->next;
	if (span->next != NULL)
		span->next->prev = span->prev;
	slabs->nempty -= span->nfree == MIA_SPAN_SLABS;
}

static void
release_empty(struct mia_slabs *slabs, struct mia_span **garbage)
{
	struct mia_span *span = slabs->by_nfree[MIA_SPAN_SLABS];

	list_remove(slabs, span);
	slabs->nspans--;
	span->next = *garbage;
	*garbage = span;
}

static void
end_period(struct mia_slabs *slabs, struct mia_span **garbage)
{
	if (slabs->nunneeded > MIA_SLABS_WARM) {
		size_t n = (slabs->nunneeded - MIA_SLABS_WARM + 1) / 2;

		slabs->keep -= n < slabs->keep ? n : slabs->keep;
		for (; n > 0; n--)
			release_empty(slabs, garbage);
	}
	slabs->nreleased = 0;
	slabs->nunneeded = slabs->nempty;
	slabs->period = 0;
}

struct mia_slab
mia_slabs_take(struct mia_slabs *slabs, struct mia_span **garbage)
{
	struct mia_span *span = NULL;
	size_t slab;

	if (++slabs->period >
		PERIOD_SLABS + PERIOD_TURNS * MIA_SPAN_SLABS * slabs->nspans)
		end_period(slabs, garbage);

	for (size_t i = 1; i <= MIA_SPAN_SLABS && span == NULL; i++)
		span = slabs->by_nfree[i];
	if (span == NULL)
		return (struct mia_slab){.memory = NULL};

	list_remove(slabs, span);
	const bool is_used = span->nfree > span->nfresh;

	slab = is_used ? span->stack[span->nfree - span->nfresh - 1]
		       : MIA_SPAN_SLABS - span->nfresh--;
	span->nfree--;
	list_push(slabs, span);
	if (slabs->nempty < slabs->nunneeded)
		slabs->nunneeded = slabs->nempty;
	return (struct mia_slab){
		.memory = (char *)span + (slab + 1) * MIA_SLAB_SIZE,
		.content = is_used ? MIA_SLAB_USED : MIA_SLAB_ZERO,
	};
}

void
mia_slabs_put(struct mia_slabs *slabs, void *slab, struct mia_span **garbage)
{
	struct mia_span *span = span_of(slab);

	list_remove(slabs, span);
	span->stack[span->nfree - span->nfresh] =
		(uint8_t)(((uintptr_t)slab - (uintptr_t)span) / MIA_SLAB_SIZE -
			1);
	span->nfree++;
	list_push(slabs, span);

	if (slabs->nempty > MIA_SLABS_WARM + slabs->keep) {
		release_empty(slabs, garbage);
		slabs->nreleased++;
	}
}

struct mia_span *
mia_span_new(enum mia_pages pages)
{
	struct mia_span *span = mia_pages_map(MIA_SPAN_SIZE, pages);

	if (span != NULL)
		span->nfree = span->nfresh = MIA_SPAN_SLABS;
	return span;
}

void
mia_slabs_add_all(struct mia_slabs *slabs, struct mia_span *spans)
{
	while (spans != NULL) {
		struct mia_span *next = spans->next;

		list_push(slabs, spans);
		slabs->nspans++;
		if (slabs->nreleased > 0) {
			slabs->nreleased--;
			slabs->keep++;
		}
		spans = next;
	}
}

struct mia_span *
mia_slabs_take_all(struct mia_slabs *slabs)
{
	struct mia_span *all = NULL;

	for (size_t i = 0; i <= MIA_SPAN_SLABS; i++)
		while (slabs->by_nfree[i] != NULL) {
			struct mia_span *span = slabs->by_nfree[i];

			list_remove(slabs, span);
			span->next = all;
			all = span;
		}
	slabs->nspans = 0;
	return all;
}

struct mia_span *
mia_spans_free(struct mia_span *garbage)
{
	struct mia_span *left = NULL;

	while (garbage != NULL) {
		struct mia_span *next = garbage->next;

		if (!mia_pages_unmap(garbage, MIA_SPAN_SIZE)) {
			garbage->next = left;
			left = garbage;
		}
		garbage = next;
	}
	return left;
}
