/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * net.h -- runtimes of tests, with the safety net or without
 *
 * If the environment has MIA_TEST_NO_NET, the net comes after 30 s, and under
 * valgrind after 300. A lost wake then makes a wait so long that a test fails.
 */

#ifndef LIBMINIASYNC_TEST_NET_H
#define LIBMINIASYNC_TEST_NET_H 1

#include "test.h"

#include <stdbool.h>

#include "libminiasync/runtime.h"
#include "wait/runtime.h"

#define TEST_NO_NET_NS ((TEST_SLOWDOWN > 10 ? 300000 : 30000) * MS)

static inline bool
test_has_net(void)
{
	return getenv("MIA_TEST_NO_NET") == NULL;
}

/* The first line of a test whose wait only the net ends. */
#define TEST_NEEDS_NET() \
	do { \
		if (!test_has_net()) \
			TEST_LEFT_OUT("there is no safety net"); \
	} while (0)

static inline struct runtime *
test_runtime_new(void)
{
	struct runtime *runtime = runtime_new();

	assert_non_null(runtime);
	if (!test_has_net())
		mia_runtime_set_net(runtime, TEST_NO_NET_NS, TEST_NO_NET_NS);
	return runtime;
}

#endif /* LIBMINIASYNC_TEST_NET_H */
