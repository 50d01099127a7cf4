/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_vdm_memcpyv_answers.c -- tests vdm.h: vdm_memcpyv() and the answers of
 * movers: segments that they refuse, notifiers, properties
 */

#include "copying_mover.h"

/* While it is IDLE there is nothing of the mover's that could be lost. */
static void
refused_first_segment_stays_idle_and_holds_nothing(void **state)
{
	uint64_t seed = test_seed("vdm_memcpyv");
	struct segments s = segments_random(3, 100, &seed);
	struct vdm_operation_future f = vdm_memcpyv(&vdm, s.list, s.n, 0);

	(void)state;
	mover.refusals = 2;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
			FUTURE_STATE_IDLE);
		assert_int_equal(mover.live, 0);
		assert_null(f.data.data);
		segments_check_untouched(&s);
	}
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_COMPLETE);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	segments_check(&s);
	segments_free(&s);
}

/* The owner learns it as from a chain. */
static void
refused_later_segment_is_running_and_refused(void **state)
{
	uint64_t seed = test_seed("vdm_memcpyv");
	struct segments s = segments_random(3, 100, &seed);
	struct vdm_operation_future f = vdm_memcpyv(&vdm, s.list, s.n, 0);
	const uint32_t *padding = &f.base.context.padding;

	(void)state;
	mover.running = 1;
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	mover.running = 0;
	mover.refusals = 2;
	for (int i = 0; i < 2; i++) {
		const uint32_t before = *padding;

		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
			FUTURE_STATE_RUNNING);
		assert_int_equal(mover.live, 0);
		assert_true(*padding & FUTURE_CONTEXT_REFUSED_);
		assert_int_equal(
			future_chain_has_moved_impl(before, *padding), i == 0);
		assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 1);
	}
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 3);
	segments_check(&s);
	segments_free(&s);
}

/*
 * The mover answers and then refuses. The operation that would wake, or whose
 * word could be read, is deleted.
 */
static void
answer_of_a_refused_segment_does_not_hold(void **state)
{
	const enum future_notifier_type answers[] = {
		FUTURE_NOTIFIER_WAKER, FUTURE_NOTIFIER_POLLER};
	uint64_t seed = test_seed("vdm_memcpyv");

	(void)state;
	for (int i = 0; i < 4; i++) {
		const bool is_first = i < 2;
		struct segments s = segments_random(3, 100, &seed);
		struct vdm_operation_future f =
			vdm_memcpyv(&vdm, s.list, s.n, 0);
		struct future_notifier n = {.notifier_used = answers[i % 2]};

		mover.answer = answers[i % 2];
		mover.running = 1;
		mover.refusals = is_first;
		(void)future_poll(FUTURE_AS_RUNNABLE(&f), &n);
		mover.running = 0;
		if (!is_first) {
			assert_int_equal(n.notifier_used, answers[i % 2]);
			mover.refusals = 1;
			assert_int_equal(
				future_poll(FUTURE_AS_RUNNABLE(&f), &n),
				FUTURE_STATE_RUNNING);
		}
		assert_int_equal(mover.live, 0);
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
		FUTURE_BUSY_POLL(&f);
		segments_check(&s);
		segments_free(&s);
	}
}

/* A poll passes its notifier to each segment that it starts. */
static void
each_segment_gets_the_notifier_of_the_poll_that_starts_it(void **state)
{
	uint64_t seed = test_seed("vdm_memcpyv");
	struct segments s = segments_random(3, 100, &seed);
	struct vdm_operation_future f = vdm_memcpyv(&vdm, s.list, s.n, 0);
	struct future_notifier n = {.waker = {NULL, ignore_wake}};

	(void)state;
	mover.running = 1;
	mover.answer = FUTURE_NOTIFIER_WAKER;
	for (int i = 0; i < 3; i++) {
		struct future_notifier *given = i == 1 ? NULL : &n;

		n.notifier_used = FUTURE_NOTIFIER_NONE;
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), given),
			FUTURE_STATE_RUNNING);
		assert_int_equal(mover.had_notifier, given != NULL);
		assert_int_equal(n.notifier_used,
			given != NULL ? FUTURE_NOTIFIER_WAKER
				      : FUTURE_NOTIFIER_NONE);
	}
	FUTURE_BUSY_POLL(&f);
	segments_free(&s);
}

/* Such a mover is not asked to replace a waker: see test_vdm.c. */
static void
silence_of_the_mover_is_kept_for_the_segment(void **state)
{
	uint64_t seed = test_seed("vdm_memcpyv");
	struct segments s = segments_random(2, 100, &seed);
	struct vdm_operation_future f = vdm_memcpyv(&vdm, s.list, s.n, 0);
	struct future_notifier n = {.waker = {NULL, ignore_wake}};

	(void)state;
	mover.running = 2;
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	assert_true(f.base.context.padding & FUTURE_CONTEXT_SILENT_);
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	assert_true(f.base.context.padding & FUTURE_CONTEXT_SILENT_);
	/* The next segment, started by a poll without a waker. */
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_false(f.base.context.padding & FUTURE_CONTEXT_SILENT_);
	FUTURE_BUSY_POLL(&f);
	segments_free(&s);
}

/* See has_property(): only while a memcpy runs. */
static void
mover_is_asked_for_properties_only_with_its_data(void **state)
{
	uint64_t seed = test_seed("vdm_memcpyv");
	struct segments s = segments_random(2, 100, &seed);
	struct vdm_operation_future f = vdm_memcpyv(&vdm, s.list, s.n, 0);

	(void)state;
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	mover.running = 1;
	mover.refusals = 1;
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_true(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	mover.refusals = 1;
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	FUTURE_BUSY_POLL(&f);
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	segments_free(&s);

	/* One that answers nothing. */
	struct vdm silent = {op_new, op_delete, op_start, op_check, 0, NULL};

	s = segments_random(1, 100, &seed);
	f = vdm_memcpyv(&silent, s.list, s.n, 0);
	mover.running = 1;
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	FUTURE_BUSY_POLL(&f);
	segments_free(&s);
}

/* Movers of old answer every question alike. */
static void
only_the_answer_itself_makes_a_mover_know_the_operation(void **state)
{
	char to = 't', from = 'f';
	const struct vdm_segment list = {&to, &from, 1};
	const int answers[] = {0, 1, -1, FUTURE_PROPERTY_RENOTIFY};
	struct vdm silent = {op_new, op_delete, op_start, op_check, 0, NULL};
	struct vdm_operation_future f;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		mover.property = answers[i];
		f = vdm_memcpyv(&vdm, &list, 1, 0);
		assert_int_equal(mover.news, 0);
	}
	f = vdm_memcpyv(&silent, &list, 1, 0);
	assert_int_equal(mover.news, 0);

	mover.property = FUTURE_PROPERTY_MEMCPYV;
	f = vdm_memcpyv(&vdm, &list, 1, 0);
	assert_int_equal(mover.news, 1);
	assert_int_equal(mover.type, VDM_OPERATION_MEMCPYV);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_IDLE);
	free(f.data.data);

	mover.fail_new = 1;
	f = vdm_memcpyv(&vdm, &list, 1, 0);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_OUT_OF_MEMORY);
	assert_int_equal(FUTURE_OUTPUT(&f)->type, VDM_OPERATION_MEMCPYV);
	assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		COPYING_MOVER_TEST(
			refused_first_segment_stays_idle_and_holds_nothing),
		COPYING_MOVER_TEST(
			refused_later_segment_is_running_and_refused),
		COPYING_MOVER_TEST(answer_of_a_refused_segment_does_not_hold),
		COPYING_MOVER_TEST(
			each_segment_gets_the_notifier_of_the_poll_that_starts_it),
		COPYING_MOVER_TEST(
			silence_of_the_mover_is_kept_for_the_segment),
		COPYING_MOVER_TEST(
			mover_is_asked_for_properties_only_with_its_data),
		COPYING_MOVER_TEST(
			only_the_answer_itself_makes_a_mover_know_the_operation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
