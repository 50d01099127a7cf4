/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lasting.h -- a thread that continues after a function has ended it
 *
 * A function of the program may call pthread_exit(). Then a new thread replaces
 * the thread that ends. If the system refuses a new thread, the old thread
 * continues before it ends. On Windows the function must not end the thread.
 *
 * A function may also fork. In the child it may return or end the thread. Then
 * the thread ends, and no thread joins it.
 */

#ifndef LIBMINIASYNC_LASTING_H
#define LIBMINIASYNC_LASTING_H 1

#include <stdbool.h>
#include <stdint.h>

#include "system/forks.h"
#include "system/platform.h"

struct mia_lasting {
	/* I: init only */
	void (*run)(void *arg);
	void (*exited)(void *arg);
	void *arg;

	mia_sem returned; /* run() has returned */

	/* The thread that ends, for the next thread or for the join. */
	mia_thread thread;
	bool has_ended;

	uint32_t forks; /* I: mia_forks() */
};

/*
 * Starts a thread that calls run(). The thread cannot be cancelled.
 *
 * exited   called by a thread that has left run() without a return, before
 *          run() is called again
 * Returns  0, or -errno with no thread left
 */
int mia_lasting_start(struct mia_lasting *lasting, void (*run)(void *arg),
	void (*exited)(void *arg), void *arg);

/*
 * Waits until run() has returned and all threads have ended. Not a cancellation
 * point.
 */
void mia_lasting_join(struct mia_lasting *lasting);

#endif /* LIBMINIASYNC_LASTING_H */
