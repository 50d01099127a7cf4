/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * parker.h -- one thread sleeps, and any thread wakes it
 *
 * A parker holds at most one token. mia_parker_unpark() adds the token.
 * mia_parker_park() takes the token, and sleeps until there is one. A wake
 * before the sleep is not lost, because the token stays. Everything written
 * before the unpark is visible after the park that took its token.
 *
 * Threads: only one thread at a time may park. Any number may unpark.
 */

#ifndef LIBMINIASYNC_PARKER_H
#define LIBMINIASYNC_PARKER_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "system/platform.h"

/* Define MIA_PARKER_PORTABLE to use the variant without futex. */
#if !defined(__linux__) && !defined(MIA_PARKER_PORTABLE)
#define MIA_PARKER_PORTABLE 1
#endif

struct mia_parker {
	_Atomic uint32_t state; /* A: all threads */
#ifdef MIA_PARKER_PORTABLE
	mia_mutex mutex;
	mia_cond cond;
#endif
};

/* Returns 0 or -errno. */
int mia_parker_init(struct mia_parker *parker);
void mia_parker_fini(struct mia_parker *parker);

/*
 * Takes the token. Sleeps until there is a token, for at most ns nanoseconds of
 * the monotonic clock. Returns whether it took one. Keeps errno.
 */
bool mia_parker_park(struct mia_parker *parker, uint64_t ns);

/* Adds the token. Makes a system call only if a thread sleeps. Keeps errno. */
void mia_parker_unpark(struct mia_parker *parker);

#endif /* LIBMINIASYNC_PARKER_H */
