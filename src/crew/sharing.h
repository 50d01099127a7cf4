/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sharing.h -- one big piece of work, done by several threads in chunks
 *
 * The module counts bytes, and knows nothing of operations. The thread that
 * opens the work is its first sharer. Sharers claim chunks until none is left,
 * and then leave. Exactly one of them is told that it was the last, and
 * completes the work. The Spin model is tests/model/sharing.pml.
 *
 * Threads: any number, each as its function says.
 */

#ifndef LIBMINIASYNC_SHARING_H
#define LIBMINIASYNC_SHARING_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "system/platform.h"

/* Embedded in the work, which must live until the last sharer has left. */
struct mia_shared {
	struct mia_shared *next; /* L: sharing.lock */
	atomic_size_t claimed;   /* bytes */
	atomic_uint sharers;

	/* I: open only */
	size_t total; /* bytes */
	size_t chunk; /* bytes */
};

/* The work that sharers may join, the oldest first. */
struct mia_sharing {
	mia_mutex lock;
	struct mia_shared *first; /* L: lock */
	atomic_size_t count;      /* written under the lock */
};

/* Returns 0 or -errno. */
int mia_sharing_init(struct mia_sharing *sharing);
void mia_sharing_fini(struct mia_sharing *sharing);

/*
 * Opens work of so many bytes, 1 to SIZE_MAX / 2, in chunks of so many bytes,
 * at least 1. A chunk may be larger than the work. The caller is a sharer.
 */
void mia_sharing_open(struct mia_sharing *sharing, struct mia_shared *shared,
	size_t total, size_t chunk);

/* Sequentially consistent with mia_sharing_open(): see idle.h. */
bool mia_sharing_has_work(struct mia_sharing *sharing);

/* Makes the caller a sharer of the oldest work. Returns it, or NULL. */
struct mia_shared *mia_sharing_join_oldest(struct mia_sharing *sharing);

/* Bytes at to at + n - 1 of the work. */
struct mia_claim {
	size_t at;
	size_t n; /* 0: nothing is left to claim */
};

/* A sharer: takes a chunk that nobody else gets. */
struct mia_claim mia_sharing_claim(struct mia_shared *shared);

/*
 * A sharer leaves, and must not touch the work any more unless it was the last.
 * Returns true for the last one: all chunks of all sharers are done then, and
 * happened before. A sharer that came to help may leave while chunks are left.
 * The sharer that opened the work stays until nothing is left to claim.
 */
bool mia_sharing_leave(struct mia_sharing *sharing, struct mia_shared *shared);

#endif /* LIBMINIASYNC_SHARING_H */
