/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * rounds.h -- helpers for the tests of hardship: rounds of operations, the
 * threads of the workers, and children that may limit themselves
 *
 * A round is several operations of all kinds at once. Workers run most of them,
 * and share one. Then the memory is checked. Linux only.
 */

#ifndef LIBMINIASYNC_TEST_ROUNDS_H
#define LIBMINIASYNC_TEST_ROUNDS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libminiasync.h"

#define SKIPPED 77 /* a child's exit status */

/* For main() to set. */
extern uint64_t rounds_seed;

/*
 * The test fails by SIGABRT if it is not over in time; 0: it is. By another
 * timer than alarm(), which one of the storms needs.
 */
void deadline(int seconds);

void sleep_ms(unsigned ms);

struct rounds {
	struct runtime *runtime;
	struct data_mover_threads *dmt[3]; /* by notifier */
	uint64_t seed;
	unsigned char *src; /* BIG */
	unsigned char *dst; /* N * SIZE and BIG */
	unsigned long done;
	unsigned long wrong;
};

void rounds_init(struct rounds *r, size_t nthreads);
void rounds_fini(struct rounds *r);
void rounds_check(struct rounds *r, const char *what);

void do_round(struct rounds *r);

/* For some time, but at least one. */
void do_rounds(struct rounds *r, unsigned ms);

/*
 * The threads of this process that are workers, n of them; new ones have their
 * names a moment later. Returns how many there are.
 */
int wait_for_workers(pid_t *tids, int n);

/* Runs a test in a child, which may limit itself. */
void in_child(int (*run)(void));

#endif /* LIBMINIASYNC_TEST_ROUNDS_H */
