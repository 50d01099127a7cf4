/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * runtime.h -- waits for futures without burning the CPU
 *
 * A runtime polls futures and passes a waker of its own to each. A mover may
 * leave work to the polls of a runtime, as the threads mover does. Then the
 * waiting thread does that work, in short pieces, and never the work of other
 * threads. It sleeps while no future can advance. It polls a future again
 *  - after its waker was called or its word has changed
 *  - at intervals of 64 ms or less, as a safety net: a future whose mover
 *    forgets to wake is late, but not lost
 *  - with pauses of 4 ms or less, if the future sends no notification. Of the
 *    futures that could not start, it polls 16 at a time
 *  - without pauses, if the polls themselves do the work
 *
 * Threads: any number may wait on one runtime at once, each for its own
 * futures. While a thread deletes a runtime, and afterwards, no other thread
 * may use it.
 */

#ifndef LIBMINIASYNC_RUNTIME_H
#define LIBMINIASYNC_RUNTIME_H 1

#include <stddef.h>
#include <stdint.h>

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

struct runtime;

/*
 * runtime_new -- makes a runtime
 *
 * Returns  the runtime, or NULL with errno ENOMEM or the error of the system.
 *          After an error nothing is left behind.
 * Owner    the caller. Destroy it with runtime_delete().
 * Blocks   never
 */
struct runtime *runtime_new(void);

/*
 * runtime_delete -- destroys a runtime
 *
 * runtime  may be NULL. No thread may be waiting on it. No waker of it may be
 *          running, or be called later.
 * Blocks   never
 *
 * When a poll has returned COMPLETE, the runtime's waker of that future has
 * returned, and is not called any more. The movers of this library see to that,
 * and other tasks must. So only futures that runtime_wait_some() has left
 * matter. There are two ways to end their wakers:
 *  - Wait for them, or poll them until they are complete. This is always safe.
 *  - Poll each once with another waker, which may do nothing. A mover with
 *    FUTURE_PROPERTY_RENOTIFY calls that one from then on. If the old waker is
 *    being called just then, the poll waits for its return, but movers of this
 *    library wait for at most 200 ms. A thread that has no CPU for so long may
 *    still call the old waker, or be inside of it. Other movers keep the first
 *    waker.
 * A poll without a notifier, or with one whose waker.wake is NULL, replaces no
 * waker.
 *
 * Also frees the memory of waits that did not return because of longjmp(),
 * thread cancellation or a C++ exception.
 */
void runtime_delete(struct runtime *runtime);

/*
 * runtime_wait -- waits until the future is complete
 *
 * Blocks  the calling thread, which polls and sleeps
 * Errors  none. Without memory it polls more and sleeps less.
 */
void runtime_wait(struct runtime *runtime, struct future *fut);

/*
 * runtime_wait_multiple -- waits until all futures are complete, like
 * runtime_wait()
 *
 * futs   array of nfuts pointers, which the runtime does not change. It may be
 *        NULL if nfuts is 0. It may contain complete futures, and the same
 *        future twice.
 * nfuts  pointers in the array, any number
 *
 * In each pass it first polls the futures that are FUTURE_PROPERTY_ASYNC at
 * that moment. Their work then continues while the others are polled. Apart
 * from this the order is that of the array.
 */
void runtime_wait_multiple(
	struct runtime *runtime, struct future *futs[], size_t nfuts);

/*
 * runtime_wait_some -- waits until enough futures are complete, or for a time
 *
 * futs        as for runtime_wait_multiple(). The same future twice counts
 *             twice.
 * nfuts       pointers in the array, any number
 * nwanted     so many of them. More than nfuts means all. 0: see below
 * timeout_ns  nanoseconds of the monotonic clock since the call. Negative: no
 *             limit. 0: see below
 * Returns     how many of the pointers are to complete futures, from 0 to
 *             nfuts. Compare with nwanted, and look at FUTURE_STATE() of each.
 * Blocks      the calling thread, which polls and sleeps. The call never
 *             returns early with fewer than nwanted. It may be late by
 *             one piece of a copy and one poll. It gives work back to movers.
 * Errors      none. Without memory it polls more and sleeps less.
 *
 * Every call first polls each future once that is not complete, so that each is
 * started. If nwanted or timeout_ns is 0, or enough futures are complete
 * already, it does nothing else, and does not sleep.
 *
 * Futures that are not complete go on, except those that advance in polls only.
 * They may be waited for again, by any runtime, polled, and moved in memory.
 * Their movers may still have wakers of this runtime: see runtime_delete().
 */
size_t runtime_wait_some(struct runtime *runtime, struct future *futs[],
	size_t nfuts, size_t nwanted, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_RUNTIME_H */
