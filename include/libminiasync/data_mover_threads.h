/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_threads.h -- the mover with worker threads of its own
 *
 * Its functions are declared here once they exist. What is here now are the
 * types of the functions that a program may give it in place of the built-in
 * ones. Each returns its first argument; flags are VDM_F_*.
 */

#ifndef LIBMINIASYNC_DATA_MOVER_THREADS_H
#define LIBMINIASYNC_DATA_MOVER_THREADS_H 1

#include <stddef.h>

#include "vdm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct data_mover_threads;

typedef void *(*memcpy_fn)(
	void *dst, const void *src, size_t n, unsigned flags);
typedef void *(*memmove_fn)(
	void *dst, const void *src, size_t n, unsigned flags);
typedef void *(*memset_fn)(void *str, int c, size_t n, unsigned flags);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_DATA_MOVER_THREADS_H */
