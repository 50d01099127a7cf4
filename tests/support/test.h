/* SPDX-License-Identifier: BSD-3-Clause */

/* test.h -- every test includes this: cmocka, a seeded generator, a clock */

#ifndef LIBMINIASYNC_TEST_H
#define LIBMINIASYNC_TEST_H 1

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "slowdown.h"

/* cmocka's compares byte by byte, which takes minutes under valgrind. */
#undef assert_memory_equal
#define assert_memory_equal(a, b, size) \
	do { \
		if (memcmp(a, b, size) != 0) \
			_assert_memory_equal((const char *)(a), \
				(const char *)(b), size, __FILE__, __LINE__); \
	} while (0)

/* The seed: MIA_TEST_SEED, or the clock's; printed, to run it again. */
static inline uint64_t
test_seed(const char *what)
{
	const char *given = getenv("MIA_TEST_SEED");
	const uint64_t seed =
		given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	printf("%s: MIA_TEST_SEED=%llu\n", what, (unsigned long long)seed);
	return seed;
}

#define KIB ((size_t)1024)
#define MS UINT64_C(1000000) /* nanoseconds in a millisecond */

/* SplitMix64 (Steele, Lea, Flood, 2014): any state will do. */
static inline uint64_t
test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline uint64_t
test_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Also if signals interrupt the sleep. Windows rounds milliseconds down. */
static inline void
test_sleep_ns(uint64_t ns)
{
#ifdef _WIN32
	ns = (ns + MS - 1) / MS * MS;
#endif
	struct timespec left = {.tv_sec = (time_t)(ns / (1000 * MS)),
		.tv_nsec = (long)(ns % (1000 * MS))};

	while (nanosleep(&left, &left) != 0)
		continue;
}

/* Ends a test whose subject does not exist on this system. */
#define TEST_LEFT_OUT(what) \
	do { \
		printf("left out: %s\n", what); \
		skip(); \
	} while (0)

#endif /* LIBMINIASYNC_TEST_H */
