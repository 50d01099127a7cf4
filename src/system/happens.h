/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * happens.h -- reports happens-before edges to the ThreadSanitizer of a program
 *
 * A program under ThreadSanitizer usually has a library that was built without
 * the tool. Then the tool sees the library's calls of the C library: memmove(),
 * memset(), malloc(), locks, threads. It does not see our atomics, which pass
 * the data of an operation from thread to thread. So it would report this data
 * as a race.
 *
 * Call mia_happens_before(object) before each release that publishes data of
 * the program. Call mia_happens_after(object) after the acquire that pairs with
 * the release. The address only names the pair.
 *
 * The tool is in the program, so the references to it are weak. Without the
 * tool they are NULL, and each function is a load and a branch that is not
 * taken. A library that was built with the tool needs no reports. Systems
 * without ELF have no weak references, and get no reports.
 *
 * Data that only the library reads and writes needs no reports. The exception
 * is memory that the library clears, copies or frees by functions that the tool
 * sees.
 */

#ifndef LIBMINIASYNC_HAPPENS_H
#define LIBMINIASYNC_HAPPENS_H 1

#include <stddef.h>

#include "system/platform.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MIA_HAS_THREAD_SANITIZER 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define MIA_HAS_THREAD_SANITIZER 1
#endif

#if defined(__ELF__) && !defined(MIA_HAS_THREAD_SANITIZER)

/* NOLINTBEGIN(bugprone-reserved-identifier): the names are the tool's */
extern void __tsan_release(void *object) __attribute__((weak));
extern void __tsan_acquire(void *object) __attribute__((weak));
/* NOLINTEND(bugprone-reserved-identifier) */

static inline void
mia_happens_before(const volatile void *object)
{
	if (MIA_UNLIKELY(__tsan_release != NULL))
		__tsan_release((void *)(uintptr_t)object);
}

static inline void
mia_happens_after(const volatile void *object)
{
	if (MIA_UNLIKELY(__tsan_acquire != NULL))
		__tsan_acquire((void *)(uintptr_t)object);
}

#else

static inline void
mia_happens_before(const volatile void *object)
{
	(void)object;
}

static inline void
mia_happens_after(const volatile void *object)
{
	(void)object;
}

#endif

#endif /* LIBMINIASYNC_HAPPENS_H */
