/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * threads_functions.h -- calls of the program's functions, which replace the
 * built-in functions
 *
 * Threads: workers, several at once. In a forked child: polling threads.
 */

#ifndef LIBMINIASYNC_THREADS_FUNCTIONS_H
#define LIBMINIASYNC_THREADS_FUNCTIONS_H 1

#include "libminiasync/data_mover_threads.h"
#include "operation/piece.h"

/*
 * Do a move or a set by calls of fn. If the piece is durable, write the
 * destination back afterwards.
 *
 * owner  mia_function_leave_thread() returns it if fn ends the thread
 */
void mia_function_move(
	memcpy_fn fn, const struct mia_piece *piece, void *owner);
void mia_function_set(memset_fn fn, const struct mia_piece *piece, void *owner);

/*
 * Called by a thread that ends. Returns the owner of the call that the thread
 * is inside of, or NULL. The call then counts as returned.
 */
void *mia_function_leave_thread(void);

#endif /* LIBMINIASYNC_THREADS_FUNCTIONS_H */
