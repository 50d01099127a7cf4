/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_vdm_memcpyv.c -- tests vdm.h: vdm_memcpyv() with movers that do not know
 * the operation, and which movers are asked for it
 */

#include "test.h"

#include <stdbool.h>

#include "libminiasync.h"
#include "segments.h"

enum { NEVER = 1000000 };

/* What the mover of the test does, and has seen. */
static struct {
	size_t news, starts, deletes; /* calls */
	size_t live;                  /* operations made, and not deleted */
	size_t fail_new, fail_copy;   /* the call with this number */
	int refusals;                 /* "not now", before each start */
	int running;                  /* RUNNING, after each start */
	enum future_notifier_type answer;
	bool had_notifier;
	enum vdm_operation_type type; /* of the last op_new */
	int property;                 /* the answer to all properties */
} mover;

struct copy {
	int refusals, running;
	bool is_started;
};

static void *
op_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	(void)vdm;
	mover.type = type;
	if (mover.news++ == mover.fail_new)
		return NULL;

	struct copy *copy = segments_memory(sizeof(*copy));

	*copy = (struct copy){mover.refusals, mover.running, false};
	/* One that was refused is made anew. */
	mover.refusals = mover.refusals > 0 ? mover.refusals - 1 : 0;
	mover.live++;
	return copy;
}

static int
op_start(void *data, const struct vdm_operation *op, struct future_notifier *n)
{
	struct copy *copy = data;

	assert_int_equal(op->type, VDM_OPERATION_MEMCPY);
	assert_false(copy->is_started);
	mover.had_notifier = n != NULL;
	if (n != NULL)
		n->notifier_used = mover.answer;
	if (copy->refusals > 0)
		return 1;

	const struct vdm_operation_data_memcpy *memcpy_ = &op->data.memcpy;

	copy->is_started = true;
	memcpy(memcpy_->dest, memcpy_->src, memcpy_->n);
	mover.starts++;
	return 0;
}

static enum future_state
op_check(void *data, const struct vdm_operation *op)
{
	struct copy *copy = data;

	assert_int_equal(op->type, VDM_OPERATION_MEMCPY);
	assert_true(copy->is_started);
	return copy->running-- > 0 ? FUTURE_STATE_RUNNING
				   : FUTURE_STATE_COMPLETE;
}

static void
op_delete(void *data, const struct vdm_operation *op,
	struct vdm_operation_output *output)
{
	assert_int_equal(op->type, VDM_OPERATION_MEMCPY);
	if (((struct copy *)data)->is_started &&
		mover.deletes++ == mover.fail_copy)
		output->result = VDM_ERROR_JOB_CORRUPTED;
	mover.live--;
	free(data);
}

static int
has_property(void *future, enum future_property property)
{
	const struct vdm_operation_future *f = future;

	assert_non_null(f->data.vdm);
	/* As an old mover may do. */
	if (property != FUTURE_PROPERTY_MEMCPYV)
		assert_true(((const struct copy *)f->data.data)->is_started);
	return property == FUTURE_PROPERTY_RENOTIFY ? 0 : mover.property;
}

static struct vdm vdm = {
	op_new, op_delete, op_start, op_check, 0, has_property};

static int
setup(void **state)
{
	(void)state;
	memset(&mover, 0, sizeof(mover));
	mover.fail_new = mover.fail_copy = NEVER;
	mover.property = 1;
	return 0;
}

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
ignore_wake(void *data)
{
	(void)data;
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
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(segments_are_copied_by_one_memcpy_each),
		TEST(future_may_move_while_a_segment_runs),
		TEST(refused_first_segment_stays_idle_and_holds_nothing),
		TEST(refused_later_segment_is_running_and_refused),
		TEST(answer_of_a_refused_segment_does_not_hold),
		TEST(failed_segment_ends_it_and_those_before_are_counted),
		TEST(bad_input_is_refused_by_the_first_poll),
		TEST(each_segment_gets_the_notifier_of_the_poll_that_starts_it),
		TEST(silence_of_the_mover_is_kept_for_the_segment),
		TEST(runtime_completes_it_also_in_a_chain),
		TEST(mover_is_asked_for_properties_only_with_its_data),
		TEST(canceled_list_was_never_given_to_the_mover),
		TEST(only_the_answer_itself_makes_a_mover_know_the_operation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
