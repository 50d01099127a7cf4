/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_fabric.c -- the mover to the memory of another process
 *
 * The four functions of the mover, its public calls, and its thread.
 * fabric_work.c does the operations.
 */

#include "libminiasync-vdm-fabric/data_mover_fabric.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "movers/fabric_plan.h"
#include "movers/fabric_work.h"
#include "operation/memory.h"
#include "operation/operation.h"
#include "system/backoff.h"
#include "system/dynamic.h"
#include "system/forks.h"
#include "system/window.h"

#define CONNECT_MS 5000
#define IDLE_MS 10000
#define QUEUE 1024

/* The thread lingers for MIA_SLEEP_COST_NS / 32 at least. */
#define MAX_VAIN 5

static void *
fabric_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_fabric *dmf = (struct data_mover_fabric *)vdm;
	struct mia_fabric_operation *op = mia_operation_pool_get(&dmf->pool);

	(void)type; /* op_start refuses an unknown type */
	if (op == NULL)
		return NULL;

	op->dmf = dmf;
	mia_completion_init(&op->completion);
	return op;
}

static bool
has_waker(
	const struct mia_fabric_operation *op, const struct future_notifier *n)
{
	return op->dmf->has_thread && n != NULL && n->waker.wake != NULL;
}

static void
answer_notifier(
	const struct mia_fabric_operation *op, struct future_notifier *n)
{
	if (n != NULL)
		n->notifier_used = has_waker(op, n) ? FUTURE_NOTIFIER_WAKER
						    : FUTURE_NOTIFIER_NONE;
}

/*
 * Handles the notifier of a poll of a started operation. In a child, op_check
 * completes the operation. The waker is not replaced there: if a thread was
 * reading it during the fork, the completion is locked for ever in the child.
 */
static void
renotify(struct mia_fabric_operation *op, struct future_notifier *n)
{
	if (mia_forked_since(op->dmf->forks)) {
		if (n != NULL)
			n->notifier_used = FUTURE_NOTIFIER_NONE;
		return;
	}
	if (has_waker(op, n) &&
		!mia_completion_has_waker(&op->completion, n->waker))
		mia_completion_replace_waker(&op->completion, n->waker);
	op->brings_waker = has_waker(op, n);
	if (!mia_completion_is_ended(&op->completion))
		answer_notifier(op, n);
}

static int
fabric_operation_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct mia_fabric_operation *op = data;
	enum vdm_operation_result result;

	if (!mia_completion_is_new(&op->completion)) {
		renotify(op, n);
		return 0;
	}
	mia_operation_probe_submit(&op->completion, operation);
	if (!mia_fabric_plan(op, operation, &result)) {
		if (n != NULL)
			n->notifier_used = FUTURE_NOTIFIER_NONE;
		mia_completion_finish_here(&op->completion, result);
		return 0;
	}

	mia_completion_begin(&op->completion,
		has_waker(op, n) ? n->waker
				 : (struct future_waker){NULL, NULL});
	op->brings_waker = has_waker(op, n);
	answer_notifier(op, n);
	mia_fabric_add(op); /* op_check follows, and runs it */
	return 0;
}

static enum future_state
fabric_operation_check(void *data, const struct vdm_operation *operation)
{
	struct mia_fabric_operation *op = data;

	(void)operation;
	if (!mia_completion_is_here(&op->completion) &&
		mia_forked_since(op->dmf->forks)) {
		/* Begun before the fork: some of its data may be missing. */
		mia_completion_finish_here(
			&op->completion, VDM_ERROR_JOB_CORRUPTED);
		return FUTURE_STATE_COMPLETE;
	}
	if (!mia_completion_is_ended(&op->completion)) {
		const struct mia_foreign foreign = mia_foreign_enter();

		mia_fabric_run(op);
		mia_foreign_leave(foreign);
		op->brings_waker = false; /* the next poll may bring none */
	}
	return mia_completion_poll(&op->completion);
}

static void
fabric_operation_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	struct mia_fabric_operation *op = data;

	mia_operation_output(
		operation, mia_completion_retire(&op->completion), output);
	mia_operation_pool_put(op);
}

static int
fabric_has_property(void *future, enum future_property property)
{
	(void)future;
	switch (property) {
	case FUTURE_PROPERTY_ASYNC:
		return 1;
	case FUTURE_PROPERTY_RENOTIFY:
		return (int)property;
	case FUTURE_PROPERTY_MEMCPYV:
		break;
	}
	return 0;
}

/* Without a thread nothing is done between polls, and no waker is called. */
static int
fabric_has_no_property(void *future, enum future_property property)
{
	(void)future;
	(void)property;
	return 0;
}

static const struct vdm fabric_vdm = {
	.op_new = fabric_operation_new,
	.op_start = fabric_operation_start,
	.op_check = fabric_operation_check,
	.op_delete = fabric_operation_delete,
	.capabilities = VDM_F_NO_CACHE_HINT,
	.has_property = fabric_has_property,
};

/* The mover */

/* The waker that ended the last thread counts as returned. */
static void
go_on_with_wakers(struct data_mover_fabric *dmf)
{
	struct mia_completion *ended_by = dmf->ended_by;

	/* The waker may be called again, and may end this thread too. */
	dmf->ended_by = NULL;
	if (ended_by != NULL)
		mia_completion_go_on(ended_by);
}

/*
 * Whether the thread has to stop. Relaxed: publishes nothing, and the event
 * follows. If a waker forks, the thread stops in the child too, because the
 * connection belongs to the parent.
 */
static bool
is_stopped(struct data_mover_fabric *dmf)
{
	return atomic_load_explicit(&dmf->stop, memory_order_relaxed) ||
		mia_forked_since(dmf->forks);
}

/*
 * Stays awake for a moment, because waking up takes longer than many operations
 * take. Each lingering in vain halves the next. Returns whether an event came.
 */
static bool
linger(struct data_mover_fabric *dmf, struct mia_yields *yields, unsigned vain)
{
	struct mia_linger linger;

	mia_linger_begin(&linger, yields, MIA_LINGER_BY_YIELDS,
		MIA_SLEEP_COST_NS >> vain);
	while (mia_fabric_serve(dmf, MIA_FABRIC_LINGERS))
		if (is_stopped(dmf) || !mia_linger(&linger))
			return false;
	return true;
}

/*
 * Sleeps. Returns the new number of lingerings in vain: 0 if the sleep was so
 * short that the thread should have stayed awake.
 */
static unsigned
sleep_after(struct data_mover_fabric *dmf, unsigned ms, unsigned vain)
{
	const uint64_t start_ns = mia_clock_ns();

	mia_fabric_end_sleep(&dmf->end, ms);
	if (mia_clock_ns() - start_ns < MIA_SLEEP_COST_NS)
		return 0;
	return vain < MAX_VAIN ? vain + 1 : MAX_VAIN;
}

/* Runs in the mover's thread, and again in its successor: see lasting.h. */
static void
run(void *arg)
{
	struct data_mover_fabric *dmf = arg;
	const unsigned ms = (unsigned)(dmf->idle_ns / 4000000) + 1;
	struct mia_yields yields = {0};
	unsigned vain = MAX_VAIN;

	go_on_with_wakers(dmf);
	while (!is_stopped(dmf)) {
		if (linger(dmf, &yields, vain))
			vain = 0;
		else if (!is_stopped(dmf) &&
			mia_fabric_serve(dmf, MIA_FABRIC_SLEEPS))
			vain = sleep_after(dmf, ms, vain);
	}
	if (!mia_forked_since(dmf->forks))
		mia_fabric_end_all(dmf, ESHUTDOWN);
}

/* A waker has ended the thread. NULL: the waker has completed its operation. */
static void
exited(void *arg)
{
	struct data_mover_fabric *dmf = arg;

	dmf->ended_by = mia_completion_leave_thread();
}

/* Connects an open end, and maps the window. Returns 0 or -errno. */
static int
connect_to(struct data_mover_fabric *dmf, const struct mia_fabric_token *token,
	unsigned connect_ms)
{
	int error = mia_fabric_end_peer(&dmf->end, &dmf->peer);

	if (error == 0)
		error = mia_fabric_end_connect(
			&dmf->end, dmf->peer, token, connect_ms);
	if (error != 0)
		return error;

	error = mia_random(&dmf->flush.nonce, sizeof(dmf->flush.nonce));
	if (error != 0)
		return error;
	dmf->window = mia_window_map(dmf->size);
	return dmf->window != NULL ? 0 : -ENOMEM;
}

static int
init_lock(struct data_mover_fabric *dmf)
{
	int error = mia_mutex_init(&dmf->lock);

	if (error != 0)
		return error;
	error = mia_cond_init(&dmf->left);
	if (error != 0)
		mia_mutex_fini(&dmf->lock);
	return error;
}

static void
fini_lock(struct data_mover_fabric *dmf)
{
	mia_cond_fini(&dmf->left);
	mia_mutex_fini(&dmf->lock);
}

static int
start(struct data_mover_fabric *dmf)
{
	const int error = init_lock(dmf);

	if (error != 0)
		return error;

	mia_fabric_init_lists(dmf);
	mia_operation_pool_init(
		&dmf->pool, sizeof(struct mia_fabric_operation), NULL);
	if (!dmf->has_thread)
		return 0;

	const int thread_error =
		mia_lasting_start(&dmf->thread, run, exited, dmf);

	if (thread_error != 0) {
		mia_operation_pool_fini(&dmf->pool);
		fini_lock(dmf);
	}
	return thread_error;
}

static int
open_mover(struct data_mover_fabric *dmf, const struct mia_fabric_token *token,
	unsigned connect_ms)
{
	int error = mia_fabric_end_open(
		&dmf->end, &token->address, MIA_FABRIC_MOVES, connect_ms);

	if (error != 0)
		return error;
	error = connect_to(dmf, token, connect_ms);
	if (error == 0)
		error = start(dmf);
	if (error != 0) {
		if (dmf->window != NULL)
			mia_window_unmap(dmf->window, dmf->size);
		mia_fabric_end_close(&dmf->end);
	}
	return error;
}

static struct data_mover_fabric *
mover_of(const struct mia_fabric_token *token,
	const struct data_mover_fabric_options *options)
{
	struct data_mover_fabric *dmf = calloc(1, sizeof(*dmf));
	const unsigned idle_ms =
		options->idle_ms != 0 ? options->idle_ms : IDLE_MS;

	if (dmf == NULL)
		return NULL;

	dmf->vdm = fabric_vdm;
	dmf->forks = mia_forks();
	dmf->size = (size_t)token->size;
	dmf->key = token->key;
	dmf->access = token->access;
	if ((token->access & MIA_FABRIC_PERSISTENT) != 0)
		dmf->vdm.capabilities |=
			mia_memory_capabilities() & VDM_F_MEM_DURABLE;
	dmf->idle_ns = idle_ms * UINT64_C(1000000);
	dmf->queue = options->queue != 0 ? options->queue : QUEUE;
	dmf->has_thread = options->no_thread == 0;
	if (!dmf->has_thread)
		dmf->vdm.has_property = fabric_has_no_property;
	return dmf;
}

MIA_PUBLIC struct data_mover_fabric *
data_mover_fabric_new(
	const char *token, const struct data_mover_fabric_options *options)
{
	static const struct data_mover_fabric_options usual = {
		sizeof(usual), 0, 0, 0, 0};
	struct mia_fabric_token parsed;
	int error = token != NULL ? mia_fabric_token_parse(&parsed, token)
				  : -EINVAL;

	if (options == NULL)
		options = &usual;
	if (error == 0 && options->size != sizeof(*options))
		error = -EINVAL;
	if (error == 0 && parsed.size > SIZE_MAX / 4)
		error = -ENOTSUP;
	if (error != 0) {
		errno = -error;
		return NULL;
	}

	struct data_mover_fabric *dmf = mover_of(&parsed, options);

	if (dmf == NULL)
		return NULL;

	const struct mia_foreign foreign = mia_foreign_enter();

	error = open_mover(dmf, &parsed,
		options->connect_ms != 0 ? options->connect_ms : CONNECT_MS);
	mia_foreign_leave(foreign);
	if (error != 0) {
		free(dmf);
		errno = -error;
		return NULL;
	}
	return dmf;
}

MIA_PUBLIC struct vdm *
data_mover_fabric_get_vdm(struct data_mover_fabric *dmf)
{
	return &dmf->vdm;
}

MIA_PUBLIC void *
data_mover_fabric_addr(struct data_mover_fabric *dmf)
{
	return dmf->window;
}

MIA_PUBLIC size_t
data_mover_fabric_size(struct data_mover_fabric *dmf)
{
	return dmf->size;
}

MIA_PUBLIC int
data_mover_fabric_error(struct data_mover_fabric *dmf)
{
	/* Relaxed: publishes nothing. */
	const int error =
		atomic_load_explicit(&dmf->error, memory_order_relaxed);

	return error == 0 && mia_forked_since(dmf->forks) ? ENOTCONN : error;
}

MIA_PUBLIC int
data_mover_fabric_fd(struct data_mover_fabric *dmf)
{
	return dmf->end.event.epoll;
}

MIA_PUBLIC int
data_mover_fabric_progress(struct data_mover_fabric *dmf)
{
	if (!mia_forked_since(dmf->forks)) {
		const struct mia_foreign foreign = mia_foreign_enter();

		(void)mia_event_fd_reset(&dmf->end.event);
		if (!mia_fabric_serve(dmf, MIA_FABRIC_SLEEPS))
			mia_event_fd_set(&dmf->end.event);
		mia_foreign_leave(foreign);
	}

	const int error = data_mover_fabric_error(dmf);

	if (error != 0) {
		errno = error;
		return -1;
	}
	return 0;
}

/*
 * Deletes the mover in a child. libfabric's objects belong to the parent too:
 * closing them would end the parent's connection. The program may have reused
 * the numbers of the descriptors.
 */
static void
forget(struct data_mover_fabric *dmf)
{
	mia_operation_pool_fini(&dmf->pool);
	mia_window_unmap(dmf->window, dmf->size);
	free(dmf);
}

MIA_PUBLIC void
data_mover_fabric_delete(struct data_mover_fabric *dmf)
{
	if (dmf == NULL)
		return;
	if (mia_forked_since(dmf->forks)) {
		forget(dmf);
		return;
	}

	const struct mia_foreign foreign = mia_foreign_enter();

	if (dmf->has_thread) {
		/* Relaxed: the event and the join order the accesses. */
		atomic_store_explicit(&dmf->stop, true, memory_order_relaxed);
		mia_event_fd_set(&dmf->end.event);
		mia_lasting_join(&dmf->thread);
	} else {
		mia_fabric_end_all(dmf, ESHUTDOWN);
	}
	mia_fabric_end_close(&dmf->end);
	mia_operation_pool_fini(&dmf->pool);
	fini_lock(dmf);
	mia_window_unmap(dmf->window, dmf->size);
	free(dmf);
	mia_foreign_leave(foreign);
}
