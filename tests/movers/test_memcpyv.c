/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_memcpyv.c -- tests vdm_memcpyv() on the synchronous and the threads
 * mover, and on the same movers when they do not know it
 */

#include "test.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "segments.h"
#include "wakers.h"

static struct runtime *runtime;

/* A poll with a waker, and then more when it was called. */
static void
complete_by_waker(struct vdm_operation_future *f)
{
	static struct counter wakes;
	struct future_notifier n = {.waker = {&wakes, wake_counter}};

	counter_init(&wakes);
	while (future_poll(FUTURE_AS_RUNNABLE(f), &n) != FUTURE_STATE_COMPLETE)
		sched_yield();
	counter_fini(&wakes);
}

static void
complete(struct vdm_operation_future *f)
{
	static unsigned turn;

	switch (turn++ % 3) {
	case 0:
		FUTURE_BUSY_POLL(f);
		break;
	case 1:
		complete_by_waker(f);
		break;
	case 2:
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(f));
		break;
	}
	assert_int_equal(FUTURE_OUTPUT(f)->type, VDM_OPERATION_MEMCPYV);
}

static void
check(struct vdm *vdm, struct segments *s, uint64_t flags)
{
	struct vdm_operation_future f = vdm_memcpyv(vdm, s->list, s->n, flags);

	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_IDLE);
	segments_reset(s);
	complete(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, s->n);
	segments_check(s);
}

static void
check_three_times(struct vdm *vdm, struct segments *s)
{
	for (uint64_t flags = 0; flags < 3; flags++)
		check(vdm, s, flags);
	segments_free(s);
}

/* All movers */

enum knows { KNOWS, KNOWS_NOT };

static int
hide_memcpyv(void *future, enum future_property property)
{
	(void)future;
	return property == FUTURE_PROPERTY_RENOTIFY
		? FUTURE_PROPERTY_RENOTIFY
		: property == FUTURE_PROPERTY_ASYNC;
}

static void
on_sync(void (*test)(struct vdm *vdm), enum knows knows)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct vdm *vdm = data_mover_sync_get_vdm(dms);

	if (knows == KNOWS_NOT)
		vdm->has_property = NULL;
	test(vdm);
	data_mover_sync_delete(dms);
}

static void
on_threads(void (*test)(struct vdm *vdm), enum knows knows)
{
	for (int kind = FUTURE_NOTIFIER_NONE; kind <= FUTURE_NOTIFIER_POLLER;
		kind++) {
		struct data_mover_threads *dmt = data_mover_threads_new(
			1 + (size_t)kind, 8, (enum future_notifier_type)kind);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);

		assert_non_null(dmt);
		if (knows == KNOWS_NOT)
			vdm->has_property = hide_memcpyv;
		test(vdm);
		data_mover_threads_delete(dmt);
	}
}

static void
on_all(void (*test)(struct vdm *vdm))
{
	for (int knows = KNOWS; knows <= KNOWS_NOT; knows++) {
		on_sync(test, (enum knows)knows);
		on_threads(test, (enum knows)knows);
	}
}

/* Contents */

static void
check_random(struct vdm *vdm)
{
	/* Around what a poll does itself, a piece, and what workers share. */
	static const size_t counts[] = {0, 1, 2, 7, 64, 300, 1000};
	static const size_t longest[] = {0, 1, 100, 5000, 70000};
	uint64_t seed = test_seed("memcpyv");

	for (size_t i = 0; i < TEST_ROUNDS(60); i++) {
		const size_t k = (i + 3) % 7; /* one round: 7 segments */
		struct segments s = segments_random(counts[k],
			longest[test_random(&seed) % (k < 6 ? 5 : 4)], &seed);

		check_three_times(vdm, &s);
	}
}

static void
random_segments_are_equal_to_a_loop(void **state)
{
	(void)state;
	on_all(check_random);
}

static void
check_one_huge(struct vdm *vdm)
{
	uint64_t seed = test_seed("memcpyv");
	size_t sizes[9];

	for (size_t huge = 0; huge < 9; huge += 4) {
		for (size_t i = 0; i < 9; i++)
			sizes[i] = i == huge ? 5000000 : i * 100;

		struct segments s = segments_of(sizes, 9, &seed);

		check_three_times(vdm, &s);
	}

	struct segments s = segments_of(&(size_t){3000000}, 1, &seed);

	check_three_times(vdm, &s);
}

static void
one_huge_segment_is_cut(void **state)
{
	(void)state;
	on_all(check_one_huge);
}

static void
check_many(struct vdm *vdm)
{
	uint64_t seed = test_seed("memcpyv");
	struct segments s = segments_random(TEST_ROUNDS(100000), 60, &seed);

	check_three_times(vdm, &s);
}

static void
hundred_thousand_segments_are_right(void **state)
{
	(void)state;
	on_all(check_many);
}

static void
check_empty(struct vdm *vdm)
{
	static const struct vdm_segment list[1000];
	struct vdm_operation_future f = vdm_memcpyv(vdm, NULL, 0, 0);

	complete(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 0);
	f = vdm_memcpyv(vdm, list, 1000, VDM_F_VALID_FLAGS);
	complete(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 1000);
}

static void
no_bytes_succeed_without_memory(void **state)
{
	(void)state;
	on_all(check_empty);
}

/* Bad input */

static void
check_refused(struct vdm *vdm, const struct vdm_segment *list, size_t n,
	uint64_t flags)
{
	/* Three, so that each way of polling sees it. */
	for (int i = 0; i < 3; i++) {
		struct vdm_operation_future f =
			vdm_memcpyv(vdm, list, n, flags);

		complete(&f);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 0);
	}
}

static void
check_bad(struct vdm *vdm)
{
	uint64_t seed = test_seed("memcpyv");
	/* Small, and so large that workers would share it. */
	for (size_t max = 100; max <= 100000; max *= 1000) {
		struct segments s = segments_random(100, max, &seed);
		const struct vdm_segment good = s.list[99];
		char byte;

		segments_reset(&s);
		s.list[99] = (struct vdm_segment){NULL, &byte, 1};
		check_refused(vdm, s.list, 100, 0);
		s.list[99] = (struct vdm_segment){&byte, NULL, 1};
		check_refused(vdm, s.list, 100, 0);
		s.list[99] = (struct vdm_segment){&byte, &byte, SIZE_MAX};
		check_refused(vdm, s.list, 100, 0);
		s.list[99] = good;
		check_refused(vdm, s.list, 100, 4);
		check_refused(vdm, s.list, 100, UINT64_C(1) << 32);
		check_refused(vdm, NULL, 100, 0);
		check_refused(vdm, NULL, 0, 4);
		segments_check_untouched(&s);
		segments_free(&s);
	}
}

static void
bad_input_is_refused_and_writes_nothing(void **state)
{
	(void)state;
	on_all(check_bad);
}

/* Several at once */

static void
check_several(struct vdm *vdm)
{
	enum { N = 8 };
	uint64_t seed = test_seed("memcpyv");
	struct vdm_operation_future f[N];
	struct future *futs[N];
	struct segments s[N];

	for (size_t i = 0; i < N; i++)
		s[i] = segments_random(50 * i, i % 2 ? 20000 : 200, &seed);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			segments_reset(&s[i]);
			f[i] = vdm_memcpyv(vdm, s[i].list, s[i].n, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
			/* Started as by the waits of older programs. */
			if (i % 3 == 2)
				future_poll(futs[i], NULL);
		}
		runtime_wait_multiple(runtime, futs, N);
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(
				FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
			segments_check(&s[i]);
		}
	}
	for (size_t i = 0; i < N; i++)
		segments_free(&s[i]);
}

static void
several_at_once_are_right(void **state)
{
	(void)state;
	on_all(check_several);
}

/* The program's function */

static atomic_size_t calls, bytes;

static void *
counting_memcpy(void *dst, const void *src, size_t n, unsigned flags)
{
	assert_int_equal(flags, 1u << 7);
	atomic_fetch_add(&calls, 1);
	atomic_fetch_add(&bytes, n);
	return memcpy(dst, src, n);
}

static void
function_of_the_program_is_called_for_each_segment(void **state)
{
	uint64_t seed = test_seed("memcpyv");
	struct data_mover_threads *dmt = data_mover_threads_default();
	const size_t sizes[] = {10, 0, 300000, 1, 4096, 0, 5000000};
	size_t sum = 0;

	(void)state;
	for (size_t i = 0; i < 7; i++)
		sum += sizes[i];
	data_mover_threads_set_memcpy_fn(dmt, counting_memcpy);
	for (int i = 0; i < 3; i++) {
		struct segments s = segments_of(sizes, 7, &seed);

		atomic_store(&calls, 0);
		atomic_store(&bytes, 0);
		/* A flag that is the function's own. */
		check(data_mover_threads_get_vdm(dmt), &s, 1u << 7);
		assert_int_equal(atomic_load(&calls), 5);
		assert_int_equal(atomic_load(&bytes), sum);
		segments_free(&s);
	}
	check_refused(data_mover_threads_get_vdm(dmt), NULL, 1, 0);
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_segments_are_equal_to_a_loop),
		cmocka_unit_test(one_huge_segment_is_cut),
		cmocka_unit_test(hundred_thousand_segments_are_right),
		cmocka_unit_test(no_bytes_succeed_without_memory),
		cmocka_unit_test(bad_input_is_refused_and_writes_nothing),
		cmocka_unit_test(several_at_once_are_right),
		cmocka_unit_test(
			function_of_the_program_is_called_for_each_segment),
	};

	runtime = runtime_new();
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	runtime_delete(runtime);
	return failed;
}
