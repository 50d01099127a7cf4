/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_vdm.c -- tests vdm.h: the poll that all movers share, with movers of the
 * test
 */

#include "test.h"

#include "libminiasync/vdm.h"
#include "operation.h"

static struct {
	int news, starts, checks, deletes; /* calls */
	int refuse;                        /* starts that return "not now" */
	int running;                       /* checks that return RUNNING */
	int last_notifier;                 /* of the last start: 1 or 0 */
	enum future_notifier_type answer;  /* of every start */
} calls;

static void *
op_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	(void)type;
	calls.news++;
	return vdm->capabilities == 77 ? NULL : &calls;
}

static int
op_start(void *data, const struct vdm_operation *op, struct future_notifier *n)
{
	assert_ptr_equal(data, &calls);
	assert_int_equal(op->type, VDM_OPERATION_MEMCPY);
	calls.starts++;
	calls.last_notifier = n != NULL;
	if (n != NULL)
		n->notifier_used = calls.answer;
	return calls.refuse-- > 0;
}

static enum future_state
op_check(void *data, const struct vdm_operation *op)
{
	(void)data;
	(void)op;
	calls.checks++;
	return calls.running-- > 0 ? FUTURE_STATE_RUNNING
				   : FUTURE_STATE_COMPLETE;
}

static void
op_delete(void *data, const struct vdm_operation *op,
	struct vdm_operation_output *output)
{
	(void)data;
	(void)op;
	(void)output; /* preset: see generic_operation_presets_the_output() */
	calls.deletes++;
}

static int
knows_renotify(void *future, enum future_property property)
{
	assert_int_equal(FUTURE_STATE((struct vdm_operation_future *)future),
		FUTURE_STATE_RUNNING);
	return property == FUTURE_PROPERTY_RENOTIFY ? FUTURE_PROPERTY_RENOTIFY
						    : 0;
}

/* Movers of old answer every question alike. */
static int
answers_1_to_all(void *future, enum future_property property)
{
	(void)future;
	(void)property;
	return 1;
}

static struct vdm_operation_future
start(struct vdm *vdm, int refuse, int running)
{
	memset(&calls, 0, sizeof(calls));
	calls.refuse = refuse;
	calls.running = running;
	return vdm_memcpy(vdm, NULL, NULL, 0, 0);
}

static void
steps_come_in_order_and_not_now_stays_idle(void **state)
{
	struct vdm vdm = {op_new, op_delete, op_start, op_check, 0, NULL};
	struct vdm_operation_future f = start(&vdm, 2, 2);
	struct future_notifier n = {.notifier_used = FUTURE_NOTIFIER_WAKER};

	(void)state;
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_IDLE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_IDLE);
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
	}
	assert_int_equal(calls.checks, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_RUNNING);
	/* Nothing announces a future that is complete; its word may be gone. */
	n.notifier_used = FUTURE_NOTIFIER_POLLER;
	assert_int_equal(
		future_poll(FUTURE_AS_RUNNABLE(&f), &n), FUTURE_STATE_COMPLETE);
	assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	assert_int_equal(calls.news, 1);
	assert_int_equal(calls.starts, 3);
	assert_int_equal(calls.checks, 3);
	assert_int_equal(calls.deletes, 1);
}

static void
only_a_mover_that_knows_renotify_is_started_again(void **state)
{
	struct vdm vdm = {
		op_new, op_delete, op_start, op_check, 0, answers_1_to_all};
	struct vdm_operation_future f = start(&vdm, 0, 3);
	struct future_notifier n = {.notifier_used = FUTURE_NOTIFIER_NONE};

	(void)state;
	assert_true(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		;
	assert_int_equal(calls.starts, 1);

	vdm.has_property = knows_renotify;
	f = start(&vdm, 0, 4);
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_int_equal(calls.last_notifier, 0);
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	assert_int_equal(calls.starts, 2);
	assert_int_equal(calls.last_notifier, 1);
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_int_equal(calls.starts, 2);
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	assert_int_equal(calls.starts, 3);
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
}

/* As a program of libminiasync's time finds it. */
static void
completing_poll_leaves_the_waker_that_was_answered(void **state)
{
	struct vdm vdm = {op_new, op_delete, op_start, op_check, 0, NULL};
	struct future_notifier n = {.notifier_used = FUTURE_NOTIFIER_NONE};
	struct vdm_operation_future f;

	(void)state;
	for (int running = 0; running < 2; running++) {
		f = start(&vdm, 0, running);
		calls.answer = FUTURE_NOTIFIER_WAKER;
		for (int i = 0; i <= running; i++)
			future_poll(FUTURE_AS_RUNNABLE(&f), &n);
		assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_WAKER);
	}

	/* A notifier that this poll brought anew: its waker is not called. */
	vdm.has_property = knows_renotify;
	f = start(&vdm, 0, 1);
	calls.answer = FUTURE_NOTIFIER_WAKER;
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	n.notifier_used = FUTURE_NOTIFIER_NONE;
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	assert_int_equal(calls.starts, 2);
	assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);

	/* A runtime's notifier, which a task may have handed on. */
	n.padding = FUTURE_NOTIFIER_INLINE_;
	f = start(&vdm, 0, 0);
	calls.answer = FUTURE_NOTIFIER_WAKER;
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
}

static int
aborts_over_what_it_does_not_know(void *future, enum future_property property)
{
	(void)future;
	assert_int_equal(property, FUTURE_PROPERTY_ASYNC);
	return 1;
}

static void
wake(void *data)
{
	(void)data;
}

/* It has nothing to replace, and may be older than the question. */
static void
mover_that_announces_nothing_is_not_asked_to_renotify(void **state)
{
	struct vdm vdm = {op_new, op_delete, op_start, op_check, 0,
		aborts_over_what_it_does_not_know};
	struct vdm_operation_future f = start(&vdm, 0, 3);
	struct future_notifier n = {.waker = {NULL, wake}};

	(void)state;
	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) !=
		FUTURE_STATE_COMPLETE) {
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
		n.notifier_used = FUTURE_NOTIFIER_POLLER;
	}
	assert_int_equal(calls.starts, 1);
}

static __attribute__((noinline)) void
leave_garbage_on_the_stack(void)
{
	volatile char garbage[8192];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = 2;
}

/* op_delete of a mover may set only the members that differ. */
static void
generic_operation_presets_the_output(void **state)
{
	struct vdm vdm = {op_new, op_delete, op_start, op_check, 0, NULL};

	(void)state;
	for (int i = 0; i < 4; i++) {
		leave_garbage_on_the_stack();
		struct vdm_operation_future f = operation_new(&vdm,
			(enum vdm_operation_type)i, &calls, &calls, 1, 1, 0);

		assert_int_equal(FUTURE_OUTPUT(&f)->type, i);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		assert_null(FUTURE_OUTPUT(&f)->output.memcpy.dest);
	}
}

static void
null_from_op_new_is_out_of_memory(void **state)
{
	struct vdm vdm = {op_new, op_delete, op_start, op_check, 77, NULL};
	struct vdm_operation_future f = start(&vdm, 0, 0);

	(void)state;
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_OUT_OF_MEMORY);
	assert_int_equal(calls.starts + calls.deletes, 0);
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
}

/* A mover that writes all of the output, also of what it has never started. */
static void
op_delete_with_output(void *data, const struct vdm_operation *op,
	struct vdm_operation_output *output)
{
	assert_ptr_equal(data, &calls);
	assert_int_equal(op->type, VDM_OPERATION_MEMCPY);
	output->type = VDM_OPERATION_FLUSH;
	output->result = VDM_ERROR_OUT_OF_MEMORY;
	output->output.memcpy.dest = data;
	calls.deletes++;
}

static void
assert_canceled(struct vdm_operation_future *f)
{
	const struct vdm_operation_output *output = FUTURE_OUTPUT(f);

	assert_int_equal(FUTURE_STATE(f), FUTURE_STATE_COMPLETE);
	assert_int_equal(output->type, VDM_OPERATION_MEMCPY);
	assert_int_equal(output->result, VDM_ERROR_CANCELED);
	assert_null(output->output.memcpy.dest);
	assert_int_equal(calls.news, 1);
	assert_int_equal(calls.checks, 0);
	assert_int_equal(calls.deletes, 1);
}

/* refuse: polls before, which return "not now" */
static void
cancel_idle(int refuse)
{
	struct vdm vdm = {
		op_new, op_delete_with_output, op_start, op_check, 0, NULL};
	struct vdm_operation_future f = start(&vdm, refuse, 0);
	struct future_notifier n = {.notifier_used = FUTURE_NOTIFIER_POLLER};

	for (int i = 0; i < refuse; i++)
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
			FUTURE_STATE_IDLE);
	assert_int_equal(vdm_operation_cancel(&f), 1);
	assert_canceled(&f);

	/* Neither a poll nor another cancel touches anything. */
	assert_int_equal(
		future_poll(FUTURE_AS_RUNNABLE(&f), &n), FUTURE_STATE_COMPLETE);
	assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_POLLER);
	assert_int_equal(vdm_operation_cancel(&f), 0);
	FUTURE_BUSY_POLL(&f);
	assert_canceled(&f);
	assert_int_equal(calls.starts, refuse);
}

static void
cancel_ends_an_idle_operation_and_deletes_it_once(void **state)
{
	(void)state;
	cancel_idle(0);
	cancel_idle(3);
}

static void
cancel_changes_nothing_that_was_started_or_is_complete(void **state)
{
	struct vdm vdm = {op_new, op_delete, op_start, op_check, 0, NULL};
	struct vdm_operation_future f = start(&vdm, 0, 1);

	(void)state;
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	assert_int_equal(vdm_operation_cancel(&f), 0);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_RUNNING);
	assert_int_equal(calls.deletes, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(vdm_operation_cancel(&f), 0);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_int_equal(calls.deletes, 1);

	/* op_new returned NULL, so there is nothing to delete. */
	vdm.capabilities = 77;
	f = start(&vdm, 0, 0);
	assert_int_equal(vdm_operation_cancel(&f), 0);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_OUT_OF_MEMORY);
	assert_int_equal(calls.deletes, 0);
}

struct two_copies {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, second);
};

FUTURE(two_copies_chain, struct two_copies, enum vdm_operation_result);

/* To the chain: the result of the second entry. */
static void
second_to_chain(
	struct future_context *second, struct future_context *chain, void *arg)
{
	const struct vdm_operation_output *out =
		future_context_get_output(second);

	(void)arg;
	*(enum vdm_operation_result *)future_context_get_output(chain) =
		out->result;
}

/* The first entry is refused once, and the second one waits. Either ends. */
static void
chain_goes_on_after_a_canceled_entry(void **state)
{
	struct vdm vdm = {op_new, op_delete, op_start, op_check, 0, NULL};
	struct two_copies_chain c;
	struct vdm_operation_future *entries[] = {
		&c.data.first.fut, &c.data.second.fut};

	(void)state;
	for (int i = 0; i < 2; i++) {
		FUTURE_CHAIN_ENTRY_INIT(
			&c.data.first, start(&vdm, 1, 1), NULL, NULL);
		FUTURE_CHAIN_ENTRY_INIT(&c.data.second, start(&vdm, 1, 1),
			second_to_chain, NULL);
		FUTURE_CHAIN_INIT(&c);
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&c), NULL),
			FUTURE_STATE_RUNNING);
		assert_int_equal(calls.starts, 1);
		assert_int_equal(vdm_operation_cancel(entries[i]), 1);
		assert_int_equal(calls.deletes, 1);
		FUTURE_BUSY_POLL(&c);
		assert_int_equal(calls.starts, 2);
		assert_int_equal(calls.deletes, 2);
		assert_int_equal(
			FUTURE_OUTPUT(entries[i])->result, VDM_ERROR_CANCELED);
		assert_int_equal(
			FUTURE_OUTPUT(entries[1 - i])->result, VDM_SUCCESS);
		assert_int_equal(*FUTURE_OUTPUT(&c),
			i == 1 ? VDM_ERROR_CANCELED : VDM_SUCCESS);
	}
}

static void
each_result_has_its_own_text(void **state)
{
	/* The last two are unknown. */
	static const int results[] = {VDM_SUCCESS, VDM_ERROR_OUT_OF_MEMORY,
		VDM_ERROR_JOB_CORRUPTED, VDM_ERROR_CANCELED, 4, -1};
	const char *texts[6];

	(void)state;
	for (int i = 0; i < 6; i++) {
		texts[i] = vdm_result_string(
			(enum vdm_operation_result)results[i]);
		assert_non_null(texts[i]);
		assert_int_not_equal(strlen(texts[i]), 0);
		for (int k = 0; k < i && i < 5; k++)
			assert_string_not_equal(texts[i], texts[k]);
	}
	assert_string_equal(texts[4], texts[5]);
}

static void
supported_means_every_bit(void **state)
{
	struct vdm vdm = {
		op_new, op_delete, op_start, op_check, VDM_F_MEM_DURABLE, NULL};

	(void)state;
	assert_true(vdm_is_supported(&vdm, VDM_F_MEM_DURABLE));
	assert_false(vdm_is_supported(&vdm, VDM_F_NO_CACHE_HINT));
	assert_false(vdm_is_supported(&vdm, VDM_F_VALID_FLAGS));
	assert_true(vdm_is_supported(&vdm, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_come_in_order_and_not_now_stays_idle),
		cmocka_unit_test(
			only_a_mover_that_knows_renotify_is_started_again),
		cmocka_unit_test(
			completing_poll_leaves_the_waker_that_was_answered),
		cmocka_unit_test(
			mover_that_announces_nothing_is_not_asked_to_renotify),
		cmocka_unit_test(generic_operation_presets_the_output),
		cmocka_unit_test(null_from_op_new_is_out_of_memory),
		cmocka_unit_test(
			cancel_ends_an_idle_operation_and_deletes_it_once),
		cmocka_unit_test(
			cancel_changes_nothing_that_was_started_or_is_complete),
		cmocka_unit_test(chain_goes_on_after_a_canceled_entry),
		cmocka_unit_test(each_result_has_its_own_text),
		cmocka_unit_test(supported_means_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
