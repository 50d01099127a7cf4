/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_threads.h -- the mover with its own worker threads
 *
 * Who does an operation depends on its size and on the poll:
 *  - A thread in runtime_wait*() does its own operations, in pieces of about
 *    12 us. Between two pieces it polls the other futures of its wait. Idle
 *    workers help if much is left and a CPU is free for them.
 *  - A poll without a notifier, and completion_queue_add(), do an operation of
 *    16 KiB and smaller themselves. They submit a larger one to a queue, and
 *    return at once.
 *  - A poll with a notifier of the program submits every operation.
 *
 * A worker takes the operation from the queue, does it, and calls the waker of
 * the poll. Idle workers help with operations of about 2 MiB and larger, unless
 * the ranges overlap. One worker alone does an operation with a function that
 * the program has set.
 *
 * The mover refuses no poll. Operations that do not fit into the ring wait in a
 * list, in their own memory. Workers take the operations in order, except those
 * that several threads start at once. The number of pending operations is
 * limited: see vdm.h.
 *
 * All futures of the mover have FUTURE_PROPERTY_ASYNC.
 *
 * Wakers: a worker calls the waker, after a poll can find the result. A waker
 * may be called more than once. It is never called after a poll has returned
 * FUTURE_STATE_COMPLETE.
 *  - A waker may start other operations. It may take locks, including a lock
 *    that the polling thread holds. It may poll its own future, unless another
 *    thread may be polling that future at the same time.
 *  - A waker must not delete its mover, and must not wait for other operations
 *    of the mover.
 *  - Keep wakers short. It is best if they only enqueue.
 *  - A poll of a future whose waker is running waits for the waker. The poll
 *    waits for about 10 us the first time, then four times as long each time,
 *    up to 655 ms. After each wait in vain the poll returns
 *    FUTURE_STATE_RUNNING, and the waker is called once more. So a waker is
 *    called at most 8 times more, if a call takes less than 655 ms.
 *  - A poll that replaces a running waker by another one waits up to 200 ms for
 *    the old waker to return. The poll takes all this time if the old waker
 *    waits for a lock that the polling thread holds.
 *
 * A waker, and a function that the program sets, must return. Only workers call
 * them, except in a forked child. Polls and waits do not.
 *  - pthread_exit() ends the thread of the worker, and a new thread takes its
 *    place. The operation of a function completes with
 *    VDM_ERROR_JOB_CORRUPTED. A waker counts as returned. On Windows this is
 *    undefined.
 *  - A C++ exception calls std::terminate().
 *  - longjmp() out of a waker or a function is undefined.
 * Workers cannot be canceled: pthread_cancel() has no effect.
 *
 * Workers block all signals except SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP.
 * On Linux they are named miniasync/0, miniasync/1 and so on. They sleep if
 * there is no work.
 *
 * A worker has a stack of 512 KiB, not counting the thread-local variables. The
 * build option MINIASYNC_WORKER_STACK sets another size. Wakers and functions
 * of the program run on this stack, and may use all of it except 8 KiB. On
 * Windows, and if the system refuses the size, the stack has the default size.
 *
 * After fork() the child has no workers, and may still use the mover:
 *  - The first poll of an operation does all of it, whatever its size. The poll
 *    also calls the functions of the program. No waker is called.
 *  - If an operation was started before the fork, its next poll completes it
 *    with VDM_ERROR_JOB_CORRUPTED. Its destination may be partly written.
 *  - Setters work. data_mover_threads_delete() frees the mover at once.
 * To have workers in the child, create a new mover there. The fork changes
 * nothing in the parent. vfork(), _Fork() and clone() run no fork handlers:
 * after them the child must neither use nor delete the mover. If a waker or a
 * function of the program forks, the worker of the child ends when that
 * function returns.
 */

#ifndef LIBMINIASYNC_DATA_MOVER_THREADS_H
#define LIBMINIASYNC_DATA_MOVER_THREADS_H 1

#include <stddef.h>

#include "vdm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct data_mover_threads;

/*
 * Functions of the program, which replace the built-in ones. Each does the
 * whole operation and returns its first argument. The mover ignores the return
 * value.
 *
 * dst, src, str  not NULL
 * n              bytes, at least 1
 * flags          all flags of the operation: VDM_F_*, and unknown flags that
 *                fit into an unsigned
 * Threads        workers call the functions, several at once. After fork() the
 *                polls of the child call them.
 *
 * A function may block, and its worker then does nothing else. A function must
 * return: see above. It must not delete the mover, and must not wait for other
 * operations of the mover.
 */
typedef void *(*memcpy_fn)(
	void *dst, const void *src, size_t n, unsigned flags);
typedef void *(*memmove_fn)(
	void *dst, const void *src, size_t n, unsigned flags);
typedef void *(*memset_fn)(void *str, int c, size_t n, unsigned flags);

/*
 * data_mover_threads_new -- creates a mover and starts its workers
 *
 * On Linux the workers inherit the affinity mask, the scheduling policy and the
 * nice value of the calling thread. If the caller is pinned to a CPU, all
 * workers run on that CPU. So create the mover before you pin the thread, or
 * create it on another thread.
 *
 * nthreads          workers, 1 to 4,294,967,295 (65,535 on 32-bit systems)
 * ringbuf_size      operations that can wait for a worker in the ring, at least
 *                   1. The number is rounded up to a power of two, at least 2.
 *                   Each takes 16 bytes (8 on 32-bit systems). The ring has at
 *                   most PTRDIFF_MAX bytes. Further operations wait in a list,
 *                   which is slower.
 * desired_notifier  how futures report their completion:
 *                   FUTURE_NOTIFIER_WAKER calls the waker of the poll,
 *                   FUTURE_NOTIFIER_POLLER changes a word, and
 *                   FUTURE_NOTIFIER_NONE sends no notification
 * Returns           the mover, or NULL with errno
 *                    - EINVAL: an argument is not as described
 *                    - ENOMEM
 *                    - EAGAIN: the system refused a thread
 *                    - other errors of the system
 *                   After an error nothing is left behind.
 * Owner             the caller. Delete it with data_mover_threads_delete().
 * Threads           any number may create and poll its operations at once
 * Blocks            only while the system creates the threads
 */
struct data_mover_threads *data_mover_threads_new(size_t nthreads,
	size_t ringbuf_size, enum future_notifier_type desired_notifier);

/*
 * data_mover_threads_default -- like data_mover_threads_new(), with one worker
 * for each CPU that the calling thread may use, a ring for 128 operations, and
 * FUTURE_NOTIFIER_WAKER
 *
 * The CPUs are those of the thread's affinity mask. If a CPU quota of a control
 * group is smaller, as in a container, the quota counts instead, rounded up.
 *
 * The environment variable MINIASYNC_THREADS sets the number of workers
 * instead. Its value is a decimal number from 1 to the limit of nthreads. The
 * function ignores any other value. A program with more rights than its user,
 * such as a setuid program, does not read the variable. No other thread may
 * change the environment during the call.
 */
struct data_mover_threads *data_mover_threads_default(void);

/*
 * Returns the mover's struct vdm, never NULL, which is valid until the mover is
 * deleted. Never blocks, and is safe from any thread.
 */
struct vdm *data_mover_threads_get_vdm(struct data_mover_threads *dmt);

/*
 * data_mover_threads_set_memcpy_fn, _memmove_fn, _memset_fn -- replace the
 * built-in function of an operation. NULL restores the built-in function.
 *
 * One worker alone runs an operation with such a function. The memcpy_fn is
 * also called for each segment of a vdm_memcpyv() that is not empty. With
 * VDM_F_MEM_DURABLE the mover writes the range back after the function has
 * returned, if the CPU can do this.
 *
 * Threads  safe while other threads use the mover. Operations that are not
 *          complete use either the old or the new function. Everything that a
 *          thread did before it set a function happens before any call of that
 *          function.
 * Blocks   never
 */
void data_mover_threads_set_memcpy_fn(
	struct data_mover_threads *dmt, memcpy_fn dmt_memcpy);
void data_mover_threads_set_memmove_fn(
	struct data_mover_threads *dmt, memmove_fn dmt_memmove);
void data_mover_threads_set_memset_fn(
	struct data_mover_threads *dmt, memset_fn dmt_memset);

/*
 * data_mover_threads_set_capabilities -- sets the flags that the mover
 * advertises, like data_mover_sync_set_capabilities()
 */
int data_mover_threads_set_capabilities(
	struct data_mover_threads *dmt, unsigned flags);

/*
 * data_mover_threads_delete -- deletes a mover
 *
 * dmt      may be NULL. If futures of the mover are not complete, do not poll
 *          them afterwards.
 * Threads  during the call, and afterwards, no other thread may use the mover.
 *          Wakers of the mover, and functions that the program has set, must
 *          not call this function.
 * Blocks   sleeps until all started operations are done and their wakers have
 *          returned. In a child that was forked after the mover was created, it
 *          does not block.
 */
void data_mover_threads_delete(struct data_mover_threads *dmt);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_DATA_MOVER_THREADS_H */
