/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * happens.h -- tells the ThreadSanitizer of a program what happens before what
 *
 * A program under ThreadSanitizer mostly uses a library that was built without
 * it. The tool then sees what that library does by functions of the C library:
 * memmove(), memset(), malloc(), locks, threads. It sees none of our atomics.
 * So it would report the data of an operation, which the atomics hand over from
 * thread to thread, as a race.
 *
 * mia_happens_before(object) stands before each release that hands over data of
 * the program, and mia_happens_after(object) behind the acquire that it pairs
 * with. The address is only a name of the pair.
 *
 * The tool is in the program, so the references to it are weak. Without the
 * tool they are NULL, and each function is a load and a branch that is not
 * taken. A library that was built with the tool needs no help. Other systems
 * have no weak references.
 *
 * Data that only the library reads and writes needs none of this, except memory
 * that it clears, copies or frees by functions that the tool sees.
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
