/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_refused_keys.c -- tests all movers without thread-specific values, and
 * without a key: threads go on without caches, and nothing is lost
 */

#include "test.h"

#include "refusals.h"

static void
refuse_each_value(enum refuse_extent extent)
{
	/*
	 * Without a key there are no values. All other tests cover that case.
	 */
	if (getenv("MIA_TEST_NO_KEY") != NULL)
		skip();
	refuse_each(REFUSE(SET_SPECIFIC), extent);
}

static void
each_refused_value_loses_and_leaves_nothing(void **state)
{
	(void)state;
	refuse_each_value(REFUSE_ONE);
}

static void
all_values_refused_from_each_on_lose_and_leave_nothing(void **state)
{
	(void)state;
	refuse_each_value(REFUSE_ALL_AFTER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refused_value_loses_and_leaves_nothing),
		cmocka_unit_test(
			all_values_refused_from_each_on_lose_and_leave_nothing),
	};

	refusals_init("refused_keys");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
