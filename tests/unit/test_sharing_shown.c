/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_sharing_shown.c -- tests crew/sharing: the work of a stripe that is
 * hidden or shown, and what a claim returns
 */

#include "stripes.h"

#include "system.h"
#include "system/backoff.h"

static void
small_work_is_hidden_until_there_is_enough(void **state)
{
	struct mia_shared works[4];

	(void)state;
	assert_false(open_here(&works[0], 60));
	assert_false(open_here(&works[1], SHOW_MIN - 61));
	assert_false(mia_sharing_has_work(&sharing));
	assert_int_equal(mia_sharing_others(&sharing), 0);
	assert_null(join(0));

	/* Its sharer works as usual. */
	assert_int_equal(
		mia_sharing_claim(&sharing, &works[0], 9, MIA_RANGE_FRONT).n,
		9);

	assert_true(open_here(&works[2], 1));
	assert_true(mia_sharing_has_work(&sharing));
	assert_int_equal(mia_sharing_others(&sharing), 1);
	assert_ptr_equal(join(0), &works[2]);

	/* Shown until the list is empty, also with less than that. */
	end(&works[2]);
	assert_ptr_equal(join(0), &works[1]);
	end(&works[1]);
	assert_ptr_equal(join(0), &works[0]);
	assert_true(mia_sharing_has_work(&sharing));
	end(&works[0]);
	assert_false(mia_sharing_has_work(&sharing));
	assert_int_equal(mia_sharing_others(&sharing), 0);

	/* And then hidden again. */
	assert_false(open_here(&works[3], SHOW_MIN - 1));
	assert_null(join(0));
	end(&works[3]);
}

static enum mia_showing
open_of(struct mia_shared *work, size_t total)
{
	return mia_sharing_open(
		&sharing, work, total, SHOW_MIN, MIA_OPENER_OTHER);
}

/* Much work is worth a wake, and some that comes again soon. */
static void
little_work_is_worth_a_wake_only_if_it_comes_again(void **state)
{
	struct mia_shared work;

	(void)state;
	assert_int_equal(open_of(&work, SHOW_MIN - 1), MIA_HIDDEN);
	end(&work);
	assert_int_equal(open_of(&work, SHOW_MIN), MIA_SHOWN);
	end(&work);
	test_sleep_ns(2 * MIA_SLEEP_COST_NS);
	assert_int_equal(open_of(&work, SHOW_MIN), MIA_SHOWN);
	end(&work);
	test_sleep_ns(2 * MIA_SLEEP_COST_NS);
	assert_int_equal(open_of(&work, MIA_SHARING_WAKE_FACTOR * SHOW_MIN),
		MIA_WORTH_A_WAKE);
	end(&work);

	/* At once, unless it loses its CPU each time, or is under valgrind. */
	int again = 0;

	for (int i = 0; i < 100; i++) {
		if (open_of(&work, SHOW_MIN) == MIA_WORTH_A_WAKE)
			again++;
		end(&work);
		if (open_of(&work, SHOW_MIN - 1) != MIA_HIDDEN)
			fail();
		end(&work);
	}
	assert_true(again > 50 || TEST_SLOWDOWN > 10);
}

static void
hidden_work_ends_and_closes_in_any_order(void **state)
{
	struct mia_shared works[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_false(open_here(&works[i], 1 + (size_t)i));
	mia_sharing_close(&sharing, &works[1]);
	end(&works[2]);
	end(&works[0]);
	end(&works[1]);
	assert_false(mia_sharing_has_work(&sharing));

	/* No byte is left over. */
	assert_false(open_here(&works[0], SHOW_MIN - 1));
	assert_true(open_here(&works[1], 1));
	end(&works[1]);
	end(&works[0]);
}

/* Of the claimed work itself, and then of its stripe. */
static void
claim_tells_what_is_left_for_others(void **state)
{
	struct mia_shared works[3], other;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		open_here(&works[i], 1000 * (i + 1));
	open_as_worker(&other, 70000);

	const struct mia_claim first =
		mia_sharing_claim(&sharing, &works[1], 1500, MIA_RANGE_FRONT);
	const struct mia_claim last =
		mia_sharing_claim(&sharing, &works[1], 1500, MIA_RANGE_FRONT);

	assert_int_equal(first.for_help, 500);
	assert_int_equal(last.n, 500);
	assert_int_equal(last.for_help, 1000 + 3000);
	assert_int_equal(
		mia_sharing_claim(&sharing, &works[1], 1500, MIA_RANGE_FRONT)
			.for_help,
		0);
	mia_sharing_close(&sharing, &works[0]);
	assert_int_equal(
		mia_sharing_claim(&sharing, &works[2], 3000, MIA_RANGE_FRONT)
			.for_help,
		0);
	assert_int_equal(
		mia_sharing_claim(&sharing, &other, 70000, MIA_RANGE_FRONT)
			.for_help,
		0);
	for (int i = 0; i < 3; i++)
		end(&works[i]);
	end(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STRIPES_TEST(small_work_is_hidden_until_there_is_enough),
		STRIPES_TEST(
			little_work_is_worth_a_wake_only_if_it_comes_again),
		STRIPES_TEST(hidden_work_ends_and_closes_in_any_order),
		STRIPES_TEST(claim_tells_what_is_left_for_others),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
