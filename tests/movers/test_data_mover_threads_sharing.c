/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_sharing.c -- tests movers/data_mover_threads:
 * operations that the workers share, and operations that bypass the caches
 */

#include "test.h"

#include "libminiasync.h"
#include "operation/memory.h"
#include "threads_mover.h"

/* Long and short copies, so that some overtake others. */
static void
several_shared_operations_are_right(void **state)
{
	enum { FLIGHTS = 6, N = TEST_ROUNDS(300) };
	static unsigned char dst[FLIGHTS][2 * SHARED];
	struct data_mover_threads *dmt = mover_new(3, FLIGHTS);
	struct vdm_operation_future f[FLIGHTS];
	size_t size[FLIGHTS] = {0}; /* 0: not in flight */
	int value[FLIGHTS];

	(void)state;
	for (int i = 0, begun = 0, ended = 0; ended < N;
		i = (i + 1) % FLIGHTS) {
		if (size[i] != 0) {
			if (future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL) !=
				FUTURE_STATE_COMPLETE)
				continue;
			for (size_t at = 0; at < size[i]; at++)
				if (dst[i][at] != value[i])
					fail_msg("%d, not %d, at %zu of %zu",
						dst[i][at], value[i], at,
						size[i]);
			size[i] = 0;
			ended++;
		}
		if (begun == N)
			continue;
		value[i] = ++begun % 256;
		size[i] = begun % 4 == 0 ? 2 * SHARED : SHARED / 2;
		f[i] = vdm_memset(data_mover_threads_get_vdm(dmt), dst[i],
			value[i], size[i], 0);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	data_mover_threads_delete(dmt);
}

/* A size at which workers take the longest chunks, and bypass the caches. */
static void
operations_that_outgrow_the_cache_are_right(void **state)
{
	const size_t stream_min = mia_memory_stream_min();
	size_t n = 40 * 1024 * KIB + 12345; /* two workers, longest chunks */

	(void)state;
	if (stream_min > n && stream_min < 512 * 1024 * KIB &&
		TEST_SLOWDOWN == 1)
		n = stream_min + 12345;

	unsigned char *src = malloc(n + 2), *dst = malloc(n + 2);
	struct data_mover_threads *dmt = mover_new(2, 1);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	assert_true(src != NULL && dst != NULL);
	printf("%zu MiB, of the cache: %zu\n", n >> 20, stream_min >> 20);
	memset(dst, 1, n + 2);
	for (size_t i = 0; i < n + 2; i++)
		src[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16);

	struct vdm_operation_future f = vdm_memcpy(vdm, dst + 1, src + 1, n, 0);

	FUTURE_BUSY_POLL(&f);
	assert_int_equal(dst[0], 1);
	assert_memory_equal(dst + 1, src + 1, n);
	assert_int_equal(dst[n + 1], 1);

	f = vdm_memset(vdm, dst + 1, 7, n, 0);
	FUTURE_BUSY_POLL(&f);
	memset(src, 7, n + 2);
	assert_int_equal(dst[0], 1);
	assert_memory_equal(dst + 1, src + 1, n);
	assert_int_equal(dst[n + 1], 1);

	f = vdm_flush(vdm, dst, n, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result,
		mia_memory_capabilities() != 0 ? VDM_SUCCESS
					       : VDM_ERROR_JOB_CORRUPTED);
	data_mover_threads_delete(dmt);
	free(src);
	free(dst);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_shared_operations_are_right),
		cmocka_unit_test(operations_that_outgrow_the_cache_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
