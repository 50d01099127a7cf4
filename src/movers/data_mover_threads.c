/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_threads.c -- the mover with worker threads
 *
 *	op_start: parse, plan --> crew: run --> completion --> waker
 *	   |                        |              |
 *	   | small: done here       | large: share | op_check: COMPLETE
 *	   v                        v              v
 *
 * The poll that starts an operation makes its plan. A worker or a waiting
 * thread carries out the plan: see threads_work.c. Operations reach workers
 * through crew/. The end of an operation reaches its poll and its waker through
 * operation/completion.c.
 *
 * In a child that is forked later, the mover has no workers. It does not use
 * crew/ there, because the locks of crew/ may be locked for ever. A poll does a
 * new operation itself, whatever the plan. An operation that was begun before
 * the fork fails at its next poll. Operations that one poll does alone need no
 * check for a fork, because they are complete when that poll ends
 * (MIA_COMPLETION_HERE).
 */

#include "libminiasync/data_mover_threads.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "crew/crew.h"
#include "movers/threads_work.h"
#include "operation/completion.h"
#include "operation/memory.h"
#include "operation/operation.h"
#include "operation/operation_pool.h"
#include "operation/piece.h"
#include "operation/word.h"
#include "system/cpus.h"
#include "system/happens.h"
#include "system/platform.h"
#include "system/probe.h"

/* The capacity of the default mover's ring, in operations. */
#define DEFAULT_RING 128

/* Whole cache lines, so that operations do not share a line. */
#define OPERATION_SIZE \
	((sizeof(struct mia_threads_operation) + MIA_CACHE_LINE - 1) / \
		MIA_CACHE_LINE * MIA_CACHE_LINE)

_Static_assert(OPERATION_SIZE / MIA_CACHE_LINE <= 2,
	"a pending operation takes two cache lines");

/* Relaxed: only compares with NULL. function_of() acquires. */
static bool
is_built_in(const struct data_mover_threads *dmt, enum vdm_operation_type type)
{
	return atomic_load_explicit(
		       &dmt->functions[type], memory_order_relaxed) == NULL;
}

static void *
threads_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_threads *dmt =
		(struct data_mover_threads *)(void *)vdm;
	struct mia_threads_operation *op = mia_operation_pool_get(&dmt->pool);

	(void)type; /* op_start refuses an unknown type */
	if (MIA_UNLIKELY(op == NULL))
		return NULL;

	op->dmt = dmt;
	mia_completion_init(&op->completion);
	return op;
}

/* Returns the waker that the completion will call. */
static struct future_waker
waker_of(struct mia_threads_operation *op, const struct future_notifier *n)
{
	switch (op->dmt->desired_notifier) {
	case FUTURE_NOTIFIER_WAKER:
		if (n != NULL)
			return n->waker;
		break;
	case FUTURE_NOTIFIER_POLLER:
		return (struct future_waker){op, mia_word_change};
	case FUTURE_NOTIFIER_NONE:
		break;
	}

	return (struct future_waker){NULL, NULL};
}

/* Sets in the notifier how its owner will be notified. */
static void
answer_notifier(struct mia_threads_operation *op, struct future_notifier *n)
{
	n->notifier_used = op->dmt->desired_notifier;
	if (n->notifier_used == FUTURE_NOTIFIER_POLLER)
		n->poller.ptr_to_monitor = mia_word_of(op);
	else if (n->waker.wake == NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
}

/* From now on other threads may complete the operation. */
static void
begin(struct mia_threads_operation *op, struct future_notifier *n)
{
	mia_completion_begin(&op->completion, waker_of(op, n));
	if (op->plan == MIA_PLAN_KEEP || op->plan == MIA_PLAN_KEEP_ORDER)
		mia_threads_keep(op);
	else
		mia_threads_hand_over(op);
}

/* Answers a poll that did not complete the operation. */
static void
answer(struct mia_threads_operation *op, struct future_notifier *n)
{
	answer_notifier(op, n);
	op->is_asked = true;
	if (op->is_kept)
		n->padding = FUTURE_NOTIFIER_WORK_;
}

/* Completes an operation that this poll has done. */
static void
end_here(struct mia_threads_operation *op, enum vdm_operation_result result,
	struct future_notifier *n)
{
	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	mia_completion_finish_here(&op->completion, result);
}

/* Not inlined, because small copies would then save its registers too. */
MIA_NOINLINE static void
start_any(struct mia_threads_operation *op,
	const struct vdm_operation *operation, struct future_notifier *n)
{
	mia_operation_probe_submit(op, operation);
	mia_threads_make_plan(op, operation, n);
	if (mia_crew_is_lost(&op->dmt->crew)) {
		MIA_PROBE2(run, op, MIA_PROBE_POLL);
		end_here(op, mia_threads_run_whole(op), n);
		return;
	}
	switch (op->plan) {
	case MIA_PLAN_REFUSE:
	case MIA_PLAN_HERE:
		MIA_PROBE2(run, op, MIA_PROBE_POLL);
		end_here(op, mia_threads_run_here(op), n);
		return;
	case MIA_PLAN_MOVE_BY:
	case MIA_PLAN_SET_BY:
	case MIA_PLAN_ALONE:
	case MIA_PLAN_SHARE:
	case MIA_PLAN_KEEP:
	case MIA_PLAN_KEEP_ORDER:
	case MIA_PLAN_GO_ON: /* never at the start */
		begin(op, n);
		if (n != NULL)
			answer(op, n);
		return;
	}
}

/* Handles the notifier of a poll of a started operation. */
MIA_NOINLINE static void
renotify(struct mia_threads_operation *op, struct future_notifier *n)
{
	/* In a child, op_check follows and completes the operation. */
	if (n == NULL || mia_crew_is_lost(&op->dmt->crew))
		return;
	if (op->dmt->desired_notifier == FUTURE_NOTIFIER_WAKER &&
		n->waker.wake != NULL &&
		!mia_completion_has_waker(&op->completion, n->waker))
		mia_completion_replace_waker(&op->completion, n->waker);
	if (op->is_kept) {
		if (!mia_threads_is_offer(n))
			mia_threads_stop_work(op);
		else if (mia_threads_take_offer(n))
			mia_threads_work(op);
	}
	/* After the end, the next entry of a chain may need the offer. */
	if (!mia_completion_is_ended(&op->completion))
		answer(op, n);
}

static int
threads_operation_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct mia_threads_operation *op = data;

	if (MIA_UNLIKELY(!mia_completion_is_new(&op->completion))) {
		renotify(op, n);
		return 0;
	}

	/* Most copies that this poll does itself need no plan. */
	const struct vdm_operation_data_memmove *copy =
		mia_piece_plain_copy(operation);

	if (MIA_UNLIKELY(copy == NULL ||
		    !is_built_in(op->dmt, operation->type) ||
		    mia_threads_is_sample(copy->n) ||
		    !mia_threads_is_here(op->dmt, copy->n, n))) {
		start_any(op, operation, n);
		return 0;
	}

	MIA_PROBE3(submit, op, operation->type, copy->n);
	MIA_PROBE2(run, op, MIA_PROBE_POLL);
	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	memmove(copy->dest, copy->src, copy->n);
	mia_threads_count_untimed(copy->n);
	mia_completion_finish_here(&op->completion, VDM_SUCCESS);
	return 0;
}

/*
 * A poll has not completed a kept operation. If it brought no notifier, it made
 * no offer, so a worker gets the rest of the operation. Programs compiled with
 * old headers bring a notifier only in the first poll.
 */
MIA_NOINLINE static void
check_kept(struct mia_threads_operation *op)
{
	if (!op->is_asked)
		mia_threads_stop_work(op);
	op->is_asked = false;
}

/* Other threads have, or had, the operation. */
MIA_NOINLINE static enum future_state
check_begun(struct mia_threads_operation *op)
{
	/*
	 * The operation was begun before a fork. Even if it is complete, the
	 * child may not have all of its data.
	 */
	if (mia_crew_is_lost(&op->dmt->crew)) {
		mia_completion_finish_here(
			&op->completion, VDM_ERROR_JOB_CORRUPTED);
		return FUTURE_STATE_COMPLETE;
	}

	const enum future_state state = mia_completion_poll(&op->completion);

	if (state != FUTURE_STATE_COMPLETE && op->is_kept)
		check_kept(op);
	return state;
}

static enum future_state
threads_operation_check(void *data, const struct vdm_operation *operation)
{
	struct mia_threads_operation *op = data;

	(void)operation;
	return MIA_LIKELY(mia_completion_is_here(&op->completion))
		? FUTURE_STATE_COMPLETE
		: check_begun(op);
}

static void
threads_operation_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	struct mia_threads_operation *op = data;

	mia_operation_output(
		operation, mia_completion_retire(&op->completion), output);
	mia_operation_pool_put(op);
}

static int
threads_has_property(void *future, enum future_property property)
{
	(void)future;
	switch (property) {
	case FUTURE_PROPERTY_ASYNC:
		return 1;
	case FUTURE_PROPERTY_RENOTIFY:
	case FUTURE_PROPERTY_MEMCPYV:
		return (int)property;
	}
	return 0;
}

static const struct vdm threads_vdm = {
	.op_new = threads_operation_new,
	.op_start = threads_operation_start,
	.op_check = threads_operation_check,
	.op_delete = threads_operation_delete,
	.capabilities = 0,
	.has_property = threads_has_property,
};

/* The mover */

static struct data_mover_threads *
mover_new(size_t nthreads, size_t ncpus, size_t ringbuf_size,
	enum future_notifier_type desired_notifier)
{
	struct data_mover_threads *dmt = mia_aligned_alloc(
		_Alignof(struct data_mover_threads), sizeof(*dmt));

	if (dmt == NULL)
		return NULL;

	memset(dmt, 0, sizeof(*dmt));
	dmt->vdm = threads_vdm;
	dmt->desired_notifier = desired_notifier;

	dmt->stream_min = mia_memory_stream_min();
	mia_threads_init_speed(dmt);
	mia_operation_pool_init(&dmt->pool, OPERATION_SIZE, NULL);

	const struct mia_work_fns fns = {.run = mia_threads_run,
		.help = mia_threads_help,
		.exited = mia_threads_exited,
		.arg = dmt};
	const int error =
		mia_crew_init(&dmt->crew, nthreads, ncpus, ringbuf_size, fns);

	if (error != 0) {
		mia_operation_pool_fini(&dmt->pool);
		mia_aligned_free(dmt);
		errno = -error;
		return NULL;
	}

	return dmt;
}

MIA_PUBLIC struct data_mover_threads *
data_mover_threads_new(size_t nthreads, size_t ringbuf_size,
	enum future_notifier_type desired_notifier)
{
	if (nthreads == 0 || nthreads > MIA_IDLE_MAX_WORKERS ||
		ringbuf_size == 0 ||
		(unsigned)desired_notifier > FUTURE_NOTIFIER_POLLER) {
		errno = EINVAL;
		return NULL;
	}

	return mover_new(
		nthreads, mia_usable_cpus(), ringbuf_size, desired_notifier);
}

/* Returns the workers that the user asks for; 0 if unset or invalid. */
static size_t
workers_of_environment(void)
{
	const char *text = mia_environment("MINIASYNC_THREADS");
	size_t n = 0;

	if (text == NULL)
		return 0;

	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		n = n * 10 + (size_t)(*text - '0');
		if (n > MIA_IDLE_MAX_WORKERS)
			return 0;
	}
	return n;
}

MIA_PUBLIC struct data_mover_threads *
data_mover_threads_default(void)
{
	const size_t ncpus = mia_usable_cpus();
	const size_t asked_for = workers_of_environment();

	return mover_new(asked_for != 0 ? asked_for : ncpus, ncpus,
		DEFAULT_RING, FUTURE_NOTIFIER_WAKER);
}

MIA_PUBLIC struct vdm *
data_mover_threads_get_vdm(struct data_mover_threads *dmt)
{
	return &dmt->vdm;
}

/* Release: pairs with the acquire in function_of(): the caller's writes. */
static void
set_function(struct data_mover_threads *dmt, enum vdm_operation_type type,
	mia_any_fn function)
{
	mia_happens_before(dmt->functions);
	atomic_store_explicit(
		&dmt->functions[type], function, memory_order_release);
}

MIA_PUBLIC void
data_mover_threads_set_memcpy_fn(
	struct data_mover_threads *dmt, memcpy_fn dmt_memcpy)
{
	set_function(dmt, VDM_OPERATION_MEMCPY, (mia_any_fn)dmt_memcpy);
}

MIA_PUBLIC void
data_mover_threads_set_memmove_fn(
	struct data_mover_threads *dmt, memmove_fn dmt_memmove)
{
	set_function(dmt, VDM_OPERATION_MEMMOVE, (mia_any_fn)dmt_memmove);
}

MIA_PUBLIC void
data_mover_threads_set_memset_fn(
	struct data_mover_threads *dmt, memset_fn dmt_memset)
{
	set_function(dmt, VDM_OPERATION_MEMSET, (mia_any_fn)dmt_memset);
}

MIA_PUBLIC int
data_mover_threads_set_capabilities(
	struct data_mover_threads *dmt, unsigned flags)
{
	const int error = mia_operation_set_capabilities(&dmt->vdm, flags);

	if (error != 0) {
		errno = -error;
		return -1;
	}
	return 0;
}

MIA_PUBLIC void
data_mover_threads_delete(struct data_mover_threads *dmt)
{
	if (dmt == NULL)
		return;

	mia_crew_fini(&dmt->crew);
	mia_operation_pool_fini(&dmt->pool);
	mia_aligned_free(dmt);
}
