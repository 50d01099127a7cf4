/* SPDX-License-Identifier: BSD-3-Clause */

/* polling.c -- see polling.h */

#include "wait/polling.h"

#include <stdbool.h>

#include "system/backoff.h"
#include "system/platform.h"

/* Values of the property FUTURE_PROPERTY_ASYNC. */
enum kind { SYNCHRONOUS = 0, ASYNCHRONOUS = 1 };

/* One pass. */
struct pass {
	struct mia_meter *meter;
	struct mia_goal goal; /* at which the pass ends */
	size_t nleft;         /* upper bound; exact after a pass */
};

static bool
is_over(const struct pass *pass)
{
	return pass->nleft <= pass->goal.max_left ||
		mia_goal_left_ns(&pass->goal, pass->meter->last_ns) == 0;
}

/*
 * Polls the futures of one kind, until the pass is over. The notifier is NULL,
 * so a waker of an earlier poll stays installed.
 */
static void
poll_kind(struct future *futs[], size_t n, enum kind kind, struct pass *pass)
{
	for (size_t i = 0; i < n && !is_over(pass); i++) {
		struct future *fut = futs[i];
		const bool is_due =
			fut->context.state != FUTURE_STATE_COMPLETE &&
			future_has_property(fut, FUTURE_PROPERTY_ASYNC) ==
				(int)kind;

		if (is_due) {
			if (future_poll(fut, NULL) == FUTURE_STATE_COMPLETE)
				pass->nleft--;
			mia_meter_count(pass->meter);
		}
	}
}

static size_t
count_left(struct future *futs[], size_t n)
{
	size_t nleft = 0;

	for (size_t i = 0; i < n; i++)
		if (futs[i]->context.state != FUTURE_STATE_COMPLETE)
			nleft++;
	return nleft;
}

size_t
mia_wait_by_polling(struct future *futs[], size_t n, struct mia_limit limit)
{
	struct mia_yields yields = {0};
	struct mia_pace pace;

	mia_pace_init(&pace, &yields);

	const struct mia_goal goal = mia_goal_of(limit, pace.meter.last_ns);
	/* The first pass polls every future. */
	struct pass pass = {.meter = &pace.meter,
		.goal = {.end_ns = MIA_NEVER},
		.nleft = count_left(futs, n)};

	for (;;) {
		const size_t nleft_before = pass.nleft;

		mia_meter_begin(&pace.meter);
		poll_kind(futs, n, ASYNCHRONOUS, &pass);
		poll_kind(futs, n, SYNCHRONOUS, &pass);

		/* A future that changed its kind may not have been polled. */
		pass.goal = goal;
		pass.nleft = count_left(futs, n);
		if (is_over(&pass))
			return pass.nleft;
		if (pass.nleft < nleft_before)
			mia_pace_progress(&pace);

		const uint64_t nap_ns = mia_pace_pause(&pace);
		const uint64_t max_ns =
			mia_goal_left_ns(&goal, pace.meter.last_ns);

		if (nap_ns > 0)
			mia_sleep(nap_ns < max_ns ? nap_ns : max_ns);
	}
}
