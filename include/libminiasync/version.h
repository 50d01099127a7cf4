/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * version.h -- the version of these headers, and of the library that runs
 *
 * The two differ if a program runs with another shared library than the one
 * that it was compiled for. CMake reads the three numbers from this file.
 */

#ifndef LIBMINIASYNC_VERSION_H
#define LIBMINIASYNC_VERSION_H 1

#ifdef __cplusplus
extern "C" {
#endif

#define MINIASYNC_VERSION_MAJOR 0
#define MINIASYNC_VERSION_MINOR 9
#define MINIASYNC_VERSION_PATCH 0

/* One number to compare, also in #if. 10203 is version 1.2.3. */
#define MINIASYNC_VERSION_NUMBER \
	(MINIASYNC_VERSION_MAJOR * 10000 + MINIASYNC_VERSION_MINOR * 100 + \
		MINIASYNC_VERSION_PATCH)

/* Private: the text of three numbers, after macros among them are expanded. */
#define MINIASYNC_VERSION_TEXT_(_a, _b, _c) #_a "." #_b "." #_c
#define MINIASYNC_VERSION_OF_(_a, _b, _c) MINIASYNC_VERSION_TEXT_(_a, _b, _c)

/* The version as text: "1.2.3" */
#define MINIASYNC_VERSION \
	MINIASYNC_VERSION_OF_(MINIASYNC_VERSION_MAJOR, \
		MINIASYNC_VERSION_MINOR, MINIASYNC_VERSION_PATCH)

/*
 * miniasync_version -- returns the MINIASYNC_VERSION that the library had when
 * it was compiled
 *
 * Returns  a string constant, never NULL
 * Owner    the library. The string is valid as long as the library is loaded.
 * Threads  any number at once
 * Blocks   never
 */
const char *miniasync_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VERSION_H */
