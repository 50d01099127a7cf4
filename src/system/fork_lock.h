/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fork_lock.h -- a lock that is held over fork()
 *
 * The fork handlers take the lock before the fork and release it afterwards in
 * both processes. The child so finds consistent what the lock protects.
 *
 * Two things distinguish it from a mutex:
 *
 *   - While the fork handlers hold the lock, the forking thread may enter it.
 *     Fork handlers of the program run then, and may use what it protects.
 *   - A thread may fork while it is inside, in a signal handler. The fork
 *     handlers then leave the lock as it is. Parent and child both continue
 *     inside when the signal handler returns.
 *
 * A signal handler that interrupts a thread inside must not enter the lock: it
 * would wait for itself. Forks are the only exception.
 */

#ifndef LIBMINIASYNC_FORK_LOCK_H
#define LIBMINIASYNC_FORK_LOCK_H 1

#include <stdatomic.h>
#include <stdbool.h>

/* Zero at first. */
struct mia_fork_lock {
	atomic_uintptr_t owner; /* mia_thread_id(), or 0: nobody's */

	/* Written by the owner; atomic for its signal handlers. */
	atomic_bool forking; /* taken by the fork handlers */
	atomic_uint nested;  /* forks that found it taken by their thread */
};

/* Async-signal-safe, all of them. They keep errno. */

void mia_fork_lock_enter(struct mia_fork_lock *lock);
void mia_fork_lock_leave(struct mia_fork_lock *lock);

/* False: somebody has it, maybe this thread. Never waits. */
bool mia_fork_lock_try_enter(struct mia_fork_lock *lock);

void mia_fork_lock_before_fork(struct mia_fork_lock *lock);

/* In the parent, and in the child. */
void mia_fork_lock_after_fork(struct mia_fork_lock *lock);

#endif /* LIBMINIASYNC_FORK_LOCK_H */
