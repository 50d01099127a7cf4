/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_backoff.c -- tests system/backoff: the ways to pass a short time, with a
 * clock of the test
 */

#include "test.h"

#include "count_future.h"
#include "system/backoff.h"

/* Below and at the length from which a yield counts as long. */
#define SHORT_NS UINT64_C(499999)
#define LONG_NS UINT64_C(500000)
#define MIN_SKIPS 16u
#define MAX_SKIPS 1024u

/* The clock stands still except for yields, which take as long as set here. */
static uint64_t clock_ns, yield_ns, slept_ns;
static unsigned nyields;

uint64_t __wrap_mia_clock_ns(void);
void __wrap_mia_thread_yield(void);
void __wrap_mia_sleep(uint64_t ns);

uint64_t
__wrap_mia_clock_ns(void)
{
	return clock_ns;
}

void
__wrap_mia_thread_yield(void)
{
	clock_ns += yield_ns;
	nyields++;
}

void
__wrap_mia_sleep(uint64_t ns)
{
	slept_ns += ns;
}

int __wrap_sched_yield(void);

int
__wrap_sched_yield(void)
{
	nyields++;
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	clock_ns = 1000;
	yield_ns = 0;
	slept_ns = 0;
	nyields = 0;
	return 0;
}

static void
a_spin_pauses_then_yields_then_naps(void **state)
{
	struct mia_spin spin = MIA_SPIN_LOCK;

	(void)state;
	for (int i = 0; i < 16; i++)
		assert_false(mia_spin(&spin));
	assert_int_equal(nyields, 0);

	for (int i = 0; i < 64; i++)
		assert_true(mia_spin(&spin));
	assert_int_equal(nyields, 64);
	assert_int_equal(slept_ns, 0);

	for (int i = 0; i < 10; i++)
		assert_true(mia_spin(&spin));
	assert_int_equal(nyields, 64);
	assert_int_equal(slept_ns, 10 * 50000);
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
	yield_ns = SHORT_NS;
	for (int i = 0; i < 1000; i++)
		assert_true(mia_yield(&yields));
	assert_int_equal(nyields, 1000);
}

/* More and more are left out while yields are long, up to a limit. */
static void
after_a_long_yield_some_are_left_out(void **state)
{
	struct mia_yields yields = {0};
	unsigned expected = MIN_SKIPS;

	(void)state;
	yield_ns = LONG_NS;
	assert_true(mia_yield(&yields));
	for (int i = 0; i < 12; i++) {
		assert_int_equal(left_out(&yields), expected);
		if (expected < MAX_SKIPS)
			expected *= 2;
	}

	/* Many short yields forget the long ones. */
	yield_ns = 0;
	assert_int_equal(left_out(&yields), MAX_SKIPS);
	for (unsigned i = 0; i < 2 * MAX_SKIPS; i++)
		assert_true(mia_yield(&yields));
	yield_ns = LONG_NS;
	assert_true(mia_yield(&yields));
	assert_int_equal(left_out(&yields), MIN_SKIPS);
}

/* Turns until it is time to sleep. */
static unsigned
linger(struct mia_yields *yields, enum mia_linger_start start)
{
	struct mia_linger l;
	unsigned turns = 0;

	mia_linger_begin(&l, yields, start, MIA_SLEEP_COST_NS);
	while (mia_linger(&l))
		turns++;
	return turns;
}

static void
lingering_lasts_as_long_as_a_sleep_costs(void **state)
{
	struct mia_yields yields = {0};

	(void)state;
	yield_ns = 1000;
	assert_int_equal(linger(&yields, MIA_LINGER_BY_YIELDS),
		MIA_SLEEP_COST_NS / 1000);
	assert_int_equal(nyields, MIA_SLEEP_COST_NS / 1000);

	/* The pauses come first, and are not timed. */
	nyields = 0;
	assert_int_equal(linger(&yields, MIA_LINGER_BY_PAUSES),
		64 + MIA_SLEEP_COST_NS / 1000);
	assert_int_equal(nyields, MIA_SLEEP_COST_NS / 1000);
}

static void
lingering_ends_when_yields_are_long(void **state)
{
	struct mia_yields yields = {0};

	(void)state;
	yield_ns = LONG_NS;
	assert_int_equal(linger(&yields, MIA_LINGER_BY_YIELDS), 1);

	/* The next yields are left out. */
	assert_int_equal(linger(&yields, MIA_LINGER_BY_YIELDS), 0);
	assert_int_equal(nyields, 1);
}

static void
a_backoff_pauses_then_yields_then_naps_longer_and_longer(void **state)
{
	struct mia_yields yields = {0};
	struct mia_backoff backoff;
	uint64_t last = 0, sum = 0;
	unsigned naps = 0;

	(void)state;
	mia_backoff_init(&backoff, &yields);
	for (int i = 0; i < 32; i++)
		assert_int_equal(mia_backoff_pause(&backoff), 0);
	assert_int_equal(nyields, 0);
	for (int i = 0; i < 32; i++)
		assert_int_equal(mia_backoff_pause(&backoff), 0);
	assert_int_equal(nyields, 32);

	assert_int_equal(mia_backoff_pause(&backoff), 20000);
	for (uint64_t ns = 20000; ns < 4 * MS; naps++) {
		last = ns;
		sum += ns;
		ns = mia_backoff_pause(&backoff);
		assert_true(ns > last);
		assert_true(ns <= last + last / (last < MS ? 4 : 32));
	}
	assert_int_equal(mia_backoff_pause(&backoff), 4 * MS);
	assert_int_equal(nyields, 32);

	/* About 100 ms, in which the thread wakes up not too often. */
	assert_in_range(sum, 80 * MS, 130 * MS);
	assert_in_range(naps, 40, 80);

	mia_backoff_reset(&backoff);
	assert_int_equal(mia_backoff_pause(&backoff), 0);
}

static void
a_backoff_naps_at_once_when_yields_are_long(void **state)
{
	struct mia_yields yields = {0};
	struct mia_backoff backoff;

	(void)state;
	yield_ns = LONG_NS;
	mia_backoff_init(&backoff, &yields);
	for (int i = 0; i < 33; i++)
		assert_int_equal(mia_backoff_pause(&backoff), 0);
	assert_int_equal(mia_backoff_pause(&backoff), 20000);
	assert_int_equal(nyields, 1);
}

static void
a_busy_poll_pauses_then_yields_and_sometimes_naps(void **state)
{
	struct count_future f = count(FUTURE_BUSY_POLL_SPINS_, 0);
	struct count_future g = count(3 * FUTURE_BUSY_POLL_NAP_, 0);

	(void)state;
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(nyields, 0);

	FUTURE_BUSY_POLL(&g);
#if defined(__ELF__)
	assert_int_equal(slept_ns, 3 * 50000);
	assert_int_equal(nyields,
		3 * FUTURE_BUSY_POLL_NAP_ - FUTURE_BUSY_POLL_SPINS_ - 3);
#else
	assert_int_equal(slept_ns, 0);
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			a_spin_pauses_then_yields_then_naps, setup),
		cmocka_unit_test_setup(short_yields_are_all_made, setup),
		cmocka_unit_test_setup(
			after_a_long_yield_some_are_left_out, setup),
		cmocka_unit_test_setup(
			lingering_lasts_as_long_as_a_sleep_costs, setup),
		cmocka_unit_test_setup(
			lingering_ends_when_yields_are_long, setup),
		cmocka_unit_test_setup(
			a_backoff_pauses_then_yields_then_naps_longer_and_longer,
			setup),
		cmocka_unit_test_setup(
			a_backoff_naps_at_once_when_yields_are_long, setup),
		cmocka_unit_test_setup(
			a_busy_poll_pauses_then_yields_and_sometimes_naps,
			setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
