/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * waits.h -- the waits of a runtime, which its calls recycle
 *
 * A call takes an unused wait, or makes a new wait, and gives it back at its
 * end. It takes the unused wait that was given back last. This wait's memory is
 * warm, and has the size that the last call needed.
 *
 * Invariants:
 *   - All waits live as long as the runtime, also the waits of calls that
 *     never returned.
 *   - A wait that a call has taken is on the list of all waits, and not on the
 *     list of unused waits.
 *   - An unused wait may have no room for futures. It always keeps the groups
 *     that wakers need (ready.h).
 *
 * The first call in a forked child starts afresh. It keeps the unused waits if
 * no other thread was inside the lock at the fork. Waits that other threads had
 * taken stay allocated, because their state is unknown.
 *
 * Threads: any. The call that has taken a wait owns it. The lists are under the
 * lock.
 */

#ifndef LIBMINIASYNC_WAITS_H
#define LIBMINIASYNC_WAITS_H 1

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "system/platform.h"
#include "wait/wait.h"

struct mia_recycled;

struct mia_waits {
	/* A: mia_forks() of the process for which the rest is valid */
	_Atomic uint32_t forks;

	mia_mutex lock;

	/* L: */
	struct mia_recycled *all;
	struct mia_recycled *unused; /* the last used first */
	size_t nkept;                /* futures for which they have room */
};

/*
 * Makes the first wait, so that most calls allocate nothing. Returns 0 or
 * -errno.
 */
int mia_waits_init(struct mia_waits *waits);

/* Call this when no call uses a wait, and no more wakes can come. */
void mia_waits_fini(struct mia_waits *waits);

/* Takes a wait with room for n futures. Returns 0 or -errno. */
int mia_waits_take(struct mia_waits *waits, size_t n, struct mia_wait **waitp);

/* Call this at the end of a call for n futures. */
void mia_waits_give_back(
	struct mia_waits *waits, struct mia_wait *wait, size_t n);

#endif /* LIBMINIASYNC_WAITS_H */
