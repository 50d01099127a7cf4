/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * forks.h -- whether this process is a child of the process that made an object
 *
 * A child has only the forking thread. Locks that other threads held stay
 * locked in the child, and operations that they had begun stay half done. So an
 * object with threads or locks stores the number of forks that led to its
 * process. The object compares this number before it enters a lock or waits for
 * a thread.
 *
 * A fork handler counts in the child. A fork without handlers is not detected:
 * vfork(), _Fork() and a clone() of the program.
 *
 * Other fork handlers may run in the child before this one. Therefore
 * mia_forks() also compares the process while a fork is under way.
 *
 * Threads: any, also in fork handlers.
 */

#ifndef LIBMINIASYNC_FORKS_H
#define LIBMINIASYNC_FORKS_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "system/platform.h"

/*
 * A: the number of forks that led to this process, times MIA_FORKS_ONE, plus
 * the number of calls of fork() that are under way in it, up to 4,095.
 */
extern _Atomic uint32_t mia_forks_word;

#define MIA_FORKS_ONE ((uint32_t)1 << 12)

/* Returns the number that an object stores when it is made. */
uint32_t mia_forks(void);

/*
 * Whether this process is a child of the process in which mia_forks() returned
 * then. Async-signal-safe. Keeps errno.
 *
 * Relaxed: the thread that forked wrote the word. This is the calling thread,
 * or the calling thread was started by it later. In the parent other threads
 * write the word, and do not change the number.
 */
static inline bool
mia_forked_since(uint32_t then)
{
	return MIA_UNLIKELY(atomic_load_explicit(&mia_forks_word,
				    memory_order_relaxed) != then) &&
		mia_forks() != then;
}

#endif /* LIBMINIASYNC_FORKS_H */
