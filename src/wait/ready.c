/* SPDX-License-Identifier: BSD-3-Clause */

/* ready.c -- see ready.h */

#include "wait/ready.h"

#include <errno.h>

/* The data of a number is an address within its group. */
_Static_assert(sizeof(struct mia_ready_group) == MIA_CACHE_LINE &&
		MIA_READY_BITS <= MIA_CACHE_LINE,
	"a group has an address for each of its numbers");

void
mia_ready_init(struct mia_ready *ready, void (*rouse)(struct mia_ready *ready))
{
	atomic_init(&ready->pushed, NULL);
	ready->rouse = rouse;
	ready->groups = NULL;
}

void
mia_ready_fini(struct mia_ready *ready)
{
	while (ready->groups != NULL) {
		struct mia_ready_groups *older = ready->groups->older;

		mia_aligned_free(ready->groups);
		ready->groups = older;
	}
}

int
mia_ready_reserve(struct mia_ready *ready, size_t n)
{
	if (n > SIZE_MAX / 4)
		return -ENOMEM;

	const size_t capacity = (n + MIA_READY_BITS - 1) / MIA_READY_BITS;

	if (ready->groups != NULL && ready->groups->capacity >= capacity)
		return 0;

	struct mia_ready_groups *bigger = mia_aligned_alloc(MIA_CACHE_LINE,
		sizeof(*bigger) + capacity * sizeof(bigger->groups[0]));

	if (bigger == NULL)
		return -ENOMEM;

	for (size_t i = 0; i < capacity; i++) {
		bigger->groups[i].ready = ready;
		bigger->groups[i].first = i * MIA_READY_BITS;
		atomic_init(&bigger->groups[i].bits, 0);
		bigger->groups[i].next = NULL;
	}
	/* The owner has no futures now, so all wakes of these are late. */
	if (ready->groups != NULL)
		for (size_t i = 0; i < ready->groups->capacity; i++)
			ready->groups->groups[i].first = MIA_READY_LATE;
	bigger->capacity = capacity;
	bigger->older = ready->groups;
	ready->groups = bigger;
	return 0;
}

/* Pushes a group. Returns true if the list was empty. */
static bool
push(struct mia_ready *ready, struct mia_ready_group *group)
{
	/*
	 * Relaxed, here and on failure: the address is only stored, and nobody
	 * follows it. Release: pairs with the acquire in mia_ready_take(), and
	 * publishes group->next.
	 */
	struct mia_ready_group *first =
		atomic_load_explicit(&ready->pushed, memory_order_relaxed);

	do {
		group->next = first;
	} while (!atomic_compare_exchange_weak_explicit(&ready->pushed, &first,
		group, memory_order_release, memory_order_relaxed));

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
	 * taker has read group->next before this thread writes it anew.
	 * Release: the poll that follows sees what the caller did before this
	 * wake, also if another thread's push carries the bit.
	 */
	const uintptr_t before = atomic_fetch_or_explicit(
		&group->bits, (uintptr_t)1 << bit, memory_order_acq_rel);

	if (before == 0 && push(ready, group))
		ready->rouse(ready);
}

struct mia_ready_batch
mia_ready_take(struct mia_ready *ready)
{
	struct mia_ready_batch batch = {.next = NULL, .first = 0, .bits = 0};

	if (mia_ready_is_empty(ready))
		return batch;

	/*
	 * Acquire: pairs with the release of every push in the list, because
	 * these pushes are one release sequence.
	 */
	struct mia_ready_group *group = atomic_exchange_explicit(
		&ready->pushed, NULL, memory_order_acquire);

	while (group != NULL) {
		struct mia_ready_group *next = group->next;

		group->next = batch.next;
		batch.next = group;
		group = next;
	}

	return batch;
}

/* Takes the bits of the next group, which is then free to be pushed again. */
static void
open_group(struct mia_ready_batch *batch)
{
	struct mia_ready_group *group = batch->next;

	batch->next = group->next;
	batch->first = group->first;

	/*
	 * Pairs with the fetch-or in mia_ready_wake(), both ways. Release:
	 * group->next was read before a waker writes it anew. Acquire: a waker
	 * that found a bit set did not push, and the poll that follows sees
	 * what this waker's caller did before.
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
