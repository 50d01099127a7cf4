/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sandboxed.h -- a process that uses the whole library, in three phases, under
 * filters of system calls. Linux only.
 */

#ifndef LIBMINIASYNC_TEST_SANDBOXED_H
#define LIBMINIASYNC_TEST_SANDBOXED_H 1

#include <stdlib.h> /* also for __GLIBC__ */

/* The table of calls is for glibc. */
#if defined(__linux__) && defined(__GLIBC__) && defined(__has_include)
#if __GLIBC_PREREQ(2, 35) && __has_include(<linux/seccomp.h>) && \
	(defined(__x86_64__) || defined(__aarch64__))
#define HAS_TABLE 1
#endif
#endif

/*
 * MAKE    movers, a runtime, a queue and its descriptor are made
 * USE     operations of all kinds; waits; the first use by another thread
 * DELETE  all is deleted
 */
enum phase { MAKE, USE, DELETE, NPHASES };

/* What went wrong: the exit status of the process. */
enum trouble {
	WRONG = 1,         /* the result of an operation, or the data */
	NOT_MADE = 2,      /* a mover with threads */
	NO_DESCRIPTOR = 4, /* of the queue */
	NO_MEMORY = 8,     /* VDM_ERROR_OUT_OF_MEMORY */
	SILENT = 16,       /* the descriptor, with a future to reap */
	READABLE = 32,     /* the descriptor, without one */
	NOT_POSSIBLE = 64, /* here */
};

/*
 * A phase and all later ones may make these calls, of which one may be refused.
 * Any other call ends the process by SIGSYS. A later filter can only take away.
 */
struct filter {
	const long *calls;
	size_t ncalls;
	long refused; /* or -1 */
	int error;
};

/* Runs the phases. Each filter may be NULL. Returns the troubles. */
int sandboxed_run(const struct filter *const filters[NPHASES]);

#endif /* LIBMINIASYNC_TEST_SANDBOXED_H */
