/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * word.h -- the words that FUTURE_NOTIFIER_POLLER names
 *
 * The address of an operation selects its word. Several operations share a
 * word: an unneeded change does no harm. Words outlive every mover. A thread
 * that monitors the word of a chain cannot detect that the operation is
 * complete, or that its mover is deleted.
 *
 * Threads: all functions are safe from any thread.
 */

#ifndef LIBMINIASYNC_WORD_H
#define LIBMINIASYNC_WORD_H 1

#include <stdint.h>

/* Returns the word of an operation, for a future_notifier. Never NULL. */
uint64_t *mia_word_of(const void *operation);

/*
 * Changes the word of an operation to a value that the word never had. So a
 * thread that reads the word late finds a change, even if the next operation of
 * its chain has the same word. This is a future_waker_wake_fn, with the
 * operation as data.
 */
void mia_word_change(void *operation);

#endif /* LIBMINIASYNC_WORD_H */
