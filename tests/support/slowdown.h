/* SPDX-License-Identifier: BSD-3-Clause */

/* slowdown.h -- how much slower tests are under a tool; test.h includes this */

#ifndef LIBMINIASYNC_TEST_SLOWDOWN_H
#define LIBMINIASYNC_TEST_SLOWDOWN_H 1

#include "sanitizers.h"

/*
 * Divides the work of a test under a sanitizer. For other slow tools, define
 * TEST_SLOWDOWN by a compiler option.
 */
#ifndef TEST_SLOWDOWN
#if TEST_ASAN || TEST_TSAN
#define TEST_SLOWDOWN 10
#else
#define TEST_SLOWDOWN 1
#endif
#endif

/*
 * Whether a test may compare times and CPU use with fixed numbers. For an
 * emulator, define TEST_IS_FAST as 0 by a compiler option.
 */
#ifndef TEST_IS_FAST
#if TEST_SLOWDOWN == 1 && defined(__OPTIMIZE__)
#define TEST_IS_FAST 1
#else
#define TEST_IS_FAST 0
#endif
#endif

#define TEST_ROUNDS(n) ((n) < TEST_SLOWDOWN ? 1 : (n) / TEST_SLOWDOWN)

#endif /* LIBMINIASYNC_TEST_SLOWDOWN_H */
