/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * range.h -- bytes that several threads take, piece by piece, from both ends
 *
 * A thread that takes the same range again from the same end finds its part in
 * the cache of its CPU. Both ends are in one word, so that they cannot cross.
 * The word counts in units, which are bytes if half a word can count them all:
 * below 2 GiB on machines of 64 bits.
 *
 * Threads: mia_range_take(), any number.
 */

#ifndef LIBMINIASYNC_RANGE_H
#define LIBMINIASYNC_RANGE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum mia_range_end { MIA_RANGE_FRONT, MIA_RANGE_BACK };

struct mia_range {
	/* A: units, those of the front in the low half */
	atomic_size_t taken;
	size_t total; /* I: init only; bytes */
};

/* Bytes at to at + n - 1. */
struct mia_part {
	size_t at;
	size_t n;    /* 0: nothing was left */
	size_t left; /* afterwards; later it may only be less */
};

/* total  bytes, 1 to SIZE_MAX / 2 */
void mia_range_init(struct mia_range *range, size_t total);

/*
 * Takes up to max bytes, at least 1, that nobody else gets. A max of less than
 * a unit is taken for one.
 */
struct mia_part mia_range_take(
	struct mia_range *range, size_t max, enum mia_range_end end);

#endif /* LIBMINIASYNC_RANGE_H */
