/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fork_lock.h -- a lock that is held over fork()
 *
 * The fork handlers enter the lock before the fork, and leave it afterwards in
 * both processes. So the child finds the protected data consistent.
 *
 * Two differences to a mutex:
 *
 *   - While the fork handlers hold the lock, the forking thread may enter it.
 *     Fork handlers of the program run meanwhile, and may use the protected
 *     data.
 *   - A thread inside the lock may fork in a signal handler. The fork handlers
 *     then leave the lock unchanged. Parent and child both continue inside the
 *     lock when the signal handler returns.
 *
 * A signal handler that interrupts a thread inside the lock must not enter the
 * lock, because it would wait for itself. The only exception is a fork.
 */

#ifndef LIBMINIASYNC_FORK_LOCK_H
#define LIBMINIASYNC_FORK_LOCK_H 1

#include <stdatomic.h>
#include <stdbool.h>

/* All zero at first. A: all threads. O: written by the owner of the lock. */
struct mia_fork_lock {
	atomic_uintptr_t owner; /* A: mia_thread_id(), or 0 */

	/* O: atomic because of the owner's signal handlers */
	atomic_bool forking; /* the fork handlers hold the lock */
	atomic_uint nested;  /* forks of a thread inside the lock */
};

/* All functions are async-signal-safe, and keep errno. */

void mia_fork_lock_enter(struct mia_fork_lock *lock);
void mia_fork_lock_leave(struct mia_fork_lock *lock);

/* Never waits. False: a thread holds the lock, maybe this thread. */
bool mia_fork_lock_try_enter(struct mia_fork_lock *lock);

void mia_fork_lock_before_fork(struct mia_fork_lock *lock);

/* In the parent and in the child. */
void mia_fork_lock_after_fork(struct mia_fork_lock *lock);

#endif /* LIBMINIASYNC_FORK_LOCK_H */
