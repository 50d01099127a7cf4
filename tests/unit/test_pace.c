/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_pace.c -- tests wait/pace and wait/meter: the time of the next pass,
 * with a clock of the test
 */

#include "test.h"

#include "wait/pace.h"

enum { LOOK_NS = 30, WORK_NS = 500 };

static uint64_t clock_ns;
static uint64_t lost_ns; /* in the read number lost_at, from 1 */
static int lost_at;

uint64_t __wrap_mia_clock_ns(void);

/* A look at the clock takes its time. */
uint64_t
__wrap_mia_clock_ns(void)
{
	clock_ns += LOOK_NS;
	if (lost_at > 0 && --lost_at == 0)
		clock_ns += lost_ns;
	return clock_ns;
}

/* Two polls of the given times, and some time before and after them. */
static void
pass(struct mia_meter *meter, uint64_t first_ns, uint64_t second_ns)
{
	clock_ns += 100000;
	mia_meter_begin(meter);
	clock_ns += first_ns;
	mia_meter_count(meter);
	clock_ns += second_ns;
	mia_meter_count(meter);
	clock_ns += 100000;
}

static void
long_polls_are_work(void **state)
{
	struct mia_meter meter;

	(void)state;
	mia_meter_init(&meter);
	assert_false(mia_meter_works(&meter));
	pass(&meter, 10, 10);
	assert_false(mia_meter_works(&meter));
	pass(&meter, WORK_NS - 1, WORK_NS - 1);
	assert_false(mia_meter_works(&meter));
	pass(&meter, WORK_NS, WORK_NS);
	assert_true(mia_meter_works(&meter));
	pass(&meter, 0, 0);
	assert_false(mia_meter_works(&meter));
}

/* An interrupt may make a poll long. */
static void
a_quarter_of_the_time_must_be_work(void **state)
{
	struct mia_meter meter;

	(void)state;
	mia_meter_init(&meter);
	for (int nshort = 0; nshort < 20; nshort++) {
		mia_meter_begin(&meter);
		clock_ns += WORK_NS;
		mia_meter_count(&meter);
		for (int i = 0; i < nshort; i++) {
			clock_ns += 70;
			mia_meter_count(&meter);
		}

		/* 500 of 530 ns, and 100 for each short poll. */
		assert_int_equal(mia_meter_works(&meter), nshort <= 14);
	}
}

/* The thread loses its CPU while the duration of a read is measured. */
static void
long_read_of_the_clock_hides_no_work(void **state)
{
	struct mia_meter meter;

	(void)state;
	lost_ns = 3 * MS;
	lost_at = 2;
	mia_meter_init(&meter);
	assert_int_equal(meter.clock_ns, LOOK_NS + 3 * MS);
	pass(&meter, WORK_NS, WORK_NS);
	assert_int_equal(meter.clock_ns, LOOK_NS);
	pass(&meter, WORK_NS, WORK_NS);
	assert_true(mia_meter_works(&meter));
}

static void
no_pause_while_two_passes_in_a_row_do_work(void **state)
{
	struct mia_yields yields = {0};
	struct mia_pace pace;

	(void)state;
	mia_pace_init(&pace, &yields);
	for (int i = 0; i < 10; i++) {
		pass(&pace.meter, 0, 0);
		mia_pace_pause(&pace);
	}
	assert_int_equal(pace.backoff.passes, 10);

	/* The first one may be by chance. */
	pass(&pace.meter, 10000, 0);
	assert_int_equal(mia_pace_pause(&pace), 0);
	assert_int_equal(pace.backoff.passes, 11);
	for (int i = 0; i < 3; i++) {
		pass(&pace.meter, 10000, 0);
		assert_int_equal(mia_pace_pause(&pace), 0);
		assert_int_equal(pace.backoff.passes, 0);
	}

	/* Afterwards the pauses begin anew. */
	pass(&pace.meter, 0, 0);
	mia_pace_pause(&pace);
	assert_int_equal(pace.backoff.passes, 1);
	mia_pace_progress(&pace);
	assert_int_equal(pace.backoff.passes, 0);
}

/* A pass between pieces of work counts, and does not pause. */
static void
passes_between_pieces_count_as_work(void **state)
{
	struct mia_yields yields = {0};
	struct mia_pace pace;

	(void)state;
	mia_pace_init(&pace, &yields);
	assert_false(pace.worked);
	pass(&pace.meter, 10000, 0);
	mia_pace_go_on(&pace);
	assert_false(pace.worked);
	pass(&pace.meter, 10000, 0);
	mia_pace_go_on(&pace);
	assert_true(pace.worked);
	assert_int_equal(pace.backoff.passes, 0);

	/* After a pass without work it takes two again. */
	pass(&pace.meter, 0, 0);
	mia_pace_go_on(&pace);
	assert_false(pace.worked);
	pass(&pace.meter, 10000, 0);
	mia_pace_go_on(&pace);
	assert_false(pace.worked);
	pass(&pace.meter, 10000, 0);
	assert_int_equal(mia_pace_pause(&pace), 0);
	assert_true(pace.worked);
	assert_int_equal(pace.backoff.passes, 0);
}

/* So polls take half of the time at most. */
static void
pass_is_due_after_as_long_as_the_last_took(void **state)
{
	struct mia_yields yields = {0};
	struct mia_pace pace;

	(void)state;
	mia_pace_init(&pace, &yields);
	pass(&pace.meter, 1000, 500);

	const uint64_t end_ns = pace.meter.last_ns;
	const uint64_t took_ns = 1000 + 500 + 2 * LOOK_NS;

	assert_false(mia_pace_is_due(&pace, end_ns));
	assert_false(mia_pace_is_due(&pace, end_ns + took_ns - 1));
	assert_true(mia_pace_is_due(&pace, end_ns + took_ns));
	assert_true(mia_pace_is_due(&pace, end_ns + 10 * took_ns));

	/* A clock that goes back. */
	assert_true(mia_pace_is_due(&pace, end_ns - 1));
}

static void
pauses_become_naps(void **state)
{
	struct mia_yields yields = {0};
	struct mia_pace pace;
	uint64_t nap_ns = 0;

	(void)state;
	mia_pace_init(&pace, &yields);
	for (int i = 0; i < 100 && nap_ns == 0; i++)
		nap_ns = mia_pace_pause(&pace);
	assert_true(nap_ns > 0);
	mia_pace_progress(&pace);
	assert_int_equal(mia_pace_pause(&pace), 0);
}

static void
clock_is_read_once_while_passes_do_work(void **state)
{
	struct mia_yields yields = {0};
	struct mia_pace pace;

	(void)state;
	mia_pace_init(&pace, &yields);

	uint64_t now = mia_pace_now(&pace);

	assert_int_equal(now, clock_ns);
	for (int i = 0; i < 2; i++) {
		pass(&pace.meter, 10000, 10000);
		mia_pace_pause(&pace);
	}

	const uint64_t before = clock_ns;

	now = mia_pace_now(&pace);
	assert_int_equal(now, pace.meter.last_ns);
	assert_int_equal(clock_ns, before);
}

static void
net_is_due_after_a_time_that_doubles(void **state)
{
	const struct mia_net_times times = {.min_ns = 4, .max_ns = 16};
	const uint64_t doubled[] = {4, 8, 16, 16, 16};
	struct mia_net net;
	uint64_t now = 1000;

	(void)state;
	mia_net_init(&net, &times, now);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(mia_net_left_ns(&net, now), doubled[i]);
		now += doubled[i] - 1;
		assert_int_equal(mia_net_left_ns(&net, now), 1);
		assert_int_equal(mia_net_left_ns(&net, now + 1), 0);
		assert_int_equal(mia_net_left_ns(&net, now + 100), 0);
		now += 3;
		mia_net_again(&net, MIA_NET_EMPTY, now);
	}
	mia_net_again(&net, MIA_NET_CAUGHT, now);
	assert_int_equal(mia_net_left_ns(&net, now), 4);

	/* A clock that goes back ends the time. */
	assert_int_equal(mia_net_left_ns(&net, now - 1), 0);
}

/* A pass of so many nanoseconds, which ends now. Returns the gap after it. */
static uint64_t
gap_after(struct mia_gap *gap, uint64_t pass_ns, enum mia_net_catch found)
{
	const uint64_t start_ns = clock_ns + LOOK_NS - pass_ns;

	mia_gap_again(gap, found, start_ns);
	return gap->end_ns - clock_ns;
}

static void
gap_grows_to_a_millisecond(void **state)
{
	struct mia_gap gap = {.end_ns = MIA_NEVER};

	(void)state;
	clock_ns = 1000 * MS;
	mia_gap_shorten(&gap);
	assert_int_equal(gap.end_ns - clock_ns, 2000);
	for (uint64_t ns = 4000; ns < 4 * MS; ns *= 2)
		assert_int_equal(
			gap_after(&gap, 100, MIA_NET_EMPTY), ns < MS ? ns : MS);
	assert_int_equal(gap_after(&gap, 100, MIA_NET_CAUGHT), 2000);
	assert_int_equal(gap_after(&gap, 100, MIA_NET_EMPTY), 4000);
}

static void
gap_is_not_shorter_than_the_pass(void **state)
{
	struct mia_gap gap = {.end_ns = MIA_NEVER};

	(void)state;
	clock_ns = 1000 * MS;
	assert_int_equal(gap_after(&gap, 30000, MIA_NET_CAUGHT), 30000);
	assert_int_equal(gap_after(&gap, 5 * MS, MIA_NET_EMPTY), 5 * MS);

	/* Nor if a future is new. */
	gap.end_ns = MIA_NEVER;
	mia_gap_shorten(&gap);
	assert_int_equal(gap.end_ns - clock_ns, 5 * MS);
	assert_int_equal(gap_after(&gap, 10, MIA_NET_CAUGHT), 2000);
}

/* New futures, one after the other, do not move the pass away. */
static void
gap_that_ends_earlier_stays(void **state)
{
	struct mia_gap gap = {.end_ns = MIA_NEVER};

	(void)state;
	clock_ns = 1000 * MS;
	mia_gap_shorten(&gap);

	const uint64_t end_ns = gap.end_ns;

	for (int i = 0; i < 100; i++)
		mia_gap_shorten(&gap);
	assert_int_equal(gap.end_ns, end_ns);
	gap_after(&gap, 10, MIA_NET_EMPTY);
	gap_after(&gap, 10, MIA_NET_EMPTY);
	mia_gap_shorten(&gap);
	assert_int_equal(gap.end_ns - clock_ns, 2000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_polls_are_work),
		cmocka_unit_test(a_quarter_of_the_time_must_be_work),
		cmocka_unit_test(long_read_of_the_clock_hides_no_work),
		cmocka_unit_test(no_pause_while_two_passes_in_a_row_do_work),
		cmocka_unit_test(passes_between_pieces_count_as_work),
		cmocka_unit_test(pass_is_due_after_as_long_as_the_last_took),
		cmocka_unit_test(pauses_become_naps),
		cmocka_unit_test(clock_is_read_once_while_passes_do_work),
		cmocka_unit_test(net_is_due_after_a_time_that_doubles),
		cmocka_unit_test(gap_grows_to_a_millisecond),
		cmocka_unit_test(gap_is_not_shorter_than_the_pass),
		cmocka_unit_test(gap_that_ends_earlier_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
