/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sharing.h -- work in chunks, which one thread opens and others may join
 *
 * The module counts bytes, and does not access operations. The thread that
 * opens work is its first sharer. Sharers claim chunks until none is left, and
 * then leave. mia_sharing_leave() returns true for exactly one of them, the
 * last, which completes the work. The Spin models are tests/model/sharing.pml
 * and waiting.pml.
 *
 * Each thread opens its work in one of several stripes. A stripe has a lock and
 * a list of its own, so threads that open work rarely wait for each other. A
 * stripe shows its work to others only if it has enough bytes. All workers open
 * work in one stripe, so that the other threads with work can be counted.
 *
 * Threads: any number. The comment of a function states its conditions.
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
	struct mia_range range;   /* bytes that are not claimed yet */
	atomic_uint sharers;
	unsigned stripe; /* I: open only */
};

struct mia_stripe {
	_Alignas(MIA_CACHE_LINE) mia_mutex lock;
	struct mia_shared *first; /* L: lock; the oldest */
	struct mia_shared **end;  /* L: lock */
	size_t bytes;             /* L: lock; of all works on the list */
	uint64_t hidden_ns;       /* L: lock; when it last hid its work */
	bool is_again;            /* L: lock; shown again within a short time */
	atomic_int cpu;           /* A: CPU where work was opened last, or -1 */
};

/* The most stripes, without that of the workers: half the bits of a size_t. */
#define MIA_SHARING_STRIPES ((unsigned)sizeof(size_t) * 4)

struct mia_sharing {
	/* I: init only */
	struct mia_stripe *stripes;
	unsigned nstripes; /* a power of two, plus one for the workers */
	size_t ncpus;

	/*
	 * A: a bit for each stripe that shows its work. Written under the lock
	 * of the stripe.
	 */
	_Alignas(MIA_CACHE_LINE) atomic_size_t shown;
};

/*
 * ncpus    each gets two stripes. Their number is rounded up to a power of two,
 *          and is at most MIA_SHARING_STRIPES.
 * Returns  0 or -errno
 */
int mia_sharing_init(struct mia_sharing *sharing, size_t ncpus);
void mia_sharing_fini(struct mia_sharing *sharing);

enum mia_opener { MIA_OPENER_WORKER, MIA_OPENER_OTHER };

/* Work of this many times show_min is worth a wake. */
#define MIA_SHARING_WAKE_FACTOR 8

enum mia_showing {
	MIA_HIDDEN,
	MIA_SHOWN,        /* to workers that search */
	MIA_WORTH_A_WAKE, /* the same; for much work, or for work again */
};

/*
 * Opens work of total bytes, 1 to SIZE_MAX / 2. The caller is its first sharer.
 * The stripe shows its work if it now has at least show_min bytes.
 */
enum mia_showing mia_sharing_open(struct mia_sharing *sharing,
	struct mia_shared *shared, size_t total, size_t show_min,
	enum mia_opener opener);

/*
 * The caller takes over the part of the thread that opened the work. That
 * thread has not left, and the caller leaves in its place. The work may still
 * be on the list.
 */
void mia_sharing_take_over(
	struct mia_sharing *sharing, struct mia_shared *shared);

/*
 * Removes the work from the list, if it is still there. No thread can join it
 * then. Sharers keep their parts. Returns the bytes of the other works on the
 * list.
 */
size_t mia_sharing_close(
	struct mia_sharing *sharing, struct mia_shared *shared);

/* Whether work is shown. Sequentially consistent with open: see idle.h. */
bool mia_sharing_has_work(struct mia_sharing *sharing);

/* Makes all stripes show their work. No thread may open work at this time. */
void mia_sharing_show_all(struct mia_sharing *sharing);

/* A hint: the number of threads that show work, without workers. */
unsigned mia_sharing_others(struct mia_sharing *sharing);

/*
 * Makes the caller a sharer of the newest work of a stripe that shows its work.
 * Returns the work, or NULL. Different turns begin with different stripes.
 *
 * Helpers take the newest work, because the thread that opened the works begins
 * with the oldest. So the two meet late. If the same works are opened again,
 * each thread finds its part in the cache of its CPU.
 *
 * If the caller runs on the CPU of the thread that opened work there last, it
 * moves to another CPU first. The system may have woken the caller there, and
 * it would only take turns with the thread that it should help. The caller
 * stays if at least as many threads show work as there are CPUs. If a stripe
 * shows work, *cpu gets the CPU of that thread, or -1.
 */
struct mia_shared *mia_sharing_join(
	struct mia_sharing *sharing, unsigned turn, int *cpu);

/* A hint: whether a stripe other than that of this work shows work. */
bool mia_sharing_has_other(
	struct mia_sharing *sharing, const struct mia_shared *shared);

struct mia_claim {
	size_t at;
	size_t n;        /* bytes; 0: nothing was left to claim */
	bool is_last;    /* nothing is left of this work; true if n is 0 */
	size_t for_help; /* a hint: bytes that others may claim */
};

/*
 * A sharer claims up to max bytes, at least 1, from one end (see range.h). The
 * thread that opened the work claims from the front. A sharer that joined
 * claims from the back. If its first claim gets nothing, it calls
 * mia_sharing_close(): the sharer that claimed the last byte may have lost its
 * CPU before its own call.
 */
struct mia_claim mia_sharing_claim(struct mia_sharing *sharing,
	struct mia_shared *shared, size_t max, enum mia_range_end end);

/*
 * A sharer leaves. Returns true for the last one: the chunks of all sharers are
 * done, and happened before. After false, the caller must not touch the work. A
 * sharer that joined may leave while chunks are left. The sharer that opened
 * the work stays until nothing is left to claim, or until another thread takes
 * its part over.
 */
static inline bool
mia_sharing_leave(struct mia_shared *shared)
{
	mia_happens_before(shared);

	/*
	 * Release: publishes the caller's chunks to the last sharer. Acquire:
	 * the chunks of the other sharers, which the last sharer passes on.
	 */
	const bool was_last = atomic_fetch_sub_explicit(&shared->sharers, 1,
				      memory_order_acq_rel) == 1;

	if (was_last)
		mia_happens_after(shared);
	return was_last;
}

#endif /* LIBMINIASYNC_SHARING_H */
