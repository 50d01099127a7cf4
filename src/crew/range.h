/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * range.h -- bytes that several threads take, piece by piece, from both ends
 *
 * A thread that takes the same range again from the same end finds its part in
 * the cache of its CPU. One word counts both ends, so that they cannot cross.
 * The word counts in units. A unit is one byte if half a word can count all
 * bytes: below 2 GiB on 64-bit machines.
 *
 * Threads: any number of threads may call mia_range_take() at the same time.
 */

#ifndef LIBMINIASYNC_RANGE_H
#define LIBMINIASYNC_RANGE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum mia_range_end { MIA_RANGE_FRONT, MIA_RANGE_BACK };

struct mia_range {
	/* A: taken units; from the front in the low half */
	atomic_size_t taken;
	size_t total; /* I: init only; bytes */
};

/* Bytes at to at + n - 1. */
struct mia_part {
	size_t at;
	size_t n;    /* 0: nothing was left */
	size_t left; /* afterwards, rounded up to units; only decreases */
};

/* total  bytes, 1 to SIZE_MAX / 2 */
void mia_range_init(struct mia_range *range, size_t total);

/*
 * Takes up to max bytes for the caller alone; max is at least 1. A max below
 * one unit counts as one unit. A max of the total or more takes all bytes that
 * are left.
 */
struct mia_part mia_range_take(
	struct mia_range *range, size_t max, enum mia_range_end end);

#endif /* LIBMINIASYNC_RANGE_H */
