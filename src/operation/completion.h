/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * completion.h -- the end of one operation: its result and its waker
 *
 * Two threads share a completion. The finisher does the work: a worker, or a
 * thread that serves a device. The poller polls the future. Each function says
 * which of the two may call it.
 *
 * No wake-up is lost. A waker is not touched after a poll has returned
 * COMPLETE. The states and the reasons are in completion.c. The Spin model is
 * tests/model/completion.pml.
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
	uint16_t waits;            /* polls that waited for a waker in vain */
	struct future_waker waker; /* the last one that a poll set */
};

/*
 * The probe complete, before the poller can see the end. Mostly the address is
 * that of the operation: its completion comes first. Relaxed: the result is of
 * this thread, or of threads whose work it has acquired.
 */
static inline void
mia_completion_probe(const struct mia_completion *c)
{
	MIA_PROBE2(complete, c,
		(int)atomic_load_explicit(&c->result, memory_order_relaxed));
}

/* Poller: begins a new life. Relaxed: other threads come in by begin. */
static inline void
mia_completion_init(struct mia_completion *c)
{
	atomic_store_explicit(
		&c->state, MIA_COMPLETION_NEW, memory_order_relaxed);
}

/* Poller. Relaxed: only the poller leaves NEW. */
static inline bool
mia_completion_is_new(const struct mia_completion *c)
{
	return atomic_load_explicit(&c->state, memory_order_relaxed) ==
		MIA_COMPLETION_NEW;
}

/* Poller: it has done the work itself. Calls no waker. Relaxed: one thread. */
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

/* Poller: whether finish_here was the last call. Relaxed: one thread. */
static inline bool
mia_completion_is_here(const struct mia_completion *c)
{
	return atomic_load_explicit(&c->state, memory_order_relaxed) ==
		MIA_COMPLETION_HERE;
}

/*
 * Poller, after begin, when no finisher has the operation or will have it: it
 * has ended. Calls no waker. Relaxed: one thread.
 */
static inline void
mia_completion_end_here(struct mia_completion *c)
{
	mia_completion_probe(c);
	atomic_store_explicit(
		&c->state, MIA_COMPLETION_HERE, memory_order_relaxed);
}

/*
 * Poller, after begin: whether the next mia_completion_poll() will return
 * COMPLETE for sure. Relaxed: that poll acquires.
 */
static inline bool
mia_completion_is_ended(const struct mia_completion *c)
{
	return atomic_load_explicit(&c->state, memory_order_relaxed) >=
		MIA_COMPLETION_DONE;
}

/* Poller, after begin: only the poller writes the waker. */
static inline bool
mia_completion_has_waker(
	const struct mia_completion *c, struct future_waker waker)
{
	return c->waker.wake == waker.wake && c->waker.data == waker.data;
}

/*
 * Poller, before it publishes the operation to a finisher. The result is
 * VDM_SUCCESS from now on. wake may be NULL: nobody is called.
 */
void mia_completion_begin(struct mia_completion *c, struct future_waker waker);

/*
 * Finisher, or any thread whose work the finisher acquires: the operation
 * failed. Relaxed: published by mia_completion_finish().
 */
static inline void
mia_completion_fail(struct mia_completion *c, enum vdm_operation_result result)
{
	atomic_store_explicit(
		&c->result, (uint16_t)result, memory_order_relaxed);
}

/*
 * Finisher: publishes the result and everything that happened before, then
 * calls the waker. The completion may be gone afterwards. Not inside of a
 * waker: a thread is inside of one waker at most.
 */
void mia_completion_finish(struct mia_completion *c);

/*
 * Finisher, in a thread that must call no waker: like mia_completion_finish(),
 * unless there is one. Returns whether the operation is over.
 */
bool mia_completion_finish_silently(struct mia_completion *c);

/*
 * A thread that ends: the completion whose waker it is inside of, or NULL. The
 * waker counts as returned. It is then the finisher of that completion no more.
 */
struct mia_completion *mia_completion_leave_thread(void);

/* The next finisher of that completion: the rest of mia_completion_finish(). */
void mia_completion_go_on(struct mia_completion *c);

/* Poller: the rest of mia_completion_poll(). */
enum future_state mia_completion_poll_slow(struct mia_completion *c);

/*
 * Poller, after begin or finish_here: COMPLETE, or RUNNING. Waits for a waker
 * that is running: 10 us, and up to 655 ms if that was in vain before.
 */
static inline enum future_state
mia_completion_poll(struct mia_completion *c)
{
	/* Relaxed: HERE is this thread's, the slow path acquires the rest. */
	return atomic_load_explicit(&c->state, memory_order_relaxed) ==
			MIA_COMPLETION_HERE
		? FUTURE_STATE_COMPLETE
		: mia_completion_poll_slow(c);
}

/*
 * Poller, after begin. If the old waker is running, waits up to 200 ms for its
 * return. What a waker that has returned did happens before this returns.
 */
void mia_completion_replace_waker(
	struct mia_completion *c, struct future_waker waker);

/* Poller: the rest of mia_completion_retire(). */
void mia_completion_leave_waker(struct mia_completion *c);

/*
 * Poller, after COMPLETE, also from inside of the waker. Returns the result.
 * The completion's memory may be reused. Also for NEW, also from inside of the
 * waker of another completion: the result is undefined then.
 */
static inline enum vdm_operation_result
mia_completion_retire(struct mia_completion *c)
{
	/*
	 * Relaxed, both: the poll has acquired, or it is NEW and has one user.
	 * Not ended: by its own waker, or NEW.
	 */
	if (MIA_UNLIKELY(!mia_completion_is_ended(c)))
		mia_completion_leave_waker(c);

	return (enum vdm_operation_result)atomic_load_explicit(
		&c->result, memory_order_relaxed);
}

#endif /* LIBMINIASYNC_COMPLETION_H */
