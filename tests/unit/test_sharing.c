/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_sharing.c -- tests crew/sharing: each byte is claimed once, exactly one
 * sharer is the last, and nobody joins work that is closed
 */

#include "test.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "crew/sharing.h"

/* Stripes for other threads; one more is the workers'. */
enum { STRIPES = 4 };

static struct mia_sharing sharing;

static int
setup(void **state)
{
	(void)state;
	return mia_sharing_init(&sharing, STRIPES / 2);
}

static int
teardown(void **state)
{
	(void)state;
	mia_sharing_fini(&sharing);
	return 0;
}

/* Opens work that is shown at once, as a thread that is no worker. */
static void
open_shown(struct mia_shared *work, size_t total)
{
	assert_true(
		mia_sharing_open(&sharing, work, total, 0, MIA_OPENER_OTHER));
}

static struct mia_claim
claim(struct mia_shared *work, size_t max)
{
	return mia_sharing_claim(&sharing, work, max, MIA_RANGE_FRONT);
}

/* Claims all that is left, without doing it. */
static void
claim_all(struct mia_shared *work)
{
	while (claim(work, 3).n > 0)
		continue;
}

static struct mia_shared *
join(unsigned turn)
{
	int cpu;

	return mia_sharing_join(&sharing, turn, &cpu);
}

/* Work that a worker may join, if it is not NULL, and no other. */
static void
assert_joins(struct mia_shared *work)
{
	for (unsigned turn = 0; turn < 2 * (STRIPES + 1); turn++) {
		assert_ptr_equal(join(turn), work);
		if (work != NULL)
			assert_false(mia_sharing_leave(work));
	}
	assert_int_equal(mia_sharing_has_work(&sharing), work != NULL);
}

static void
nothing_is_joined_before_work_is_open(void **state)
{
	(void)state;
	assert_joins(NULL);
	assert_int_equal(mia_sharing_others(&sharing), 0);
}

static unsigned
lesser(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static void
stripes_are_a_power_of_two_and_one(void **state)
{
	static const unsigned stripes[][2] = {{0, 2}, {1, 2}, {2, 4}, {3, 8},
		{4, 8}, {5, 16}, {9, 32}, {16, 32}, {17, 32}, {1000, 32}};

	(void)state;
	for (size_t i = 0; i < sizeof(stripes) / sizeof(*stripes); i++) {
		struct mia_sharing other;

		assert_int_equal(mia_sharing_init(&other, stripes[i][0]), 0);
		assert_int_equal(other.nstripes,
			lesser(stripes[i][1], MIA_SHARING_STRIPES) + 1);
		mia_sharing_fini(&other);
	}
}

/* The claims of one sharer follow each other, until there are none. */
static void
check_claims(size_t total, size_t chunk)
{
	struct mia_shared work;
	size_t at = 0;

	open_shown(&work, total);
	while (at < total) {
		const size_t left = total - at;
		const size_t n = left < chunk ? left : chunk;

		assert_true(mia_sharing_has_work(&sharing));

		const struct mia_claim got = claim(&work, chunk);

		assert_int_equal(got.at, at);
		assert_int_equal(got.n, n);
		assert_int_equal(got.for_help, left - n);
		at += got.n;
	}

	/* The last claim has taken the work off the list. */
	assert_false(mia_sharing_has_work(&sharing));
	for (int i = 0; i < 100; i++)
		assert_int_equal(claim(&work, chunk).n, 0);
	assert_true(mia_sharing_leave(&work));
}

static void
one_sharer_claims_every_byte_once(void **state)
{
	static const size_t totals[] = {1, 2, 3, 7, 64, 1000, 4096, 10007};
	static const size_t chunks[] = {
		1, 2, 3, 64, 1000, 4095, 4096, 4097, 20000};

	(void)state;
	for (size_t t = 0; t < sizeof(totals) / sizeof(*totals); t++)
		for (size_t c = 0; c < sizeof(chunks) / sizeof(*chunks); c++)
			check_claims(totals[t], chunks[c]);
}

/* A chunk may be larger than the work, at any size of the work. */
static void
huge_chunks_are_claimed_once(void **state)
{
	(void)state;
	for (size_t total = 1; total < 4; total++)
		for (size_t parts = 1; parts < 9; parts++)
			check_claims(total, SIZE_MAX / parts + parts - 1);
}

static void
sharers_of_both_ends_meet(void **state)
{
	struct mia_shared work;
	struct mia_claim got;

	(void)state;
	open_shown(&work, 10);
	assert_ptr_equal(join(0), &work);
	got = mia_sharing_claim(&sharing, &work, 4, MIA_RANGE_BACK);
	assert_int_equal(got.at, 6);
	assert_int_equal(got.n, 4);
	assert_false(got.is_last);
	assert_int_equal(claim(&work, 3).at, 0);
	assert_true(mia_sharing_has_work(&sharing));
	got = mia_sharing_claim(&sharing, &work, 4, MIA_RANGE_BACK);
	assert_int_equal(got.at, 3);
	assert_int_equal(got.n, 3);
	assert_true(got.is_last);
	assert_false(mia_sharing_has_work(&sharing));
	assert_true(claim(&work, 3).is_last);
	assert_false(mia_sharing_leave(&work));
	assert_true(mia_sharing_leave(&work));
}

static void
only_the_last_to_leave_is_told(void **state)
{
	enum { MOST = 5 };

	(void)state;
	for (int helpers = 0; helpers < MOST; helpers++) {
		struct mia_shared work;

		open_shown(&work, 10);
		for (int i = 0; i < helpers; i++)
			assert_ptr_equal(join(0), &work);
		claim_all(&work);
		for (int i = 0; i < helpers; i++)
			assert_false(mia_sharing_leave(&work));
		assert_true(mia_sharing_leave(&work));
	}
}

static void
nobody_joins_after_the_last_claim(void **state)
{
	struct mia_shared work;

	(void)state;
	open_shown(&work, 10);
	assert_int_equal(claim(&work, 9).for_help, 1);
	assert_joins(&work);
	assert_int_equal(claim(&work, 9).n, 1);
	assert_joins(NULL);
	assert_true(mia_sharing_leave(&work));
}

/* The other sharer claimed the last byte, and lost its CPU there. */
static void
joiner_that_finds_nothing_closes(void **state)
{
	struct mia_shared work;

	(void)state;
	open_shown(&work, 10);
	(void)mia_range_take(&work.range, 10, MIA_RANGE_BACK);
	assert_ptr_equal(join(0), &work);
	assert_int_equal(claim(&work, 3).n, 0);
	assert_int_equal(claim(&work, 3).for_help, 0);
	mia_sharing_close(&sharing, &work);
	assert_joins(NULL);
	assert_false(mia_sharing_leave(&work));

	/* The other goes on, and finds the work closed. */
	mia_sharing_close(&sharing, &work);
	assert_true(mia_sharing_leave(&work));
}

static void
closed_work_keeps_its_sharers_and_its_bytes(void **state)
{
	struct mia_shared work, next;

	(void)state;
	open_shown(&work, 10);
	assert_ptr_equal(join(0), &work);
	open_shown(&next, 5);
	assert_int_equal(claim(&work, 4).n, 4);
	mia_sharing_close(&sharing, &work);
	assert_joins(&next);

	/* The opener hands its part over by a queue. */
	memset(&work.next, 0xee, sizeof(work.next));
	assert_int_equal(claim(&work, 4).at, 4);
	assert_false(mia_sharing_leave(&work));
	assert_int_equal(claim(&work, 4).at, 8);
	assert_int_equal(claim(&work, 4).n, 0);
	assert_true(mia_sharing_leave(&work));
	assert_joins(&next);
	claim_all(&next);
	assert_joins(NULL);
	assert_true(mia_sharing_leave(&next));
}

static void
helper_that_leaves_early_leaves_the_rest_to_others(void **state)
{
	struct mia_shared work;

	(void)state;
	open_shown(&work, 10);
	assert_ptr_equal(join(0), &work);
	assert_int_equal(claim(&work, 4).n, 4);
	assert_false(mia_sharing_leave(&work));

	assert_joins(&work);
	assert_int_equal(claim(&work, 4).at, 4);
	assert_int_equal(claim(&work, 4).at, 8);
	assert_int_equal(claim(&work, 4).n, 0);
	assert_joins(NULL);
	assert_true(mia_sharing_leave(&work));
}

static void
newest_of_several_works_is_joined(void **state)
{
	static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
		{1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (size_t order = 0; order < 6; order++) {
		struct mia_shared works[3];
		bool is_open[3] = {true, true, true};

		for (int i = 0; i < 3; i++)
			open_shown(&works[i], 1);
		for (int i = 0; i < 3; i++) {
			struct mia_shared *ended = &works[orders[order][i]];
			int newest = 2;

			claim_all(ended);
			assert_true(mia_sharing_leave(ended));
			is_open[orders[order][i]] = false;

			while (newest >= 0 && !is_open[newest])
				newest--;
			assert_joins(newest >= 0 ? &works[newest] : NULL);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_joined_before_work_is_open),
		TEST(stripes_are_a_power_of_two_and_one),
		TEST(one_sharer_claims_every_byte_once),
		TEST(huge_chunks_are_claimed_once),
		TEST(sharers_of_both_ends_meet),
		TEST(only_the_last_to_leave_is_told),
		TEST(nobody_joins_after_the_last_claim),
		TEST(joiner_that_finds_nothing_closes),
		TEST(closed_work_keeps_its_sharers_and_its_bytes),
		TEST(helper_that_leaves_early_leaves_the_rest_to_others),
		TEST(newest_of_several_works_is_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
