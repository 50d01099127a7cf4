/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * forks.h -- whether this process is a child of the process that made an object
 *
 * Only the forking thread lives on in a child. Locks that other threads held
 * stay locked there, and what they had begun stays half done. So an object that
 * has threads or locks notes how many forks led to its process. Where it would
 * enter a lock, or wait for a thread, it compares the number first.
 *
 * A fork handler counts in the child. A fork without handlers is not noticed:
 * vfork(), _Fork() and a clone() of the program.
 *
 * Other fork handlers may run in the child before this one. Therefore the
 * number is looked at more closely while a fork is under way.
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

/* What an object notes when it is made. */
uint32_t mia_forks(void);

/*
 * Whether this process is a child of the one in which mia_forks() returned
 * then. Async-signal-safe. Keeps errno.
 *
 * Relaxed: the thread that forked wrote the word, or that thread has made the
 * calling one since. In the parent other threads write it, but not the number.
 */
static inline bool
mia_forked_since(uint32_t then)
{
	return MIA_UNLIKELY(atomic_load_explicit(&mia_forks_word,
				    memory_order_relaxed) != then) &&
		mia_forks() != then;
}

#endif /* LIBMINIASYNC_FORKS_H */
