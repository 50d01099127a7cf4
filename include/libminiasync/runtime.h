/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * runtime.h -- waits for futures without burning the CPU
 *
 * A runtime polls futures, gives each a waker of its own, and sleeps while
 * none of them can move on. It polls again those that were announced, and all
 * of them from time to time, so that a future whose mover forgets to wake is
 * late (by 64 ms at most) and not lost. A future that announces nothing is
 * polled with pauses that grow up to 4 ms; one whose polls do the work is
 * polled without pauses.
 *
 * Threads: any number may wait on one runtime at once, each for its own
 * futures. No other thread may use it while it is deleted, or later.
 */

#ifndef LIBMINIASYNC_RUNTIME_H
#define LIBMINIASYNC_RUNTIME_H 1

#include <stddef.h>

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

struct runtime;

/*
 * runtime_new -- makes a runtime
 *
 * Returns   the runtime, or NULL with errno set (ENOMEM, or what the system
 *           said); nothing is left behind
 * Owner     the caller; end with runtime_delete()
 */
struct runtime *runtime_new(void);

/*
 * runtime_delete -- ends a runtime on which nobody waits; NULL is fine
 *
 * Frees the memory of waits that longjmp(), thread cancellation or a C++
 * exception has left, too.
 *
 * Wakers of futures that were waited for must not be called any more. They
 * are not, once the futures are complete.
 */
void runtime_delete(struct runtime *runtime);

/*
 * runtime_wait -- returns when the future is complete
 *
 * Blocks  the calling thread, which polls and sleeps. Cannot fail: without
 *         memory it polls more and sleeps less.
 */
void runtime_wait(struct runtime *runtime, struct future *fut);

/*
 * runtime_wait_multiple -- returns when all futures are complete
 *
 * futs   array of nfuts pointers, left as it is; may be NULL if nfuts is 0.
 *        Complete futures and the same one twice are fine.
 *
 * In each pass the futures that are FUTURE_PROPERTY_ASYNC at that moment are
 * polled first, so that their work goes on while the others are polled;
 * otherwise in the order of the array.
 */
void runtime_wait_multiple(
	struct runtime *runtime, struct future *futs[], size_t nfuts);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_RUNTIME_H */
