/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lasting.h -- a thread that goes on if a function that it calls ends it
 *
 * A function of the program may call pthread_exit(). Then a new thread takes
 * the place of the one that ends. If the system refuses a new thread, the old
 * one goes on, before it ends. On Windows the function must not end it.
 *
 * A function may fork, and return in the child or end the thread there. Then
 * the thread ends: nobody joins it.
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

	mia_sem returned; /* from run() */

	/* The thread that ends, for the next or for the joining one. */
	mia_thread thread;
	bool has_ended;

	uint32_t forks; /* I: mia_forks() */
};

/*
 * Starts a thread that calls run(). The thread cannot be cancelled.
 *
 * exited   is called by a thread that has left run() without a return, before
 *          another one calls run() again
 * Returns  0, or -errno with nothing left behind
 */
int mia_lasting_start(struct mia_lasting *lasting, void (*run)(void *arg),
	void (*exited)(void *arg), void *arg);

/*
 * Waits until run() has returned and all threads have ended. Not a cancellation
 * point.
 */
void mia_lasting_join(struct mia_lasting *lasting);

#endif /* LIBMINIASYNC_LASTING_H */
