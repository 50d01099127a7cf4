/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * window.h -- addresses without memory, and random numbers
 *
 * Threads: safe from any thread.
 */

#ifndef LIBMINIASYNC_WINDOW_H
#define LIBMINIASYNC_WINDOW_H 1

#include <stddef.h>

/*
 * Addresses that nobody else gets. An access raises SIGSEGV. Returns NULL if
 * there are not so many. Keeps errno.
 */
void *mia_window_map(size_t size);
void mia_window_unmap(void *window, size_t size);

/* Bytes that nobody can guess. Returns 0 or -errno. */
int mia_random(void *bytes, size_t n);

#endif /* LIBMINIASYNC_WINDOW_H */
