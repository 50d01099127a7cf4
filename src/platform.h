/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * platform.h -- what differs between systems and is needed by several modules
 */

#ifndef LIBMINIASYNC_PLATFORM_H
#define LIBMINIASYNC_PLATFORM_H 1

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes between two variables that two CPUs write without disturbing. */
#define MIA_CACHE_LINE 64

/* Keeps the rare branch out of the way of the common one. */
#define MIA_UNLIKELY(condition) __builtin_expect(condition, 0)

#define MIA_NOINLINE __attribute__((noinline))

/* A few words per thread; initial-exec makes the access one instruction. */
#if defined(__ELF__)
#define MIA_THREAD_LOCAL \
	_Thread_local __attribute__((tls_model("initial-exec")))
#else
#define MIA_THREAD_LOCAL _Thread_local
#endif

/*
 * errno as it was before an allocation. Clang takes it for granted that
 * allocating does not change errno, and would leave the plain assignment out:
 * the barrier takes that knowledge from it.
 */
static inline void
mia_restore_errno(int saved_errno)
{
	__asm__ __volatile__("" ::: "memory");
	errno = saved_errno;
}

/*
 * Nanoseconds of the monotonic clock; keeps errno. Who waits compares what has
 * passed, as an unsigned number: then also a clock that goes back ends it.
 */
uint64_t mia_clock_ns(void);

/* CPUs that the calling thread may run on, from 1. Does not keep errno. */
size_t mia_usable_cpus(void);

/*
 * pthread_create(), for a thread that takes no signals but those that a fault
 * of its own raises. Returns 0 or an error number.
 */
int mia_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

/* Names the calling thread miniasync/<number>, where threads have names. */
void mia_thread_name(size_t number);

#endif /* LIBMINIASYNC_PLATFORM_H */
