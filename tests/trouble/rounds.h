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

/* main() sets it. */
extern uint64_t rounds_seed;

/*
 * Aborts the process after these seconds. 0 cancels that. The timer is not
 * alarm(), because one of the storms needs that.
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

/* Runs rounds for this time, and at least one round. */
void do_rounds(struct rounds *r, unsigned ms);

/*
 * Finds n workers among the threads of this process. Waits a moment for them,
 * because new workers have no name yet. Returns how many it found.
 */
int wait_for_workers(pid_t *tids, int n);

/* Runs a test in a child, which may limit itself. */
void in_child(int (*run)(void));

#endif /* LIBMINIASYNC_TEST_ROUNDS_H */
