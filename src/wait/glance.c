/* SPDX-License-Identifier: BSD-3-Clause */

/* glance.c -- see glance.h */

#include "wait/glance.h"

#include <stdbool.h>

#include "system/platform.h"

void
mia_glance_plan(struct mia_gap *gap, const struct mia_watch *watch)
{
	if (!mia_watch_needs_passes(watch))
		gap->end_ns = MIA_NEVER;
	else if (gap->end_ns == MIA_NEVER)
		mia_gap_shorten(gap);
}

void
mia_glance(struct mia_gap *gap, struct mia_watch *watch, enum mia_effort effort)
{
	const uint64_t now = mia_watch_needs_passes(watch) ? mia_clock_ns() : 0;

	mia_watch_pass(watch, MIA_PASS_READY, effort, NULL);
	if (now >= gap->end_ns) {
		const bool progress =
			mia_watch_pass(watch, MIA_PASS_DUE, effort, NULL);

		mia_gap_again(
			gap, progress ? MIA_NET_CAUGHT : MIA_NET_EMPTY, now);
	}
	mia_glance_plan(gap, watch);
}
