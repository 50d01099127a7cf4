/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * completion.h -- the end of one operation: its result and its waker
 *
 * Two threads share a completion. The finisher does the work: it is a worker,
 * or a thread that serves a device. The poller polls the future. The comment of
 * each function names the thread that may call it.
 *
 * No wake-up is lost. A waker is not touched after a poll has returned
 * COMPLETE. completion.c explains the states, the reasons and an exception. The
 * Spin model is tests/model/completion.pml.
 */

#ifndef LIBMINIASYNC_COMPLETION_H
#define LIBMINIASYNC_COMPLETION_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libminiasync/vdm.h"
#include "system/platform.h"
#include "system/probe.h"

/* See completion.c. */
enum mia_completion_state {
	MIA_COMPLETION_NEW,
	MIA_COMPLETION_PENDING,
	MIA_COMPLETION_LOCKED,
	MIA_COMPLETION_WAKING,
	MIA_COMPLETION_POLLED,
	MIA_COMPLETION_DONE,
	MIA_COMPLETION_HERE,
};

struct mia_completion {
	_Atomic uint32_t state;
	_Atomic uint16_t result;   /* enum vdm_operation_result */
	uint16_t waits;            /* timeouts of waits for a waker */
	struct future_waker waker; /* the last waker that a poll set */
};

/*
 * Fires the probe complete, before the poller can find the operation complete.
 * The address is usually that of the operation, because the completion is its
 * first member. Relaxed: this thread has written the result, or has acquired
 * the work of the threads that wrote it.
 */
static inline void
mia_completion_probe(const struct mia_completion *c)
{
	MIA_PROBE2(complete, c,
		(int)atomic_load_explicit(&c->result, memory_order_relaxed));
}

/* Poller: the first call for an operation. Relaxed: one thread until begin. */
static inline void
mia_completion_init(struct mia_completion *c)
{
	atomic_store_explicit(
		&c->state, MIA_COMPLETION_NEW, memory_order_relaxed);
}

/* Poller. Relaxed: only the poller changes the state from NEW. */
static inline bool
mia_completion_is_new(const struct mia_completion *c)
{
	return atomic_load_explicit(&c->state, memory_order_relaxed) ==
		MIA_COMPLETION_NEW;
}

/*
 * Poller: completes an operation that the poller has done itself. Calls no
 * waker. Relaxed: no other thread uses the completion.
 */
static inline void
mia_completion_finish_here(
	struct mia_completion *c, enum vdm_operation_result result)
{
	MIA_PROBE2(complete, c, result);
	atomic_store_explicit(
		&c->result, (uint16_t)result, memory_order_relaxed);
	atomic_store_explicit(
		&c->state, MIA_COMPLETION_HERE, memory_order_relaxed);
}

/*
 * Poller: whether the poller has completed the operation alone, by finish_here
 * or end_here. Relaxed: only the poller stores HERE.
 */
static inline bool
mia_completion_is_here(const struct mia_completion *c)
{
	return atomic_load_explicit(&c->state, memory_order_relaxed) ==
		MIA_COMPLETION_HERE;
}

/*
 * Poller, after begin, if no finisher has the operation or will get it:
 * completes the operation. Calls no waker. Relaxed: no other thread uses the
 * completion.
 */
static inline void
mia_completion_end_here(struct mia_completion *c)
{
	mia_completion_probe(c);
	atomic_store_explicit(
		&c->state, MIA_COMPLETION_HERE, memory_order_relaxed);
}

/*
 * Poller, after begin: whether the next mia_completion_poll() is certain to
 * return COMPLETE. Relaxed: that poll acquires.
 */
static inline bool
mia_completion_is_ended(const struct mia_completion *c)
{
	return atomic_load_explicit(&c->state, memory_order_relaxed) >=
		MIA_COMPLETION_DONE;
}

/* Poller, after begin. Needs no lock: only the poller writes the waker. */
static inline bool
mia_completion_has_waker(
	const struct mia_completion *c, struct future_waker waker)
{
	return c->waker.wake == waker.wake && c->waker.data == waker.data;
}

/*
 * Poller, before it publishes the operation to a finisher. Sets the result to
 * VDM_SUCCESS. If waker.wake is NULL, no waker is called.
 */
void mia_completion_begin(struct mia_completion *c, struct future_waker waker);

/*
 * Finisher, or a thread whose work the finisher acquires: sets the result of an
 * operation that failed. Relaxed: mia_completion_finish() publishes the result.
 */
static inline void
mia_completion_fail(struct mia_completion *c, enum vdm_operation_result result)
{
	atomic_store_explicit(
		&c->result, (uint16_t)result, memory_order_relaxed);
}

/*
 * Finisher: publishes the result and everything that happened before, then
 * calls the waker. The completion may be freed before this returns. Do not call
 * this in a waker: a thread runs one waker at most.
 */
void mia_completion_finish(struct mia_completion *c);

/*
 * Finisher, in a thread that must not call wakers: like mia_completion_finish()
 * if no waker is set. If a waker is set, changes nothing. Returns whether the
 * operation is complete.
 */
bool mia_completion_finish_silently(struct mia_completion *c);

/*
 * For a thread that ends. Returns the completion whose waker the thread is
 * calling, or NULL. The waker counts as returned. The thread is no longer the
 * finisher of that completion.
 */
struct mia_completion *mia_completion_leave_thread(void);

/* The next finisher: does the rest of mia_completion_finish(). */
void mia_completion_go_on(struct mia_completion *c);

/* Poller: the slow path of mia_completion_poll(). */
enum future_state mia_completion_poll_slow(struct mia_completion *c);

/*
 * Poller, after begin or finish_here: returns COMPLETE or RUNNING. If a waker
 * is running, waits for its return: up to 10 us, and four times as long after
 * each timeout, up to 655 ms.
 */
static inline enum future_state
mia_completion_poll(struct mia_completion *c)
{
	/* Relaxed: this thread stored HERE; the slow path acquires. */
	return atomic_load_explicit(&c->state, memory_order_relaxed) ==
			MIA_COMPLETION_HERE
		? FUTURE_STATE_COMPLETE
		: mia_completion_poll_slow(c);
}

/*
 * Poller, after begin: sets the waker. If another waker is running, waits up to
 * 200 ms for its return. The work of a waker that has returned happens before
 * this function returns.
 */
void mia_completion_replace_waker(
	struct mia_completion *c, struct future_waker waker);

/* Poller: the slow path of mia_completion_retire(). */
void mia_completion_leave_waker(struct mia_completion *c);

/*
 * Poller, after COMPLETE, also in the completion's own waker. Returns the
 * result. The memory of the completion may then be used again.
 *
 * Also legal for NEW, even in the waker of another completion. The result is
 * undefined then.
 */
static inline enum vdm_operation_result
mia_completion_retire(struct mia_completion *c)
{
	/*
	 * Relaxed, both: the poll has acquired, or the state is NEW and no
	 * other thread uses the completion. Not ended: the completion's own
	 * waker calls this, or the state is NEW.
	 */
	if (MIA_UNLIKELY(!mia_completion_is_ended(c)))
		mia_completion_leave_waker(c);

	return (enum vdm_operation_result)atomic_load_explicit(
		&c->result, memory_order_relaxed);
}

#endif /* LIBMINIASYNC_COMPLETION_H */
