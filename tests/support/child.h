/* SPDX-License-Identifier: BSD-3-Clause */

/* child.h -- children of a test, which must end in time */

#ifndef LIBMINIASYNC_TEST_CHILD_H
#define LIBMINIASYNC_TEST_CHILD_H 1

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sanitizers.h"

/* Under ThreadSanitizer a child that had threads may not start others. */
#define CHILD_HAS_THREADS (!TEST_TSAN)

/* In a child: cmocka's assertions belong to the parent. */
#define CHILD_CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: child: %s\n", __FILE__, \
				__LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

#define CHILD_SECONDS 30

/*
 * AddressSanitizer of gcc 12 does not take the locks of its allocator over a
 * fork. A thread of the parent that is just starting may hold one: the child
 * would wait for it for ever. So let the threads come to rest.
 */
static inline void
child_let_threads_rest(void)
{
#if defined(__SANITIZE_ADDRESS__)
	usleep(10000);
#endif
}

/* Forks, and runs run() in the child. Returns the child, which ends with 0. */
static inline pid_t
child_start(void (*run)(void))
{
	child_let_threads_rest();

	const pid_t child = fork();

	if (child != 0)
		return child;
	alarm(CHILD_SECONDS);
	run();
	_exit(0);
}

/* The status of the child: 0, unless a check failed, or it hung. */
static inline int
child_status(pid_t child)
{
	int status = -1;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return status;
}

#define ASSERT_CHILD(run) assert_int_equal(child_status(child_start(run)), 0)

#endif /* LIBMINIASYNC_TEST_CHILD_H */
