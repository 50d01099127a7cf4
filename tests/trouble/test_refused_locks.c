/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_refused_locks.c -- tests all movers without mutexes, semaphores or
 * condition variables: constructors set errno, and nothing leaks
 */

#include "test.h"

#include "refusals.h"

#define LOCKS (REFUSE(MUTEX_INIT) | REFUSE(SEM_INIT) | REFUSE_CONDS_IN_USE)

static void
each_refused_lock_loses_and_leaves_nothing(void **state)
{
	(void)state;
	refuse_each(LOCKS, REFUSE_ONE);
}

static void
all_locks_refused_from_each_on_lose_and_leave_nothing(void **state)
{
	(void)state;
	refuse_each(LOCKS, REFUSE_ALL_AFTER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refused_lock_loses_and_leaves_nothing),
		cmocka_unit_test(
			all_locks_refused_from_each_on_lose_and_leave_nothing),
	};

	refusals_init("refused_locks");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
