/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_refused_threads.c -- tests all movers without threads: the constructor
 * fails if one worker is refused, and ends the others
 */

#include "test.h"

#include "refusals.h"

static void
each_refused_thread_loses_and_leaves_nothing(void **state)
{
	(void)state;
	refuse_each(REFUSE(THREAD_CREATE), REFUSE_ONE);
}

static void
all_threads_refused_from_each_on_lose_and_leave_nothing(void **state)
{
	(void)state;
	refuse_each(REFUSE(THREAD_CREATE), REFUSE_ALL_AFTER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refused_thread_loses_and_leaves_nothing),
		cmocka_unit_test(
			all_threads_refused_from_each_on_lose_and_leave_nothing),
	};

	refusals_init("refused_threads");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
