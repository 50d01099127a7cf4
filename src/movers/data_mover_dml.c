/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_dml.c -- the mover over Intel's Data Mover Library (DML)
 *
 * An operation is parsed once, into a piece. The piece goes to DML in parts,
 * one after the other, because a device has a longest transfer. Usually one
 * part is the whole piece.
 *
 *          submit: queue full
 *            +------+
 *            v      |      submit: accepted           check: done
 *           READY --+------------------------> FLYING ------------> READY ...
 *            |      any other status                 any other status
 *            |      `----------> the CPU does the part <----------'
 *            +-- no part left --> DONE
 *
 * Invariants:
 *   - Every part can be done twice, because its source and destination do not
 *     overlap. So the CPU can repeat a part that a device left half done,
 *     whichever half that is.
 *   - A part is done when DML has returned DML_STATUS_OK for it, or the CPU has
 *     done it. No other status means success.
 *   - While FLYING, the job and both ranges belong to the device.
 *
 * DML's software path ignores durability. Its flush leaves out incomplete
 * lines, or all lines on a CPU without CLWB (observed in DML 1.1.1). So
 * memory.c writes the lines back where DML may use the software path.
 *
 * Threads: one thread at a time is inside of an operation, as vdm.h requires.
 * The mover is constant after data_mover_dml_new(), except for part_max_bytes.
 *
 * The meaning of a job's members and flags is from two documents: the Intel DML
 * documentation, Low-Level C API Reference, and the Intel Data Streaming
 * Accelerator Architecture Specification, order number 341204.
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
#include "operation/piece.h"
#include "system/platform.h"

/* The longest part that is tried, until a device refuses its length. */
#define PART_MAX_BYTES ((uint32_t)1 << 30)

/* A shorter part is not worth a job. */
#define PART_MIN_BYTES ((uint32_t)4096)

/*
 * The CPU does a part after so many submissions in a row found the queue full.
 * DML returns the same status for a queue that never has room, for example of
 * another NUMA node.
 */
#define REFUSALS_MAX 1024 /* of 16 bits */

/* A new mover waits so long for the device to accept a copy, and to do it. */
#define PROBE_NS UINT64_C(1000000000)

/*
 * The device reads the end of the destination back before it reports. The data
 * has arrived then. DML passes flags on to the device's descriptor. DML's C
 * headers have no name for this flag (IDXD_OP_FLAG_DRDBK in linux/idxd.h).
 */
#define DESTINATION_READBACK ((dml_operation_flags_t)0x4000)

struct data_mover_dml {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;
	dml_path_t path;

	/*
	 * The longest part to try; refusals of a length lower it. Relaxed
	 * everywhere: a hint, with which no other memory is published.
	 */
	_Atomic uint32_t part_max_bytes;

	unsigned char probe_src[MIA_CACHE_LINE];
	unsigned char probe_dst[MIA_CACHE_LINE];
};

enum stage {
	IDLE,   /* not started, or over */
	READY,  /* the next part is to be submitted */
	FLYING, /* DML has a part */
	DONE
};

/* Its slot of the pool keeps it, job included, after the operation is over. */
struct dml_operation {
	void *pool_link; /* belongs to the pool while the slot is free */
	struct data_mover_dml *dmd;

	/* Set by op_start, because the future may move. */
	struct mia_piece piece; /* 0 bytes if the operation is invalid */
	size_t distance_bytes;  /* mia_piece_distance() */

	/* The progress. */
	size_t done_bytes;
	enum stage stage;
	enum vdm_operation_result result;
	uint32_t part_bytes; /* of the current part */
	uint16_t refusals;   /* of the current part, in a row */
	bool has_job;        /* job is initialised */

	_Alignas(max_align_t) unsigned char job[];
};

static dml_job_t *
job_of(struct dml_operation *op)
{
	return (dml_job_t *)(void *)op->job;
}

static void
set_piece(struct dml_operation *op, const struct vdm_operation *operation)
{
	mia_piece_of(&op->piece, operation);
	op->distance_bytes = mia_piece_distance(&op->piece);
	op->done_bytes = 0;
}

/* Whether DML cannot do it, or does it wrong, or it is invalid. */
static bool
is_for_the_cpu(const struct dml_operation *op)
{
	return op->piece.n == 0 || op->distance_bytes < PART_MIN_BYTES ||
		(op->piece.kind == MIA_PIECE_FLUSH &&
			op->dmd->path != DML_PATH_HW);
}

/*
 * Where the current part begins, in bytes. If the ranges overlap and dest is
 * above src, the first part is at the right end and the next one below it.
 * Otherwise the first part is at the left end. So each part is read before
 * another part overwrites it.
 */
static size_t
part_at(const struct dml_operation *op)
{
	const struct mia_piece *piece = &op->piece;

	if (op->distance_bytes != SIZE_MAX && piece->dest > piece->src)
		return piece->n - op->done_bytes - op->part_bytes;
	return op->done_bytes;
}

/* The device writes past the CPU's caches unless a flag prevents that. */
static dml_operation_flags_t
job_flags(uint32_t flags)
{
	if ((flags & VDM_F_MEM_DURABLE) != 0)
		return DML_FLAG_DST1_DURABLE | DESTINATION_READBACK;
	if ((flags & VDM_F_NO_CACHE_HINT) != 0)
		return 0;
	return DML_FLAG_PREFETCH_CACHE;
}

/*
 * Puts the current part into the job. Returns 0, or -EINVAL: no such job. Reads
 * members of the piece instead of a part: to copy a piece that op_start has
 * just written takes 10 ns.
 */
static int
fill_job(struct dml_operation *op)
{
	const struct mia_piece *piece = &op->piece;
	const size_t at = part_at(op);
	dml_job_t *job = job_of(op);
	char *dest = piece->dest + at;
	uint32_t bytes = op->part_bytes;

	job->flags = job_flags(piece->flags);
	switch (piece->kind) {
	case MIA_PIECE_MOVE:
		job->operation = DML_OP_MEM_MOVE;
		/* DML's member is not const, but a move only reads it. */
		job->source_first_ptr = (uint8_t *)(uintptr_t)(piece->src + at);
		break;
	case MIA_PIECE_SET:
		job->operation = DML_OP_FILL;
		memset(job->pattern, piece->c, sizeof(job->pattern));
		break;
	case MIA_PIECE_FLUSH: {
		/* Whole lines. */
		const uint32_t before =
			(uint32_t)(uintptr_t)dest % MIA_CACHE_LINE;

		job->operation = DML_OP_CACHE_FLUSH;
		job->flags = 0;
		dest -= before;
		bytes = (bytes + before + MIA_CACHE_LINE - 1) / MIA_CACHE_LINE *
			MIA_CACHE_LINE;
		break;
	}
	case MIA_PIECE_MOVES:
	case MIA_PIECE_INVALID:
		return -EINVAL; /* op_start leaves it to the CPU */
	}
	job->destination_first_ptr = (uint8_t *)dest;
	job->source_length = bytes;
	job->destination_length = bytes;
	return 0;
}

static dml_status_t
submit_part(struct dml_operation *op)
{
	if (!op->has_job) {
		const dml_status_t status =
			dml_init_job(op->dmd->path, job_of(op));

		if (status != DML_STATUS_OK)
			return status;
		op->has_job = true;
	}
	if (fill_job(op) != 0)
		return DML_STATUS_JOB_CORRUPTED;
	return dml_submit_job(job_of(op));
}

/* DML 1.x returns the second status, earlier versions return the first. */
static bool
is_queue_full(dml_status_t status)
{
	return status == DML_STATUS_WORK_QUEUE_OVERFLOW_ERROR ||
		status == DML_STATUS_WORK_QUEUES_NOT_AVAILABLE;
}

/* DML refused the length of a part. Whether a shorter part is worth a job. */
static bool
shrink_parts(struct data_mover_dml *dmd, uint32_t refused_bytes)
{
	const uint32_t bytes = refused_bytes / 2;

	if (bytes < PART_MIN_BYTES)
		return false;
	/* Two threads may cross here: a refusal more, and no harm. */
	if (bytes < atomic_load_explicit(
			    &dmd->part_max_bytes, memory_order_relaxed))
		atomic_store_explicit(
			&dmd->part_max_bytes, bytes, memory_order_relaxed);
	return true;
}

static void
end_job(struct dml_operation *op)
{
	if (op->has_job)
		dml_finalize_job(job_of(op));
	op->has_job = false;
}

/* DML returned its final status for the current part. */
static void
settle(struct dml_operation *op, dml_status_t status)
{
	op->stage = READY;

	if (status != DML_STATUS_OK) {
		/* No document describes the state of a job after a failure. */
		if (!is_queue_full(status))
			end_job(op);

		const bool is_too_long =
			status == DML_STATUS_JOB_LENGTH_ERROR ||
			status == DML_STATUS_LIMITS_ERROR;

		if (is_too_long && shrink_parts(op->dmd, op->part_bytes))
			return;

		const struct mia_piece part =
			mia_piece_part(&op->piece, part_at(op), op->part_bytes);
		const enum vdm_operation_result result = mia_piece_run(&part);

		if (result != VDM_SUCCESS)
			op->result = result;
	}
	op->done_bytes += op->part_bytes;
}

/* Writes the lines back that DML's software path may have stored. */
static void
finish(struct dml_operation *op)
{
	if ((op->piece.flags & VDM_F_MEM_DURABLE) != 0 &&
		op->dmd->path != DML_PATH_HW)
		mia_memory_flush(op->piece.dest, op->piece.n);
	op->stage = DONE;
}

/*
 * Overlapping ranges have parts of at most their distance, so that the source
 * and the destination of a part do not overlap.
 */
static uint32_t
next_part_bytes(const struct dml_operation *op)
{
	const size_t left = op->piece.n - op->done_bytes;
	const size_t bytes =
		left < op->distance_bytes ? left : op->distance_bytes;
	const uint32_t max = atomic_load_explicit(
		&op->dmd->part_max_bytes, memory_order_relaxed);

	return bytes < max ? (uint32_t)bytes : max;
}

/*
 * Submits parts until DML accepts one, or none is left. Returns 0, or -EAGAIN:
 * the queue is full, and a later call tries again.
 */
static int
submit_next(struct dml_operation *op)
{
	while (op->done_bytes < op->piece.n) {
		op->part_bytes = next_part_bytes(op);

		const dml_status_t status = submit_part(op);

		if (is_queue_full(status) && op->refusals < REFUSALS_MAX) {
			op->refusals++;
			return -EAGAIN;
		}
		op->refusals = 0;
		if (status == DML_STATUS_OK) {
			op->stage = FLYING;
			return 0;
		}
		settle(op, status);
	}

	finish(op);
	return 0;
}

/* Advances the operation without waiting. */
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
		if (submit_next(op) != 0)
			return;
	}
}

static void *
dml_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_dml *dmd = (struct data_mover_dml *)vdm;
	struct dml_operation *op = mia_operation_pool_get(&dmd->pool);

	(void)type; /* op_start refuses an unknown type */
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
		return 0; /* a repeated call, only for the notifier */

	const int saved_errno = errno;

	set_piece(op, operation);
	op->result = VDM_SUCCESS;
	op->stage = READY;

	if (is_for_the_cpu(op)) {
		op->result = mia_piece_run(&op->piece);
		op->stage = DONE;
	} else if (submit_next(op) != 0 && op->done_bytes == 0) {
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
 * Called before the memory of a slot is freed. A device may still have a part
 * of an abandoned future.
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
 * Tests the device with a small copy. Returns 0 or -errno. -EINPROGRESS: the
 * device accepted the copy and did not answer, so it still has the memory.
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
		return -ENOMEM;

	memset(dmd->probe_src, 1, sizeof(dmd->probe_src));
	memset(dmd->probe_dst, 0, sizeof(dmd->probe_dst));
	set_piece(op, &copy);
	op->part_bytes = sizeof(dmd->probe_dst);

	/* One more check after the time: maybe this thread stood still. */
	uint64_t start = mia_clock_ns();
	bool is_late = false;

	while (is_queue_full(status = submit_part(op)) && !is_late) {
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
		return -EINPROGRESS;

	mia_operation_pool_put(op);
	return status == DML_STATUS_OK &&
			memcmp(dmd->probe_dst, dmd->probe_src,
				sizeof(dmd->probe_dst)) == 0
		? 0
		: -ENODEV;
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
	atomic_init(&dmd->part_max_bytes, PART_MAX_BYTES);
	mia_operation_pool_init(&dmd->pool,
		(sizeof(struct dml_operation) + job_size + MIA_CACHE_LINE - 1) /
			MIA_CACHE_LINE * MIA_CACHE_LINE,
		end_operation);

	const int error = type == DATA_MOVER_DML_HARDWARE ? probe(dmd) : 0;

	if (error == -EINPROGRESS) {
		errno = ENODEV; /* the device keeps the mover's memory */
		return NULL;
	}
	if (error != 0) {
		data_mover_dml_delete(dmd);
		errno = -error;
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
