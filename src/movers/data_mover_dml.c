/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_dml.c -- the mover over Intel's Data Mover Library (DML)
 *
 * An operation goes to DML in pieces, one after the other, because a device
 * has a longest transfer. Mostly one piece is all of it.
 *
 *          submit: queue full
 *            +------+
 *            v      |      submit: taken              check: done
 *           READY --+------------------------> FLYING ------------> READY ...
 *            |      any other answer                 any other answer
 *            |      `----------> the CPU does the piece <--------'
 *            +-- nothing left --> DONE
 *
 * Invariants:
 *   - A piece can be done twice: its source and destination do not overlap. So
 *     the CPU can repeat one that a device left half done, and for that it
 *     need not know which half.
 *   - A piece counts as done when DML has said DML_STATUS_OK of it, or the CPU
 *     has done it. Nothing else is taken for success.
 *   - While FLYING, the job and both ranges are the device's.
 *
 * DML's software path ignores durability, and its flush leaves out what is not
 * a whole line, or all of it on a CPU without CLWB (seen in DML 1.1.1). So
 * where the software path may be taken, memory.c writes the lines back.
 *
 * What a job's members and flags mean is from the Intel DML documentation, Low-
 * Level C API Reference, and from the Intel Data Streaming Accelerator
 * Architecture Specification, order number 341204.
 */

#include "libminiasync-vdm-dml/data_mover_dml.h"

#include <dml/dml.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "operation/memory.h"
#include "operation/operation.h"
#include "operation/operation_pool.h"
#include "system/platform.h"

/* The longest piece that is tried, until a device refuses its length. */
#define PIECE_MAX ((uint32_t)1 << 30)

/* A shorter piece is not worth a job: overlapping moves, stubborn devices. */
#define PIECE_MIN ((uint32_t)4096)

/*
 * So many times in a row a piece finds the queue full, and then the CPU does
 * it. DML says the same of a queue that will never have room: one of another
 * NUMA node.
 */
#define REFUSALS_MAX 1024

/* How long a new mover waits for the device to take a copy, and to do it. */
#define PROBE_NS UINT64_C(1000000000)

/*
 * The device reads the end of the destination back before it reports: then the
 * data has arrived. DML passes flags on to the device's descriptor; its C
 * headers have no name for this one (IDXD_OP_FLAG_DRDBK in linux/idxd.h).
 */
#define DESTINATION_READBACK ((dml_operation_flags_t)0x4000)

struct data_mover_dml {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;
	dml_path_t path;
	_Atomic uint32_t piece_max; /* relaxed: a hint, learnt from refusals */
	unsigned char probe_src[MIA_CACHE_LINE];
	unsigned char probe_dst[MIA_CACHE_LINE];
};

enum stage {
	IDLE,   /* not started, or over */
	READY,  /* the next piece is to be submitted */
	FLYING, /* DML has a piece */
	DONE
};

/* Stays in its slot of the pool, job included, when the operation is over. */
struct dml_operation {
	void *pool_link; /* the pool's while the slot is free */
	struct data_mover_dml *dmd;

	/* What is to be done: the future may move. */
	enum vdm_operation_type type;
	int c; /* of a fill */
	char *dest;
	char *src; /* of a move */
	size_t n;  /* bytes */
	uint64_t flags;
	size_t distance; /* of ranges that overlap, else SIZE_MAX */

	/* How far it is. */
	enum stage stage;
	enum vdm_operation_result result;
	size_t done;     /* bytes */
	uint32_t length; /* of the piece */
	int refusals;    /* of the piece, in a row */

	bool has_job; /* job is initialised */
	_Alignas(max_align_t) unsigned char job[];
};

static dml_job_t *
job_of(struct dml_operation *op)
{
	return (dml_job_t *)(void *)op->job;
}

static void
take_operation(struct dml_operation *op, const struct vdm_operation *operation)
{
	const struct vdm_operation_data_memmove *move =
		&operation->data.memmove;
	const struct vdm_operation_data_memset *set = &operation->data.memset;
	const struct vdm_operation_data_flush *flush = &operation->data.flush;

	op->type = operation->type;
	op->distance = SIZE_MAX;
	switch (operation->type) {
	case VDM_OPERATION_MEMSET:
		op->dest = set->str;
		op->c = set->c;
		op->n = set->n;
		op->flags = set->flags;
		break;
	case VDM_OPERATION_FLUSH:
		op->dest = flush->dest;
		op->n = flush->n;
		op->flags = flush->flags;
		break;
	default: {
		const uintptr_t dest = (uintptr_t)move->dest;
		const uintptr_t src = (uintptr_t)move->src;
		const size_t distance = dest > src ? dest - src : src - dest;

		op->dest = move->dest;
		op->src = move->src;
		op->n = move->n;
		op->flags = move->flags;
		if (distance < move->n)
			op->distance = distance;
		break;
	}
	}
}

/* Whether DML cannot do it, or cannot be trusted with it. It is valid. */
static bool
is_for_the_cpu(const struct dml_operation *op)
{
	return op->n == 0 || op->distance < PIECE_MIN ||
		(op->type == VDM_OPERATION_FLUSH &&
			op->dmd->path != DML_PATH_HW);
}

/* Where the piece begins, in bytes. */
static size_t
piece_at(const struct dml_operation *op)
{
	/* Up to an overlapping source, the pieces go from the end. */
	if (op->distance != SIZE_MAX && op->dest > op->src)
		return op->n - op->done - op->length;
	return op->done;
}

/* The piece as an operation, for the CPU. */
static enum vdm_operation_result
run_piece(const struct dml_operation *op)
{
	const size_t at = piece_at(op);
	struct vdm_operation piece = {.type = op->type};

	switch (op->type) {
	case VDM_OPERATION_MEMSET:
		piece.data.memset.str = op->dest + at;
		piece.data.memset.c = op->c;
		piece.data.memset.n = op->length;
		piece.data.memset.flags = op->flags;
		break;
	case VDM_OPERATION_FLUSH:
		piece.data.flush.dest = op->dest + at;
		piece.data.flush.n = op->length;
		piece.data.flush.flags = op->flags;
		break;
	default:
		piece.data.memmove.dest = op->dest + at;
		piece.data.memmove.src = op->src + at;
		piece.data.memmove.n = op->length;
		piece.data.memmove.flags = op->flags;
		break;
	}

	return mia_operation_run(&piece);
}

/* The piece as a job, for DML. */
static void
fill_job(struct dml_operation *op)
{
	dml_job_t *job = job_of(op);
	const size_t at = piece_at(op);
	char *dest = op->dest + at;
	uint32_t length = op->length;

	/* The device writes past the CPU's caches unless it is told to. */
	if ((op->flags & VDM_F_MEM_DURABLE) != 0)
		job->flags = DML_FLAG_DST1_DURABLE | DESTINATION_READBACK;
	else if ((op->flags & VDM_F_NO_CACHE_HINT) != 0)
		job->flags = 0;
	else
		job->flags = DML_FLAG_PREFETCH_CACHE;

	switch (op->type) {
	case VDM_OPERATION_MEMSET:
		job->operation = DML_OP_FILL;
		memset(job->pattern, op->c, sizeof(job->pattern));
		break;
	case VDM_OPERATION_FLUSH: {
		/* Whole lines. */
		const uint32_t before =
			(uint32_t)(uintptr_t)dest % MIA_CACHE_LINE;

		job->operation = DML_OP_CACHE_FLUSH;
		dest -= before;
		length = (length + before + MIA_CACHE_LINE - 1) /
			MIA_CACHE_LINE * MIA_CACHE_LINE;
		job->flags = 0;
		break;
	}
	default:
		job->operation = DML_OP_MEM_MOVE;
		job->source_first_ptr = (uint8_t *)op->src + at;
		break;
	}
	job->destination_first_ptr = (uint8_t *)dest;
	job->source_length = length;
	job->destination_length = length;
}

static dml_status_t
submit_piece(struct dml_operation *op)
{
	if (!op->has_job) {
		const dml_status_t status =
			dml_init_job(op->dmd->path, job_of(op));

		if (status != DML_STATUS_OK)
			return status;
		op->has_job = true;
	}
	fill_job(op);
	return dml_submit_job(job_of(op));
}

/* DML 1.x has the second name for it, earlier ones the first. */
static bool
is_queue_full(dml_status_t status)
{
	return status == DML_STATUS_WORK_QUEUE_OVERFLOW_ERROR ||
		status == DML_STATUS_WORK_QUEUES_NOT_AVAILABLE;
}

/* A piece was too long for the device: whether to try it shorter. */
static bool
shrink_pieces(struct data_mover_dml *dmd, uint32_t length)
{
	if (length / 2 < PIECE_MIN)
		return false;
	if (length / 2 <
		atomic_load_explicit(&dmd->piece_max, memory_order_relaxed))
		atomic_store_explicit(
			&dmd->piece_max, length / 2, memory_order_relaxed);
	return true;
}

static void
end_job(struct dml_operation *op)
{
	if (op->has_job)
		dml_finalize_job(job_of(op));
	op->has_job = false;
}

/* DML has given its last word about the piece. */
static void
settle(struct dml_operation *op, dml_status_t status)
{
	op->stage = READY;

	if (status != DML_STATUS_OK) {
		/* What a job is good for after a failure, nobody says. */
		if (!is_queue_full(status))
			end_job(op);
		if ((status == DML_STATUS_JOB_LENGTH_ERROR ||
			    status == DML_STATUS_LIMITS_ERROR) &&
			shrink_pieces(op->dmd, op->length))
			return;

		const enum vdm_operation_result result = run_piece(op);

		if (result != VDM_SUCCESS)
			op->result = result;
	}
	op->done += op->length;
}

/* Writes back what may have been moved by DML's software path. */
static void
finish(struct dml_operation *op)
{
	if ((op->flags & VDM_F_MEM_DURABLE) != 0 &&
		op->dmd->path != DML_PATH_HW)
		mia_memory_flush(op->dest, op->n);
	op->stage = DONE;
}

/* Submits the next piece, until DML takes one. False: not now. */
static bool
submit_next(struct dml_operation *op)
{
	while (op->done < op->n) {
		const size_t left = op->n - op->done;
		const uint32_t max = atomic_load_explicit(
			&op->dmd->piece_max, memory_order_relaxed);
		const size_t length = left < op->distance ? left : op->distance;

		op->length = length < max ? (uint32_t)length : max;

		const dml_status_t status = submit_piece(op);

		if (is_queue_full(status) && op->refusals < REFUSALS_MAX) {
			op->refusals++;
			return false;
		}
		op->refusals = 0;
		if (status == DML_STATUS_OK) {
			op->stage = FLYING;
			return true;
		}
		settle(op, status);
	}

	finish(op);
	return true;
}

/* As far as it goes without waiting. */
static void
advance(struct dml_operation *op)
{
	while (op->stage != DONE) {
		if (op->stage == FLYING) {
			const dml_status_t status = dml_check_job(job_of(op));

			if (status == DML_STATUS_BEING_PROCESSED)
				return;
			settle(op, status);
		}
		if (!submit_next(op))
			return;
	}
}

static void *
dml_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_dml *dmd = (struct data_mover_dml *)vdm;
	struct dml_operation *op = mia_operation_pool_get(&dmd->pool);

	(void)type; /* an unknown one is refused when it is started */
	if (op == NULL)
		return NULL;

	op->dmd = dmd;
	op->refusals = 0;
	return op;
}

static int
dml_operation_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct dml_operation *op = data;

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	if (op->stage != IDLE)
		return 0; /* asked again, to say just that */

	const int saved_errno = errno;

	/* An operation of a type that nobody knows may have no members set. */
	struct mia_piece piece;

	mia_piece_of(&piece, operation);
	const bool is_valid = piece.kind != MIA_PIECE_INVALID;

	if (is_valid)
		take_operation(op, operation);
	op->done = 0;
	op->result = VDM_SUCCESS;
	op->stage = READY;

	if (!is_valid || is_for_the_cpu(op)) {
		op->result = mia_operation_run(operation);
		op->stage = DONE;
	} else if (!submit_next(op) && op->done == 0) {
		op->stage = IDLE;
	}

	mia_restore_errno(saved_errno);
	return op->stage == IDLE ? EAGAIN : 0;
}

static enum future_state
dml_operation_check(void *data, const struct vdm_operation *operation)
{
	struct dml_operation *op = data;
	const int saved_errno = errno;

	(void)operation;
	advance(op);
	mia_restore_errno(saved_errno);

	return op->stage == DONE ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

static void
dml_operation_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	struct dml_operation *op = data;

	mia_operation_output(operation, op->result, output);
	op->stage = IDLE;
	mia_operation_pool_put(op);
}

static int
dml_has_property(void *future, enum future_property property)
{
	(void)future;
	return property == FUTURE_PROPERTY_RENOTIFY
		? FUTURE_PROPERTY_RENOTIFY
		: property == FUTURE_PROPERTY_ASYNC;
}

/*
 * The memory of a slot is about to be freed. A device may still be working for
 * a future that was dropped.
 */
static void
end_operation(void *slot)
{
	struct dml_operation *op = slot;

	while (op->stage == READY || op->stage == FLYING) {
		advance(op);
		mia_thread_yield();
	}
	end_job(op);
}

static const struct vdm dml_vdm = {
	.op_new = dml_operation_new,
	.op_start = dml_operation_start,
	.op_check = dml_operation_check,
	.op_delete = dml_operation_delete,
	.capabilities = VDM_F_VALID_FLAGS,
	.has_property = dml_has_property,
};

/*
 * Whether the device does a small copy. 0 or an error number; EINPROGRESS if it
 * has taken the copy and not answered: then the memory is still the device's.
 */
static int
probe(struct data_mover_dml *dmd)
{
	const struct vdm_operation copy = {
		.type = VDM_OPERATION_MEMCPY,
		.data.memcpy = {.dest = dmd->probe_dst,
			.src = dmd->probe_src,
			.n = sizeof(dmd->probe_dst)},
	};
	struct dml_operation *op = dml_operation_new(&dmd->vdm, copy.type);
	dml_status_t status;

	if (op == NULL)
		return ENOMEM;

	memset(dmd->probe_src, 1, sizeof(dmd->probe_src));
	memset(dmd->probe_dst, 0, sizeof(dmd->probe_dst));
	take_operation(op, &copy);
	op->done = 0;
	op->length = sizeof(dmd->probe_dst);

	/* Looks once more when it is late: not the device may have stood still. */
	uint64_t start = mia_clock_ns();
	bool is_late = false;

	while (is_queue_full(status = submit_piece(op)) && !is_late) {
		mia_thread_yield();
		is_late = mia_clock_ns() - start >= PROBE_NS;
	}

	start = mia_clock_ns();
	is_late = false;
	if (status == DML_STATUS_OK)
		while ((status = dml_check_job(job_of(op))) ==
				DML_STATUS_BEING_PROCESSED &&
			!is_late) {
			mia_thread_yield();
			is_late = mia_clock_ns() - start >= PROBE_NS;
		}
	if (status == DML_STATUS_BEING_PROCESSED)
		return EINPROGRESS;

	mia_operation_pool_put(op);
	return status == DML_STATUS_OK &&
			memcmp(dmd->probe_dst, dmd->probe_src,
				sizeof(dmd->probe_dst)) == 0
		? 0
		: ENODEV;
}

MIA_PUBLIC struct data_mover_dml *
data_mover_dml_new(enum data_mover_dml_type type)
{
	static const dml_path_t paths[] = {
		[DATA_MOVER_DML_SOFTWARE] = DML_PATH_SW,
		[DATA_MOVER_DML_HARDWARE] = DML_PATH_HW,
		[DATA_MOVER_DML_AUTO] = DML_PATH_AUTO,
	};
	struct data_mover_dml *dmd;
	uint32_t job_size;

	if ((unsigned)type >= sizeof(paths) / sizeof(paths[0])) {
		errno = EINVAL;
		return NULL;
	}
	if (mia_memory_capabilities() != VDM_F_VALID_FLAGS) {
		errno = ENOTSUP;
		return NULL;
	}
	if (dml_get_job_size(paths[type], &job_size) != DML_STATUS_OK) {
		errno = type == DATA_MOVER_DML_HARDWARE ? ENODEV : ENOTSUP;
		return NULL;
	}
	if (job_size > MIA_OPERATION_SLOT_MAX - sizeof(struct dml_operation)) {
		errno = ENOTSUP;
		return NULL;
	}

	dmd = malloc(sizeof(*dmd));
	if (dmd == NULL)
		return NULL;

	dmd->vdm = dml_vdm;
	dmd->path = paths[type];
	atomic_init(&dmd->piece_max, PIECE_MAX);
	mia_operation_pool_init(&dmd->pool,
		(sizeof(struct dml_operation) + job_size + MIA_CACHE_LINE - 1) /
			MIA_CACHE_LINE * MIA_CACHE_LINE,
		end_operation);

	const int error = type == DATA_MOVER_DML_HARDWARE ? probe(dmd) : 0;

	if (error == EINPROGRESS) {
		errno = ENODEV; /* and the mover is left to the device */
		return NULL;
	}
	if (error != 0) {
		data_mover_dml_delete(dmd);
		errno = error;
		return NULL;
	}

	return dmd;
}

MIA_PUBLIC struct vdm *
data_mover_dml_get_vdm(struct data_mover_dml *dmd)
{
	return &dmd->vdm;
}

MIA_PUBLIC void
data_mover_dml_delete(struct data_mover_dml *dmd)
{
	if (dmd == NULL)
		return;

	mia_operation_pool_fini(&dmd->pool);
	free(dmd);
}
