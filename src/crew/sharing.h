/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sharing.h -- work that one thread opens, and others may join, in chunks
 *
 * The module counts bytes, and knows nothing of operations. The thread that
 * opens work is its first sharer. Sharers claim chunks until none is left, and
 * then leave. Exactly one of them is told that it was the last, and completes
 * the work. The Spin models are tests/model/sharing.pml and waiting.pml.
 *
 * Each thread opens its work in one of several stripes. A stripe has a lock and
 * a list of its own, so threads that open work seldom disturb each other. A
 * stripe shows its work to others only if there is enough of it. Workers have
 * one stripe together, so that the other threads at work can be counted.
 *
 * Threads: any number, each as its function says.
 */

#ifndef LIBMINIASYNC_SHARING_H
#define LIBMINIASYNC_SHARING_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crew/range.h"
#include "system/happens.h"
#include "system/platform.h"

/* Embedded in the work, which must live until the last sharer has left. */
struct mia_shared {
	struct mia_shared *next;  /* L: stripe.lock */
	struct mia_shared **prev; /* L: stripe.lock; NULL: not on the list */
	struct mia_range range;   /* what is not claimed */
	atomic_uint sharers;
	unsigned stripe; /* I: open only */
};

struct mia_stripe {
	_Alignas(MIA_CACHE_LINE) mia_mutex lock;
	struct mia_shared *first; /* L: lock; the oldest */
	struct mia_shared **end;  /* L: lock */
	size_t bytes;             /* L: lock; of the works on the list */
	uint64_t hidden_ns;       /* L: lock; when the last shown work went */
	bool is_again;            /* L: lock; it was shown a moment ago too */
	atomic_int cpu;           /* A: where work was opened last, or -1 */
};

/* At most, without that of the workers: half of the bits of a size_t. */
#define MIA_SHARING_STRIPES ((unsigned)sizeof(size_t) * 4)

struct mia_sharing {
	/* I: init only */
	struct mia_stripe *stripes;
	unsigned nstripes; /* a power of two, and the workers' */
	size_t ncpus;

	/*
	 * A: a bit for each stripe that shows its work. Written under the lock
	 * of the stripe.
	 */
	_Alignas(MIA_CACHE_LINE) atomic_size_t shown;
};

/*
 * ncpus    two stripes for each, rounded up, and not more than there can be
 * Returns  0 or -errno
 */
int mia_sharing_init(struct mia_sharing *sharing, size_t ncpus);
void mia_sharing_fini(struct mia_sharing *sharing);

enum mia_opener { MIA_OPENER_WORKER, MIA_OPENER_OTHER };

/* Work of so many times show_min is worth a wake. */
#define MIA_SHARING_WAKE_FACTOR 8

enum mia_showing {
	MIA_HIDDEN,
	MIA_SHOWN,        /* to workers that search */
	MIA_WORTH_A_WAKE, /* the same, and there is much, or again some */
};

/*
 * Opens work of so many bytes, 1 to SIZE_MAX / 2. The caller is a sharer. Its
 * stripe shows its work if it has show_min bytes now.
 */
enum mia_showing mia_sharing_open(struct mia_sharing *sharing,
	struct mia_shared *shared, size_t total, size_t show_min,
	enum mia_opener opener);

/*
 * The part of the thread that opened the work is the caller's now. Whoever gave
 * it away remained a sharer until then, and the work may be on the list.
 */
void mia_sharing_take_over(
	struct mia_sharing *sharing, struct mia_shared *shared);

/*
 * Takes the work off the list, if it is on it. Nobody joins any more. Sharers
 * keep their part. Returns the bytes of the other works on the list.
 */
size_t mia_sharing_close(
	struct mia_sharing *sharing, struct mia_shared *shared);

/* Whether work is shown. Sequentially consistent with open: see idle.h. */
bool mia_sharing_has_work(struct mia_sharing *sharing);

/* All stripes show their work. No thread may be opening work. */
void mia_sharing_show_all(struct mia_sharing *sharing);

/* A hint: threads other than workers whose work is shown. */
unsigned mia_sharing_others(struct mia_sharing *sharing);

/*
 * Makes the caller a sharer of the newest work of a stripe that shows its work.
 * Returns it, or NULL. Different turns begin with different stripes.
 *
 * The newest, because the thread that opened the works begins with the oldest.
 * So the two meet late, and if the same works are opened again, each of the two
 * finds its part in the cache of its CPU.
 *
 * If the caller runs on the CPU of the thread that opened work there last, it
 * moves to another CPU before, unless more threads have work than there are
 * CPUs. The system may have woken it there. It would only take turns with the
 * thread that it is to help. *cpu gets the CPU of that thread, or -1.
 */
struct mia_shared *mia_sharing_join(
	struct mia_sharing *sharing, unsigned turn, int *cpu);

/* A hint: whether a stripe other than that of the work shows work. */
bool mia_sharing_has_other(
	struct mia_sharing *sharing, const struct mia_shared *shared);

struct mia_claim {
	size_t at;
	size_t n;        /* bytes; 0: nothing was left to claim */
	bool is_last;    /* nothing is left of this work; true if n is 0 */
	size_t for_help; /* a hint: bytes that others may claim */
};

/*
 * A sharer: takes up to max bytes of an end, at least 1 (see range.h). Who
 * joined takes them from the back, and the thread that opened the work from the
 * front. A sharer that joined and gets nothing at first calls
 * mia_sharing_close(), because the sharer that claimed the last byte may have
 * lost its CPU before it did so.
 */
struct mia_claim mia_sharing_claim(struct mia_sharing *sharing,
	struct mia_shared *shared, size_t max, enum mia_range_end end);

/*
 * A sharer leaves, and must not touch the work any more unless it was the last.
 * Returns true for the last one: all chunks of all sharers are done then, and
 * happened before. A sharer that joined may leave while chunks are left. The
 * sharer that opened the work stays until nothing is left to claim, or until
 * another thread takes its part over.
 */
static inline bool
mia_sharing_leave(struct mia_shared *shared)
{
	mia_happens_before(shared);

	/*
	 * Release: the chunks of the caller, to the last sharer. Acquire: the
	 * chunks of the others, which the last sharer passes on.
	 */
	const bool was_last = atomic_fetch_sub_explicit(&shared->sharers, 1,
				      memory_order_acq_rel) == 1;

	if (was_last)
		mia_happens_after(shared);
	return was_last;
}

#endif /* LIBMINIASYNC_SHARING_H */
