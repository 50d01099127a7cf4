/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sharing.c -- see sharing.h
 *
 * Why nobody joins work that is complete: joining is under the lock, and takes
 * work from the list. A sharer that finds nothing left to claim takes the work
 * off the list, and only then leaves. The first sharer leaves no earlier. So
 * work on the list has a sharer.
 */

#include "crew/sharing.h"

int
mia_sharing_init(struct mia_sharing *sharing)
{
	sharing->first = NULL;
	atomic_init(&sharing->count, 0);
	return mia_mutex_init(&sharing->lock);
}

void
mia_sharing_fini(struct mia_sharing *sharing)
{
	mia_mutex_fini(&sharing->lock);
}

void
mia_sharing_open(struct mia_sharing *sharing, struct mia_shared *shared,
	size_t total, size_t chunk)
{
	struct mia_shared **link = &sharing->first;

	shared->next = NULL;
	shared->total = total;
	shared->chunk = chunk;
	/* Relaxed, both: published by the lock. */
	atomic_store_explicit(&shared->claimed, 0, memory_order_relaxed);
	atomic_store_explicit(&shared->sharers, 1, memory_order_relaxed);

	mia_mutex_lock(&sharing->lock);
	while (*link != NULL)
		link = &(*link)->next;
	*link = shared;
	/* Seq_cst: published before the caller looks for sleepers. */
	atomic_fetch_add_explicit(&sharing->count, 1, memory_order_seq_cst);
	mia_mutex_unlock(&sharing->lock);
}

bool
mia_sharing_has_work(struct mia_sharing *sharing)
{
	return atomic_load_explicit(&sharing->count, memory_order_seq_cst) > 0;
}

struct mia_shared *
mia_sharing_join_oldest(struct mia_sharing *sharing)
{
	/* Relaxed: the lock decides. */
	if (atomic_load_explicit(&sharing->count, memory_order_relaxed) == 0)
		return NULL;

	mia_mutex_lock(&sharing->lock);
	struct mia_shared *shared = sharing->first;

	/* Relaxed: work on the list has a sharer, so this is not the first. */
	if (shared != NULL)
		atomic_fetch_add_explicit(
			&shared->sharers, 1, memory_order_relaxed);
	mia_mutex_unlock(&sharing->lock);
	return shared;
}

struct mia_claim
mia_sharing_claim(struct mia_shared *shared)
{
	/* Relaxed, all: a range that nobody else gets, and nothing more. */
	size_t at =
		atomic_load_explicit(&shared->claimed, memory_order_relaxed);

	/* Not a fetch-add: the sum could wrap around beyond the total. */
	while (at < shared->total) {
		const size_t left = shared->total - at;
		const size_t n = left < shared->chunk ? left : shared->chunk;

		if (atomic_compare_exchange_weak_explicit(&shared->claimed, &at,
			    at + n, memory_order_relaxed, memory_order_relaxed))
			return (struct mia_claim){.at = at, .n = n};
	}

	return (struct mia_claim){.at = shared->total, .n = 0};
}

/* Off the list, unless another sharer was faster. */
static void
take_off(struct mia_sharing *sharing, struct mia_shared *shared)
{
	struct mia_shared **link = &sharing->first;

	mia_mutex_lock(&sharing->lock);
	while (*link != NULL && *link != shared)
		link = &(*link)->next;
	if (*link == shared) {
		*link = shared->next;
		/* Seq_cst: as in mia_sharing_open(). */
		atomic_fetch_sub_explicit(
			&sharing->count, 1, memory_order_seq_cst);
	}
	mia_mutex_unlock(&sharing->lock);
}

bool
mia_sharing_leave(struct mia_sharing *sharing, struct mia_shared *shared)
{
	/* Relaxed: the caller's own last claim is among what it sees. */
	if (atomic_load_explicit(&shared->claimed, memory_order_relaxed) ==
		shared->total)
		take_off(sharing, shared);

	/*
	 * Release: the chunks of the caller, to the last sharer. Acquire: the
	 * chunks of the others, which the last sharer passes on.
	 */
	return atomic_fetch_sub_explicit(
		       &shared->sharers, 1, memory_order_acq_rel) == 1;
}
