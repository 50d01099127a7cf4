/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * threads_functions.h -- how a worker calls the functions with which a program
 * replaces the built-in ones
 *
 * Threads: workers, several at once.
 */

#ifndef LIBMINIASYNC_THREADS_FUNCTIONS_H
#define LIBMINIASYNC_THREADS_FUNCTIONS_H 1

#include "libminiasync/data_mover_threads.h"
#include "operation/piece.h"

/*
 * Do a move or a set by calls of fn, and flush if the piece is durable.
 *
 * owner  is what mia_function_leave_thread() returns if fn ends the thread
 */
void mia_function_move(
	memcpy_fn fn, const struct mia_piece *piece, void *owner);
void mia_function_set(memset_fn fn, const struct mia_piece *piece, void *owner);

/*
 * A thread that ends: the owner of the call that it is inside of, or NULL. The
 * call is over then.
 */
void *mia_function_leave_thread(void);

#endif /* LIBMINIASYNC_THREADS_FUNCTIONS_H */
