/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * platform.h -- what differs between systems and is needed by several modules
 */

#ifndef LIBMINIASYNC_PLATFORM_H
#define LIBMINIASYNC_PLATFORM_H 1

/* Bytes between two variables that two CPUs write without disturbing. */
#define MIA_CACHE_LINE 64

/* Keeps the rare branch out of the way of the common one. */
#define MIA_UNLIKELY(condition) __builtin_expect(condition, 0)

/* A few words per thread; initial-exec makes the access one instruction. */
#if defined(__ELF__)
#define MIA_THREAD_LOCAL \
	_Thread_local __attribute__((tls_model("initial-exec")))
#else
#define MIA_THREAD_LOCAL _Thread_local
#endif

#endif /* LIBMINIASYNC_PLATFORM_H */
