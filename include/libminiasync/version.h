/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * version.h -- the version of these headers, and of the running library
 *
 * The macros are the version of the headers with which the program was
 * compiled. The function returns the version of the library. The two differ if
 * the program runs with another version of the shared library.
 */

#ifndef LIBMINIASYNC_VERSION_H
#define LIBMINIASYNC_VERSION_H 1

#ifdef __cplusplus
extern "C" {
#endif

/* CMake reads these three lines. MINOR and PATCH are 0 to 99. */
#define MINIASYNC_VERSION_MAJOR 1
#define MINIASYNC_VERSION_MINOR 0
#define MINIASYNC_VERSION_PATCH 0

/* One number for comparisons, also in #if: 10203 is version 1.2.3. */
#define MINIASYNC_VERSION_NUMBER \
	(MINIASYNC_VERSION_MAJOR * 10000 + MINIASYNC_VERSION_MINOR * 100 + \
		MINIASYNC_VERSION_PATCH)

/* Private: the text of three numbers. OF_ expands macros before TEXT_. */
#define MINIASYNC_VERSION_TEXT_(_a, _b, _c) #_a "." #_b "." #_c
#define MINIASYNC_VERSION_OF_(_a, _b, _c) MINIASYNC_VERSION_TEXT_(_a, _b, _c)

/* The version as a string literal, for example "1.2.3". */
#define MINIASYNC_VERSION \
	MINIASYNC_VERSION_OF_(MINIASYNC_VERSION_MAJOR, \
		MINIASYNC_VERSION_MINOR, MINIASYNC_VERSION_PATCH)

/*
 * miniasync_version -- returns the version of the running library, for example
 * "1.2.3"
 *
 * Returns  a string constant, never NULL
 * Owner    the library. The string is valid as long as the library is loaded.
 * Threads  any number at once
 * Blocks   never
 * Errors   none
 */
const char *miniasync_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VERSION_H */
