/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * parker.h -- one thread sleeps, any thread wakes it
 *
 * A parker holds one token. mia_parker_unpark() puts it there; a park takes
 * it, and sleeps until there is one. What was written before the unpark is
 * visible after the park that took its token. Because the token stays, a wake
 * that comes before the sleep is not lost.
 *
 * Threads: one at a time may park, any number unpark.
 */

#ifndef LIBMINIASYNC_PARKER_H
#define LIBMINIASYNC_PARKER_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "system/platform.h"

/* MIA_PARKER_PORTABLE forces the variant for systems without futex. */
#if !defined(__linux__) && !defined(MIA_PARKER_PORTABLE)
#define MIA_PARKER_PORTABLE 1
#endif

struct mia_parker {
	_Atomic uint32_t state;
#ifdef MIA_PARKER_PORTABLE
	mia_mutex mutex;
	mia_cond cond;
#endif
};

/* Returns 0 or -errno. */
int mia_parker_init(struct mia_parker *parker);
void mia_parker_fini(struct mia_parker *parker);

/*
 * Takes the token, sleeping for at most ns nanoseconds (monotonic clock) until
 * there is one. Returns whether it took one. Keeps errno.
 */
bool mia_parker_park(struct mia_parker *parker, uint64_t ns);

/* Makes no system call unless somebody sleeps. Keeps errno. */
void mia_parker_unpark(struct mia_parker *parker);

#endif /* LIBMINIASYNC_PARKER_H */
