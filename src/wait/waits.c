/* SPDX-License-Identifier: BSD-3-Clause */

/* waits.c -- see waits.h */

#include "wait/waits.h"

#include <errno.h>
#include <stdbool.h>

#include "system/forks.h"
#include "wait/waiters.h"

/*
 * The unused waits keep room for this number of futures in total, 84 bytes
 * each. The wait that was used last does not count.
 */
#define KEPT_WAITERS ((size_t)32768)

/*
 * A wait with more room than that frees its room after more than this number of
 * small uses in a row.
 */
#define SMALL_USES 16

struct mia_recycled {
	struct mia_wait wait; /* the first member: see recycled_of() */

	/* Owned by the call that uses the wait. L, while unused: */
	unsigned small_uses; /* in a row */

	/* L: */
	uint32_t forks; /* mia_forks() of the process that added it to all */
	struct mia_recycled *next_unused;
	struct mia_recycled *next; /* in all */
};

static struct mia_recycled *
recycled_of(struct mia_wait *wait)
{
	return (struct mia_recycled *)(void *)wait;
}

/*
 * Whether a wait with much room was used for few futures, many times in a row.
 * Its last use was for n futures.
 */
static bool
is_oversized(struct mia_recycled *recycled, size_t n)
{
	const size_t capacity = recycled->wait.watch.capacity;

	if (capacity <= KEPT_WAITERS || n > capacity / 4)
		recycled->small_uses = 0;
	else
		recycled->small_uses++;
	return recycled->small_uses > SMALL_USES;
}

/*
 * Takes the memory of unused waits, and returns this memory as a list. The
 * waits that were used last keep their memory, with room for at most
 * KEPT_WAITERS futures in total. The caller holds the lock.
 */
static struct mia_waiters *
strip_unused(struct mia_waits *waits)
{
	struct mia_waiters *garbage = NULL;

	waits->nkept = 0;
	for (struct mia_recycled *recycled = waits->unused; recycled != NULL;
		recycled = recycled->next_unused) {
		const size_t capacity = recycled->wait.watch.capacity;

		if (waits->nkept + capacity <= KEPT_WAITERS)
			waits->nkept += capacity;
		else
			garbage =
				mia_watch_strip(&recycled->wait.watch, garbage);
	}

	return garbage;
}

/* The value of forks while a thread of the child is in begin_anew(). */
#define RENEWING(forks) ((forks) | (MIA_FORKS_ONE - 1))

/*
 * In a child, one thread calls this. A lock that is free here was free at the
 * fork. The kernel copies memory so that the child has the writes of each
 * thread in their order, up to some write. So the lists are consistent.
 */
static void
begin_anew(struct mia_waits *waits, uint32_t forks)
{
	if (mia_mutex_try_lock(&waits->lock)) {
		mia_mutex_unlock(&waits->lock);
	} else {
		(void)mia_mutex_init(&waits->lock); /* init succeeded before */
		waits->unused = NULL;
		waits->nkept = 0;
	}

	waits->all = NULL;
	for (struct mia_recycled *recycled = waits->unused; recycled != NULL;
		recycled = recycled->next_unused) {
		mia_wait_renew(&recycled->wait);
		recycled->forks = forks;
		recycled->next = waits->all;
		waits->all = recycled;
	}
}

/* The first thread of a child renews the waits. The others wait for it. */
static void
renew(struct mia_waits *waits)
{
	const uint32_t forks = mia_forks();
	uint32_t seen =
		atomic_load_explicit(&waits->forks, memory_order_relaxed);

	while (seen != forks) {
		/* Relaxed: the data is still as it was at the fork. */
		if (seen != RENEWING(forks) &&
			atomic_compare_exchange_strong_explicit(&waits->forks,
				&seen, RENEWING(forks), memory_order_relaxed,
				memory_order_relaxed)) {
			begin_anew(waits, forks);
			/*
			 * Release: pairs with all acquires of forks: the lists.
			 */
			atomic_store_explicit(
				&waits->forks, forks, memory_order_release);
			return;
		}
		mia_thread_yield();
		seen = atomic_load_explicit(
			&waits->forks, memory_order_acquire);
	}
}

static void
renew_if_forked(struct mia_waits *waits)
{
	/* Acquire: pairs with the release in renew(). */
	if (mia_forked_since(
		    atomic_load_explicit(&waits->forks, memory_order_acquire)))
		renew(waits);
}

static void
lock(struct mia_waits *waits)
{
	renew_if_forked(waits);
	mia_mutex_lock(&waits->lock);
}

/* If the program forked in this call, the wait is on no list of the child. */
static void
adopt_if_forked(struct mia_waits *waits, struct mia_recycled *recycled)
{
	if (!mia_forked_since(recycled->forks))
		return;
	mia_wait_renew(&recycled->wait);
	recycled->forks = mia_forks();
	recycled->next = waits->all;
	waits->all = recycled;
}

/* The wait keeps its room for the next call. */
void
mia_waits_give_back(struct mia_waits *waits, struct mia_wait *wait, size_t n)
{
	struct mia_recycled *recycled = recycled_of(wait);
	struct mia_waiters *garbage = NULL;

	if (is_oversized(recycled, n))
		mia_waiters_free(mia_watch_strip(&wait->watch, NULL));

	lock(waits);
	adopt_if_forked(waits, recycled);
	if (waits->nkept > KEPT_WAITERS)
		garbage = strip_unused(waits);
	waits->nkept += wait->watch.capacity;
	recycled->next_unused = waits->unused;
	waits->unused = recycled;
	mia_mutex_unlock(&waits->lock);

	/* Outside of the lock, because freeing much memory takes long. */
	if (garbage != NULL)
		mia_waiters_free(garbage);
}

/* Returns NULL if no wait is unused. */
static struct mia_recycled *
take_unused(struct mia_waits *waits)
{
	lock(waits);
	struct mia_recycled *recycled = waits->unused;

	if (recycled != NULL) {
		waits->unused = recycled->next_unused;
		waits->nkept -= recycled->wait.watch.capacity;
	}
	mia_mutex_unlock(&waits->lock);
	return recycled;
}

/* Any thread. */
static void
rouse(struct mia_ready *ready)
{
	/* ready is the first member of a wait. */
	struct mia_wait *wait = (struct mia_wait *)(void *)ready;

	mia_parker_unpark(&wait->parker);
}

static int
add(struct mia_waits *waits, struct mia_recycled **recycledp)
{
	struct mia_recycled *recycled = mia_aligned_alloc(
		_Alignof(struct mia_recycled), sizeof(*recycled));

	if (recycled == NULL)
		return -ENOMEM;

	const int error = mia_wait_init(&recycled->wait, rouse,
		MIA_READY_LISTENS, MIA_WATCH_COUNTS_DONE);

	if (error != 0) {
		mia_aligned_free(recycled);
		return error;
	}

	recycled->small_uses = 0;
	recycled->forks = mia_forks();
	lock(waits);
	recycled->next = waits->all;
	waits->all = recycled;
	mia_mutex_unlock(&waits->lock);
	*recycledp = recycled;
	return 0;
}

int
mia_waits_take(struct mia_waits *waits, size_t n, struct mia_wait **waitp)
{
	struct mia_recycled *recycled = take_unused(waits);
	int error = 0;

	if (recycled == NULL)
		error = add(waits, &recycled);
	if (error != 0)
		return error;

	*waitp = &recycled->wait;
	error = mia_watch_reserve(&recycled->wait.watch, n);
	if (error != 0)
		mia_waits_give_back(waits, *waitp, n);
	return error;
}

int
mia_waits_init(struct mia_waits *waits)
{
	struct mia_wait *wait;
	int error = mia_mutex_init(&waits->lock);

	if (error != 0)
		return error;

	atomic_init(&waits->forks, mia_forks());
	waits->all = NULL;
	waits->unused = NULL;
	waits->nkept = 0;
	error = mia_waits_take(waits, 1, &wait);
	if (error != 0)
		mia_waits_fini(waits);
	else
		mia_waits_give_back(waits, wait, 1);
	return error;
}

void
mia_waits_fini(struct mia_waits *waits)
{
	renew_if_forked(waits);
	while (waits->all != NULL) {
		struct mia_recycled *next = waits->all->next;

		mia_wait_fini(&waits->all->wait);
		mia_aligned_free(waits->all);
		waits->all = next;
	}
	mia_mutex_fini(&waits->lock);
}
