/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * glance.h -- the passes of a completion queue outside of its waits
 *
 * A glance always polls the woken futures. It polls hot futures only when the
 * gap is over, independent of the number of wakes.
 *
 * Threads: the queue's thread.
 */

#ifndef LIBMINIASYNC_GLANCE_H
#define LIBMINIASYNC_GLANCE_H 1

#include "wait/pace.h"
#include "wait/watch.h"

/*
 * Call this after polls. The gap starts with the first hot or refused future,
 * and ends with the last.
 */
void mia_glance_plan(struct mia_gap *gap, const struct mia_watch *watch);

/* Polls the futures that are due. Then plans the next gap. */
void mia_glance(
	struct mia_gap *gap, struct mia_watch *watch, enum mia_effort effort);

#endif /* LIBMINIASYNC_GLANCE_H */
