/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * word.h -- the words that FUTURE_NOTIFIER_POLLER names
 *
 * An operation has the word of its address, together with several others: one
 * change too many does no harm. Words outlive every mover. A thread that
 * monitors the word of a chain may not know that the operation is complete, or
 * that its mover is gone.
 *
 * Threads: all functions are safe from any thread.
 */

#ifndef LIBMINIASYNC_WORD_H
#define LIBMINIASYNC_WORD_H 1

#include <stdint.h>

/* For a future_notifier. It is never NULL. */
uint64_t *mia_word_of(const void *operation);

/*
 * A future_waker_wake_fn; data is the operation. Changes the word to a value
 * that it never had. So a thread that looks late sees a change, even if the
 * next operation of its chain has the same word.
 */
void mia_word_change(void *operation);

#endif /* LIBMINIASYNC_WORD_H */
