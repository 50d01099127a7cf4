/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_fake.c -- tests the mover over libfabric with a fake
 * libfabric, which fails each call in each way
 */

#include "fake_pair.h"

static void
without_library_there_is_no_mover(void **state)
{
	struct pair pair;

	(void)state;
	fake_fabric_set_absent(true);
	assert_false(pair_init(&pair, NULL));
	assert_int_equal(errno, ENOTSUP);
	assert_int_equal(fake_fabric_open(), 0);

	fake_fabric_set_absent(false);
	fake_fabric_set_provider("shm");
	assert_false(pair_init(&pair, NULL));
	assert_int_equal(errno, ENOTSUP);
	assert_int_equal(fake_fabric_open(), 0);
}

/* Each call that makes a region or a mover, the first time and later ones. */
static void
making_fails_cleanly(void **state)
{
	const struct data_mover_fabric_options options = options_of(0, 0, 0);
	unsigned failed = 0;

	(void)state;
	for (int call = 0; call < FAKE_FABRIC_CALLS; call++) {
		for (unsigned nth = 1;; nth++) {
			struct pair pair;

			fake_fabric_reset(test_random(&seed));
			fake_fabric_fail(call, nth, -EMFILE);
			errno = 0;

			const bool made = pair_init(&pair, &options);
			const int error = errno;

			pair_fini(&pair);
			if (made)
				break;
			assert_int_equal(error,
				call == FAKE_FABRIC_DUPINFO ? ENOMEM : EMFILE);
			failed++;
			assert_true(nth < 1000);
		}
	}
	/* DUPINFO 4 + 4, BIND 2 + 2, ENABLE and so on. */
	assert_true(failed >= 25);
}

/* An error of libfabric's own has no name in errno. */
static void
errors_of_libfabric_alone_are_eio(void **state)
{
	struct pair pair;

	(void)state;
	fake_fabric_fail(FAKE_FABRIC_DOMAIN, 1, -266);
	assert_false(pair_init(&pair, NULL));
	assert_int_equal(errno, EIO);
	pair_fini(&pair);
}

static void
no_answer_ends_the_making(void **state)
{
	const struct data_mover_fabric_options options = options_of(0, 0, 0);
	struct pair pair;

	(void)state;
	fake_fabric_stall(true);
	assert_false(pair_init(&pair, &options));
	assert_int_equal(errno, ETIMEDOUT);
	pair_fini(&pair);
}

static void
the_queue_is_not_longer_than_asked_for(void **state)
{
	const struct data_mover_fabric_options options = options_of(0, 5, 0);
	static char local[64];
	struct vdm_operation_future f[100];
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, &options));
	for (int i = 0; i < 100; i++) {
		f[i] = vdm_memcpy(pair.vdm, pair.window + 64 * i, local, 64, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(wait_for(&f[i]), VDM_SUCCESS);
	assert_true(fake_fabric_most() <= 5);
	pair_fini(&pair);
}

/*
 * A failure of the kind that call says ends all operations, calls all wakers,
 * and the mover stays broken.
 */
static void
check_failure(enum fake_fabric_call call, int error, int expected, bool loses)
{
	const struct data_mover_fabric_options options = options_of(0, 0, 0);
	struct vdm_operation_future f[COPIES];
	struct counter counter;
	struct pair pair;

	fake_fabric_reset(test_random(&seed));
	assert_true(pair_init(&pair, &options));
	counter_init(&counter);
	fake_fabric_set_loses(loses);
	fake_fabric_stall(true);
	start(&pair, f, COPIES, &counter);
	fake_fabric_fail(call, 1, error);
	fake_fabric_stall(false);

	struct vdm_operation_future last =
		vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);

	assert_int_equal(poll_for(&last), VDM_ERROR_JOB_CORRUPTED);
	for (int i = 0; i < COPIES; i++)
		assert_true(await(&counter.sem));
	for (int i = 0; i < COPIES; i++)
		(void)wait_for(&f[i]);
	assert_int_equal(data_mover_fabric_error(pair.dmf), expected);

	/* Nothing is sent any more; what is local goes on. */
	const uint64_t parts = fake_fabric_parts();
	char copy[64];

	last = vdm_memcpy(pair.vdm, copy, pair.window, 64, 0);
	assert_int_equal(poll_for(&last), VDM_ERROR_JOB_CORRUPTED);
	last = vdm_memcpy(pair.vdm, copy, local_bytes, 64, 0);
	assert_int_equal(poll_for(&last), VDM_SUCCESS);
	last = vdm_memcpy(pair.vdm, copy, pair.window, 0, 0);
	assert_int_equal(poll_for(&last), VDM_SUCCESS);
	assert_int_equal(fake_fabric_parts(), parts);
	pair_fini(&pair);
	assert_int_equal(atomic_load(&counter.calls), COPIES);
	counter_fini(&counter);
}

static void
one_failure_breaks_the_mover(void **state)
{
	(void)state;
	for (int i = 0; i < TEST_ROUNDS(50); i++) {
		check_failure(FAKE_FABRIC_POST, -ENOTCONN, ENOTCONN, false);
		check_failure(FAKE_FABRIC_PART, -ECANCELED, ECONNRESET, false);
		check_failure(FAKE_FABRIC_PART, -EFAULT, EFAULT, false);
		check_failure(FAKE_FABRIC_CQ_READ, -EBADF, EBADF, false);
		check_failure(FAKE_FABRIC_PART, -ECANCELED, ECONNRESET, true);
	}
}

/* libfabric listens on both sides: anybody may send remote data. */
static void
data_of_strangers_is_ignored(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(0, 0, no_thread);
		struct vdm_operation_future f[COPIES];
		struct pair pair;

		fake_fabric_reset(test_random(&seed));
		assert_true(pair_init(&pair, &options));
		for (int round = 0; round < TEST_ROUNDS(100); round++) {
			fake_fabric_stall(true);
			for (int i = 0; i < COPIES; i++) {
				f[i] = vdm_memcpy(pair.vdm,
					pair.window + 64 * i, local_bytes, 64,
					0);
				(void)future_poll(
					FUTURE_AS_RUNNABLE(&f[i]), NULL);
			}
			fake_fabric_send_data(3, test_random(&seed) % 300);
			fake_fabric_stall(false);
			for (int i = 0; i < COPIES; i++)
				assert_int_equal(poll_for(&f[i]), VDM_SUCCESS);
		}
		/* Also in a queue whose connection is closed. */
		fake_fabric_stall(true);
		f[0] = vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[0]), NULL);
		fake_fabric_send_data(3, 0);
		pair_fini(&pair);
	}
}

/* Also futures that nobody polls any more. */
static void
deleting_ends_what_is_under_way(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(0, 0, no_thread);
		struct vdm_operation_future f[COPIES];
		struct counter counter;
		struct pair pair;

		fake_fabric_reset(test_random(&seed));
		counter_init(&counter);
		assert_true(pair_init(&pair, &options));
		fake_fabric_stall(true);
		start(&pair, f, COPIES, &counter);
		pair_fini(&pair);
		assert_int_equal(
			atomic_load(&counter.calls), no_thread ? 0 : COPIES);
		counter_fini(&counter);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(without_library_there_is_no_mover),
		FAKE_TEST(making_fails_cleanly),
		FAKE_TEST(errors_of_libfabric_alone_are_eio),
		FAKE_TEST(no_answer_ends_the_making),
		FAKE_TEST(the_queue_is_not_longer_than_asked_for),
		FAKE_TEST(one_failure_breaks_the_mover),
		FAKE_TEST(data_of_strangers_is_ignored),
		FAKE_TEST(deleting_ends_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
