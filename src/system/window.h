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
 * Reserves size bytes of addresses without memory. An access raises SIGSEGV.
 * Returns NULL if too few addresses are free. Keeps errno.
 */
void *mia_window_map(size_t size);
void mia_window_unmap(void *window, size_t size);

/* Fills n bytes with numbers that cannot be guessed. Returns 0 or -errno. */
int mia_random(void *bytes, size_t n);

#endif /* LIBMINIASYNC_WINDOW_H */
