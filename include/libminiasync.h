/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * libminiasync.h -- the whole interface, except for the DML mover: see
 * libminiasync-vdm-dml.h
 *
 * Pointers to movers, runtimes and futures must not be NULL, unless the comment
 * of a function allows NULL.
 */

#ifndef LIBMINIASYNC_H
#define LIBMINIASYNC_H 1

/*
 * This interface needs none of these three headers. Programs written for
 * libminiasync 0.2.1 include this header alone, and use printf(), malloc() and,
 * on x86-64, the SSE2 intrinsics.
 */
#include <stdio.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "libminiasync/future.h"
#include "libminiasync/vdm.h"
#include "libminiasync/runtime.h"
#include "libminiasync/completion_queue.h"
#include "libminiasync/data_mover_sync.h"
#include "libminiasync/data_mover_threads.h"
#include "libminiasync/version.h"

#endif /* LIBMINIASYNC_H */
