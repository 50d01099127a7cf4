/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * libminiasync.h -- includes the whole interface, except two movers
 *
 * libminiasync-vdm-dml.h is for the mover over DML, libminiasync-vdm-fabric.h
 * for the mover over libfabric. Both include this header.
 *
 * Pointers to movers, runtimes, queues and futures must not be NULL, unless the
 * comment of a function allows NULL.
 */

#ifndef LIBMINIASYNC_H
#define LIBMINIASYNC_H 1

/*
 * For programs that were written for libminiasync 0.2.1: they include only this
 * header, and use printf(), malloc() and, on x86-64, the SSE2 intrinsics. The
 * interface itself needs none of these three headers.
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
