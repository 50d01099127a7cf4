/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * completion.c -- see completion.h
 *
 *	NEW --> PENDING --> LOCKED --> WAKING --> DONE
 *	                       ^         |
 *	                       |         v
 *	                       +------ POLLED
 *
 *   NEW      not started
 *   PENDING  with the finisher, or on the way to it
 *   LOCKED   the poller writes the waker, or the finisher reads it: a few
 *            instructions, for which the other thread waits
 *   WAKING   the result is there. The finisher calls the waker that it has read
 *   POLLED   like WAKING, and a poll has returned RUNNING since. The finisher
 *            has to read the waker again and to call it once more
 *   DONE     complete. The finisher is gone
 *   HERE     complete by the poller alone, from NEW or PENDING
 *
 * The finisher goes along these arrows, except for the one from WAKING to
 * POLLED, which is the poller's. The poller also goes from any state except NEW
 * and DONE to LOCKED and back.
 *
 * No wake-up is lost: a poll that returns RUNNING finds a waker that is still
 * to be called, or leaves POLLED behind.
 *
 * No waker is touched after a poll has returned COMPLETE, because that takes
 * DONE. The exception is a poll by the waker itself, on the finisher. The
 * finisher then finds that this_wake is not its completion any more.
 *
 * Nothing waits for ever: a poll that finds WAKING gives up after some time.
 */

#include "operation/completion.h"

#include "system/backoff.h"
#include "system/forks.h"
#include "system/happens.h"
#include "system/platform.h"

/*
 * How long a poll waits for a running waker: 10 us, and four times as long
 * after each wait in vain, up to 655 ms. The first is short, because the waker
 * may wait for the poller's lock. After each wait in vain it is called once
 * more: 8 times at most if it takes less than 655 ms.
 */
#define WAKER_WAIT_NS UINT64_C(10000)
#define MAX_WAITS 8

/*
 * How long a poll waits for a waker that it replaces, whose data may be freed
 * then. So this must be enough for a finisher that has lost its CPU.
 */
#define REPLACED_WAIT_NS UINT64_C(200000000)

/* The completion whose waker this thread is inside of, or NULL. */
static MIA_THREAD_POINTER(struct mia_completion, this_wake, NULL);

static struct mia_completion *
get_this_wake(void)
{
	return MIA_THREAD_GET(this_wake, NULL);
}

/* Setting fails only for lack of memory, at a thread's first time. */
static void
set_this_wake(struct mia_completion *c)
{
	while (!MIA_THREAD_SET(this_wake, c))
		mia_thread_yield();
}

void
mia_completion_begin(struct mia_completion *c, struct future_waker waker)
{
	c->waker = waker;
	c->waits = 0;
	/* Relaxed, both: published with the operation. */
	atomic_store_explicit(&c->result, VDM_SUCCESS, memory_order_relaxed);
	atomic_store_explicit(
		&c->state, MIA_COMPLETION_PENDING, memory_order_relaxed);
}

/* To read or write the waker. Returns the state before. DONE is not left. */
static uint32_t
lock_waker(struct mia_completion *c)
{
	/* Relaxed: the compare-exchange looks again. */
	uint32_t state = atomic_load_explicit(&c->state, memory_order_relaxed);
	struct mia_spin spin = MIA_SPIN_CALL;

	/* Acquire: pairs with unlock_waker(). */
	while (state == MIA_COMPLETION_LOCKED ||
		(state != MIA_COMPLETION_DONE &&
			!atomic_compare_exchange_weak_explicit(&c->state,
				&state, MIA_COMPLETION_LOCKED,
				memory_order_acquire, memory_order_relaxed))) {
		(void)mia_spin(&spin);
		state = atomic_load_explicit(&c->state, memory_order_relaxed);
	}

	mia_happens_after(c);
	return state;
}

/* Release: the waker, to lock_waker(); the data and result, to the poll. */
static void
unlock_waker(struct mia_completion *c, uint32_t state)
{
	mia_happens_before(c);
	atomic_store_explicit(&c->state, state, memory_order_release);
}

/*
 * Finisher: from WAKING to DONE, after the waker has returned. False: the state
 * is POLLED. After true the completion is not the finisher's any more.
 */
static bool
finish_waking(struct mia_completion *c)
{
	uint32_t state = MIA_COMPLETION_WAKING;
	struct mia_spin spin = MIA_SPIN_CALL;

	mia_happens_before(c);
	/*
	 * Release: what the waker did happens before the poll that returns
	 * COMPLETE. Relaxed on failure: lock_waker() acquires.
	 */
	while (!atomic_compare_exchange_weak_explicit(&c->state, &state,
		MIA_COMPLETION_DONE, memory_order_release,
		memory_order_relaxed)) {
		if (state == MIA_COMPLETION_POLLED)
			return false;
		state = MIA_COMPLETION_WAKING;
		(void)mia_spin(&spin);
	}

	return true;
}

/* Also once more, after a waker has ended the thread. */
static void
finish(struct mia_completion *c)
{
	do {
		lock_waker(c);
		const struct future_waker waker = c->waker;

		unlock_waker(c, MIA_COMPLETION_WAKING);
		if (waker.wake != NULL) {
			const uint32_t forks = mia_forks();

			set_this_wake(c);
			FUTURE_WAKER_WAKE(&waker);
			/* A child has no poller, which may hold LOCKED. */
			if (mia_forked_since(forks))
				return;
			if (get_this_wake() != c)
				return; /* completed by its own waker */
			set_this_wake(NULL);
		}
	} while (!finish_waking(c));
}

void
mia_completion_finish(struct mia_completion *c)
{
	mia_completion_probe(c);
	finish(c);
}

struct mia_completion *
mia_completion_leave_thread(void)
{
	struct mia_completion *c = get_this_wake();

	if (c != NULL)
		set_this_wake(NULL);
	return c;
}

void
mia_completion_go_on(struct mia_completion *c)
{
	if (!finish_waking(c))
		finish(c);
}

/*
 * From LOCKED to DONE: a poll that returns RUNNING meanwhile has no waker, and
 * one that brings a waker waits for the end of LOCKED.
 */
bool
mia_completion_finish_silently(struct mia_completion *c)
{
	const uint32_t state = lock_waker(c);
	const bool has_waker = c->waker.wake != NULL;

	if (!has_waker)
		mia_completion_probe(c);
	unlock_waker(c, has_waker ? state : MIA_COMPLETION_DONE);
	return !has_waker;
}

/*
 * Poller: from WAKING or POLLED to POLLED, so that the waker is called once
 * more. False: the finisher was faster.
 * Release: what happened before this poll happens before that call. Pairs with
 * the acquire in lock_waker(). Relaxed on failure: the caller looks again.
 */
static bool
ask_for_a_wake(struct mia_completion *c, uint32_t state)
{
	mia_happens_before(c);
	return atomic_compare_exchange_strong_explicit(&c->state, &state,
		MIA_COMPLETION_POLLED, memory_order_release,
		memory_order_relaxed);
}

/*
 * Poller: a waker is running. Returns COMPLETE once the waker has returned.
 * Returns RUNNING if that takes too long: then there will be one more call.
 */
static enum future_state
await_waker(struct mia_completion *c, uint64_t max_ns)
{
	struct mia_spin spin = MIA_SPIN_CALL;
	uint64_t start_ns = 0;

	for (;;) {
		/* Acquire: pairs with the release of DONE. */
		const uint32_t state =
			atomic_load_explicit(&c->state, memory_order_acquire);

		if (state == MIA_COMPLETION_DONE) {
			mia_happens_after(c);
			return FUTURE_STATE_COMPLETE;
		}

		if (!mia_spin(&spin))
			continue;
		if (start_ns == 0)
			start_ns = mia_clock_ns();
		if (mia_clock_ns() - start_ns < max_ns)
			continue;

		const bool is_waking = state == MIA_COMPLETION_WAKING ||
			state == MIA_COMPLETION_POLLED;
		if (!is_waking)
			continue;

		/* Before it asks: the waker may complete the operation. */
		if (c->waits < MAX_WAITS)
			c->waits++;
		if (ask_for_a_wake(c, state))
			return FUTURE_STATE_RUNNING;
	}
}

void
mia_completion_replace_waker(
	struct mia_completion *c, struct future_waker waker)
{
	/* A waker polls its own future: the poll will return COMPLETE. */
	if (c == get_this_wake())
		return;

	const uint32_t state = lock_waker(c);

	if (state == MIA_COMPLETION_DONE) {
		/* Acquire: what the old waker did. Pairs with DONE. */
		(void)atomic_load_explicit(&c->state, memory_order_acquire);
		return;
	}

	const bool is_same = mia_completion_has_waker(c, waker);
	const bool is_waking = state == MIA_COMPLETION_WAKING ||
		state == MIA_COMPLETION_POLLED;

	c->waker = waker;
	unlock_waker(c, state);
	if (is_waking && !is_same)
		await_waker(c, REPLACED_WAIT_NS);
}

enum future_state
mia_completion_poll_slow(struct mia_completion *c)
{
	for (;;) {
		/* Acquire: pairs with the release of DONE: the result. */
		const enum mia_completion_state state =
			(enum mia_completion_state)atomic_load_explicit(
				&c->state, memory_order_acquire);

		switch (state) {
		case MIA_COMPLETION_DONE:
			mia_happens_after(c);
			return FUTURE_STATE_COMPLETE;
		case MIA_COMPLETION_HERE:
			return FUTURE_STATE_COMPLETE;
		case MIA_COMPLETION_WAKING:
			if (c == get_this_wake())
				return FUTURE_STATE_COMPLETE;
			return await_waker(c, WAKER_WAIT_NS << 2 * c->waits);
		case MIA_COMPLETION_POLLED:
			if (c == get_this_wake())
				return FUTURE_STATE_COMPLETE;
			if (ask_for_a_wake(c, state))
				return FUTURE_STATE_RUNNING;
			break; /* the finisher went on: look again */
		case MIA_COMPLETION_NEW:
		case MIA_COMPLETION_PENDING:
		case MIA_COMPLETION_LOCKED:
			return FUTURE_STATE_RUNNING;
		}
	}
}

/*
 * If the waker has completed its own operation: see finish(). A NEW completion
 * leaves this_wake, which belongs to another one.
 */
void
mia_completion_leave_waker(struct mia_completion *c)
{
	if (c == get_this_wake())
		set_this_wake(NULL);
}
