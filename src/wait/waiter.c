/* SPDX-License-Identifier: BSD-3-Clause */

/* waiter.c -- polls a future, and determines which answer is valid then */

#include "wait/waiter.h"

/*
 * Set in notifier_used before a poll, to detect a task that leaves
 * notifier_used unchanged. Then the task's last answer is still valid. A task
 * in C++ may read this value, and the type has no values above 3 in C++.
 */
#define NO_ANSWER ((enum future_notifier_type)3)

/*
 * Reads the word that a POLLER future has named. Its writer may be a device or
 * a thread without C11, so the word has no atomic type. Acquire: pairs with the
 * writer's release, as in the threads mover. A poll after a change sees the
 * progress. A system without 64-bit loads may load halves of two values. Such a
 * mixture counts as a change.
 */
static uint64_t
monitored_word(const uint64_t *word)
{
#if UINTPTR_MAX >= UINT64_MAX
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
#else
	typedef uint32_t __attribute__((may_alias)) half;
	const half *halves = (const half *)word;

	return (uint64_t)__atomic_load_n(halves, __ATOMIC_ACQUIRE) << 32 |
		__atomic_load_n(halves + 1, __ATOMIC_ACQUIRE);
#endif
}

/* Whether the future is a chain that has advanced since its last poll here. */
static bool
has_moved(const struct mia_waiter *waiter)
{
	return future_chain_has_moved_impl(
		waiter->padding, waiter->fut->context.padding);
}

/*
 * Whether there is a word to read. Another future's task may have completed
 * this future, or the entry of the chain that named the word. Then the word may
 * no longer exist.
 */
static bool
has_word(const struct mia_waiter *waiter)
{
	const struct future_notifier *n = &waiter->notifier;
	const bool named = n->notifier_used == FUTURE_NOTIFIER_POLLER &&
		n->poller.ptr_to_monitor != NULL;

	return named && waiter->fut->context.state != FUTURE_STATE_COMPLETE &&
		!waiter->doubtful && !has_moved(waiter);
}

enum mia_look
mia_waiter_look(const struct mia_waiter *waiter)
{
	if (waiter->linger > 0 || !has_word(waiter))
		return MIA_LOOK_NO_WORD;

	return monitored_word(waiter->notifier.poller.ptr_to_monitor) ==
			waiter->word
		? MIA_LOOK_UNCHANGED
		: MIA_LOOK_CHANGED;
}

/* The values that a notifier's poller can have before and after a poll. */
struct offers {
	uint64_t *word; /* the monitored word; no offer */
	uint64_t *offer;
	uint64_t *work;
};

static struct offers
offers_of(const struct future_notifier *n)
{
	return (struct offers){
		.word = n->poller.ptr_to_monitor,
		.offer = future_notifier_offer_impl(n),
		.work = future_notifier_work_impl(n),
	};
}

static uint64_t *
offer_for(const struct offers *offers, enum mia_effort effort)
{
	switch (effort) {
	case MIA_EFFORT_OFFER:
		return offers->offer;
	case MIA_EFFORT_WORK:
		return offers->work;
	case MIA_EFFORT_ONCE:
	case MIA_EFFORT_NONE:
		break;
	}

	return offers->word;
}

/* Returns the remaining offer. Restores the word if the poll named no word. */
static enum mia_effort
take_offer_back(struct future_notifier *n, const struct offers *offers)
{
	const uint64_t *found = n->poller.ptr_to_monitor;

	if (found != offers->offer && found != offers->work)
		return MIA_EFFORT_NONE;

	n->poller.ptr_to_monitor = offers->word;
	return found == offers->work ? MIA_EFFORT_WORK : MIA_EFFORT_OFFER;
}

/*
 * Returns true if the future is complete. *effort becomes the remaining offer.
 */
static bool
poll_and_listen(struct mia_waiter *waiter, enum mia_effort *effort)
{
	struct future_notifier *n = &waiter->notifier;
	const enum future_notifier_type last =
		waiter->doubtful ? FUTURE_NOTIFIER_NONE : n->notifier_used;
	const struct offers offers = offers_of(n);
	const bool offered = *effort >= MIA_EFFORT_OFFER;

	n->notifier_used = NO_ANSWER;
	n->padding = FUTURE_NOTIFIER_INLINE_;
	n->poller.ptr_to_monitor = offer_for(&offers, *effort);

	const bool complete =
		future_poll(waiter->fut, n) == FUTURE_STATE_COMPLETE;

	*effort = take_offer_back(n, &offers);
	if (complete)
		return true;

	const bool moved = has_moved(waiter);

	waiter->padding = waiter->fut->context.padding;
	waiter->doubtful = moved && n->notifier_used != NO_ANSWER &&
		n->notifier_used != FUTURE_NOTIFIER_NONE;
	waiter->kept = offered && n->padding == FUTURE_NOTIFIER_WORK_;
	if (n->notifier_used == NO_ANSWER)
		n->notifier_used = moved ? FUTURE_NOTIFIER_NONE : last;
	return false;
}

enum poll {
	POLL_COMPLETE,
	POLL_ANSWERED, /* the answer is valid */
	POLL_AGAIN,    /* only another poll gives a valid answer */
};

/*
 * Reads the word before the poll. So the next read detects a change between the
 * two. Therefore a poll that names another word must be repeated.
 */
static enum poll
poll_once(struct mia_waiter *waiter, enum mia_effort *effort)
{
	const uint64_t *word = NULL;

	if (has_word(waiter)) {
		word = waiter->notifier.poller.ptr_to_monitor;
		waiter->word = monitored_word(word);
	}

	if (poll_and_listen(waiter, effort))
		return POLL_COMPLETE;

	/* The future is polled again in any case. */
	if (waiter->kept)
		return POLL_ANSWERED;

	const bool is_other_word = has_word(waiter) &&
		waiter->notifier.poller.ptr_to_monitor != word;

	return waiter->doubtful || is_other_word ? POLL_AGAIN : POLL_ANSWERED;
}

/*
 * Polls twice at most, so that other futures get their polls. If the last
 * answer is not valid, the next pass polls again.
 */
struct mia_polled
mia_waiter_poll(struct mia_waiter *waiter, enum mia_effort effort)
{
	struct mia_polled polled = {.what = MIA_POLL_NOTHING};
	const enum future_state state = waiter->fut->context.state;
	const bool was_refused = mia_waiter_is_refused(waiter);
	enum mia_effort left = effort;

	if (waiter->linger > 0)
		waiter->linger--;

	enum poll poll = poll_once(waiter, &left);

	if (poll == POLL_AGAIN && effort != MIA_EFFORT_ONCE)
		poll = poll_once(waiter, &left);
	polled.worked = effort == MIA_EFFORT_WORK && left != MIA_EFFORT_WORK;

	switch (poll) {
	case POLL_COMPLETE:
		waiter->fut = NULL;
		polled.what = MIA_POLL_COMPLETE;
		return polled;
	case POLL_AGAIN:
		waiter->linger = 1;
		break;
	case POLL_ANSWERED:
		break;
	}

	if (waiter->fut->context.state != state ||
		(was_refused && !mia_waiter_is_refused(waiter)))
		polled.what = MIA_POLL_STARTED;
	return polled;
}
