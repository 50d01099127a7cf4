/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wait.c -- the loop of a waiting thread: pass, pause or sleep, pass again
 *
 *   - If movers have kept work for this thread, it does a piece, checks whether
 *     a pass is due, and does the next piece.
 *   - If polls do work, the thread makes one pass after the other. It leaves
 *     kept work to workers.
 *   - If futures are hot or refused, the thread stays awake for a time, with
 *     growing pauses. Then it sleeps between passes.
 *   - Otherwise the thread sleeps until a wake.
 *
 * In each case the safety net polls all futures at intervals. The loop ends
 * when the goal of the watch is reached. One read of the clock serves both the
 * net and the goal.
 *
 * No wake is lost: rouse() leaves a token in the parker, and the token stays
 * until the next park. A wake that does not call rouse() makes
 * mia_ready_listen() fail, so the quiet taker does not park.
 */

#include "wait/wait.h"

#include <string.h>

/*
 * Pieces between two reads of the clock, if only the safety net needs the time.
 */
#define PIECES_FOR_CLOCK 8

/*
 * The limit of the member vain. The shortest linger is MIA_SLEEP_COST_NS / 32.
 */
#define MAX_VAIN 5

int
mia_wait_init(struct mia_wait *wait, void (*rouse)(struct mia_ready *ready),
	enum mia_ready_taker taker, enum mia_watch_done done)
{
	memset(wait, 0, sizeof(*wait));

	const int error = mia_parker_init(&wait->parker);

	if (error != 0)
		return error;

	mia_ready_init(&wait->ready, rouse, taker);
	mia_watch_init(&wait->watch, &wait->ready, done);
	return 0;
}

void
mia_wait_fini(struct mia_wait *wait)
{
	mia_watch_fini(&wait->watch);
	mia_ready_fini(&wait->ready);
	mia_parker_fini(&wait->parker);
}

void
mia_wait_renew(struct mia_wait *wait)
{
	mia_ready_renew(&wait->ready);
	/*
	 * Overwrites the old parker, whose lock may be locked. Init succeeded
	 * before.
	 */
	(void)mia_parker_init(&wait->parker);
}

/*
 * Returns how long to linger. A wake within this time needs no system call. The
 * thread yields meanwhile, because the worker that makes the wake may need this
 * CPU. A copy of 64 KiB on a worker takes 4.5 us, and 21 us without lingering.
 *
 * Each linger in vain halves the time. Otherwise a wait of 5 ms would use 70 us
 * of CPU, and another 70 us after each pass of the safety net.
 */
static uint64_t
linger_ns(const struct mia_wait *wait, uint64_t max_ns)
{
	const uint64_t ns = MIA_SLEEP_COST_NS >> wait->vain;

	return ns < max_ns ? ns : max_ns;
}

/* Returns whether a wake has arrived. */
static bool
linger_for_wake(struct mia_wait *wait, uint64_t max_ns)
{
	struct mia_linger linger;

	mia_linger_begin(&linger, &wait->yields, MIA_LINGER_BY_YIELDS,
		linger_ns(wait, max_ns));
	while (mia_ready_is_empty(&wait->ready))
		if (!mia_linger(&linger))
			return false;
	return true;
}

/* Sleeps for at most ns nanoseconds. Returns whether a wake has arrived. */
static bool
park(struct mia_wait *wait, uint64_t ns)
{
	return !mia_ready_listen(&wait->ready) ||
		mia_parker_park(&wait->parker, ns);
}

/* Sleeps until a wake, for at most max_ns nanoseconds. */
static void
sleep_until_woken(struct mia_wait *wait, uint64_t now, uint64_t max_ns)
{
	const bool woken_soon = linger_for_wake(wait, max_ns);
	const uint64_t start_ns = woken_soon ? now : mia_clock_ns();
	const uint64_t past_ns = start_ns - now;

	if (past_ns >= max_ns)
		return;

	/* Also after a wake, to take its token. */
	const bool woken = park(wait, max_ns - past_ns);

	if (woken_soon ||
		(woken && mia_clock_ns() - start_ns < MIA_SLEEP_COST_NS))
		wait->vain = 0;
	else if (wait->vain < MAX_VAIN)
		wait->vain++;
}

/* The safety net is due. If this pass makes progress, the next is due soon. */
static void
pass_all(struct mia_watch *watch, struct mia_pace *pace, struct mia_net *net)
{
	const enum mia_net_catch found =
		mia_watch_pass_all(watch, MIA_EFFORT_OFFER) ? MIA_NET_CAUGHT
							    : MIA_NET_EMPTY;

	pace->meter.last_ns = mia_clock_ns();
	mia_net_again(net, found, pace->meter.last_ns);
}

/* Pauses or sleeps until a pass is due, for at most max_ns nanoseconds. */
static void
pass_time(struct mia_wait *wait, struct mia_pace *pace, uint64_t now,
	uint64_t max_ns)
{
	if (!mia_watch_needs_passes(&wait->watch)) {
		sleep_until_woken(wait, now, max_ns);
		return;
	}

	const uint64_t nap_ns = mia_pace_pause(pace);

	if (nap_ns > 0)
		park(wait, nap_ns < max_ns ? nap_ns : max_ns);
}

/*
 * Between two pieces. After a wake a pass is due at once. Futures that announce
 * nothing are polled for at most half of the time.
 */
static bool
is_pass_due(struct mia_wait *wait, const struct mia_pace *pace, uint64_t now)
{
	return !mia_ready_is_empty(&wait->ready) ||
		(mia_watch_needs_passes(&wait->watch) &&
			mia_pace_is_due(pace, now));
}

/* Does pieces of the work that movers have kept for this thread. */
static void
do_pieces(struct mia_wait *wait, enum mia_effort effort)
{
	struct mia_watch *watch = &wait->watch;

	for (int i = 0; i < PIECES_FOR_CLOCK; i++) {
		mia_watch_work(watch, effort);
		if (!mia_watch_has_work(watch) ||
			mia_watch_needs_passes(watch) ||
			watch->goal.end_ns != MIA_NEVER ||
			mia_watch_has_enough(watch) ||
			!mia_ready_is_empty(&wait->ready))
			return;
	}
}

/* Does some pieces, and makes a pass if it is due. Returns the time. */
static uint64_t
work(struct mia_wait *wait, struct mia_pace *pace)
{
	do_pieces(wait, pace->worked ? MIA_EFFORT_NONE : MIA_EFFORT_WORK);

	const uint64_t now = mia_clock_ns();

	if (!is_pass_due(wait, pace, now))
		return now;

	if (mia_watch_pass(
		    &wait->watch, MIA_PASS_DUE, MIA_EFFORT_OFFER, &pace->meter))
		mia_pace_progress(pace);
	mia_pace_go_on(pace);
	return pace->meter.last_ns;
}

/* Pauses or sleeps, for at most max_ns nanoseconds, and makes a pass. */
static void
pause_and_pass(struct mia_wait *wait, struct mia_pace *pace, uint64_t now,
	uint64_t max_ns)
{
	/*
	 * A pass follows each park, and takes the list. Only a wake that finds
	 * the list empty unparks the thread.
	 */
	pass_time(wait, pace, now, max_ns);
	if (mia_watch_pass(
		    &wait->watch, MIA_PASS_DUE, MIA_EFFORT_OFFER, &pace->meter))
		mia_pace_progress(pace);
}

/* Returns the time. Does not read the clock if the last two passes did work. */
static uint64_t
time_of_pass(const struct mia_wait *wait, const struct mia_pace *pace)
{
	return mia_watch_needs_passes(&wait->watch) ? mia_pace_now(pace)
						    : mia_clock_ns();
}

void
mia_wait_for_goal(struct mia_wait *wait, struct mia_limit limit,
	const struct mia_net_times *times, uint64_t start_ns)
{
	struct mia_watch *watch = &wait->watch;
	struct mia_pace pace;
	struct mia_net net;

	mia_pace_init(&pace, &wait->yields);
	mia_net_init(&net, times, pace.meter.last_ns);
	watch->goal = mia_goal_of(
		limit, start_ns > 0 ? start_ns : pace.meter.last_ns);
	while (!mia_watch_has_enough(watch)) {
		const bool works = mia_watch_has_work(watch);
		const uint64_t now =
			works ? work(wait, &pace) : time_of_pass(wait, &pace);
		const uint64_t goal_ns = mia_goal_left_ns(&watch->goal, now);
		const uint64_t net_ns = mia_net_left_ns(&net, now);

		if (goal_ns == 0)
			return;
		if (net_ns == 0)
			pass_all(watch, &pace, &net);
		else if (!works)
			pause_and_pass(wait, &pace, now,
				net_ns < goal_ns ? net_ns : goal_ns);
	}
}
