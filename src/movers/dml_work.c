/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dml_work.c -- see dml_work.h
 *
 * The meaning of a job's members and flags is from two documents: the Intel DML
 * documentation, Low-Level C API Reference, and the Intel Data Streaming
 * Accelerator Architecture Specification, order number 341204.
 */

#include "movers/dml_work.h"

#include <errno.h>
#include <string.h>

#include "operation/memory.h"
#include "system/forks.h"
#include "system/probe.h"

/* A shorter part is not worth a job. */
#define PART_MIN_BYTES ((uint32_t)4096)

/*
 * After this many submissions in a row to a full queue, the CPU does the part.
 * DML returns the same status for a queue that never has room, for example on
 * another NUMA node. Each later part of the operation then gets one try, until
 * DML accepts a part. Otherwise each part of a long list would wait as long.
 */
#define REFUSALS_MAX 1024 /* fits uint16_t */

/* The time that a device has to accept the test copy, and again to do it. */
#define PROBE_NS UINT64_C(1000000000)

/*
 * The device reads the end of the destination back before it reports the end.
 * So the data has arrived. DML passes flags on to the device's descriptor. The
 * C headers of DML do not name this flag (IDXD_OP_FLAG_DRDBK in linux/idxd.h).
 */
#define DESTINATION_READBACK ((dml_operation_flags_t)0x4000)

static dml_job_t *
job_of(struct mia_dml_operation *op)
{
	return (dml_job_t *)(void *)op->job;
}

static void
begin_piece(struct mia_dml_operation *op)
{
	op->distance_bytes = mia_piece_distance(&op->piece);
	op->done_bytes = 0;
}

/* Makes the next segment the piece. False: none is left, the piece is empty. */
static bool
next_segment(struct mia_dml_operation *op)
{
	op->piece.n = 0;
	if (!mia_piece_next(&op->rest, &op->piece))
		return false;
	begin_piece(op);
	return true;
}

static void
set_piece(struct mia_dml_operation *op, const struct vdm_operation *operation)
{
	mia_piece_of(&op->piece, operation);
	op->rest.n = 0;
	op->is_begun = false;
	begin_piece(op);
	if (op->piece.kind == MIA_PIECE_MOVES) {
		op->rest = op->piece;
		next_segment(op);
	}
}

static bool
is_forked(const struct mia_dml_operation *op)
{
	return mia_forked_since(op->dmd->forks);
}

/* Whether DML cannot do the piece, or does it wrong, or it is invalid. */
static bool
is_for_the_cpu(const struct mia_dml_operation *op)
{
	return op->piece.n == 0 || op->distance_bytes < PART_MIN_BYTES ||
		is_forked(op) ||
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
part_at(const struct mia_dml_operation *op)
{
	const struct mia_piece *piece = &op->piece;

	if (op->distance_bytes != SIZE_MAX && piece->dest > piece->src)
		return piece->n - op->done_bytes - op->part_bytes;
	return op->done_bytes;
}

/* The device bypasses the CPU's caches unless a flag prevents that. */
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
 * Puts the current part into the job. Returns 0, or -EINVAL: no job can do it.
 * Reads the members of the piece and makes no piece for the part, because
 * copying a piece that op_start has just written takes 10 ns.
 */
static int
fill_job(struct mia_dml_operation *op)
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
		/* Extended to whole lines. */
		const uint32_t before =
			(uint32_t)(uintptr_t)dest % MIA_CACHE_LINE;

		job->operation = DML_OP_CACHE_FLUSH;
		job->flags = 0;
		dest -= before;
		bytes = (bytes + before + MIA_CACHE_LINE - 1) / MIA_CACHE_LINE *
			MIA_CACHE_LINE;
		break;
	}
	case MIA_PIECE_MOVES: /* both have 0 bytes, so the CPU does them */
	case MIA_PIECE_INVALID:
		return -EINVAL;
	}
	job->destination_first_ptr = (uint8_t *)dest;
	job->source_length = bytes;
	job->destination_length = bytes;
	return 0;
}

static dml_status_t
submit_part(struct mia_dml_operation *op)
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

/* DML refused this length. Returns whether a shorter part is worth a job. */
static bool
shrink_parts(struct data_mover_dml *dmd, uint32_t refused_bytes)
{
	const uint32_t bytes = refused_bytes / 2;

	if (bytes < PART_MIN_BYTES)
		return false;
	/* If two threads store at once, the harm is one more refusal. */
	if (bytes < atomic_load_explicit(
			    &dmd->part_max_bytes, memory_order_relaxed))
		atomic_store_explicit(
			&dmd->part_max_bytes, bytes, memory_order_relaxed);
	return true;
}

static void
end_job(struct mia_dml_operation *op)
{
	if (op->has_job)
		dml_finalize_job(job_of(op));
	op->has_job = false;
}

static void
run_on_the_cpu(struct mia_dml_operation *op, const struct mia_piece *piece)
{
	MIA_PROBE2(run, op, MIA_PROBE_POLL);

	const enum vdm_operation_result result = mia_piece_run(piece);

	op->is_begun = true;
	if (result != VDM_SUCCESS)
		op->result = result;
}

/* Handles DML's final status for the current part. */
static void
settle(struct mia_dml_operation *op, dml_status_t status)
{
	op->stage = MIA_DML_READY;

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

		run_on_the_cpu(op, &part);
	}
	op->done_bytes += op->part_bytes;
}

/* Writes back the lines that DML's software path may have stored. */
static void
finish_piece(const struct mia_dml_operation *op)
{
	if ((op->piece.flags & VDM_F_MEM_DURABLE) != 0 &&
		op->dmd->path != DML_PATH_HW)
		mia_memory_flush(op->piece.dest, op->piece.n);
}

/*
 * Overlapping ranges have parts of at most their distance, so that the source
 * and the destination of a part do not overlap.
 */
static uint32_t
next_part_bytes(const struct mia_dml_operation *op)
{
	const size_t left = op->piece.n - op->done_bytes;
	const size_t bytes =
		left < op->distance_bytes ? left : op->distance_bytes;
	const uint32_t max = atomic_load_explicit(
		&op->dmd->part_max_bytes, memory_order_relaxed);

	return bytes < max ? (uint32_t)bytes : max;
}

/*
 * Submits parts of the piece until DML accepts one, or none is left. Returns 0,
 * or -EAGAIN: the queue is full, and a later call tries again.
 */
static int
submit_parts(struct mia_dml_operation *op)
{
	while (op->done_bytes < op->piece.n) {
		op->part_bytes = next_part_bytes(op);

		const dml_status_t status = submit_part(op);

		if (is_queue_full(status) && op->refusals < REFUSALS_MAX) {
			op->refusals++;
			return -EAGAIN;
		}
		if (status == DML_STATUS_OK) {
			MIA_PROBE2(run, op, MIA_PROBE_DML);
			op->refusals = 0;
			op->stage = MIA_DML_FLYING;
			op->is_begun = true;
			return 0;
		}
		settle(op, status);
	}
	return 0;
}

/* The same for all pieces. If none is left, the operation is DONE. */
static int
submit_next(struct mia_dml_operation *op)
{
	do {
		if (is_for_the_cpu(op)) {
			run_on_the_cpu(op, &op->piece);
			continue;
		}

		const int error = submit_parts(op);

		if (error != 0 || op->stage == MIA_DML_FLYING)
			return error;
		finish_piece(op);
	} while (next_segment(op));

	MIA_PROBE2(complete, op, op->result);
	op->stage = MIA_DML_DONE;
	return 0;
}

/*
 * Fails an operation that was begun before a fork. DML may have begun to report
 * the end of a part in the job, so the job is never finalized.
 */
static void
lose(struct mia_dml_operation *op)
{
	if (op->stage == MIA_DML_FLYING)
		op->has_job = false;
	op->result = VDM_ERROR_JOB_CORRUPTED;
	op->stage = MIA_DML_DONE;
}

void
mia_dml_advance(struct mia_dml_operation *op)
{
	while (op->stage != MIA_DML_DONE) {
		if (is_forked(op)) {
			lose(op);
			return;
		}
		if (op->stage == MIA_DML_FLYING) {
			const dml_status_t status = dml_check_job(job_of(op));

			if (status == DML_STATUS_BEING_PROCESSED)
				return;
			settle(op, status);
		}
		if (submit_next(op) != 0)
			return;
	}
}

int
mia_dml_start(
	struct mia_dml_operation *op, const struct vdm_operation *operation)
{
	set_piece(op, operation);
	op->result = VDM_SUCCESS;
	op->stage = MIA_DML_READY;

	const int error = submit_next(op);

	if (error == 0 || op->is_begun)
		return 0;
	op->stage = MIA_DML_IDLE;
	return error;
}

void
mia_dml_end(void *slot)
{
	struct mia_dml_operation *op = slot;

	while (op->stage == MIA_DML_READY || op->stage == MIA_DML_FLYING) {
		mia_dml_advance(op);
		mia_thread_yield();
	}
	end_job(op);
}

int
mia_dml_probe(struct mia_dml_operation *op)
{
	struct data_mover_dml *dmd = op->dmd;
	const struct vdm_operation copy = {
		.type = VDM_OPERATION_MEMCPY,
		.data.memcpy = {.dest = dmd->probe_dst,
			.src = dmd->probe_src,
			.n = sizeof(dmd->probe_dst)},
	};
	dml_status_t status;

	memset(dmd->probe_src, 1, sizeof(dmd->probe_src));
	memset(dmd->probe_dst, 0, sizeof(dmd->probe_dst));
	set_piece(op, &copy);
	op->part_bytes = sizeof(dmd->probe_dst);

	/* One more check after the time: this thread may have been stopped. */
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

	return status == DML_STATUS_OK &&
			memcmp(dmd->probe_dst, dmd->probe_src,
				sizeof(dmd->probe_dst)) == 0
		? 0
		: -ENODEV;
}
