/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_threads.c -- the mover with worker threads
 *
 *	op_start: parse, plan --> crew: run --> completion --> waker
 *	   |                        |              |
 *	   | small: done here       | big: share   | op_check sees the end
 *	   v                        v              v
 *
 * The poll that starts an operation parses it and makes its plan. A worker
 * carries out the plan. How items reach workers is in crew/, how the end of an
 * operation reaches the poll and the waker is in operation/completion.c.
 */

#include "libminiasync/data_mover_threads.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "crew/crew.h"
#include "operation/completion.h"
#include "operation/memory.h"
#include "operation/operation.h"
#include "operation/operation_pool.h"
#include "operation/piece.h"
#include "operation/word.h"
#include "system/platform.h"

/* The sizes below were measured: see doc/design.md. */

/* A poll does operations of this size and smaller itself. */
#define HERE_MAX_BYTES ((size_t)16384)

/* Idle workers help with operations of this size and larger, in chunks. */
#define SHARE_MIN_BYTES ((size_t)2097152)
#define SHARE_CHUNK_MIN_BYTES ((size_t)131072)
#define SHARE_CHUNK_MAX_BYTES ((size_t)2097152)

/* So many chunks for each worker, so that all end at about the same time. */
#define SHARE_CHUNKS_PER_WORKER 8

/* An operation of this size and larger wakes a worker for each that waits. */
#define WAKE_EACH_MIN_BYTES ((size_t)262144)

/* Operations that the ring of the default mover holds. */
#define DEFAULT_RING 128

enum plan {
	PLAN_REFUSE,  /* it is invalid */
	PLAN_HERE,    /* by the poll, because it is small */
	PLAN_MOVE_BY, /* by a worker, with the program's function */
	PLAN_SET_BY,
	PLAN_ALONE, /* by a worker */
	PLAN_SHARE, /* by a worker, and the workers that are idle */
};

/* A memcpy_fn, memmove_fn or memset_fn, by the type of the operation. */
typedef void (*any_fn)(void);

_Static_assert(_Generic((memcpy_fn)NULL, memmove_fn : 1, default : 0),
	"PLAN_MOVE_BY calls both by one type");

struct threads_operation {
	struct mia_completion completion;
	struct data_mover_threads *dmt;

	/* I: the poll that starts the operation */
	struct mia_piece piece;
	any_fn function; /* of the program, or NULL */
	enum plan plan;

	union {
		struct mia_backlog_node node; /* until a worker has it */
		struct mia_shared shared;     /* from then on */
	};
};

/* Whole cache lines, so that two operations share none. */
#define OPERATION_SIZE \
	((sizeof(struct threads_operation) + MIA_CACHE_LINE - 1) / \
		MIA_CACHE_LINE * MIA_CACHE_LINE)

_Static_assert(OPERATION_SIZE <= 2 * MIA_CACHE_LINE,
	"a pending operation takes two cache lines");

#define TYPES (VDM_OPERATION_FLUSH + 1)

struct data_mover_threads {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;

	/* I: init only */
	enum future_notifier_type desired_notifier;
	size_t stream_min; /* bytes; mia_memory_stream_min() */

	/* A: the setters and every poll */
	_Atomic(any_fn) functions[TYPES]; /* NULL: built-in */

	struct mia_crew crew;
};

/* The plan */

/* The polls of a runtime wait for all operations, so they do small ones. */
static bool
may_do_here(const struct future_notifier *n)
{
	return n == NULL || n->padding == FUTURE_NOTIFIER_INLINE_;
}

/* Relaxed: only whether there is one. */
static bool
is_built_in(const struct data_mover_threads *dmt, enum vdm_operation_type type)
{
	return atomic_load_explicit(
		       &dmt->functions[type], memory_order_relaxed) == NULL;
}

/* The type may be unknown. */
static any_fn
function_of(const struct data_mover_threads *dmt, enum vdm_operation_type type)
{
	/*
	 * Acquire: pairs with the release of the setters. What a thread did
	 * before it set a function happens before the function is called.
	 */
	return (unsigned)type < TYPES
		? atomic_load_explicit(
			  &dmt->functions[type], memory_order_acquire)
		: NULL;
}

static enum plan
plan_of(const struct data_mover_threads *dmt, const struct mia_piece *piece,
	const struct future_notifier *n)
{
	/* The upper bound is that of mia_sharing_open(). */
	const bool is_big =
		piece->n >= SHARE_MIN_BYTES && piece->n < SIZE_MAX / 2;

	if (piece->kind == MIA_PIECE_INVALID)
		return PLAN_REFUSE;
	if (piece->n <= HERE_MAX_BYTES && may_do_here(n))
		return PLAN_HERE;
	if (is_big && dmt->crew.nworkers > 1 &&
		mia_piece_distance(piece) == SIZE_MAX)
		return PLAN_SHARE;
	return PLAN_ALONE;
}

/* The same with a function of the program. */
static enum plan
plan_of_function(enum mia_piece_kind kind)
{
	switch (kind) {
	case MIA_PIECE_MOVE:
		return PLAN_MOVE_BY;
	case MIA_PIECE_SET:
		return PLAN_SET_BY;
	case MIA_PIECE_FLUSH:
	case MIA_PIECE_INVALID:
		break;
	}

	return PLAN_REFUSE;
}

static void
make_plan(struct threads_operation *op, const struct vdm_operation *operation,
	const struct future_notifier *n)
{
	op->function = function_of(op->dmt, operation->type);
	if (op->function != NULL) {
		/* All flags that fit its argument are the function's own. */
		mia_piece_parse(&op->piece, operation, UINT_MAX);
		op->plan = plan_of_function(op->piece.kind);
		return;
	}

	mia_piece_of(&op->piece, operation);
	op->plan = plan_of(op->dmt, &op->piece, n);
}

/* The workers' side */

static void
write_back_if_durable(const struct mia_piece *piece)
{
	if (piece->flags & VDM_F_MEM_DURABLE)
		mia_memory_flush(piece->dest, piece->n);
}

static enum vdm_operation_result
move_by(memcpy_fn fn, const struct mia_piece *piece)
{
	if (piece->n > 0) {
		fn(piece->dest, piece->src, piece->n, piece->flags);
		write_back_if_durable(piece);
	}
	return VDM_SUCCESS;
}

static enum vdm_operation_result
set_by(memset_fn fn, const struct mia_piece *piece)
{
	if (piece->n > 0) {
		fn(piece->dest, piece->c, piece->n, piece->flags);
		write_back_if_durable(piece);
	}
	return VDM_SUCCESS;
}

static void
finish(struct threads_operation *op, enum vdm_operation_result result)
{
	if (result != VDM_SUCCESS)
		mia_completion_fail(&op->completion, result);
	mia_completion_finish(&op->completion);
}

/* Does a chunk of a shared operation. False: none is left. */
static bool
run_chunk(struct threads_operation *op)
{
	const struct mia_claim claim = mia_sharing_claim(&op->shared);

	if (claim.n == 0)
		return false;

	const struct mia_piece part =
		mia_piece_part(&op->piece, claim.at, claim.n);
	const enum vdm_operation_result result = mia_piece_run(&part);

	/* Published by leaving. */
	if (result != VDM_SUCCESS)
		mia_completion_fail(&op->completion, result);
	return true;
}

static void
leave(struct data_mover_threads *dmt, struct threads_operation *op)
{
	if (mia_sharing_leave(&dmt->crew.sharing, &op->shared))
		mia_completion_finish(&op->completion);
}

/* Helps with a shared operation, until other operations wait for a worker. */
static void
worker_help(void *arg, struct mia_shared *shared)
{
	struct data_mover_threads *dmt = arg;
	struct threads_operation *op =
		(struct threads_operation *)(void *)((char *)shared -
			offsetof(struct threads_operation, shared));

	while (mia_backlog_is_empty(&dmt->crew.backlog) && run_chunk(op))
		continue;
	leave(dmt, op);
}

static size_t
chunk_of(const struct data_mover_threads *dmt, size_t n)
{
	const size_t chunk = n / dmt->crew.nworkers / SHARE_CHUNKS_PER_WORKER;

	if (chunk < SHARE_CHUNK_MIN_BYTES)
		return SHARE_CHUNK_MIN_BYTES;
	if (chunk > SHARE_CHUNK_MAX_BYTES)
		return SHARE_CHUNK_MAX_BYTES;
	return chunk - chunk % SHARE_CHUNK_MIN_BYTES;
}

static void
share(struct data_mover_threads *dmt, struct threads_operation *op)
{
	const size_t n = op->piece.n;

	/* A chunk would fit the cache that the whole does not. */
	if (n >= dmt->stream_min && op->piece.kind != MIA_PIECE_FLUSH)
		op->piece.flags |= VDM_F_NO_CACHE_HINT;

	mia_crew_share(&dmt->crew, &op->shared, n, chunk_of(dmt, n));
	while (run_chunk(op))
		continue;
	leave(dmt, op);
}

static void
worker_run(void *arg, struct mia_backlog_node *node)
{
	struct data_mover_threads *dmt = arg;
	struct threads_operation *op =
		(struct threads_operation *)(void *)((char *)node -
			offsetof(struct threads_operation, node));

	switch (op->plan) {
	case PLAN_SHARE:
		share(dmt, op);
		return;
	case PLAN_ALONE:
	case PLAN_HERE:
		finish(op, mia_piece_run(&op->piece));
		return;
	case PLAN_MOVE_BY:
		finish(op, move_by((memcpy_fn)op->function, &op->piece));
		return;
	case PLAN_SET_BY:
		finish(op, set_by((memset_fn)op->function, &op->piece));
		return;
	case PLAN_REFUSE:
		finish(op, VDM_ERROR_JOB_CORRUPTED);
		return;
	}
}

/* The poll's side */

static void *
threads_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_threads *dmt =
		(struct data_mover_threads *)(void *)vdm;
	struct threads_operation *op = mia_operation_pool_get(&dmt->pool);

	(void)type; /* an unknown one is refused when it is started */
	if (MIA_UNLIKELY(op == NULL))
		return NULL;

	op->dmt = dmt;
	mia_completion_init(&op->completion);
	return op;
}

/* The waker that the completion calls. */
static struct future_waker
waker_of(struct threads_operation *op, const struct future_notifier *n)
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

/* Sets in the notifier how the end will be announced. */
static void
answer_notifier(struct threads_operation *op, struct future_notifier *n)
{
	n->notifier_used = op->dmt->desired_notifier;
	if (n->notifier_used == FUTURE_NOTIFIER_POLLER)
		n->poller.ptr_to_monitor = mia_word_of(op);
	else if (n->waker.wake == NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
}

static enum mia_crew_wake
wake_for(const struct threads_operation *op)
{
	if (op->piece.n < WAKE_EACH_MIN_BYTES)
		return MIA_CREW_WAKE_ONE;
	return op->plan == PLAN_SHARE ? MIA_CREW_WAKE_EACH_SHARED
				      : MIA_CREW_WAKE_EACH;
}

static void
hand_over(struct threads_operation *op, struct future_notifier *n)
{
	mia_completion_begin(&op->completion, waker_of(op, n));
	mia_crew_submit(&op->dmt->crew, &op->node, wake_for(op));
	if (n != NULL)
		answer_notifier(op, n);
}

/* Not inlined: small copies would save its registers. */
MIA_NOINLINE static void
start_any(struct threads_operation *op, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	make_plan(op, operation, n);
	switch (op->plan) {
	case PLAN_REFUSE:
	case PLAN_HERE:
		if (n != NULL)
			n->notifier_used = FUTURE_NOTIFIER_NONE;
		mia_completion_finish_here(
			&op->completion, mia_piece_run(&op->piece));
		return;
	case PLAN_MOVE_BY:
	case PLAN_SET_BY:
	case PLAN_ALONE:
	case PLAN_SHARE:
		hand_over(op, n);
		return;
	}
}

/* A poll of a started operation brings another notifier. */
MIA_NOINLINE static void
renotify(struct threads_operation *op, struct future_notifier *n)
{
	if (n == NULL)
		return;
	if (op->dmt->desired_notifier == FUTURE_NOTIFIER_WAKER &&
		n->waker.wake != NULL)
		mia_completion_replace_waker(&op->completion, n->waker);
	answer_notifier(op, n);
}

static int
threads_operation_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct threads_operation *op = data;

	if (MIA_UNLIKELY(!mia_completion_is_new(&op->completion))) {
		renotify(op, n);
		return 0;
	}

	/* A small copy, by far the most frequent operation, needs no plan. */
	const struct vdm_operation_data_memmove *copy =
		mia_piece_plain_copy(operation);

	if (MIA_UNLIKELY(copy == NULL || copy->n > HERE_MAX_BYTES ||
		    !may_do_here(n) ||
		    !is_built_in(op->dmt, operation->type))) {
		start_any(op, operation, n);
		return 0;
	}

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	memmove(copy->dest, copy->src, copy->n);
	mia_completion_finish_here(&op->completion, VDM_SUCCESS);
	return 0;
}

static enum future_state
threads_operation_check(void *data, const struct vdm_operation *operation)
{
	struct threads_operation *op = data;

	(void)operation;
	return mia_completion_poll(&op->completion);
}

static void
threads_operation_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	struct threads_operation *op = data;

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
		return FUTURE_PROPERTY_RENOTIFY;
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

	struct data_mover_threads *dmt = mia_aligned_alloc(
		_Alignof(struct data_mover_threads), sizeof(*dmt));

	if (dmt == NULL)
		return NULL;

	memset(dmt, 0, sizeof(*dmt));
	dmt->vdm = threads_vdm;
	dmt->desired_notifier = desired_notifier;

	dmt->stream_min = mia_memory_stream_min();
	mia_operation_pool_init(&dmt->pool, OPERATION_SIZE, NULL);

	const struct mia_work_fns fns = {
		.run = worker_run, .help = worker_help, .arg = dmt};
	const int error =
		mia_crew_init(&dmt->crew, nthreads, ringbuf_size, fns);

	if (error != 0) {
		mia_operation_pool_fini(&dmt->pool);
		mia_aligned_free(dmt);
		errno = -error;
		return NULL;
	}

	return dmt;
}

MIA_PUBLIC struct data_mover_threads *
data_mover_threads_default(void)
{
	return data_mover_threads_new(
		mia_usable_cpus(), DEFAULT_RING, FUTURE_NOTIFIER_WAKER);
}

MIA_PUBLIC struct vdm *
data_mover_threads_get_vdm(struct data_mover_threads *dmt)
{
	return &dmt->vdm;
}

/* Release: pairs with the acquire in function_of(). */
static void
set_function(struct data_mover_threads *dmt, enum vdm_operation_type type,
	any_fn function)
{
	atomic_store_explicit(
		&dmt->functions[type], function, memory_order_release);
}

MIA_PUBLIC void
data_mover_threads_set_memcpy_fn(
	struct data_mover_threads *dmt, memcpy_fn dmt_memcpy)
{
	set_function(dmt, VDM_OPERATION_MEMCPY, (any_fn)dmt_memcpy);
}

MIA_PUBLIC void
data_mover_threads_set_memmove_fn(
	struct data_mover_threads *dmt, memmove_fn dmt_memmove)
{
	set_function(dmt, VDM_OPERATION_MEMMOVE, (any_fn)dmt_memmove);
}

MIA_PUBLIC void
data_mover_threads_set_memset_fn(
	struct data_mover_threads *dmt, memset_fn dmt_memset)
{
	set_function(dmt, VDM_OPERATION_MEMSET, (any_fn)dmt_memset);
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
