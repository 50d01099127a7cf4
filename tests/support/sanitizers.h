/* SPDX-License-Identifier: BSD-3-Clause */

/* sanitizers.h -- the sanitizers of a build; slowdown.h includes this */

#ifndef LIBMINIASYNC_TEST_SANITIZERS_H
#define LIBMINIASYNC_TEST_SANITIZERS_H 1

/* gcc defines macros for them, and clang has features. */
#ifdef __has_feature
#define TEST_HAS_FEATURE(name) __has_feature(name)
#else
#define TEST_HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || TEST_HAS_FEATURE(address_sanitizer)
#define TEST_ASAN 1
#else
#define TEST_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || TEST_HAS_FEATURE(thread_sanitizer)
#define TEST_TSAN 1
#else
#define TEST_TSAN 0
#endif

/*
 * ThreadSanitizer ends its own data of a thread in one of the last rounds of
 * the thread's destructors. clang's then ends the process when a later
 * destructor allocates or forks ("CHECK failed: thr->slot").
 */
#if TEST_TSAN && defined(__clang__)
#define TEST_LATE_DESTRUCTORS 0
#else
#define TEST_LATE_DESTRUCTORS 1
#endif

#endif /* LIBMINIASYNC_TEST_SANITIZERS_H */
