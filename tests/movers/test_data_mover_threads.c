/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads.c -- tests movers/data_mover_threads: the contract
 * with any number of workers and any queue, invalid input, starting and
 * deleting
 *
 * The other subjects of this mover are in test_data_mover_threads_*.c.
 */

#include "test.h"

#include <errno.h>

#include "contract.h"
#include "libminiasync.h"
#include "threads_mover.h"

/* The contract, for every pair of these numbers. */
static size_t nthreads;
static size_t ringbuf_size;

static void *
make(void)
{
	return data_mover_threads_new(
		nthreads, ringbuf_size, FUTURE_NOTIFIER_WAKER);
}

static struct vdm *
get_vdm(void *mover)
{
	return data_mover_threads_get_vdm(mover);
}

static void
end(void *mover)
{
	data_mover_threads_delete(mover);
}

static int
contract(void)
{
	static const size_t all_threads[] = {1, 2, 8};
	static const size_t all_sizes[] = {1, 2, 128};
	int failed = 0;

	for (size_t t = 0; t < 3; t++) {
		for (size_t r = 0; r < 3; r++) {
			char name[64];
			const struct contract_mover mover = {.name = name,
				.make = make,
				.get_vdm = get_vdm,
				.end = end};

			nthreads = all_threads[t];
			ringbuf_size = all_sizes[r];
			snprintf(name, sizeof(name), "threads %zu, queue %zu",
				nthreads, ringbuf_size);
			failed += contract_run(&mover);
		}
	}

	return failed;
}

static void
bad_numbers_are_refused(void **state)
{
	static const struct {
		size_t threads, queue;
		enum future_notifier_type notifier;
		int error;
	} bad[] = {
		{0, 1, FUTURE_NOTIFIER_WAKER, EINVAL},
		{1, 0, FUTURE_NOTIFIER_WAKER, EINVAL},
		{SIZE_MAX, 1, FUTURE_NOTIFIER_WAKER, EINVAL},
		{1, SIZE_MAX, FUTURE_NOTIFIER_WAKER, EINVAL},
		{1, SIZE_MAX / 8, FUTURE_NOTIFIER_WAKER, EINVAL},
		{1, 1, (enum future_notifier_type)3, EINVAL},
		{1, 1, (enum future_notifier_type) - 1, EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_null(data_mover_threads_new(
			bad[i].threads, bad[i].queue, bad[i].notifier));
		assert_int_equal(errno, bad[i].error);
	}
	data_mover_threads_delete(NULL);
}

static void
properties_and_capabilities(void **state)
{
	struct data_mover_threads *dmt = data_mover_threads_default();
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	char a = 'a';
	struct vdm_operation_future f = vdm_memset(vdm, &a, 'b', 1, 0);

	(void)state;
	assert_true(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	assert_false(future_has_property(&f, (enum future_property)1));
	assert_int_equal(vdm->has_property(&f, FUTURE_PROPERTY_RENOTIFY),
		FUTURE_PROPERTY_RENOTIFY);
	assert_int_equal(vdm->capabilities, 0);
	assert_int_equal(data_mover_threads_set_capabilities(dmt, 4), -1);
	assert_int_equal(errno, EINVAL);
	if (data_mover_threads_set_capabilities(dmt, VDM_F_VALID_FLAGS) == 0)
		assert_true(vdm_is_supported(vdm, VDM_F_VALID_FLAGS));
	else
		assert_int_equal(errno, ENOTSUP);
	data_mover_threads_delete(dmt);
}

/* Far more than the ring holds; the custom function forbids doing it inline. */
static void
runtime_over_100000_futures(void **state)
{
	const size_t n = TEST_ROUNDS(100000);
	struct vdm_operation_future *f = malloc(n * sizeof(*f));
	struct future **futs = malloc(n * sizeof(*futs));
	uint64_t *src = malloc(n * 8), *dst = malloc(n * 8);
	struct runtime *runtime = runtime_new();

	(void)state;
	for (size_t queue = 1; queue <= 128; queue *= 128) {
		struct data_mover_threads *dmt = mover_new(2, queue);

		data_mover_threads_set_memcpy_fn(dmt, plain_memcpy);
		for (size_t i = 0; i < n; i++) {
			src[i] = i + queue;
			f[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				&dst[i], &src[i], 8, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}

		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		runtime_wait_multiple(runtime, futs, n);
		printf("queue of %zu: %.1f us per operation\n", queue,
			(double)(test_clock_ns(CLOCK_MONOTONIC) - start) / 1e3 /
				(double)n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(
				FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
		assert_memory_equal(src, dst, n * 8);
		data_mover_threads_delete(dmt);
	}
	runtime_delete(runtime);
	free(futs);
	free(f);
	free(src);
	free(dst);
}

static void
delete_ends_what_was_started(void **state)
{
	enum { N = 20 };
	static char src[N][HANDED_OVER], dst[N][HANDED_OVER];

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(200); round++) {
		struct data_mover_threads *dmt = mover_new(3, N);
		struct vdm_operation_future f[N];

		memset(src, round + 1, sizeof(src));
		memset(dst, 0, sizeof(dst));
		for (size_t i = 0; i < N; i++) {
			f[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				dst[i], src[i], HANDED_OVER, 0);
			assert_int_not_equal(
				future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL),
				FUTURE_STATE_IDLE);
		}
		data_mover_threads_delete(dmt);
		assert_memory_equal(src, dst, sizeof(src));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_numbers_are_refused),
		cmocka_unit_test(properties_and_capabilities),
		cmocka_unit_test(runtime_over_100000_futures),
		cmocka_unit_test(delete_ends_what_was_started),
	};

	const int failed =
		contract() + cmocka_run_group_tests(tests, NULL, NULL);

	return failed != 0;
}
