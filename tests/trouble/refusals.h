/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * refusals.h -- runs the scenario of scenario.h with all movers, while calls
 * are refused
 */

#ifndef LIBMINIASYNC_TEST_REFUSALS_H
#define LIBMINIASYNC_TEST_REFUSALS_H 1

#include "refuse.h"

/* main() calls this first. */
void refusals_init(const char *what);

/*
 * Runs the scenario again and again. Each call of these kinds is refused once,
 * alone or with all that follow. Fails if an operation is lost, an allocation
 * stays, a constructor has another errno than the refusal, or if a kind has no
 * calls. A kind that the process does not have is left out.
 */
void refuse_each(unsigned kinds, enum refuse_extent extent);

/* The condition variables of the parker for systems without futex. */
#ifdef MIA_PARKER_PORTABLE
#define REFUSE_CONDS_IN_USE REFUSE_CONDS
#else
#define REFUSE_CONDS_IN_USE 0u
#endif

#endif /* LIBMINIASYNC_TEST_REFUSALS_H */
