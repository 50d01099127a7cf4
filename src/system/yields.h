/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * yields.h -- yields the CPU for as long as that is a short wait
 *
 * A thread that waits for a few microseconds yields, because the one that it
 * waits for may need its CPU. If another program's thread wants it too, that
 * one keeps it for some milliseconds, while sleeping and being woken take
 * microseconds: so after a yield that took long the next ones are left out.
 */

#ifndef LIBMINIASYNC_YIELDS_H
#define LIBMINIASYNC_YIELDS_H 1

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "system/platform.h"

/* A yield that takes longer was not for one of ours, or not for a moment. */
#define MIA_YIELD_LONG_NS UINT64_C(500000)

/* How many are left out then: twice as many as after the last. */
#define MIA_YIELD_MIN_SKIPS 16
#define MIA_YIELD_MAX_SKIPS 1024

/* Of one thread; zero at first. */
struct mia_yields {
	unsigned left_out; /* so many more */
	unsigned next;     /* how many after the next that takes long */
};

/* Yields once. False: it did not, and the caller should sleep. */
static inline bool
mia_yield(struct mia_yields *yields)
{
	if (yields->left_out > 0) {
		yields->left_out--;
		return false;
	}

	const uint64_t start = mia_clock_ns();

	sched_yield();
	if (mia_clock_ns() - start < MIA_YIELD_LONG_NS) {
		if (yields->next > MIA_YIELD_MIN_SKIPS)
			yields->next--;
		return true;
	}

	if (yields->next < MIA_YIELD_MIN_SKIPS)
		yields->next = MIA_YIELD_MIN_SKIPS;
	yields->left_out = yields->next;
	if (yields->next < MIA_YIELD_MAX_SKIPS)
		yields->next *= 2;
	return true;
}

#endif /* LIBMINIASYNC_YIELDS_H */
