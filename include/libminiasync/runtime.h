/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * runtime.h -- waits for futures without keeping the CPU busy
 *
 * A runtime polls the futures of a wait, and passes a waker of its own to each.
 * A runtime has no threads. The waiting thread polls, and sleeps while no
 * future can advance. The threads mover leaves its operations to the waiting
 * thread, which does them piece by piece. The waiting thread never does the
 * work of other threads. A runtime polls a future again
 *  - after its waker was called, or its word has changed. Between two looks at
 *    the word there are pauses of 4 ms or less.
 *  - with pauses of 4 ms or less, if the future sends no notification
 *  - without pauses, if the future does its work in its polls
 *  - at intervals of 4 to 64 ms in any case, as a safety net. If a mover does
 *    not call the waker, its future is late, but not lost.
 * Futures that could not start are an exception. Each pass polls 16 of them, in
 * turn, and between passes there are pauses of 4 ms or less.
 *
 * Threads: any number may wait on one runtime at once, each for futures of its
 *          own. While a thread deletes a runtime, and afterwards, no other
 *          thread may use the runtime. Do not call the functions from a signal
 *          handler.
 * Fork:    the child may wait on a runtime of its parent, and delete it.
 * Cancel:  no function is a cancellation point, unless a task is one. If
 *          longjmp(), thread cancellation or a C++ exception leaves a wait,
 *          runtime_delete() frees the memory of the wait.
 * errno:   unchanged after success, if the tasks do not change it
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
 * runtime_new -- creates a runtime
 *
 * Returns  the runtime, or NULL with errno set. After an error nothing is left
 *          behind.
 * Errors   ENOMEM, or another error if the system refuses a mutex
 * Owner    the caller. Delete the runtime with runtime_delete().
 * Blocks   never
 */
struct runtime *runtime_new(void);

/*
 * runtime_delete -- deletes a runtime
 *
 * runtime  may be NULL. No thread may be waiting on it. None of its wakers may
 *          be running, or be called later.
 * Errors   none
 * Blocks   never
 *
 * When a poll has returned COMPLETE, the runtime's waker of that future has
 * returned, and is not called any more. The movers of this library ensure this,
 * and other tasks must ensure it too. So only futures that runtime_wait_some()
 * left incomplete matter. There are two ways to make their wakers end:
 *  - Wait for the futures, or poll them until they are complete. This is always
 *    safe.
 *  - Poll each future once with another waker, which may do nothing. A mover
 *    that supports FUTURE_PROPERTY_RENOTIFY calls the new waker from then on.
 *    If the old waker is running at that moment, the poll waits until the old
 *    waker returns. Movers of this library wait for at most 200 ms. A thread
 *    that gets no CPU for so long may still call the old waker, or be inside
 *    it. Other movers keep the first waker.
 * A poll without a notifier, or with a notifier whose waker.wake is NULL,
 * replaces no waker.
 */
void runtime_delete(struct runtime *runtime);

/*
 * runtime_wait -- waits until a future is complete
 *
 * fut     may be complete, or started before. No completion queue may have it.
 * Owner   the caller. The future must stay in place during the call.
 * Blocks  until the future is complete. The calling thread polls and sleeps.
 * Errors  none: the future's output has the result. Without memory the thread
 *         polls, sleeps for at most 4 ms, and polls again.
 */
void runtime_wait(struct runtime *runtime, struct future *fut);

/*
 * runtime_wait_multiple -- waits until all futures are complete
 *
 * futs    array of nfuts pointers, which is not changed. It may contain
 *         complete futures, and the same future twice. It may be NULL if nfuts
 *         is 0. No completion queue may have the futures.
 * nfuts   number of pointers, 0 or more
 * Owner   the caller. The futures must stay in place during the call.
 * Blocks  until the futures are complete. The calling thread polls and sleeps.
 * Errors  as runtime_wait()
 *
 * In each pass the call first polls the futures that have FUTURE_PROPERTY_ASYNC
 * at that moment. Their work then continues while the others are polled.
 * Otherwise the order is that of the array.
 */
void runtime_wait_multiple(
	struct runtime *runtime, struct future *futs[], size_t nfuts);

/*
 * runtime_wait_some -- waits until enough futures are complete, with a timeout
 *
 * futs        as for runtime_wait_multiple()
 * nfuts       number of pointers, 0 or more
 * nwanted     number of futures to wait for. More than nfuts means all. 0 polls
 *             each future once.
 * timeout_ns  nanoseconds of the monotonic clock since the call. If nfuts is 1,
 *             the time may begin after the first poll. A negative value means
 *             no limit. 0 polls each future once.
 * Returns     the number of pointers to complete futures, 0 to nfuts. The same
 *             future twice counts twice. Compare the number with nwanted, and
 *             check FUTURE_STATE() of each future.
 * Owner       the caller. The futures must stay in place during the call.
 * Blocks      for at most timeout_ns. The calling thread polls and sleeps. The
 *             call never returns before the timeout with fewer than nwanted. It
 *             may be late by one piece of a copy, one poll, and the time to
 *             hand unfinished work to the workers.
 * Errors      as runtime_wait(). Without memory the call also returns in time.
 *
 * Every call first polls each incomplete future once, and so starts each
 * future. The call does nothing else, and does not sleep, if nwanted or
 * timeout_ns is 0, or if enough futures are complete before these polls.
 *
 * Futures that are not complete go on, except those that advance only in their
 * polls. Between calls you may poll them, wait for them on any runtime, and
 * move them in memory. Their movers may still have wakers of this runtime: see
 * runtime_delete().
 */
size_t runtime_wait_some(struct runtime *runtime, struct future *futs[],
	size_t nfuts, size_t nwanted, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_RUNTIME_H */
