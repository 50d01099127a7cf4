/* SPDX-License-Identifier: BSD-3-Clause */

/* ready.c -- see ready.h */

#include "wait/ready.h"

#include <errno.h>
#include <stdlib.h>

/* The data of a number is an address within its group. */
_Static_assert(sizeof(struct mia_ready_group) == MIA_CACHE_LINE &&
		MIA_READY_BITS <= MIA_CACHE_LINE,
	"a group has an address for each of its numbers");

struct mia_ready_group mia_ready_mark;

void
mia_ready_init(struct mia_ready *ready, void (*rouse)(struct mia_ready *ready),
	enum mia_ready_taker taker)
{
	ready->empty = taker == MIA_READY_IS_QUIET ? &mia_ready_mark : NULL;
	atomic_init(&ready->pushed, ready->empty);
	ready->rouse = rouse;
	ready->groups = NULL;
	ready->ngroups = 0;
	ready->newest = NULL;
}

void
mia_ready_fini(struct mia_ready *ready)
{
	while (ready->newest != NULL) {
		struct mia_ready_groups *older = ready->newest->older;

		mia_aligned_free(ready->newest);
		ready->newest = older;
	}
	free(ready->groups);
}

void
mia_ready_renew(struct mia_ready *ready)
{
	/* Relaxed, both: one thread. */
	atomic_store_explicit(
		&ready->pushed, ready->empty, memory_order_relaxed);
	for (size_t i = 0; i < ready->ngroups; i++)
		atomic_store_explicit(
			&ready->groups[i]->bits, 0, memory_order_relaxed);
}

int
mia_ready_reserve(struct mia_ready *ready, size_t n)
{
	if (n > SIZE_MAX / 4)
		return -ENOMEM;

	const size_t ngroups = (n + MIA_READY_BITS - 1) / MIA_READY_BITS;

	if (ngroups <= ready->ngroups)
		return 0;

	/* If the groups get no memory, the larger array stays. */
	struct mia_ready_group **all = realloc(
		ready->groups, ngroups * sizeof(struct mia_ready_group *));

	if (all == NULL)
		return -ENOMEM;

	ready->groups = all;

	struct mia_ready_groups *newest = mia_aligned_alloc(MIA_CACHE_LINE,
		sizeof(*newest) +
			(ngroups - ready->ngroups) * sizeof(newest->groups[0]));

	if (newest == NULL)
		return -ENOMEM;

	newest->older = ready->newest;
	ready->newest = newest;
	for (size_t i = ready->ngroups; i < ngroups; i++) {
		struct mia_ready_group *group =
			&newest->groups[i - ready->ngroups];

		group->ready = ready;
		group->first = i * MIA_READY_BITS;
		atomic_init(&group->bits, 0);
		group->next = NULL;
		all[i] = group;
	}
	ready->ngroups = ngroups;
	return 0;
}

/* Pushes a group. Returns true if the taker listens and the list was empty. */
static bool
push(struct mia_ready *ready, struct mia_ready_group *group)
{
	/*
	 * Relaxed, here and on failure: this thread stores the address, and
	 * does not follow it. Release: pairs with the acquire in
	 * mia_ready_take(), and publishes group->next. Acquire: pairs with the
	 * release in mia_ready_listen(). So rouse() sees the earlier writes of
	 * the taker.
	 */
	struct mia_ready_group *first =
		atomic_load_explicit(&ready->pushed, memory_order_relaxed);

	do {
		group->next = first;
	} while (!atomic_compare_exchange_weak_explicit(&ready->pushed, &first,
		group, memory_order_acq_rel, memory_order_relaxed));

	return first == NULL;
}

void
mia_ready_wake(void *data)
{
	const uintptr_t bit = (uintptr_t)data % MIA_CACHE_LINE;
	struct mia_ready_group *group =
		(struct mia_ready_group *)(void *)((char *)data - bit);
	struct mia_ready *ready = group->ready;

	/*
	 * Pairs with the exchange in open_group(), both ways. Acquire: the
	 * taker has read group->next before this thread writes it again.
	 * Release: the next poll sees the caller's writes before this wake,
	 * also if another thread has pushed the group.
	 */
	const uintptr_t before = atomic_fetch_or_explicit(
		&group->bits, (uintptr_t)1 << bit, memory_order_acq_rel);

	if (before == 0 && push(ready, group))
		ready->rouse(ready);
}

bool
mia_ready_listen(struct mia_ready *ready)
{
	struct mia_ready_group *mark = &mia_ready_mark;

	/*
	 * Release: pairs with the acquire in push(). Relaxed on failure: the
	 * taker takes the list next.
	 */
	return ready->empty == NULL ||
		atomic_compare_exchange_strong_explicit(&ready->pushed, &mark,
			NULL, memory_order_release, memory_order_relaxed);
}

struct mia_ready_batch
mia_ready_take(struct mia_ready *ready)
{
	struct mia_ready_batch batch = {.next = NULL, .first = 0, .bits = 0};

	/* Relaxed: the next take finds a wake that arrives now. */
	if (atomic_load_explicit(&ready->pushed, memory_order_relaxed) ==
		ready->empty)
		return batch;

	/*
	 * Acquire: pairs with the release of every push in the list, because
	 * these pushes are one release sequence.
	 */
	struct mia_ready_group *group = atomic_exchange_explicit(
		&ready->pushed, ready->empty, memory_order_acquire);

	while (group != NULL && group != &mia_ready_mark) {
		struct mia_ready_group *next = group->next;

		group->next = batch.next;
		batch.next = group;
		group = next;
	}
	batch.roused = group == NULL && batch.next != NULL;
	return batch;
}

/* Takes the bits of the next group. Wakers may then push the group again. */
static void
open_group(struct mia_ready_batch *batch)
{
	struct mia_ready_group *group = batch->next;

	batch->next = group->next;
	batch->first = group->first;

	/*
	 * Pairs with the fetch-or in mia_ready_wake(), both ways. Release: this
	 * thread has read group->next before a waker writes it again. Acquire:
	 * a waker that found a bit set did not push. The next poll sees the
	 * earlier writes of that waker's caller.
	 */
	batch->bits =
		atomic_exchange_explicit(&group->bits, 0, memory_order_acq_rel);
}

size_t
mia_ready_pop(struct mia_ready_batch *batch)
{
	if (batch->bits == 0) {
		if (batch->next == NULL)
			return MIA_READY_NONE;
		open_group(batch);
	}

	const size_t bit = (size_t)__builtin_ctzll(batch->bits);

	batch->bits &= batch->bits - 1;
	return batch->first + bit;
}
