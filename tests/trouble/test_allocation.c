/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_allocation.c -- tests all constructors while each allocation and each
 * thread fails once
 *
 * A constructor returns NULL, sets errno, and leaks nothing. Existing objects
 * go on without memory.
 */

#include "test.h"

#include <errno.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "refuse.h"

static void *
make_threads(void)
{
	return data_mover_threads_new(4, 100, FUTURE_NOTIFIER_WAKER);
}

static void
end_threads(void *mover)
{
	data_mover_threads_delete(mover);
}

static void *
make_sync(void)
{
	return data_mover_sync_new();
}

static void
end_sync(void *mover)
{
	data_mover_sync_delete(mover);
}

static void *
make_runtime(void)
{
	return runtime_new();
}

static void
end_runtime(void *runtime)
{
	runtime_delete(runtime);
}

/*
 * A pthread_create() that was linked statically may fail without memory, too.
 * On Windows its error is EAGAIN. The sanitizer or valgrind reports leaks.
 */
static bool
is_for_lack_of_memory(int error)
{
#if defined(_WIN32)
	if (error == EAGAIN)
		return true;
#endif
	return error == ENOMEM;
}

/* A constructor may do without some memory. */
static void
ladder(void *(*make)(void), void (*end)(void *), int at_least)
{
	int refusals = 0;

	refuse_reset();
	for (;; refusals++) {
		refuse_after(REFUSE_MEMORY, refusals, REFUSE_ONE);
		errno = 0;
		void *made = make();
		const int error = errno;

		refuse_nothing();
		if (made != NULL)
			end(made);
		else
			assert_true(is_for_lack_of_memory(error));
		if (refused(REFUSE_MEMORY) == refusals) {
			assert_non_null(made);
			break;
		}
	}
	printf("constructor refused each of %d allocations\n", refusals);
	assert_true(refusals >= at_least);
}

static void
constructors_fail_cleanly_at_each_allocation(void **state)
{
	(void)state;
	ladder(make_sync, end_sync, 1);
	ladder(make_threads, end_threads, 3);
	ladder(make_runtime, end_runtime, 3);
}

/* Threads that were started before the refused one are ended and joined. */
static void
mover_fails_cleanly_at_each_thread(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		refuse_after(REFUSE(THREAD_CREATE), i, REFUSE_ALL_AFTER);
		errno = 0;
		assert_null(make_threads());
		assert_int_equal(errno, EAGAIN);
	}
	refuse_after(REFUSE(THREAD_CREATE), 4, REFUSE_ALL_AFTER);
	void *mover = make_threads();

	assert_non_null(mover);
	end_threads(mover);
	refuse_nothing();
}

static void
operation_without_memory_is_out_of_memory_then_recovers(void **state)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct vdm *vdm = data_mover_sync_get_vdm(dms);
	char a = 'a', b = 'b';

	(void)state;
	refuse_after(REFUSE_MEMORY, 0, REFUSE_ALL_AFTER);
	errno = 99;
	struct vdm_operation_future f = vdm_memcpy(vdm, &a, &b, 1, 0);

	assert_int_equal(errno, 99);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_OUT_OF_MEMORY);
	/* A slab, but no cache for the thread. */
	refuse_after(REFUSE_MEMORY, 1, REFUSE_ALL_AFTER);
	f = vdm_memcpy(vdm, &a, &b, 1, 0);
	if (FUTURE_STATE(&f) == FUTURE_STATE_COMPLETE) {
		/* The one allowed went to the cache. */
		refuse_after(REFUSE_MEMORY, 1, REFUSE_ALL_AFTER);
		f = vdm_memcpy(vdm, &a, &b, 1, 0);
	}
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	refuse_nothing();
	data_mover_sync_delete(dms);
}

/* A wait without memory polls until all futures are complete. */
static void
runtime_without_memory_finishes_by_polling(void **state)
{
	enum { N = 100 };
	struct data_mover_sync *dms = data_mover_sync_new();
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f[N];
	struct future *futs[N];
	char src[N], dst[N] = {0};

	(void)state;
	for (int i = 0; i < N; i++) {
		src[i] = (char)i;
		f[i] = vdm_memcpy(
			data_mover_sync_get_vdm(dms), &dst[i], &src[i], 1, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	refuse_after(REFUSE_MEMORY, 0, REFUSE_ALL_AFTER);
	errno = 55;
	runtime_wait_multiple(runtime, futs, N);
	assert_int_equal(errno, 55);
	refuse_nothing();
	assert_memory_equal(src, dst, N);
	runtime_wait_multiple(runtime, futs, N);
	runtime_delete(runtime);
	data_mover_sync_delete(dms);
}

/* A property that another future's poll changes must not hide this one. */
static int turns_async;

struct none {
	char nothing;
};

FUTURE(turning_future, struct none, char);

static enum future_state
turning_task(struct future_context *context, struct future_notifier *n)
{
	(void)context;
	(void)n;
	turns_async = 1;
	return FUTURE_STATE_COMPLETE;
}

static int
turning_has_property(void *future, enum future_property property)
{
	(void)future;
	return property == FUTURE_PROPERTY_ASYNC && turns_async;
}

static void
wait_without_memory(struct future *futs[], size_t n)
{
	struct runtime *runtime = runtime_new();

	refuse_after(REFUSE_MEMORY, 0, REFUSE_ALL_AFTER);
	runtime_wait_multiple(runtime, futs, n);
	refuse_nothing();
	runtime_delete(runtime);
}

static void
polling_without_memory_forgets_nobody(void **state)
{
	enum { N = 50 };
	struct turning_future f[N];
	struct future *futs[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		FUTURE_INIT_EXT(&f[i], turning_task, turning_has_property);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	wait_without_memory(futs, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(FUTURE_STATE(&f[i]), FUTURE_STATE_COMPLETE);
}

static int
never_asked(void *future, enum future_property property)
{
	(void)future;
	(void)property;
	fail_msg("a complete future was asked for a property");
	return 0;
}

/* It may hold anything but its state and its output. */
static void
polling_without_memory_asks_no_complete_future(void **state)
{
	enum { N = 50 };
	struct turning_future f[N];
	struct future *futs[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		FUTURE_INIT_COMPLETE(&f[i]);
		f[i].base.has_property = never_asked;
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	wait_without_memory(futs, N);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constructors_fail_cleanly_at_each_allocation),
		cmocka_unit_test(mover_fails_cleanly_at_each_thread),
		cmocka_unit_test(
			operation_without_memory_is_out_of_memory_then_recovers),
		cmocka_unit_test(runtime_without_memory_finishes_by_polling),
		cmocka_unit_test(polling_without_memory_forgets_nobody),
		cmocka_unit_test(
			polling_without_memory_asks_no_complete_future),
	};

	refuse_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
