/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * completion_queue.h -- holds many futures, and gives back those that are
 * complete
 *
 * For programs with an event loop, or with thousands of futures of which a few
 * complete at a time. A program adds futures, and reaps complete ones. An event
 * loop of any kind watches the descriptor of the queue. The cost of each step
 * grows with the number of completions, not with the number of futures.
 *
 * A queue polls a future when it is added, and then
 *  - after its waker was called or its word has changed
 *  - at growing intervals, up to 1 ms between reaps and 4 ms in a wait, if the
 *    future sends no notification. Of the futures that could not start, it
 *    polls 16 at a time, also when others have completed
 *
 * While a queue has a future, only a poll with a NULL notifier may poll it
 * elsewhere. Such a poll leaves the queue's waker in place.
 *
 * Threads: one thread at a time may use a queue, and not from within a poll of
 * its futures. Any thread may be calling its wakers. After fork() the child may
 * use it, unless another thread was in a call of the queue. The first call in
 * the child polls all futures once, and makes descriptors of its own. Call
 * completion_queue_fd() again before an event loop of the child waits. If
 * longjmp(), thread cancellation or a C++ exception of a task leaves a call,
 * the queue can neither be used nor deleted afterwards.
 */

#ifndef LIBMINIASYNC_COMPLETION_QUEUE_H
#define LIBMINIASYNC_COMPLETION_QUEUE_H 1

#include <stddef.h>
#include <stdint.h>

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

struct completion_queue;

/* A complete future. */
struct completion {
	struct future *future;
	void *user_data; /* of completion_queue_add() */
};

/*
 * completion_queue_new -- makes a queue without futures
 *
 * Returns  the queue, or NULL with errno ENOMEM or the error of the system.
 *          After an error nothing is left behind.
 * Owner    the caller. Destroy it with completion_queue_delete().
 * Blocks   never
 */
struct completion_queue *completion_queue_new(void);

/*
 * completion_queue_delete -- destroys a queue
 *
 * cq      may be NULL. No thread may be using it. The wakers of its futures
 *         must not be called any more: see runtime_delete().
 * Blocks  until the futures that it still has are complete. The calling thread
 *         polls and sleeps. An error path calls vdm_operation_cancel() before.
 *
 * Closes the descriptor. The event loop must not watch it any more.
 */
void completion_queue_delete(struct completion_queue *cq);

/*
 * completion_queue_add -- gives a future to the queue, and polls it once
 *
 * fut        a future that no queue has. It must stay where it is until it is
 *            reaped. It may have been started, and be complete.
 * user_data  comes back with the future. The queue does not look at it.
 * Returns    0, or -1 with errno ENOMEM. Then the future was not polled.
 * Blocks     never. The poll does what the mover does for a small operation;
 *            the synchronous mover does all of it.
 */
int completion_queue_add(
	struct completion_queue *cq, struct future *fut, void *user_data);

/*
 * completion_queue_reap -- takes complete futures
 *
 * out      array for max completions. It may be NULL if max is 0.
 * Returns  how many were taken, 0 to max, in the order in which the queue saw
 *          them complete. They belong to the caller again.
 * Blocks   never. Polls futures that were announced, and those that nobody
 *          announces when their time has come.
 * Errors   none
 */
size_t completion_queue_reap(
	struct completion_queue *cq, struct completion *out, size_t max);

/*
 * completion_queue_wait -- the same, and waits until enough are complete, or
 * for a time
 *
 * nwanted     so many, but at most max, and at most as many as the queue has
 * timeout_ns  nanoseconds of the monotonic clock since the call. Negative: no
 *             limit. 0: does not wait
 * Returns     as completion_queue_reap(). With nwanted above 0 and without a
 *             limit it is 0 only if the queue has no futures.
 * Blocks      the calling thread, which polls and sleeps. It works on
 *             operations that start during the call, as runtime_wait() does.
 *             Those that an add has started are at work in their mover. The
 *             call never returns early with fewer than nwanted. It may be late
 *             by one piece of a copy and one poll. It gives work back to
 *             movers.
 * Errors      none
 */
size_t completion_queue_wait(struct completion_queue *cq,
	struct completion *out, size_t max, size_t nwanted, int64_t timeout_ns);

/*
 * completion_queue_fd -- a descriptor that an event loop watches
 *
 * Returns  the descriptor, or -1 with errno ENOTSUP if the system has none, or
 *          the error of the system, such as EMFILE. The queue works then
 *          without it, and a later call may succeed.
 * Owner    the queue. Only watch it for input with poll(), epoll, io_uring or
 *          the like. Neither read nor close it.
 * Blocks   never
 *
 * It is readable whenever a reap may find something, until a reap or a wait has
 * found all (level-triggered). It may be readable although nothing is complete.
 * Futures that send no notification make it readable by a timer. The first call
 * makes three descriptors, which are closed on exec. From then on the first
 * wake after a reap costs a system call.
 */
int completion_queue_fd(struct completion_queue *cq);

/* completion_queue_pending -- futures that were added and not reaped */
size_t completion_queue_pending(const struct completion_queue *cq);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_COMPLETION_QUEUE_H */
