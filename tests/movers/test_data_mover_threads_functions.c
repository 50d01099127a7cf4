/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_functions.c -- tests movers/data_mover_threads:
 * memcpy, memmove and memset of the program; their callers and flags, and their
 * view of the thread that set them
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "threads_mover.h"

static _Atomic(pthread_t *) custom_caller;
static atomic_uint custom_flags;
static atomic_int custom_calls;

static void
note_call(unsigned flags)
{
	static pthread_t caller;

	caller = pthread_self();
	atomic_store(&custom_caller, &caller);
	atomic_store(&custom_flags, flags);
	atomic_fetch_add(&custom_calls, 1);
}

static void *
custom_move(void *dst, const void *src, size_t n, unsigned flags)
{
	note_call(flags);
	return memmove(dst, src, n);
}

static void *
custom_set(void *str, int c, size_t n, unsigned flags)
{
	note_call(flags);
	return memset(str, c + 1, n);
}

static void
custom_functions_are_called_on_a_worker(void **state)
{
	static char src[SHARED], dst[SHARED];
	static const size_t sizes[] = {1, HANDED_OVER, SHARED};
	struct data_mover_threads *dmt = mover_new(2, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct vdm_operation_future f;

	(void)state;
	memset(src, 's', SHARED);
	data_mover_threads_set_memcpy_fn(dmt, custom_move);
	data_mover_threads_set_memmove_fn(dmt, custom_move);
	data_mover_threads_set_memset_fn(dmt, custom_set);
	for (size_t i = 0; i < 3; i++) {
		for (unsigned flags = 0; flags < 4; flags++) {
			for (int type = 0; type < 3; type++) {
				memset(dst, 0, sizes[i]);
				atomic_store(&custom_calls, 0);
				f = type == 0       ? vdm_memcpy(vdm, dst, src,
							      sizes[i], flags)
					: type == 1 ? vdm_memmove(vdm, dst, src,
							      sizes[i], flags)
						    : vdm_memset(vdm, dst, 'r',
							      sizes[i], flags);
				FUTURE_BUSY_POLL(&f);
				assert_int_equal(
					FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
				assert_memory_equal(dst, src, sizes[i]);
				assert_int_equal(custom_calls, 1);
				assert_int_equal(custom_flags, flags);
				assert_false(pthread_equal(
					*custom_caller, pthread_self()));
			}
		}
	}

	/* Not without bytes, and not for bad input. */
	atomic_store(&custom_calls, 0);
	f = vdm_memcpy(vdm, dst, src, 0, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	f = vdm_memcpy(vdm, NULL, src, 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
	f = vdm_memset(vdm, NULL, 1, 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(custom_calls, 0);

	data_mover_threads_set_memset_fn(dmt, NULL);
	f = vdm_memset(vdm, dst, 'x', 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(dst[0], 'x');
	assert_int_equal(custom_calls, 0);
	data_mover_threads_delete(dmt);
}

/*
 * Flags that the library does not know go to the function, if there is one and
 * its argument can hold them.
 */
static void
custom_functions_get_flags_of_their_own(void **state)
{
	static const struct {
		uint64_t flags;
		bool fits;
	} cases[] = {
		{UINT64_C(1) << 5, true},
		{UINT32_MAX, true},
		{UINT64_C(1) << 32, false},
		{UINT64_MAX, false},
	};
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (int type = 0; type < 3; type++) {
			for (size_t n = 0; n < 2; n++) {
				const uint64_t flags = cases[i].flags;
				char src[1] = "s", dst[1] = "d";

				data_mover_threads_set_memcpy_fn(
					dmt, custom_move);
				data_mover_threads_set_memmove_fn(
					dmt, custom_move);
				data_mover_threads_set_memset_fn(
					dmt, custom_set);
				for (int set = 1; set >= 0; set--) {
					struct vdm_operation_future f =
						type == 0
						? vdm_memcpy(vdm, dst, src, n,
							  flags)
						: type == 1
						? vdm_memmove(vdm, dst, src, n,
							  flags)
						: vdm_memset(vdm, dst, 'r', n,
							  flags);
					const bool ok = set && cases[i].fits;

					dst[0] = 'd';
					atomic_store(&custom_flags, 0);
					FUTURE_BUSY_POLL(&f);
					assert_int_equal(
						FUTURE_OUTPUT(&f)->result,
						ok ? VDM_SUCCESS
						   : VDM_ERROR_JOB_CORRUPTED);
					assert_int_equal(custom_flags,
						ok && n > 0 ? flags : 0);
					assert_int_equal(dst[0],
						ok && n > 0 ? 's' : 'd');
					data_mover_threads_set_memcpy_fn(
						dmt, NULL);
					data_mover_threads_set_memmove_fn(
						dmt, NULL);
					data_mover_threads_set_memset_fn(
						dmt, NULL);
				}
			}
		}
	}
	data_mover_threads_delete(dmt);
}

/*
 * A thread prepares data, then sets its function. A worker that calls the
 * function for another thread sees the data. ThreadSanitizer checks the order.
 */
static memcpy_fn prepared;
static atomic_int prepared_calls;
static atomic_bool enough;

static void *
prepared_memcpy(void *dst, const void *src, size_t n, unsigned flags)
{
	atomic_fetch_add_explicit(&prepared_calls, 1, memory_order_relaxed);
	return prepared(dst, src, n, flags);
}

static void *
copy_until_enough(void *arg)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];

	while (!atomic_load_explicit(&enough, memory_order_relaxed)) {
		struct vdm_operation_future f =
			vdm_memcpy(arg, dst, src, HANDED_OVER, 0);

		FUTURE_BUSY_POLL(&f);
	}
	return NULL;
}

static void
function_finds_what_was_prepared_for_it(void **state)
{
	(void)state;
	for (int i = 0; i < TEST_ROUNDS(50); i++) {
		struct data_mover_threads *dmt = mover_new(1, 8);
		pthread_t thread;

		prepared = NULL;
		atomic_store(&enough, false);
		atomic_store(&prepared_calls, 0);
		assert_int_equal(
			pthread_create(&thread, NULL, copy_until_enough,
				data_mover_threads_get_vdm(dmt)),
			0);
		prepared = plain_memcpy;
		data_mover_threads_set_memcpy_fn(dmt, prepared_memcpy);
		while (atomic_load_explicit(
			       &prepared_calls, memory_order_relaxed) == 0)
			sched_yield();
		atomic_store(&enough, true);
		pthread_join(thread, NULL);
		data_mover_threads_delete(dmt);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(custom_functions_are_called_on_a_worker),
		cmocka_unit_test(custom_functions_get_flags_of_their_own),
		cmocka_unit_test(function_finds_what_was_prepared_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
