/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_refused_cpus.c -- tests all movers on a system that does not tell the
 * usable CPUs, or needs a larger mask: the constructors succeed
 */

#include "test.h"

#include <sched.h>

#include "refusals.h"
#include "scenario.h"

static void
each_refused_affinity_loses_and_leaves_nothing(void **state)
{
	(void)state;
	refuse_each(REFUSE(GET_AFFINITY), REFUSE_ONE);
}

static void
all_affinities_refused_from_each_on_lose_and_leave_nothing(void **state)
{
	(void)state;
	refuse_each(REFUSE(GET_AFFINITY), REFUSE_ALL_AFTER);
}

/* The mask of a big machine, a mask that is too big, and no answer. */
static void
unknown_affinity_gives_a_mover_all_the_same(void **state)
{
	const size_t sizes[] = {CPU_ALLOC_SIZE(8192), SIZE_MAX};

	(void)state;
	deadline(60);
	for (int i = 0; i < 2; i++) {
		atomic_store(&refuse_cpu_masks_below, sizes[i]);
		struct data_mover_threads *dmt = data_mover_threads_default();

		atomic_store(&refuse_cpu_masks_below, 0);
		assert_non_null(dmt);
		scenario_fill();
		struct vdm_operation_future f =
			scenario_make(data_mover_threads_get_vdm(dmt), 0);

		FUTURE_BUSY_POLL(&f);
		scenario_check(&f, 0);
		data_mover_threads_delete(dmt);
		assert_int_equal(atomic_load(&scenario_wrong), 0);
	}
	deadline(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			each_refused_affinity_loses_and_leaves_nothing),
		cmocka_unit_test(
			all_affinities_refused_from_each_on_lose_and_leave_nothing),
		cmocka_unit_test(unknown_affinity_gives_a_mover_all_the_same),
	};

	refusals_init("refused_cpus");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
