/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * waits.h -- the waits of a runtime, which its calls recycle
 *
 * A call takes an unused wait, or makes one, and gives it back at its end. The
 * unused wait that was given back last is taken first. Its memory is warm, and
 * has the size of the last call.
 *
 * Invariants:
 *   - All waits live as long as the runtime, also those of calls that never
 *     returned.
 *   - A wait that a call has taken is on the list of all waits, but not on that
 *     of the unused.
 *   - An unused wait may have no room for futures, but it keeps what wakers
 *     need (ready.h).
 *
 *
 * In a child that was forked later, the first call begins anew. It keeps the
 * unused waits, if no other thread was inside of the lock at the fork. Waits
 * that other threads had taken stay allocated: nobody knows their state.
 *
 * Threads: any. A wait belongs to the call that has taken it. The lists are
 * under the lock.
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
	struct mia_recycled *unused; /* the one used last comes first */
	size_t nkept;                /* futures that the unused have room for */
};

/* Makes the first wait, so that most calls need no memory. 0 or -errno. */
int mia_waits_init(struct mia_waits *waits);

/* No call may be using a wait, and no waker may come any more. */
void mia_waits_fini(struct mia_waits *waits);

/* Takes a wait with room for n futures. Returns 0 or -errno. */
int mia_waits_take(struct mia_waits *waits, size_t n, struct mia_wait **waitp);

/* A call for n futures is over. */
void mia_waits_give_back(
	struct mia_waits *waits, struct mia_wait *wait, size_t n);

#endif /* LIBMINIASYNC_WAITS_H */
