/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_refused_all.c -- tests all movers while calls of every kind are refused
 * at once
 *
 * Each kind alone has a test of its own, test_refused_*.c.
 */

#include "test.h"

#include "refusals.h"

#define ALL ((REFUSE_ALL & ~REFUSE_CONDS) | REFUSE_CONDS_IN_USE)

static void
all_calls_refused_from_each_on_lose_and_leave_nothing(void **state)
{
	(void)state;
	refuse_each(ALL, REFUSE_ALL_AFTER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			all_calls_refused_from_each_on_lose_and_leave_nothing),
	};

	refusals_init("refused_all");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
