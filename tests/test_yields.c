/* SPDX-License-Identifier: BSD-3-Clause */

#include "test.h"

#include "system/yields.h"

/* A clock that stands still but for yields, which take what the test says. */
static uint64_t clock_ns, yield_ns;
static int nyields;

uint64_t __wrap_mia_clock_ns(void);
int __wrap_sched_yield(void);

uint64_t
__wrap_mia_clock_ns(void)
{
	return clock_ns;
}

int
__wrap_sched_yield(void)
{
	clock_ns += yield_ns;
	nyields++;
	return 0;
}

/* How often in a row it does not yield. */
static unsigned
left_out(struct mia_yields *yields)
{
	unsigned n = 0;

	while (!mia_yield(yields))
		n++;
	return n;
}

static void
short_yields_are_all_made(void **state)
{
	struct mia_yields yields = {0};

	(void)state;
	yield_ns = MIA_YIELD_LONG_NS - 1;
	nyields = 0;
	for (int i = 0; i < 1000; i++)
		assert_true(mia_yield(&yields));
	assert_int_equal(nyields, 1000);
}

/* And more and more of them while they take long, but not for ever. */
static void
after_a_long_yield_some_are_left_out(void **state)
{
	struct mia_yields yields = {0};
	unsigned expected = MIA_YIELD_MIN_SKIPS;

	(void)state;
	yield_ns = MIA_YIELD_LONG_NS;
	assert_true(mia_yield(&yields));
	for (int i = 0; i < 12; i++) {
		assert_int_equal(left_out(&yields), expected);
		if (expected < MIA_YIELD_MAX_SKIPS)
			expected *= 2;
	}

	/* Short ones again, for a time: then it is as it was at first. */
	yield_ns = 0;
	assert_int_equal(left_out(&yields), MIA_YIELD_MAX_SKIPS);
	for (int i = 0; i < 2 * MIA_YIELD_MAX_SKIPS; i++)
		assert_true(mia_yield(&yields));
	yield_ns = MIA_YIELD_LONG_NS;
	assert_true(mia_yield(&yields));
	assert_int_equal(left_out(&yields), MIA_YIELD_MIN_SKIPS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_yields_are_all_made),
		cmocka_unit_test(after_a_long_yield_some_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
