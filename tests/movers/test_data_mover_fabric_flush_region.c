/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_flush_region.c -- tests persistent memory behind the
 * mover over libfabric, with a fake libfabric: the region, which writes long
 * ranges back in turns, is flooded, or does not answer
 */

#include "fabric_group.h"
#include "write_back.h"

#include <poll.h>

#include "movers/fabric_request.h"

static void
long_ranges_are_written_back_in_turns(void **state)
{
	const size_t n = ((size_t)160 << 20) + 12345;
	struct group group;

	(void)state;
	expose(n);
	assert_true(group_init(&group, BOTH, DATA_MOVER_REGION_PMEM, 1, NULL));
	memset(exposed, 0x33, n);
	assert_int_equal(result_of(vdm_flush(
				 group.vdm[0], group.window[0] + 1, n - 1, 0)),
		VDM_SUCCESS);
	assert_int_equal(image[0], 0);
	assert_memory_equal(image + 1, exposed + 1, n - 1);
	assert_int_equal(longest, (size_t)64 << 20);
	group_fini(&group);
}

/* The fake moves bytes without the region, but nobody answers requests. */
static void
a_region_that_does_not_answer_breaks_the_mover(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(100, no_thread);
		char local[64] = "";
		struct group group;

		assert_true(group_init(&group, BOTH,
			DATA_MOVER_REGION_PMEM | DATA_MOVER_REGION_NO_THREAD, 1,
			&options));
		assert_int_equal(
			result_of(vdm_memcpy(group.vdm[0], group.window[0],
				local, 64, VDM_F_MEM_DURABLE)),
			VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(
			data_mover_fabric_error(group.dmf[0]), ETIMEDOUT);
		group_fini(&group);
	}
}

/* Puts requests for as much as is allowed into so many slots, at once. */
static void
flood(unsigned slots)
{
	for (unsigned slot = 0; slot < slots; slot++) {
		struct mia_fabric_request request;
		uint64_t words[sizeof(request) / 8];

		mia_fabric_request_set(
			&request, 0, 0, MIA_FABRIC_REQUEST_BYTES);

		const size_t n = mia_fabric_request_seal(&request, 1, slot + 1);

		memcpy(words, &request, sizeof(request));
		for (size_t i = 0; i < n / 8; i++)
			fake_fabric_scribble(
				256 * 256, slot * 256 + 8 + i * 8, words[i]);
	}
	for (unsigned slot = 0; slot < slots; slot++)
		fake_fabric_send_data(1, slot);
}

/* Whatever peers ask for, a call and a delete of the region wait for little. */
static void
a_flood_of_requests_does_not_hold_the_region(void **state)
{
	enum { SLOTS = 20 };
	struct group group;
	struct pollfd ready = {.events = POLLIN};

	(void)state;
	expose(MIA_FABRIC_REQUEST_BYTES);
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		assert_true(group_init(&group, BOTH,
			DATA_MOVER_REGION_PMEM |
				(no_thread ? DATA_MOVER_REGION_NO_THREAD : 0),
			0, NULL));
		atomic_store(&flushes, 0);
		atomic_store(&flush_ms, no_thread ? 0 : 50);
		flood(SLOTS);
		if (!no_thread) {
			while (atomic_load(&flushes) == 0)
				test_sleep_ns(MS);
			group_fini(&group);
			assert_in_range(atomic_load(&flushes), 0, SLOTS / 2);
			continue;
		}
		ready.fd = data_mover_region_fd(group.region);
		for (unsigned calls = 1; calls <= SLOTS; calls++) {
			assert_int_equal(poll(&ready, 1, 0), 1);
			data_mover_region_progress(group.region);
			assert_int_equal(atomic_load(&flushes), calls);
		}
		/* The same ones, by a peer without key, are done. */
		for (unsigned slot = 0; slot < SLOTS; slot++)
			fake_fabric_send_data(1, slot);
		data_mover_region_progress(group.region);
		assert_int_equal(poll(&ready, 1, 0), 0);
		assert_int_equal(atomic_load(&flushes), SLOTS);
		group_fini(&group);
	}
	atomic_store(&flush_ms, 0);
}

static void
making_fails_cleanly(void **state)
{
	unsigned failed = 0;

	(void)state;
	for (unsigned nth = 1; nth <= 3; nth++) {
		struct group group;

		fake_fabric_fail(FAKE_FABRIC_MR_REG, nth, -EMFILE);
		if (group_init(&group, BOTH, DATA_MOVER_REGION_PMEM, 1, NULL)) {
			assert_int_equal(nth, 3);
		} else {
			assert_int_equal(errno, EMFILE);
			failed++;
		}
		group_fini(&group);
	}
	assert_int_equal(failed, 2);
	/* A flag that is none. */
	assert_null(data_mover_region_new(exposed, 1, 1, NULL, 4));
	assert_int_equal(errno, EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		GROUP_TEST(long_ranges_are_written_back_in_turns),
		GROUP_TEST(a_region_that_does_not_answer_breaks_the_mover),
		GROUP_TEST(a_flood_of_requests_does_not_hold_the_region),
		GROUP_TEST(making_fails_cleanly),
	};

	end_without_write_back();
	seed = test_seed("data_mover_fabric_flush");
	return cmocka_run_group_tests(tests, NULL, group_teardown);
}
