/* SPDX-License-Identifier: BSD-3-Clause */

/* pace.c -- see pace.h */

#include "wait/pace.h"

#include "system/platform.h"

void
mia_pace_init(struct mia_pace *pace, struct mia_yields *yields)
{
	mia_meter_init(&pace->meter);
	mia_backoff_init(&pace->backoff, yields);
	pace->worked_before = false;
	pace->worked = false;
}

void
mia_pace_go_on(struct mia_pace *pace)
{
	const bool works = mia_meter_works(&pace->meter);

	/*
	 * Two passes in a row must do work: a single long poll may have lost
	 * its CPU.
	 */
	pace->worked = works && pace->worked_before;
	pace->worked_before = works;
}

uint64_t
mia_pace_pause(struct mia_pace *pace)
{
	mia_pace_go_on(pace);
	if (!pace->worked)
		return mia_backoff_pause(&pace->backoff);

	mia_backoff_reset(&pace->backoff);
	return 0;
}

uint64_t
mia_pace_now(const struct mia_pace *pace)
{
	return pace->worked ? pace->meter.last_ns : mia_clock_ns();
}

void
mia_net_again(struct mia_net *net, enum mia_net_catch found, uint64_t now)
{
	switch (found) {
	case MIA_NET_CAUGHT:
		net->wait_ns = net->times.min_ns;
		break;
	case MIA_NET_EMPTY:
		if (net->wait_ns < net->times.max_ns)
			net->wait_ns *= 2;
		break;
	}
	net->start_ns = now;
}

#define MIN_GAP_NS UINT64_C(2000)
#define MAX_GAP_NS UINT64_C(1000000)

static uint64_t
gap_end_ns(const struct mia_gap *gap, uint64_t now)
{
	return now + (gap->ns > gap->pass_ns ? gap->ns : gap->pass_ns);
}

void
mia_gap_shorten(struct mia_gap *gap)
{
	gap->ns = MIN_GAP_NS;

	const uint64_t end_ns = gap_end_ns(gap, mia_clock_ns());

	if (gap->end_ns > end_ns)
		gap->end_ns = end_ns;
}

void
mia_gap_again(struct mia_gap *gap, enum mia_net_catch found, uint64_t start_ns)
{
	const uint64_t now = mia_clock_ns();

	switch (found) {
	case MIA_NET_CAUGHT:
		gap->ns = MIN_GAP_NS;
		break;
	case MIA_NET_EMPTY:
		gap->ns = gap->ns < MAX_GAP_NS / 2 ? 2 * gap->ns : MAX_GAP_NS;
		break;
	}
	gap->pass_ns = now - start_ns;
	gap->end_ns = gap_end_ns(gap, now);
}
