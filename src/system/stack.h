/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * stack.h -- the stack of a worker
 *
 * Threads: any.
 */

#ifndef LIBMINIASYNC_STACK_H
#define LIBMINIASYNC_STACK_H 1

#include <stddef.h>

/*
 * The value in CMakeLists.txt, for a build without CMake. 0: the system's
 * default.
 */
#if !defined(MIA_WORKER_STACK_BYTES)
#define MIA_WORKER_STACK_BYTES 524288
#endif

/*
 * Returns the size to request from the system, so that functions have
 * MIA_WORKER_STACK_BYTES. 0: the system's default.
 */
size_t mia_stack_bytes(void);

#endif /* LIBMINIASYNC_STACK_H */
