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
 *   PENDING  submitted: a finisher has the operation, or will get it
 *   LOCKED   the poller writes the waker, or the finisher reads it: a few
 *            instructions. A thread that wants to lock the waker waits
 *   WAKING   the result is published. The finisher calls the waker that it has
 *            read
 *   POLLED   like WAKING, and a poll has returned RUNNING since. The finisher
 *            must read the waker again and call it once more
 *   DONE     complete. The finisher touches nothing any more
 *   HERE     the poller alone has completed the operation: from NEW or PENDING,
 *            or in a child after a fork
 *
 * The finisher makes the changes that the arrows show, except two: the poller
 * changes NEW to PENDING, and WAKING to POLLED. The poller also changes
 * PENDING, WAKING and POLLED to LOCKED and back. A silent finisher changes
 * PENDING to LOCKED, and then to DONE or back.
 *
 * No wake-up is lost: after a poll has returned RUNNING, the finisher still has
 * to call the waker, or finds POLLED and calls it once more.
 *
 * No waker is touched after a poll has returned COMPLETE, because the state is
 * then DONE, or HERE without a finisher. The exception is a poll by the waker
 * itself, on the finisher's thread. mia_completion_retire() then clears
 * this_wake, so that the finisher touches nothing.
 *
 * Nothing waits for ever: a poll that finds WAKING ends its wait after some
 * time.
 */

#include "operation/completion.h"

#include "system/backoff.h"
#include "system/forks.h"
#include "system/happens.h"
#include "system/platform.h"

/*
 * The time for which a poll waits for a running waker: 10 us, and four times as
 * long after each wait that timed out, up to 655 ms. The first wait is short,
 * because the waker may wait for a lock of the poller. After each timeout the
 * waker is called once more: at most 8 times if the waker takes less than
 * 655 ms.
 */
#define WAKER_WAIT_NS UINT64_C(10000)
#define MAX_WAITS 8

/*
 * The time for which a poll waits for a waker that it replaces. The owner may
 * free the waker's data after that poll. So the time must be enough for a
 * finisher that has lost its CPU.
 */
#define REPLACED_WAIT_NS UINT64_C(200000000)

/* The completion whose waker this thread is calling, or NULL. */
static MIA_THREAD_POINTER(struct mia_completion, this_wake, NULL);

static struct mia_completion *
get_this_wake(void)
{
	return MIA_THREAD_GET(this_wake, NULL);
}

/* Fails only if memory is short, and only the first time in a thread. */
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

/*
 * Locks the waker, to read or write it. Returns the state before. Does not lock
 * a waker in DONE.
 */
static uint32_t
lock_waker(struct mia_completion *c)
{
	/* Relaxed: the compare-exchange checks again. */
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

/* Release: publishes the waker to lock_waker(), data and result to polls. */
static void
unlock_waker(struct mia_completion *c, uint32_t state)
{
	mia_happens_before(c);
	atomic_store_explicit(&c->state, state, memory_order_release);
}

/*
 * Finisher: changes WAKING to DONE, after the waker has returned. Returns false
 * if the state is POLLED. After true, the finisher must not touch the
 * completion.
 */
static bool
finish_waking(struct mia_completion *c)
{
	uint32_t state = MIA_COMPLETION_WAKING;
	struct mia_spin spin = MIA_SPIN_CALL;

	mia_happens_before(c);
	/*
	 * Release: the waker's work happens before the poll that returns
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

/* mia_completion_go_on() calls this again if a waker has ended its thread. */
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
			/* A child lacks the poller, which may hold LOCKED. */
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
 * Changes LOCKED to DONE. A poll that returns RUNNING meanwhile has no waker. A
 * poll that sets a waker waits for the end of LOCKED.
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
 * Poller: changes WAKING or POLLED to POLLED, so that the waker is called once
 * more. Returns false if the finisher has changed the state before.
 *
 * Release: everything before this poll happens before that call. Pairs with the
 * acquire in lock_waker(). Relaxed on failure: the caller checks again.
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
 * Poller: waits while a waker is running. Returns COMPLETE when the waker has
 * returned. Returns RUNNING after max_ns: the waker will then be called once
 * more.
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

		/* Count first: the waker may then complete the operation. */
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
	/* A waker polls its own future: that poll will return COMPLETE. */
	if (c == get_this_wake())
		return;

	const uint32_t state = lock_waker(c);

	if (state == MIA_COMPLETION_DONE) {
		/* Acquire: the old waker's work. Pairs with DONE. */
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
		/* Acquire: pairs with the release of DONE, gets the result. */
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
			break; /* the finisher changed the state */
		case MIA_COMPLETION_NEW:
		case MIA_COMPLETION_PENDING:
		case MIA_COMPLETION_LOCKED:
			return FUTURE_STATE_RUNNING;
		}
	}
}

/*
 * In the completion's own waker: finish() then finds NULL and touches nothing.
 * A NEW completion does not change this_wake, which names another completion or
 * is NULL.
 */
void
mia_completion_leave_waker(struct mia_completion *c)
{
	if (c == get_this_wake())
		set_this_wake(NULL);
}
