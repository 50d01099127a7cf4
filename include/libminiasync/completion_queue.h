/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * completion_queue.h -- holds many futures, and returns the complete ones
 *
 * For programs with an event loop, or with thousands of futures of which a few
 * complete at a time. A program adds futures, and reaps complete ones. An event
 * loop of any kind can watch the descriptor of the queue. The cost of a reap
 * grows with the number of completions, not with the number of futures.
 *
 * A queue has no thread: all polls are made in the calls below. A queue polls a
 * future when it is added. Later polls come
 *  - after its waker was called, or its word has changed
 *  - at growing intervals, if the future sends no notification. The intervals
 *    are 1 ms or less between reaps, and 4 ms or less in a wait. The queue also
 *    looks at words at these intervals.
 *  - in turn, 16 at a time, if the futures could not start. Completions of
 *    other futures do not delay these polls.
 *  - as a safety net, see runtime.h, but only in completion_queue_wait()
 *
 * While a queue has a future, poll the future elsewhere only with a NULL
 * notifier. Such a poll leaves the waker of the queue in place. If such a poll
 * completes the future, the task must call that waker nevertheless. The movers
 * of this library do so.
 *
 * Threads: one thread at a time may use a queue, and not from within a poll of
 *          its futures. Any thread may call its wakers at any time. Do not call
 *          the functions from a signal handler.
 * Fork:    the child may use and delete a queue of its parent, unless another
 *          thread was in a call of the queue. The first call in the child polls
 *          the futures of the queue once, and creates new descriptors. Call
 *          completion_queue_fd() before an event loop of the child waits.
 * Cancel:  no function is a cancellation point, unless a task is one. If
 *          longjmp(), thread cancellation or a C++ exception of a task leaves a
 *          call, the queue can neither be used nor deleted afterwards.
 * errno:   unchanged after success, if the tasks do not change it
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

/* A complete future, and the user_data of its completion_queue_add(). */
struct completion {
	struct future *future;
	void *user_data;
};

/*
 * completion_queue_new -- creates a queue without futures
 *
 * Returns  the queue, or NULL with errno set. After an error nothing is left
 *          behind.
 * Errors   ENOMEM, or another error if the system refuses a mutex
 * Owner    the caller. Delete the queue with completion_queue_delete().
 * Blocks   never
 */
struct completion_queue *completion_queue_new(void);

/*
 * completion_queue_delete -- deletes a queue
 *
 * cq      may be NULL. No thread may use the queue now or later. No event loop
 *         may watch its descriptor, which the call closes.
 * Owner   futures that were not reaped are complete afterwards. They belong to
 *         the caller again.
 * Blocks  until the futures of the queue are complete. The calling thread polls
 *         and sleeps. On an error path, first call vdm_operation_cancel() for
 *         the futures.
 * Errors  none
 *
 * No waker of the queue is called afterwards, if the tasks call no waker after
 * a poll has returned COMPLETE. The movers of this library ensure this.
 */
void completion_queue_delete(struct completion_queue *cq);

/*
 * completion_queue_add -- adds a future to a queue, and polls it once
 *
 * fut        a future that is in no queue. It may have been started before, and
 *            it may be complete.
 * user_data  a reap returns it with the future. The queue does not use it. It
 *            may be NULL.
 * Returns    0, or -1 with errno set. After -1 the future was not polled.
 * Errors     ENOMEM
 * Owner      the queue, until the future is reaped. The future must stay in
 *            place, and its mover must exist. After -1 the caller is the owner.
 * Blocks     never. The poll does a small operation itself, up to 16 KiB in the
 *            threads mover. The synchronous mover does all of its operation.
 */
int completion_queue_add(
	struct completion_queue *cq, struct future *fut, void *user_data);

/*
 * completion_queue_reap -- takes complete futures from a queue
 *
 * out      array for max completions. It may be NULL if max is 0.
 * max      number of elements. 0 returns 0 without a poll.
 * Returns  the number of futures in out, 0 to max, in the order in which the
 *          queue has found them complete. Each future is returned once.
 * Owner    the caller owns the returned futures again
 * Blocks   never, apart from the polls. The call polls the futures that have
 *          sent a notification. It also polls futures without notification, if
 *          their next poll is due.
 * Errors   none: the result of each future is in its output
 */
size_t completion_queue_reap(
	struct completion_queue *cq, struct completion *out, size_t max);

/*
 * completion_queue_wait -- waits until enough futures are complete, with a
 * timeout, and takes them like completion_queue_reap()
 *
 * out         as for completion_queue_reap()
 * max         number of elements. 0 returns 0 without a poll.
 * nwanted     number of futures to wait for. More than max means max. More than
 *             the futures in the queue means all of them. 0 does not wait.
 * timeout_ns  nanoseconds of the monotonic clock since the call. A negative
 *             value means no limit. 0 does not wait.
 * Returns     as completion_queue_reap(), also more than nwanted. If max and
 *             nwanted are above 0 and there is no limit, 0 means that the queue
 *             has no futures.
 * Owner       as completion_queue_reap()
 * Blocks      for at most timeout_ns. The calling thread polls and sleeps. The
 *             call never returns before the timeout with fewer than nwanted. It
 *             may be late by one piece of a copy, one poll, and the time to
 *             hand unfinished work to the workers.
 * Errors      as completion_queue_reap()
 *
 * The calling thread does operations that start during the call, as in
 * runtime_wait(). An operation that completion_queue_add() has started on the
 * threads mover stays with the workers.
 */
size_t completion_queue_wait(struct completion_queue *cq,
	struct completion *out, size_t max, size_t nwanted, int64_t timeout_ns);

/*
 * completion_queue_fd -- returns a descriptor for an event loop
 *
 * Returns  the descriptor, or -1 with errno set. All calls for one queue return
 *          the same descriptor. After an error the queue works without a
 *          descriptor, and a later call may succeed.
 * Errors   ENOTSUP if the system has no such descriptors, which need Linux.
 *          EMFILE, ENFILE, ENOMEM or ENOSPC from the system.
 * Owner    the queue. Only watch the descriptor for input, with poll(), epoll,
 *          io_uring or a similar interface. Do not read, write, close or change
 *          it.
 * Threads  any thread may watch the descriptor
 * Blocks   never
 *
 * The descriptor is readable whenever a reap may return a future. It stays
 * readable until a reap or a wait has found all complete futures. Watch it
 * level-triggered. It may be readable although no future is complete. A timer
 * makes it readable for futures without notification.
 *
 * The first call creates three descriptors, which are closed on exec. After the
 * first call, the first wake after a reap costs one system call, in the thread
 * that wakes.
 */
int completion_queue_fd(struct completion_queue *cq);

/*
 * completion_queue_pending -- returns the number of futures that were added and
 * not reaped
 *
 * Threads  as all functions of a queue: one thread at a time
 * Blocks   never
 * Errors   none
 */
size_t completion_queue_pending(const struct completion_queue *cq);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_COMPLETION_QUEUE_H */
