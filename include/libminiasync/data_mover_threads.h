/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_threads.h -- the mover with worker threads of its own
 *
 * A poll hands the operation to a queue; a worker takes it from there, does
 * it, and calls the waker that the poll brought. Operations too small for
 * that to pay are done by the poll itself, unless it brings a waker of the
 * program's; big ones are shared by the workers that are idle.
 *
 * No poll is refused: operations for which the ring has no room wait in memory
 * of their own, and workers take them in turn. Only the number of pending
 * operations is bounded.
 *
 * Wakers are called on a worker, after the result can be seen by a poll, and
 * never once a poll has returned FUTURE_STATE_COMPLETE. A waker may start other
 * operations, poll the future that it announces if no other thread can be in a
 * poll of it then, and take locks, also one that the polling thread holds: a
 * poll that finds a waker at work waits 20 ms at most for it, longer only if
 * that was in vain before. A waker that is at work when a poll replaces it gets
 * 200 ms to return. What a waker must not do is delete its mover, or wait on
 * its worker for other operations of the mover.
 *
 * Workers block all signals but SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP,
 * are named miniasync/0, miniasync/1, ... and sleep while there is nothing to
 * do. After fork() the child has no workers: it may make movers of its own,
 * and must neither use nor delete those of its parent.
 *
 * 4,194,304 operations can be pending on one mover, a few more if several
 * threads use it; creating more gives futures that are complete with
 * VDM_ERROR_OUT_OF_MEMORY.
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
 * Functions that a program may put in place of the built-in ones. Each returns
 * its first argument; n is 1 at least. flags are the operation's, VDM_F_* and
 * any others: with such a function in place the mover does not refuse bits that
 * it does not know, as long as they fit into an unsigned. Workers call these
 * functions, several at once.
 */
typedef void *(*memcpy_fn)(
	void *dst, const void *src, size_t n, unsigned flags);
typedef void *(*memmove_fn)(
	void *dst, const void *src, size_t n, unsigned flags);
typedef void *(*memset_fn)(void *str, int c, size_t n, unsigned flags);

/*
 * data_mover_threads_new -- makes a mover with workers
 *
 * nthreads          workers, from 1
 * ringbuf_size      operations that can wait for a worker in the ring, which
 *                   is the fastest way; from 1; rounded up to a power of two,
 *                   16 bytes each. What comes beyond waits in a list
 * desired_notifier  how futures announce their end: FUTURE_NOTIFIER_WAKER, by
 *                   the waker that the poll brought; FUTURE_NOTIFIER_POLLER,
 *                   by a word that changes; FUTURE_NOTIFIER_NONE, not at all
 * Returns           the mover, or NULL with errno EINVAL (0, a number for
 *                   which there is no address space, or an unknown notifier),
 *                   ENOMEM, or EAGAIN (no more threads)
 * Owner             the caller; end with data_mover_threads_delete()
 * Threads           any number may create and poll its operations
 */
struct data_mover_threads *data_mover_threads_new(size_t nthreads,
	size_t ringbuf_size, enum future_notifier_type desired_notifier);

/*
 * data_mover_threads_default -- the same, with one worker for each CPU that
 * the calling thread may run on, a ring for 128 operations, and wakers
 */
struct data_mover_threads *data_mover_threads_default(void);

/* The mover's struct vdm, which lives as long as the mover. */
struct vdm *data_mover_threads_get_vdm(struct data_mover_threads *dmt);

/*
 * data_mover_threads_set_memcpy_fn, _memmove_fn, _memset_fn -- put a function
 * in place of the built-in one; NULL puts that back
 *
 * Operations with such a function always run on one worker. If their flags
 * ask for durability, the range is flushed after the function has returned.
 *
 * Threads  safe while others use the mover; operations that are not complete
 *          use the old function or the new one; what a thread did before it
 *          set a function happens before any call of that
 */
void data_mover_threads_set_memcpy_fn(
	struct data_mover_threads *dmt, memcpy_fn dmt_memcpy);
void data_mover_threads_set_memmove_fn(
	struct data_mover_threads *dmt, memmove_fn dmt_memmove);
void data_mover_threads_set_memset_fn(
	struct data_mover_threads *dmt, memset_fn dmt_memset);

/*
 * data_mover_threads_set_capabilities -- makes the mover advertise flags, as
 * data_mover_sync_set_capabilities() does
 */
int data_mover_threads_set_capabilities(
	struct data_mover_threads *dmt, unsigned flags);

/*
 * data_mover_threads_delete -- ends a mover; NULL is fine
 *
 * Waits, sleeping, until the operations that were started are done and their
 * wakers have returned. Its futures that are not complete must not be polled
 * any more. No other thread may be in a call with this mover. Not from inside
 * of one of its own wakers.
 */
void data_mover_threads_delete(struct data_mover_threads *dmt);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_DATA_MOVER_THREADS_H */
