/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_plan.c -- see fabric_plan.h */

#include "movers/fabric_plan.h"

#include "operation/piece.h"
#include "system/probe.h"

/*
 * Longer parts are not faster, and delay the parts of other operations. One
 * operation has up to PARTS in progress. The latency to another room needs no
 * more.
 */
#define PART_BYTES ((size_t)1 << 20)
#define PARTS 16

/* A SET puts its buffer again and again. A RELAY fills and puts its buffer. */
#define SET_BYTES ((size_t)64 << 10)
#define RELAY_BYTES ((size_t)256 << 10)

enum place { INSIDE, OUTSIDE, NEITHER };

/* The place of a range. NEITHER: in both, or it wraps around. */
static enum place
place_of(const struct data_mover_fabric *dmf, const char *range, size_t n)
{
	const uintptr_t start = (uintptr_t)range;
	const uintptr_t window = (uintptr_t)dmf->window;

	if (n > UINTPTR_MAX - start)
		return NEITHER;
	if (start >= window && start - window < dmf->size)
		return n <= dmf->size - (start - window) ? INSIDE : NEITHER;
	return start > window || n <= window - start ? OUTSIDE : NEITHER;
}

static uint64_t
offset_of(const struct data_mover_fabric *dmf, const char *address)
{
	return (uint64_t)(address - dmf->window);
}

/* The parts of an operation without a buffer. */
static void
plan_parts(struct mia_fabric_operation *op, enum mia_fabric_kind kind,
	char *local, const char *remote)
{
	op->kind = kind;
	op->local = local;
	op->remote = offset_of(op->dmf, remote);
	op->buffer = NULL;
	op->part_bytes = PART_BYTES;
	op->max_parts = PARTS;
}

/* The buffer is allocated when the first part is posted. */
static void
plan_buffer(struct mia_fabric_operation *op, enum mia_fabric_kind kind,
	const char *remote, size_t part_bytes)
{
	plan_parts(op, kind, NULL, remote);
	op->part_bytes = op->n < part_bytes ? op->n : part_bytes;
	op->max_parts = kind == MIA_FABRIC_RELAY ? 1 : PARTS;
}

static enum vdm_operation_result
plan_move(struct mia_fabric_operation *op, const struct mia_piece *piece)
{
	const enum place to = place_of(op->dmf, piece->dest, piece->n);
	const enum place from = place_of(op->dmf, piece->src, piece->n);

	if (to == NEITHER || from == NEITHER)
		return VDM_ERROR_JOB_CORRUPTED;
	if (from == OUTSIDE) {
		/* A PUT only reads it, although op->local is not const. */
		plan_parts(op, MIA_FABRIC_PUT, (char *)(uintptr_t)piece->src,
			piece->dest);
		return VDM_SUCCESS;
	}
	if (to == OUTSIDE) {
		plan_parts(op, MIA_FABRIC_GET, piece->dest, piece->src);
		return VDM_SUCCESS;
	}
	op->from = offset_of(op->dmf, piece->src);
	plan_buffer(op, MIA_FABRIC_RELAY, piece->dest, RELAY_BYTES);
	return VDM_SUCCESS;
}

static enum vdm_operation_result
plan_set(struct mia_fabric_operation *op, const struct mia_piece *piece)
{
	op->c = piece->c;
	plan_buffer(op, MIA_FABRIC_SET, piece->dest, SET_BYTES);
	return VDM_SUCCESS;
}

static enum vdm_operation_result
plan_flush(struct mia_fabric_operation *op, const struct mia_piece *piece)
{
	plan_parts(op, MIA_FABRIC_FLUSH, NULL, piece->dest);
	return VDM_SUCCESS;
}

/* The bytes that the region has to write back, or 0. */
static size_t
bytes_to_flush(const struct mia_fabric_operation *op)
{
	const bool is_durable = op->kind != MIA_FABRIC_GET &&
		(op->flags & VDM_F_MEM_DURABLE) != 0;

	return is_durable || op->kind == MIA_FABRIC_FLUSH ? op->n : 0;
}

/* Whether the region allows the operation. */
static bool
is_allowed(const struct mia_fabric_operation *op)
{
	const unsigned access = op->dmf->access;
	const bool gets =
		op->kind == MIA_FABRIC_GET || op->kind == MIA_FABRIC_RELAY;
	const bool puts =
		op->kind != MIA_FABRIC_GET && op->kind != MIA_FABRIC_FLUSH;

	return (!gets || (access & DATA_MOVER_REGION_READ) != 0) &&
		(!puts || (access & DATA_MOVER_REGION_WRITE) != 0) &&
		(op->to_flush == 0 || (access & MIA_FABRIC_PERSISTENT) != 0);
}

static bool
is_local(const struct data_mover_fabric *dmf, const struct mia_piece *piece)
{
	return piece->n == 0 ||
		(place_of(dmf, piece->dest, piece->n) == OUTSIDE &&
			(piece->kind != MIA_PIECE_MOVE ||
				place_of(dmf, piece->src, piece->n) ==
					OUTSIDE));
}

static bool
is_known(const struct mia_piece *piece)
{
	switch (piece->kind) {
	case MIA_PIECE_MOVE:
	case MIA_PIECE_SET:
	case MIA_PIECE_FLUSH:
		return true;
	case MIA_PIECE_MOVES: /* the future copies segment by segment */
	case MIA_PIECE_INVALID:
		break;
	}
	return false;
}

/* Returns VDM_SUCCESS if the operation is for the network. */
static enum vdm_operation_result
plan_remote(struct mia_fabric_operation *op, const struct mia_piece *piece)
{
	enum vdm_operation_result result = VDM_ERROR_JOB_CORRUPTED;

	if (mia_fabric_is_broken(op->dmf))
		return VDM_ERROR_JOB_CORRUPTED;
	if (piece->kind == MIA_PIECE_MOVE)
		result = plan_move(op, piece);
	else if (piece->kind == MIA_PIECE_SET &&
		place_of(op->dmf, piece->dest, piece->n) == INSIDE)
		result = plan_set(op, piece);
	else if (piece->kind == MIA_PIECE_FLUSH &&
		place_of(op->dmf, piece->dest, piece->n) == INSIDE)
		result = plan_flush(op, piece);
	if (result != VDM_SUCCESS)
		return result;
	op->to_flush = bytes_to_flush(op);
	return is_allowed(op) ? VDM_SUCCESS : VDM_ERROR_JOB_CORRUPTED;
}

bool
mia_fabric_plan(struct mia_fabric_operation *op,
	const struct vdm_operation *operation,
	enum vdm_operation_result *result)
{
	struct mia_piece piece;

	mia_piece_of(&piece, operation);
	op->n = piece.n;
	op->flags = piece.flags;

	const bool is_here = is_known(&piece) && is_local(op->dmf, &piece);

	if (!is_here) {
		*result = plan_remote(op, &piece);
		if (*result == VDM_SUCCESS)
			return true;
	}
	MIA_PROBE2(run, &op->completion, MIA_PROBE_POLL);
	if (is_here)
		*result = mia_piece_run(&piece);
	return false;
}
