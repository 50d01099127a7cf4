/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * glance.h -- the passes of a completion queue outside of its waits
 *
 * Woken futures are polled now. Hot futures are polled when the gap is over,
 * however many wakes come.
 *
 * Threads: the queue's.
 */

#ifndef LIBMINIASYNC_GLANCE_H
#define LIBMINIASYNC_GLANCE_H 1

#include "wait/pace.h"
#include "wait/watch.h"

/* After a poll: the first hot future begins a gap, and the last one ends it. */
void mia_glance_plan(struct mia_gap *gap, const struct mia_watch *watch);

/* Polls what is due, and plans. */
void mia_glance(
	struct mia_gap *gap, struct mia_watch *watch, enum mia_effort effort);

#endif /* LIBMINIASYNC_GLANCE_H */
