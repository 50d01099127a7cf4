/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_refused_memory.c -- tests all movers without memory: no allocation, no
 * slab, no page
 *
 * Operations succeed or run out of memory. Constructors fail with ENOMEM.
 * Nothing leaks.
 */

#include "test.h"

#include "refusals.h"

static void
each_refused_allocation_loses_and_leaves_nothing(void **state)
{
	(void)state;
	refuse_each(REFUSE_MEMORY, REFUSE_ONE);
}

static void
all_allocations_refused_from_each_on_lose_and_leave_nothing(void **state)
{
	(void)state;
	refuse_each(REFUSE_MEMORY, REFUSE_ALL_AFTER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			each_refused_allocation_loses_and_leaves_nothing),
		cmocka_unit_test(
			all_allocations_refused_from_each_on_lose_and_leave_nothing),
	};

	refusals_init("refused_memory");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
