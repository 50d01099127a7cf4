/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sharing.c -- see sharing.h
 *
 * Why no thread joins complete work: threads join under the stripe's lock, and
 * only work on the list. The sharer that claims the last byte removes the work
 * from the list before it does anything else. The first sharer, or the thread
 * that has taken its part over, does not leave before the last byte is claimed.
 * So work on the list has a sharer. Either bytes are left to claim, or a sharer
 * is about to remove the work.
 */

#include "crew/sharing.h"

#include <errno.h>
#include <string.h>

#include "system/backoff.h"
#include "system/cpus.h"

int
mia_sharing_init(struct mia_sharing *sharing, size_t ncpus)
{
	unsigned n = 2;

	while (n / 2 < ncpus && n < MIA_SHARING_STRIPES)
		n *= 2;
	n++;

	sharing->stripes = mia_aligned_alloc(
		_Alignof(struct mia_stripe), n * sizeof(struct mia_stripe));
	if (sharing->stripes == NULL)
		return -ENOMEM;

	memset(sharing->stripes, 0, n * sizeof(struct mia_stripe));
	sharing->ncpus = ncpus;
	atomic_init(&sharing->shown, 0);
	for (unsigned i = 0; i < n; i++) {
		struct mia_stripe *stripe = &sharing->stripes[i];
		const int error = mia_mutex_init(&stripe->lock);

		sharing->nstripes = i;
		if (error != 0) {
			mia_sharing_fini(sharing);
			return error;
		}
		stripe->end = &stripe->first;
		atomic_init(&stripe->cpu, -1);
	}
	sharing->nstripes = n;
	return 0;
}

void
mia_sharing_fini(struct mia_sharing *sharing)
{
	for (unsigned i = 0; i < sharing->nstripes; i++)
		mia_mutex_fini(&sharing->stripes[i].lock);
	mia_aligned_free(sharing->stripes);
}

static size_t
bit_of(unsigned stripe)
{
	return (size_t)1 << stripe;
}

/* The workers' stripe is the last one. */
static unsigned
workers_stripe(const struct mia_sharing *sharing)
{
	return sharing->nstripes - 1;
}

/* The stripe of the calling thread. waiters.c has the same multiplier. */
static unsigned
stripe_of(const struct mia_sharing *sharing, enum mia_opener opener)
{
	const uint64_t hash =
		(uint64_t)mia_thread_id() * UINT64_C(0x9e3779b97f4a7c15);

	return opener == MIA_OPENER_WORKER
		? workers_stripe(sharing)
		: (unsigned)(hash >> 32) & (workers_stripe(sharing) - 1);
}

/* Relaxed: only holders of the lock of the stripe write its bit. */
static bool
is_shown(struct mia_sharing *sharing, unsigned number)
{
	return (atomic_load_explicit(&sharing->shown, memory_order_relaxed) &
		       bit_of(number)) != 0;
}

/*
 * A worker that has helped stays awake for a short time. A thread that opens
 * work again and again should keep it awake, even if no single work is worth a
 * wake.
 */
static void
show(struct mia_sharing *sharing, struct mia_stripe *stripe, unsigned number)
{
	if (is_shown(sharing, number))
		return;

	stripe->is_again =
		mia_clock_ns() - stripe->hidden_ns < MIA_SLEEP_COST_NS;
	/* Seq_cst: published before the caller reads the sleepers. */
	atomic_fetch_or_explicit(
		&sharing->shown, bit_of(number), memory_order_seq_cst);
}

static void
hide(struct mia_sharing *sharing, struct mia_stripe *stripe, unsigned number)
{
	if (!is_shown(sharing, number))
		return;

	stripe->hidden_ns = mia_clock_ns();
	/* Seq_cst: as in show(). */
	atomic_fetch_and_explicit(
		&sharing->shown, ~bit_of(number), memory_order_seq_cst);
}

void
mia_sharing_take_over(struct mia_sharing *sharing, struct mia_shared *shared)
{
	/* Relaxed: a hint. */
	atomic_store_explicit(&sharing->stripes[shared->stripe].cpu, mia_cpu(),
		memory_order_relaxed);
}

enum mia_showing
mia_sharing_open(struct mia_sharing *sharing, struct mia_shared *shared,
	size_t total, size_t show_min, enum mia_opener opener)
{
	const unsigned number = stripe_of(sharing, opener);
	struct mia_stripe *stripe = &sharing->stripes[number];

	shared->next = NULL;
	shared->stripe = number;
	mia_range_init(&shared->range, total);
	/* Relaxed: published by the lock. */
	atomic_store_explicit(&shared->sharers, 1, memory_order_relaxed);

	mia_sharing_take_over(sharing, shared);
	mia_mutex_lock(&stripe->lock);
	shared->prev = stripe->end;
	*stripe->end = shared;
	stripe->end = &shared->next;
	/* A hint: many flushes of one range may make bytes wrap around. */
	stripe->bytes += total;

	enum mia_showing showing = MIA_HIDDEN;

	if (stripe->bytes >= show_min) {
		show(sharing, stripe, number);
		showing = stripe->is_again ||
				stripe->bytes / MIA_SHARING_WAKE_FACTOR >=
					show_min
			? MIA_WORTH_A_WAKE
			: MIA_SHOWN;
	}
	mia_mutex_unlock(&stripe->lock);
	return showing;
}

size_t
mia_sharing_close(struct mia_sharing *sharing, struct mia_shared *shared)
{
	struct mia_stripe *stripe = &sharing->stripes[shared->stripe];

	mia_mutex_lock(&stripe->lock);
	if (shared->prev != NULL) {
		*shared->prev = shared->next;
		if (shared->next != NULL)
			shared->next->prev = shared->prev;
		else
			stripe->end = shared->prev;
		shared->prev = NULL;
		stripe->bytes -= shared->range.total;

		if (stripe->first == NULL)
			hide(sharing, stripe, shared->stripe);
	}

	const size_t left = stripe->bytes;

	mia_mutex_unlock(&stripe->lock);
	return left;
}

void
mia_sharing_show_all(struct mia_sharing *sharing)
{
	for (unsigned i = 0; i < sharing->nstripes; i++) {
		struct mia_stripe *stripe = &sharing->stripes[i];

		mia_mutex_lock(&stripe->lock);
		if (stripe->first != NULL)
			show(sharing, stripe, i);
		mia_mutex_unlock(&stripe->lock);
	}
}

bool
mia_sharing_has_work(struct mia_sharing *sharing)
{
	return atomic_load_explicit(&sharing->shown, memory_order_seq_cst) != 0;
}

unsigned
mia_sharing_others(struct mia_sharing *sharing)
{
	/* Relaxed: a hint. */
	const size_t shown =
		atomic_load_explicit(&sharing->shown, memory_order_relaxed);

	return (unsigned)__builtin_popcountll(
		shown & ~bit_of(workers_stripe(sharing)));
}

static struct mia_shared *
join_newest(struct mia_stripe *stripe)
{
	mia_mutex_lock(&stripe->lock);
	/* end points to next, the first member of the newest work. */
	struct mia_shared *shared = stripe->first == NULL
		? NULL
		: (struct mia_shared *)(void *)stripe->end;

	/* Relaxed: work on the list has a sharer, so this is not the first. */
	if (shared != NULL)
		atomic_fetch_add_explicit(
			&shared->sharers, 1, memory_order_relaxed);
	mia_mutex_unlock(&stripe->lock);
	return shared;
}

/* Returns the CPU of the thread that opened work last, or -1. */
static int
leave_cpu_of_opener(struct mia_sharing *sharing, struct mia_stripe *stripe)
{
	/* Relaxed: a hint. */
	const int cpu =
		atomic_load_explicit(&stripe->cpu, memory_order_relaxed);

	if (cpu != -1 && cpu == mia_cpu() &&
		mia_sharing_others(sharing) < sharing->ncpus)
		mia_cpu_leave(cpu);
	return cpu;
}

struct mia_shared *
mia_sharing_join(struct mia_sharing *sharing, unsigned turn, int *cpu)
{
	/* Relaxed: the lock decides. */
	const size_t shown =
		atomic_load_explicit(&sharing->shown, memory_order_relaxed);
	struct mia_shared *shared = NULL;

	for (unsigned i = 0;
		shown != 0 && shared == NULL && i < sharing->nstripes; i++) {
		const unsigned number = (turn + i) % sharing->nstripes;
		struct mia_stripe *stripe = &sharing->stripes[number];

		if ((shown & bit_of(number)) != 0) {
			*cpu = leave_cpu_of_opener(sharing, stripe);
			shared = join_newest(stripe);
		}
	}
	return shared;
}

bool
mia_sharing_has_other(
	struct mia_sharing *sharing, const struct mia_shared *shared)
{
	/* Relaxed: a hint. */
	return (atomic_load_explicit(&sharing->shown, memory_order_relaxed) &
		       ~bit_of(shared->stripe)) != 0;
}

struct mia_claim
mia_sharing_claim(struct mia_sharing *sharing, struct mia_shared *shared,
	size_t max, enum mia_range_end end)
{
	const struct mia_part part = mia_range_take(&shared->range, max, end);
	struct mia_claim claim = {.at = part.at,
		.n = part.n,
		.is_last = part.left == 0,
		.for_help = part.left};

	if (part.n > 0 && claim.is_last)
		claim.for_help = mia_sharing_close(sharing, shared);
	return claim;
}
