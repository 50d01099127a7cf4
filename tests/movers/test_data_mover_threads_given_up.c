/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_given_up.c -- tests movers/data_mover_threads: kept
 * operations that a poll gives up, so that a worker gets them, or that are
 * abandoned
 */

#include "kept_forms.h"

/* After so many pieces; then the waker that is in place is called once. */
static void
check_given_up(enum form form, enum owner owner, size_t pieces)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	struct vdm_operation_future f =
		operation_of(data_mover_threads_get_vdm(dmt), form);
	struct counter *called =
		owner == PROGRAM ? &program_wakes : &runtime_wakes;

	count_pieces();
	counter_init(&program_wakes);
	counter_init(&runtime_wakes);
	assert_int_equal(poll_like_runtime(&f, OFFER), FUTURE_STATE_RUNNING);
	for (size_t i = 0; i < pieces; i++) {
		assert_int_equal(
			poll_like_runtime(&f, WORK), FUTURE_STATE_RUNNING);
		assert_true(is_work_left());
	}
	assert_int_equal(poll_without_offer(&f, owner), FUTURE_STATE_RUNNING);
	assert_int_equal(here_pieces, pieces);

	/* Workers may join. What has an order is not shown. */
	assert_int_equal(mia_sharing_has_work(&dmt->crew.sharing),
		form == PLAIN || form == SET);

	/* It is with the workers now, for good. */
	if (owner != PROGRAM) {
		assert_int_equal(
			poll_like_runtime(&f, WORK), FUTURE_STATE_RUNNING);
		assert_false(is_work_left());
		assert_int_equal(notifier.notifier_used, FUTURE_NOTIFIER_WAKER);
		assert_int_equal(here_pieces, pieces);
	}
	release(dmt);
	assert_true(await(&called->sem));
	FUTURE_BUSY_POLL(&f);
	assert_done(&f);
	assert_called(called->calls, 1);
	assert_int_equal(
		runtime_wakes.calls + program_wakes.calls, called->calls);
	assert_int_equal(here_pieces, pieces);
	data_mover_threads_delete(dmt);
	counter_fini(&program_wakes);
	counter_fini(&runtime_wakes);
}

static void
operation_is_handed_over_at_each_stage(void **state)
{
	(void)state;
	for (int form = 0; form < FORMS; form++)
		for (int owner = 0; owner < OWNERS; owner++)
			for (size_t pieces = 0; pieces <= PIECES;
				pieces += TEST_SLOWDOWN > 10 ? PIECES : 1)
				check_given_up((enum form)form,
					(enum owner)owner, pieces);
}

/* A part of the program that polls with a copy cannot hear the answer. */
static void
copy_of_the_notifier_hands_over(void **state)
{
	struct data_mover_threads *dmt = mover_new(2, 8);

	(void)state;
	for (int later = 0; later < 2; later++) {
		struct vdm_operation_future f =
			operation_of(data_mover_threads_get_vdm(dmt), UPWARDS);
		struct future_notifier copy;

		if (later) {
			poll_like_runtime(&f, OFFER);
			assert_true(is_work_left());
		}
		notifier.waker.data = &runtime_wakes;
		notifier.waker.wake = wake_counter;
		notifier.padding = FUTURE_NOTIFIER_INLINE_;
		notifier.poller.ptr_to_monitor =
			future_notifier_work_impl(&notifier);
		copy = notifier;

		/* A worker may be so fast. */
		if (future_poll(FUTURE_AS_RUNNABLE(&f), &copy) ==
			FUTURE_STATE_RUNNING) {
			assert_int_equal(copy.padding, FUTURE_NOTIFIER_INLINE_);
			assert_int_equal(
				copy.notifier_used, FUTURE_NOTIFIER_WAKER);
		}
		assert_true(await(&runtime_wakes.sem));
		FUTURE_BUSY_POLL(&f);
		assert_done(&f);
		assert_called(runtime_wakes.calls, 1 + later);
	}
	data_mover_threads_delete(dmt);
}

/* The workers get what they have not seen, and another notifier is no waker. */
static void
last_of_several_wakers_is_called(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	struct vdm_operation_future f =
		operation_of(data_mover_threads_get_vdm(dmt), SET);
	struct future_notifier silent = {.waker = {NULL, NULL}};

	(void)state;
	counter_init(&program_wakes);
	poll_like_runtime(&f, OFFER);
	assert_int_equal(poll_without_offer(&f, PROGRAM), FUTURE_STATE_RUNNING);

	/* Without a waker the last one stays. */
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &silent),
		FUTURE_STATE_RUNNING);
	assert_int_equal(silent.notifier_used, FUTURE_NOTIFIER_NONE);
	release(dmt);
	assert_true(await(&program_wakes.sem));
	FUTURE_BUSY_POLL(&f);
	assert_done(&f);
	assert_called(program_wakes.calls, 1);
	assert_int_equal(runtime_wakes.calls, 0);
	data_mover_threads_delete(dmt);
	counter_fini(&program_wakes);
}

static void
failure_here_or_by_a_worker_is_the_result(void **state)
{
	(void)state;
	/* Two pieces here; then one at least, of any size, by a worker. */
	for (size_t i = 0; i < 4; i++) {
		const size_t failing = i < 3 ? i : SIZE_MAX;
		struct data_mover_threads *dmt =
			held_mover(FUTURE_NOTIFIER_WAKER);
		struct vdm_operation_future f =
			operation_of(data_mover_threads_get_vdm(dmt), SET);

		poll_like_runtime(&f, OFFER);
		poll_like_runtime(&f, WORK); /* this and the next count */
		count_pieces();
		failing_piece = failing;
		poll_like_runtime(&f, WORK);
		poll_like_runtime(&f, WORK);
		poll_without_offer(&f, NO_NOTIFIER);
		/* The pieces of the holders are not counted. */
		release(dmt);
		FUTURE_BUSY_POLL(&f);
		assert_int_equal(here_pieces, 2);
		assert_int_equal(FUTURE_OUTPUT(&f)->result,
			i < 3 ? VDM_ERROR_JOB_CORRUPTED : VDM_SUCCESS);
		data_mover_threads_delete(dmt);
	}
}

/* The mover is deleted, with workers that are held and without. */
static void
kept_operations_may_be_dropped(void **state)
{
	static unsigned char bytes[3][N + 7];
	static const size_t sizes[] = {HERE_BYTES + 1, 300 * KIB, N};

	(void)state;
	for (size_t i = 0; i < 3 * 2 * 3; i++) {
		struct data_mover_threads *dmt = mover_new(1 + i % 2, 8);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);
		struct vdm_operation_future f[3];

		for (size_t j = 0; j < 3; j++) {
			const size_t n = sizes[i / 2 % 3];

			memset(bytes[j], 0, sizeof(bytes[j]));
			f[j] = j == 1
				? vdm_memmove(vdm, bytes[j], bytes[j] + 7, n, 0)
				: vdm_memset(vdm, bytes[j], 1, n, 0);
			poll_like_runtime(&f[j], OFFER);
			for (size_t polls = i / 6; polls > 0; polls--)
				if (f[j].base.context.state ==
					FUTURE_STATE_RUNNING)
					poll_like_runtime(&f[j], WORK);
		}
		/* Others go on. */
		struct vdm_operation_future other =
			vdm_memset(vdm, expected, 1, N, 0);

		FUTURE_BUSY_POLL(&other);
		data_mover_threads_delete(dmt);

		/* Workers did what was left, though nobody polls it. */
		memset(expected, 1, N);
		for (size_t j = 0; j < 3; j += 2)
			assert_memory_equal(
				bytes[j], expected, sizes[i / 2 % 3]);
	}
}

/* What a mover that announces nothing keeps is done by the same polls. */
static void
mover_without_wakes_keeps_work_too(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_NONE);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	for (size_t given_up = 0; given_up < 2; given_up++) {
		struct vdm_operation_future f = operation_of(vdm, SET);

		count_pieces();
		assert_int_equal(
			poll_like_runtime(&f, OFFER), FUTURE_STATE_RUNNING);
		assert_true(is_work_left());
		assert_int_equal(notifier.notifier_used, FUTURE_NOTIFIER_NONE);
		assert_int_equal(
			poll_like_runtime(&f, WORK), FUTURE_STATE_RUNNING);
		assert_int_equal(here_pieces, 1);
		if (given_up) {
			poll_without_offer(&f, BUSY_WAIT);
			assert_int_equal(
				notifier.notifier_used, FUTURE_NOTIFIER_NONE);
			release(dmt);
			FUTURE_BUSY_POLL(&f);
			assert_int_equal(here_pieces, 1);
		} else {
			work_until_end(&f);
		}
		assert_done(&f);
		assert_int_equal(runtime_wakes.calls, 0);
	}
	data_mover_threads_delete(dmt);
}

static void
mover_with_words_keeps_work_too(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_POLLER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	for (size_t given_up = 0; given_up < 2; given_up++) {
		struct vdm_operation_future f = operation_of(vdm, UPWARDS);

		count_pieces();
		poll_like_runtime(&f, OFFER);
		assert_true(is_work_left());
		assert_int_equal(
			notifier.notifier_used, FUTURE_NOTIFIER_POLLER);

		_Atomic uint64_t *word =
			(_Atomic uint64_t *)notifier.poller.ptr_to_monitor;
		const uint64_t value = atomic_load(word);

		assert_ptr_not_equal(
			word, future_notifier_offer_impl(&notifier));
		poll_like_runtime(&f, WORK);
		assert_true(is_work_left());
		assert_ptr_equal(notifier.poller.ptr_to_monitor, word);
		assert_int_equal(here_pieces, 1);
		assert_int_equal(atomic_load(word), value);
		if (given_up) {
			poll_without_offer(&f, BUSY_WAIT);
			assert_ptr_equal(notifier.poller.ptr_to_monitor, word);
			release(dmt);
			while (atomic_load(word) == value)
				sched_yield();
			FUTURE_BUSY_POLL(&f);
		} else {
			work_until_end(&f);
			assert_int_equal(atomic_load(word), value);
		}
		assert_done(&f);
		assert_int_equal(runtime_wakes.calls, 0);
	}
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operation_is_handed_over_at_each_stage),
		KEPT_TEST(copy_of_the_notifier_hands_over),
		KEPT_TEST(last_of_several_wakers_is_called),
		KEPT_TEST(failure_here_or_by_a_worker_is_the_result),
		KEPT_TEST(kept_operations_may_be_dropped),
		KEPT_TEST(mover_without_wakes_keeps_work_too),
		KEPT_TEST(mover_with_words_keeps_work_too),
	};

	sem_init(&gate, 0, 0);
	fill(before, sizeof(before), 3);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
