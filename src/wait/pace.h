/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * pace.h -- when the next pass over waiting futures is due
 *
 *   pace  the pauses between passes that are due without a wake. There are
 *         none while the polls do work. Otherwise they grow.
 *   net   the safety net: a pass over all futures after a time, for movers
 *         that forget to wake
 *   gap   of a completion queue, between passes over futures that nobody
 *         announces
 *   goal  when the wait is over
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
	bool worked_before; /* the last pass but one */
	bool worked;        /* the last pass, and the one before */
};

void mia_pace_init(struct mia_pace *pace, struct mia_yields *yields);

/* A pass made progress: the pauses are short again. */
static inline void
mia_pace_progress(struct mia_pace *pace)
{
	mia_backoff_reset(&pace->backoff);
}

/* A pass was made between pieces of work, without a pause. */
void mia_pace_go_on(struct mia_pace *pace);

/* Whether as much time went by since the last pass as its polls took. */
static inline bool
mia_pace_is_due(const struct mia_pace *pace, uint64_t now)
{
	return now - pace->meter.last_ns >= pace->meter.all_ns;
}

/* Between two passes. Returns the nanoseconds that the caller should sleep. */
uint64_t mia_pace_pause(struct mia_pace *pace);

/* The time, without a look at the clock if the last pass did work. */
uint64_t mia_pace_now(const struct mia_pace *pace);

/*
 * Nanoseconds until the net is due: min at first. The time doubles up to max
 * while the net finds nothing.
 */
struct mia_net_times {
	uint64_t min_ns;
	uint64_t max_ns;
};

/*
 * The shortest time is not less than a tick of the kernel's clock, 4 ms on
 * most systems. A timer before the next tick has to be programmed and taken
 * back for every sleep. A wake-up was measured to take 1.3 times as long.
 */
#define MIA_NET_TIMES \
	((struct mia_net_times){ \
		.min_ns = UINT64_C(4000000), .max_ns = UINT64_C(64000000)})

struct mia_net {
	struct mia_net_times times; /* I: */
	uint64_t start_ns;
	uint64_t wait_ns;
};

/* No end. The clock never gets there. */
#define MIA_NEVER UINT64_MAX

/* A wait is over when few enough futures are left, or when the time comes. */
struct mia_goal {
	size_t max_left;
	uint64_t end_ns; /* or MIA_NEVER */
};

#define MIA_NO_GOAL ((struct mia_goal){.max_left = 0, .end_ns = MIA_NEVER})

/* The same with a time from now on. */
struct mia_limit {
	size_t max_left;
	int64_t timeout_ns; /* negative: none */
};

/* The sum does not wrap around: the clock began at 0 some years ago. */
static inline struct mia_goal
mia_goal_of(struct mia_limit limit, uint64_t start_ns)
{
	return (struct mia_goal){.max_left = limit.max_left,
		.end_ns = limit.timeout_ns < 0
			? MIA_NEVER
			: start_ns + (uint64_t)limit.timeout_ns};
}

/* Nanoseconds until the end. 0: the time has come. */
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

/* A future is new: as short as the last pass, unless it ends earlier. */
void mia_gap_shorten(struct mia_gap *gap);

/*
 * A pass is over that began at start_ns: short if it caught something, and
 * otherwise twice as long, up to 1 ms. Not shorter than the pass.
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

/* Nanoseconds until a pass over all futures is due. 0: it is due now. */
static inline uint64_t
mia_net_left_ns(const struct mia_net *net, uint64_t now)
{
	const uint64_t past_ns = now - net->start_ns;

	return past_ns < net->wait_ns ? net->wait_ns - past_ns : 0;
}

/* The pass over all futures is over. */
void mia_net_again(struct mia_net *net, enum mia_net_catch found, uint64_t now);

#endif /* LIBMINIASYNC_PACE_H */
