/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * pace.h -- when the next pass over waiting futures is due
 *
 *   pace  the pauses between passes that are due without a wake. While polls do
 *         work there are no pauses. Otherwise the pauses grow.
 *   net   the safety net: polls all futures at intervals, because movers may
 *         omit a wake
 *   gap   the time between two passes over those futures of a completion queue
 *         that announce nothing
 *   goal  when a wait ends
 *
 * Threads: one at a time.
 */

#ifndef LIBMINIASYNC_PACE_H
#define LIBMINIASYNC_PACE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "system/backoff.h"
#include "wait/meter.h"

struct mia_pace {
	struct mia_meter meter; /* of the last pass */
	struct mia_backoff backoff;
	bool worked_before; /* in the pass before this one */
	bool worked;        /* in two passes in a row */
};

void mia_pace_init(struct mia_pace *pace, struct mia_yields *yields);

/* Call this after a pass that made progress: the pauses are short again. */
static inline void
mia_pace_progress(struct mia_pace *pace)
{
	mia_backoff_reset(&pace->backoff);
}

/* Call this after a pass between pieces of work, instead of a pause. */
void mia_pace_go_on(struct mia_pace *pace);

/* Whether the time since the last pass is as long as its polls took. */
static inline bool
mia_pace_is_due(const struct mia_pace *pace, uint64_t now)
{
	return now - pace->meter.last_ns >= pace->meter.all_ns;
}

/* Pauses between two passes. Returns the ns that the caller should sleep. */
uint64_t mia_pace_pause(struct mia_pace *pace);

/* Returns the time. Does not read the clock if the last two passes did work. */
uint64_t mia_pace_now(const struct mia_pace *pace);

/*
 * The intervals of the net: min_ns at first. An interval doubles up to max_ns
 * while the net finds nothing.
 */
struct mia_net_times {
	uint64_t min_ns;
	uint64_t max_ns;
};

/*
 * The shortest interval is a tick of the kernel's clock, 4 ms on most systems.
 * A timer that is due before the next tick is programmed for every sleep, and
 * cancelled at every wake. With 1 ms a wake-up takes 1.3 times as long.
 */
#define MIA_NET_TIMES \
	((struct mia_net_times){ \
		.min_ns = UINT64_C(4000000), .max_ns = UINT64_C(64000000)})

struct mia_net {
	struct mia_net_times times; /* I: */
	uint64_t start_ns;
	uint64_t wait_ns;
};

/* No end: the clock never reaches this time. */
#define MIA_NEVER UINT64_MAX

/* A wait ends when at most max_left futures are left, or at end_ns. */
struct mia_goal {
	size_t max_left;
	uint64_t end_ns; /* or MIA_NEVER */
};

#define MIA_NO_GOAL ((struct mia_goal){.max_left = 0, .end_ns = MIA_NEVER})

/* A goal with a timeout instead of a time. */
struct mia_limit {
	size_t max_left;
	int64_t timeout_ns; /* negative: no timeout */
};

/* The sum does not overflow: both are below 2^63. */
static inline struct mia_goal
mia_goal_of(struct mia_limit limit, uint64_t start_ns)
{
	return (struct mia_goal){.max_left = limit.max_left,
		.end_ns = limit.timeout_ns < 0
			? MIA_NEVER
			: start_ns + (uint64_t)limit.timeout_ns};
}

/* Returns the nanoseconds until end_ns. 0: end_ns is reached. */
static inline uint64_t
mia_goal_left_ns(const struct mia_goal *goal, uint64_t now)
{
	return now < goal->end_ns ? goal->end_ns - now : 0;
}

enum mia_net_catch { MIA_NET_CAUGHT, MIA_NET_EMPTY };

struct mia_gap {
	uint64_t ns;
	uint64_t pass_ns; /* duration of the last pass */
	uint64_t end_ns;  /* when the next pass is due, or MIA_NEVER */
};

/*
 * Call this for a new hot future. The gap then lasts as long as the last pass,
 * and at least 2 us. A gap that ends earlier stays.
 */
void mia_gap_shorten(struct mia_gap *gap);

/*
 * Call this after a pass that began at start_ns. The next gap is 2 us if the
 * pass caught something, and otherwise twice as long as the last, up to 1 ms. A
 * gap is never shorter than the pass.
 */
void mia_gap_again(
	struct mia_gap *gap, enum mia_net_catch found, uint64_t start_ns);

static inline void
mia_net_init(
	struct mia_net *net, const struct mia_net_times *times, uint64_t now)
{
	net->times = *times;
	net->start_ns = now;
	net->wait_ns = times->min_ns;
}

/* Returns the nanoseconds until a pass over all futures is due. 0: now. */
static inline uint64_t
mia_net_left_ns(const struct mia_net *net, uint64_t now)
{
	const uint64_t past_ns = now - net->start_ns;

	return past_ns < net->wait_ns ? net->wait_ns - past_ns : 0;
}

/* Call this after a pass over all futures. */
void mia_net_again(struct mia_net *net, enum mia_net_catch found, uint64_t now);

#endif /* LIBMINIASYNC_PACE_H */
