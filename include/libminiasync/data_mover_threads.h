/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_threads.h -- the mover with its own worker threads
 *
 * Who does an operation depends on its size and on who polls:
 *  - A thread in runtime_wait*() does its own operations, in pieces of about
 *    10 us. Between two pieces it looks after the other futures of its wait.
 *    Idle workers help if much is left and a CPU is free for them.
 *  - A poll without a notifier does an operation of 16 KiB and less itself. It
 *    submits a larger one to a queue, and returns at once.
 *  - A poll with a notifier of the program submits every operation.
 *
 * A worker takes the operation from the queue, does it, and calls the waker
 * that the poll passed. Idle workers help with large operations, from about
 * 2 MiB, unless the ranges overlap. An operation with a function that the
 * program has set is always done by one worker.
 *
 * No poll is refused. Operations that do not fit into the ring wait in their
 * own memory, and workers take them in order. Only the number of pending
 * operations is limited: see vdm.h.
 *
 * Wakers: a worker calls the waker after a poll can find the result. It never
 * calls the waker after a poll has returned FUTURE_STATE_COMPLETE.
 *  - A waker may start other operations. It may take locks, also one that the
 *    polling thread holds. It may poll its own future, unless another thread
 *    may be polling that future at the same time.
 *  - A waker must not delete its mover. It must not wait on its worker for
 *    other operations of the mover.
 *  - Keep wakers short; best they only enqueue. A poll of a future whose waker
 *    is running waits for the waker: some 10 us the first time, then four times
 *    as long each time, up to 655 ms. After each wait in vain the waker is
 *    called once more: 8 times at most, if a call takes less than 655 ms. A
 *    poll that replaces a running waker by another one waits for its return,
 *    for at most 200 ms. It takes all this time if the waker waits for a lock
 *    that the polling thread holds.
 *
 * What returns must return: a waker, and a function that the program sets. They
 * are called on workers only, and not by a poll or a wait.
 *  - pthread_exit() ends the worker's thread, and another one takes its place.
 *    The function's operation ends with VDM_ERROR_JOB_CORRUPTED. A waker counts
 *    as returned. On Windows this is undefined.
 *  - A C++ exception calls std::terminate().
 *  - longjmp() out of one is undefined.
 * Workers cannot be cancelled: pthread_cancel() has no effect.
 *
 * Workers block all signals except SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP.
 * They are named miniasync/0, miniasync/1, ... and sleep without work.
 *
 * A worker has a stack of 512 KiB, beside the thread-local variables, unless
 * the library was built with another MINIASYNC_WORKER_STACK. Wakers and
 * functions of the program run there, and may use all but 8 KiB of it. On
 * Windows the stack has the default size of the program.
 *
 * After fork() the child has no workers, and may still use the mover:
 *  - The first poll of an operation does all of it, whatever its size. It also
 *    calls the functions of the program. No waker is called.
 *  - The next poll of an operation that was started before the fork completes
 *    it with VDM_ERROR_JOB_CORRUPTED. Its destination may be partly written.
 *  - Setters work. data_mover_threads_delete() frees the mover at once.
 * Make a new mover in the child to have workers. The parent notices nothing.
 * vfork(), _Fork() and clone() run no fork handlers: after them the child must
 * neither use nor delete the mover. In the child of a waker, or of a function
 * of the program, the worker ends when these return.
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
 * Functions of the program, to replace the built-in ones. Each returns its
 * first argument.
 *
 * n        bytes, at least 1
 * flags    the flags of the operation: VDM_F_* and any others that fit into an
 *          unsigned. The mover does not refuse unknown flags here.
 * Threads  workers call the functions, several at once. After fork() the polls
 *          of the child do
 *
 * They must return: see above.
 */
typedef void *(*memcpy_fn)(
	void *dst, const void *src, size_t n, unsigned flags);
typedef void *(*memmove_fn)(
	void *dst, const void *src, size_t n, unsigned flags);
typedef void *(*memset_fn)(void *str, int c, size_t n, unsigned flags);

/*
 * data_mover_threads_new -- makes a mover with workers
 *
 * On Linux the workers inherit the affinity mask of the calling thread. If the
 * caller is pinned to a CPU, all workers run on that CPU. Make the mover before
 * you pin the thread, or make it on another thread.
 *
 * nthreads          workers, at least 1
 * ringbuf_size      operations, at least 1, that can wait for a worker in the
 *                   ring, which is the fastest way. Rounded up to a power of
 *                   two, 16 bytes each. Further operations wait in a list.
 * desired_notifier  how futures announce their end: FUTURE_NOTIFIER_WAKER by
 *                   the waker of the poll, FUTURE_NOTIFIER_POLLER by a word
 *                   that changes, FUTURE_NOTIFIER_NONE not at all
 * Returns           the mover, or NULL with errno
 *                    - EINVAL: a count of 0, a count that no address space can
 *                      hold, or an unknown notifier
 *                    - ENOMEM
 *                    - EAGAIN: the system refused a thread
 *                   After an error nothing is left behind.
 * Owner             the caller. Destroy it with data_mover_threads_delete().
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
 * group is smaller, as in a container, it counts instead, rounded up.
 *
 * The environment variable MINIASYNC_THREADS, a decimal number from 1 on of at
 * most the workers that data_mover_threads_new() takes, sets the number of
 * workers instead. Any other value is ignored. So is the variable in a program
 * with more rights than its user, such as a setuid program. No other thread may
 * change the environment during the call.
 */
struct data_mover_threads *data_mover_threads_default(void);

/* Returns the mover's struct vdm, which is valid until the mover is deleted. */
struct vdm *data_mover_threads_get_vdm(struct data_mover_threads *dmt);

/*
 * data_mover_threads_set_memcpy_fn, _memmove_fn, _memset_fn -- replace the
 * built-in function of an operation. NULL restores the built-in function.
 *
 * One worker alone runs an operation with such a function. With
 * VDM_F_MEM_DURABLE the mover flushes the range after the function has
 * returned.
 *
 * Threads  may be called while others use the mover. Operations that are not
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
 * data_mover_threads_set_capabilities -- makes the mover advertise flags, like
 * data_mover_sync_set_capabilities()
 */
int data_mover_threads_set_capabilities(
	struct data_mover_threads *dmt, unsigned flags);

/*
 * data_mover_threads_delete -- destroys a mover
 *
 * dmt      may be NULL. Do not poll its futures any more that are not complete.
 * Threads  no other thread may be in a call with this mover. A waker of this
 *          mover must not call it.
 * Blocks   sleeps until all started operations are done and their wakers have
 *          returned. Not in a child that was forked after the mover was made
 */
void data_mover_threads_delete(struct data_mover_threads *dmt);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_DATA_MOVER_THREADS_H */
