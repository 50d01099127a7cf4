/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_fake_silent.c -- tests the mover over libfabric with a
 * fake libfabric: peers that do not answer, and connections that are lost
 */

#include "fake_pair.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "system.h"

static void
a_silent_peer_breaks_the_mover(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(100, 0, no_thread);
		struct vdm_operation_future f;
		struct pair pair;

		fake_fabric_reset(test_random(&seed));
		assert_true(pair_init(&pair, &options));
		fake_fabric_stall(true);
		f = vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);

		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		assert_int_equal(wait_for(&f), VDM_ERROR_JOB_CORRUPTED);

		const uint64_t past = test_clock_ns(CLOCK_MONOTONIC) - start;

		assert_int_equal(data_mover_fabric_error(pair.dmf), ETIMEDOUT);
		assert_true(past >= 99 * MS);
		if (TEST_IS_FAST)
			assert_true(past < 1000 * MS);
		pair_fini(&pair);
	}
}

/* What the peer has done is there, though nobody has read it yet. */
static void
a_program_that_only_starts_is_not_late(void **state)
{
	enum { STARTS = 40 };
	const struct data_mover_fabric_options options = options_of(400, 0, 1);
	struct vdm_operation_future f[STARTS];
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, &options));
	for (int i = 0; i < STARTS; i++) {
		f[i] = vdm_memcpy(
			pair.vdm, pair.window + 64 * i, local_bytes, 64, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		usleep(40000);
	}
	/* Nor is one that has not looked for long. */
	usleep(500000);
	for (int i = 0; i < STARTS; i++)
		assert_int_equal(poll_for(&f[i]), VDM_SUCCESS);
	assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
	pair_fini(&pair);
}

/* A program may look seldom. */
static void
a_silent_peer_is_found_by_few_looks(void **state)
{
	const struct data_mover_fabric_options options = options_of(200, 0, 1);
	struct vdm_operation_future f;
	struct pair pair;
	int looks = 0;

	(void)state;
	assert_true(pair_init(&pair, &options));
	fake_fabric_stall(true);
	f = vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);
	while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
		FUTURE_STATE_COMPLETE) {
		usleep(250000);
		assert_in_range(++looks, 1, 20);
	}
	/* Time in which nobody looked is not the peer's. */
	assert_true(looks >= 3);
	assert_int_equal(data_mover_fabric_error(pair.dmf), ETIMEDOUT);
	pair_fini(&pair);
}

/* The descriptor becomes readable at that time, and only then. */
static void
the_descriptor_tells_of_a_silent_peer(void **state)
{
	const struct data_mover_fabric_options options = options_of(100, 0, 1);
	struct vdm_operation_future f;
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, &options));

	struct pollfd ready = {data_mover_fabric_fd(pair.dmf), POLLIN, 0};

	assert_int_equal(data_mover_fabric_progress(pair.dmf), 0);
	assert_int_equal(poll(&ready, 1, 0), 0);
	fake_fabric_stall(true);
	f = vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);
	(void)future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	for (int i = 0; i < 10 && data_mover_fabric_error(pair.dmf) == 0; i++) {
		assert_int_equal(poll(&ready, 1, 60000), 1);
		(void)data_mover_fabric_progress(pair.dmf);
	}
	assert_int_equal(data_mover_fabric_progress(pair.dmf), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(poll_for(&f), VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(poll(&ready, 1, 0), 0);
	pair_fini(&pair);
}

static double
cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As one sleeps for it: by a runtime, or by the descriptor. */
static enum vdm_operation_result
sleep_for(struct pair *pair, struct vdm_operation_future *f, unsigned no_thread)
{
	struct pollfd ready = {
		.fd = data_mover_fabric_fd(pair->dmf), .events = POLLIN};

	while (no_thread &&
		future_poll(FUTURE_AS_RUNNABLE(f), NULL) !=
			FUTURE_STATE_COMPLETE) {
		assert_int_equal(poll(&ready, 1, 10000), 1);
		(void)data_mover_fabric_progress(pair->dmf);
	}
	return no_thread ? FUTURE_OUTPUT(f)->result : wait_for(f);
}

/*
 * The peer has ended while nothing was under way: libfabric takes no part, and
 * says nothing. The mover breaks in a second, and does not spin meanwhile.
 */
static void
a_connection_that_is_lost_breaks_the_mover(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(20000, 0, no_thread);
		struct pair pair;

		assert_true(pair_init(&pair, &options));
		fake_fabric_set_full(1);

		const double seconds = cpu_seconds();
		struct vdm_operation_future f =
			vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);

		assert_int_equal(sleep_for(&pair, &f, no_thread),
			VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(data_mover_fabric_error(pair.dmf), ECONNRESET);
		assert_true(cpu_seconds() - seconds < (TEST_IS_FAST ? 0.3 : 6));
		fake_fabric_set_full(0);
		pair_fini(&pair);
	}
}

/* libfabric has made another connection after some looks. */
static void
a_connection_may_come_back(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(20000, 0, no_thread);
		struct pair pair;

		assert_true(pair_init(&pair, &options));
		for (int round = 0; round < 8; round++) {
			struct vdm_operation_future f = vdm_memcpy(
				pair.vdm, pair.window, local_bytes, 64, 0);

			fake_fabric_set_full(1);
			(void)future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
			/* A program may look late, and then often. */
			usleep(no_thread && round == 3 ? 1500000 : 200000);
			for (int i = 0; no_thread && i < 1000; i++)
				(void)future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
			fake_fabric_set_full(0);
			assert_int_equal(
				sleep_for(&pair, &f, no_thread), VDM_SUCCESS);
		}
		pair_fini(&pair);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(a_silent_peer_breaks_the_mover),
		FAKE_TEST(a_program_that_only_starts_is_not_late),
		FAKE_TEST(a_silent_peer_is_found_by_few_looks),
		FAKE_TEST(the_descriptor_tells_of_a_silent_peer),
		FAKE_TEST(a_connection_that_is_lost_breaks_the_mover),
		FAKE_TEST(a_connection_may_come_back),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
