/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * range.c -- see range.h
 */

#include "crew/range.h"

#include <limits.h>

#define HALF_BITS ((unsigned)sizeof(size_t) * CHAR_BIT / 2)
#define HALF_MAX (((size_t)1 << HALF_BITS) - 1)

/* A unit is 1 << shift bytes. Half a word can count twice as many units. */
static unsigned
shift_of(size_t total)
{
	const unsigned bits = 64 - (unsigned)__builtin_clzll(total);

	return bits < HALF_BITS ? 0 : bits - HALF_BITS + 1;
}

void
mia_range_init(struct mia_range *range, size_t total)
{
	range->total = total;
	/* Relaxed: the thread that shares the range publishes it. */
	atomic_store_explicit(&range->taken, 0, memory_order_relaxed);
}

struct mia_part
mia_range_take(struct mia_range *range, size_t max, enum mia_range_end end)
{
	const unsigned shift = shift_of(range->total);
	const size_t units = ((range->total - 1) >> shift) + 1;
	const size_t whole = max >> shift == 0 ? 1 : max >> shift;
	/* The last unit may be short, so whole units may be too few for all. */
	const size_t most = max < range->total ? whole : units;
	struct mia_part part = {0, 0, 0};

	/* Relaxed, all: claims a part, and publishes nothing. */
	size_t taken =
		atomic_load_explicit(&range->taken, memory_order_relaxed);
	size_t next, at, n, left;

	do {
		const size_t front = taken & HALF_MAX;
		const size_t back = taken >> HALF_BITS;

		left = units - front - back;
		if (left == 0)
			return part;
		n = left < most ? left : most;
		at = end == MIA_RANGE_FRONT ? front : units - back - n;
		next = taken + (end == MIA_RANGE_FRONT ? n : n << HALF_BITS);
	} while (!atomic_compare_exchange_weak_explicit(&range->taken, &taken,
		next, memory_order_relaxed, memory_order_relaxed));

	part.at = at << shift;
	part.n = n << shift;
	/* The last unit may be short. */
	if (part.n > range->total - part.at)
		part.n = range->total - part.at;
	part.left = (left - n) << shift;
	return part;
}
