/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_vdm_memcpyv.c -- tests vdm.h: vdm_memcpyv() with movers that do not
 * support the operation: copies, failures, bad input, cancellation
 */

#include "copying_mover.h"

/* As in test_vdm.c: what a poll does not set is not 0. */
static __attribute__((noinline)) void
leave_garbage_on_the_stack(void)
{
	volatile char garbage[8192];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = 2;
}

static void
segments_are_copied_by_one_memcpy_each(void **state)
{
	uint64_t seed = test_seed("vdm_memcpyv");

	(void)state;
	for (size_t n = 0; n < 40; n++) {
		struct segments s = segments_random(n, 100, &seed);

		setup(NULL);
		mover.running = (int)n % 3;

		struct vdm_operation_future f =
			vdm_memcpyv(&vdm, s.list, n, n % 4);

		assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_IDLE);
		assert_int_equal(mover.news, 0);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->type, VDM_OPERATION_MEMCPYV);
		assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 0);
		do
			leave_garbage_on_the_stack();
		while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
			FUTURE_STATE_COMPLETE);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->type, VDM_OPERATION_MEMCPYV);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, n);
		segments_check(&s);
		assert_int_equal(mover.starts, n);
		assert_int_equal(mover.deletes, n);
		assert_int_equal(mover.live, 0);
		segments_free(&s);
	}
}

/* Between two polls it may be moved. */
static void
future_may_move_while_a_segment_runs(void **state)
{
	uint64_t seed = test_seed("vdm_memcpyv");
	struct segments s = segments_random(5, 100, &seed);
	struct vdm_operation_future places[2];
	size_t polls = 0;

	(void)state;
	mover.running = 2;
	places[0] = vdm_memcpyv(&vdm, s.list, s.n, 0);
	while (future_poll(FUTURE_AS_RUNNABLE(&places[polls % 2]), NULL) !=
		FUTURE_STATE_COMPLETE) {
		assert_int_equal(mover.live, 1);
		places[(polls + 1) % 2] = places[polls % 2];
		memset(&places[polls % 2], 0xff, sizeof(places[0]));
		polls++;
	}
	assert_int_equal(polls, 10);
	segments_check(&s);
	segments_free(&s);
}

static void
failed_segment_ends_it_and_those_before_are_counted(void **state)
{
	uint64_t seed = test_seed("vdm_memcpyv");

	(void)state;
	for (int memory = 0; memory < 2; memory++)
		for (size_t failing = 0; failing < 4; failing++) {
			struct segments s = segments_random(4, 100, &seed);

			setup(NULL);
			mover.running = 1;
			mover.fail_new = memory ? failing : NEVER;
			mover.fail_copy = memory ? NEVER : failing;

			struct vdm_operation_future f =
				vdm_memcpyv(&vdm, s.list, s.n, 0);

			FUTURE_BUSY_POLL(&f);
			assert_int_equal(FUTURE_OUTPUT(&f)->result,
				memory ? VDM_ERROR_OUT_OF_MEMORY
				       : VDM_ERROR_JOB_CORRUPTED);
			assert_int_equal(
				FUTURE_OUTPUT(&f)->output.memcpyv.copied,
				failing);
			assert_int_equal(mover.live, 0);
			assert_int_equal(
				mover.starts, memory ? failing : failing + 1);
			segments_free(&s);
		}
}

static void
bad_input_is_refused_by_the_first_poll(void **state)
{
	char to = 't', from = 'f';
	const struct vdm_segment bad[][2] = {
		{{&to, &from, 1}, {NULL, &from, 1}},
		{{&to, &from, 1}, {&to, NULL, 1}},
		{{&to, &from, 1}, {&to, &from, SIZE_MAX}}};
	const struct vdm_segment good = {&to, &from, 1};
	struct vdm_operation_future f[] = {vdm_memcpyv(&vdm, bad[0], 2, 0),
		vdm_memcpyv(&vdm, bad[1], 2, 0),
		vdm_memcpyv(&vdm, bad[2], 2, 0), vdm_memcpyv(&vdm, NULL, 1, 0),
		vdm_memcpyv(&vdm, &good, 1, 4),
		vdm_memcpyv(&vdm, NULL, 0, UINT64_C(1) << 32)};
	struct future_notifier n = {.notifier_used = FUTURE_NOTIFIER_WAKER};

	(void)state;
	for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++) {
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f[i]), &n),
			FUTURE_STATE_COMPLETE);
		assert_int_equal(
			FUTURE_OUTPUT(&f[i])->result, VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(
			FUTURE_OUTPUT(&f[i])->output.memcpyv.copied, 0);
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
	}
	assert_int_equal(mover.news, 0);
	assert_int_equal(to, 't');
}

static void
runtime_completes_it_also_in_a_chain(void **state)
{
	struct pair {
		FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
		FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, second);
	};
	FUTURE(chain, struct pair, struct pair);
	static struct chain c;
	uint64_t seed = test_seed("vdm_memcpyv");
	struct segments s[2] = {segments_random(20, 100, &seed),
		segments_random(20, 100, &seed)};
	struct runtime *runtime = runtime_new();

	(void)state;
	mover.running = 3;
	FUTURE_CHAIN_ENTRY_INIT(&c.data.first,
		vdm_memcpyv(&vdm, s[0].list, s[0].n, 0), NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&c.data.second,
		vdm_memcpyv(&vdm, s[1].list, s[1].n, 0), NULL, NULL);
	FUTURE_CHAIN_INIT(&c);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&c));
	for (int i = 0; i < 2; i++) {
		segments_check(&s[i]);
		segments_free(&s[i]);
	}
	runtime_delete(runtime);
}

/* Before the first poll, and when the mover has refused the first segment. */
static void
canceled_list_was_never_given_to_the_mover(void **state)
{
	char to[2] = "to", from[2] = "fr";
	const struct vdm_segment list[] = {
		{&to[0], &from[0], 1}, {&to[1], &from[1], 1}};

	(void)state;
	for (mover.refusals = 0; mover.refusals < 2; mover.refusals++) {
		struct vdm_operation_future f = vdm_memcpyv(&vdm, list, 2, 0);
		const int refusals = mover.refusals;

		for (int i = 0; i < refusals; i++)
			assert_int_equal(
				future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
				FUTURE_STATE_IDLE);
		mover.refusals = refusals;
		assert_int_equal(vdm_operation_cancel(&f), 1);
		assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->type, VDM_OPERATION_MEMCPYV);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_CANCELED);
		assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 0);
		assert_int_equal(vdm_operation_cancel(&f), 0);
	}
	assert_memory_equal(to, "to", 2);
	assert_int_equal(mover.starts, 0);
	assert_int_equal(mover.live, 0);
	mover.refusals = 0;

	/* Not once a segment is copied. */
	struct vdm_operation_future f = vdm_memcpyv(&vdm, list, 2, 0);

	mover.running = 1;
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	assert_int_equal(vdm_operation_cancel(&f), 0);
	mover.running = 0;
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 2);
	assert_memory_equal(to, "fr", 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		COPYING_MOVER_TEST(segments_are_copied_by_one_memcpy_each),
		COPYING_MOVER_TEST(future_may_move_while_a_segment_runs),
		COPYING_MOVER_TEST(
			failed_segment_ends_it_and_those_before_are_counted),
		COPYING_MOVER_TEST(bad_input_is_refused_by_the_first_poll),
		COPYING_MOVER_TEST(runtime_completes_it_also_in_a_chain),
		COPYING_MOVER_TEST(canceled_list_was_never_given_to_the_mover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
