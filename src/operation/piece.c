/* SPDX-License-Identifier: BSD-3-Clause */

/* piece.c -- see piece.h */

#include "operation/piece.h"

#include <string.h>

#include "operation/memory.h"

/* The parser reads both kinds of copy by one struct. */
_Static_assert(sizeof(struct vdm_operation_data_memcpy) ==
			sizeof(struct vdm_operation_data_memmove) &&
		offsetof(struct vdm_operation_data_memcpy, dest) ==
			offsetof(struct vdm_operation_data_memmove, dest) &&
		offsetof(struct vdm_operation_data_memcpy, src) ==
			offsetof(struct vdm_operation_data_memmove, src) &&
		offsetof(struct vdm_operation_data_memcpy, n) ==
			offsetof(struct vdm_operation_data_memmove, n) &&
		offsetof(struct vdm_operation_data_memcpy, flags) ==
			offsetof(struct vdm_operation_data_memmove, flags),
	"the layouts of the two copies agree");

/* A pointer may be NULL only if there is nothing to do. */
static bool
is_valid(const struct mia_piece *piece)
{
	if (piece->kind == MIA_PIECE_MOVES)
		return piece->n != SIZE_MAX; /* the cost is valid */
	return piece->n == 0 ||
		(piece->dest != NULL &&
			(piece->kind != MIA_PIECE_MOVE || piece->src != NULL));
}

static inline void
parse(struct mia_piece *piece, const struct vdm_operation *op,
	uint32_t known_flags)
{
	const struct vdm_operation_data_memmove *move = &op->data.memmove;
	const struct vdm_operation_data_memset *set = &op->data.memset;
	const struct vdm_operation_data_flush *flush = &op->data.flush;
	const struct vdm_operation_data_memcpyv *moves = &op->data.memcpyv;
	uint64_t flags = 0;

	piece->kind = MIA_PIECE_INVALID;
	piece->n = 0;

	/* An unknown type stays invalid: its members may be uninitialised. */
	switch (op->type) {
	case VDM_OPERATION_MEMCPY:
	case VDM_OPERATION_MEMMOVE:
		piece->kind = MIA_PIECE_MOVE;
		piece->dest = move->dest;
		piece->src = move->src;
		piece->n = move->n;
		flags = move->flags;
		break;
	case VDM_OPERATION_MEMSET:
		piece->kind = MIA_PIECE_SET;
		piece->dest = set->str;
		piece->c = set->c;
		piece->n = set->n;
		flags = set->flags;
		break;
	case VDM_OPERATION_FLUSH:
		piece->kind = MIA_PIECE_FLUSH;
		piece->dest = flush->dest;
		piece->n = flush->n;
		flags = flush->flags;
		break;
	case VDM_OPERATION_MEMCPYV:
		piece->kind = MIA_PIECE_MOVES;
		piece->segment = moves->segments;
		piece->skip = 0;
		piece->n = vdm_segments_cost_impl(
			moves->segments, moves->nsegments);
		flags = moves->flags;
		break;
	}

	piece->flags = (uint32_t)flags;
	if ((flags & ~(uint64_t)known_flags) != 0 || !is_valid(piece)) {
		piece->kind = MIA_PIECE_INVALID;
		piece->n = 0;
	}
}

static size_t
cost_of(const struct vdm_segment *segment)
{
	return segment->n + VDM_SEGMENT_COST_;
}

/* The VDM_SEGMENT_COST_ of a segment follows its bytes, and is not copied. */
static inline bool
next(struct mia_piece *moves, struct mia_piece *move)
{
	while (moves->n > 0) {
		const struct vdm_segment *segment = moves->segment;
		const size_t at = moves->skip;
		const size_t left = cost_of(segment) - at;
		const size_t taken = left < moves->n ? left : moves->n;

		moves->n -= taken;
		moves->skip = at + taken;
		if (taken == left) {
			moves->segment++;
			moves->skip = 0;
		}
		if (at >= segment->n)
			continue;

		move->kind = MIA_PIECE_MOVE;
		move->dest = (char *)segment->dest + at;
		move->src = (const char *)segment->src + at;
		move->n = segment->n - at < taken ? segment->n - at : taken;
		move->flags = moves->flags;
		return true;
	}
	return false;
}

/* Does whole segments, nearly all. With next() each takes 0.5 ns more. */
static inline void
move_whole(struct mia_piece *moves)
{
	if (moves->skip > 0)
		return;

	while (moves->n > 0 && cost_of(moves->segment) <= moves->n) {
		const struct vdm_segment *segment = moves->segment;

		if (segment->n > 0)
			memmove(segment->dest, segment->src, segment->n);
		moves->n -= cost_of(segment);
		moves->segment++;
	}
}

/*
 * Streaming is faster for moves of this size and larger. In smaller moves, many
 * lines are not whole, and go through the caches anyway.
 */
#define STREAM_MIN_BYTES 512

/* Takes members instead of a piece: other kinds can stay in registers. */
MIA_NOINLINE static void
run_moves(const struct vdm_segment *segment, size_t skip, size_t n,
	uint32_t flags)
{
	struct mia_piece moves = {.segment = segment,
		.skip = skip,
		.n = n,
		.flags = flags,
		.kind = MIA_PIECE_MOVES};
	struct mia_piece move;
	bool is_unfenced = false;

	for (;;) {
		if (flags == 0)
			move_whole(&moves);
		if (!next(&moves, &move))
			break;
		if (move.n < STREAM_MIN_BYTES)
			move.flags &= ~VDM_F_NO_CACHE_HINT;
		if (move.flags == 0)
			memmove(move.dest, move.src, move.n);
		else if (mia_memory_move_unfenced(
				 move.dest, move.src, move.n, move.flags))
			is_unfenced = true;
	}
	if (is_unfenced)
		mia_memory_fence();
}

static inline enum vdm_operation_result
run(const struct mia_piece *piece)
{
	switch (piece->kind) {
	case MIA_PIECE_MOVE:
		if (piece->n > 0)
			mia_memory_move(piece->dest, piece->src, piece->n,
				piece->flags);
		return VDM_SUCCESS;
	case MIA_PIECE_SET:
		if (piece->n > 0)
			mia_memory_set(
				piece->dest, piece->c, piece->n, piece->flags);
		return VDM_SUCCESS;
	case MIA_PIECE_FLUSH:
		if (piece->n == 0 ||
			mia_memory_flush(piece->dest, piece->n) == 0)
			return VDM_SUCCESS;
		break;
	case MIA_PIECE_MOVES:
		run_moves(piece->segment, piece->skip, piece->n, piece->flags);
		return VDM_SUCCESS;
	case MIA_PIECE_INVALID:
		break;
	}

	return VDM_ERROR_JOB_CORRUPTED;
}

void
mia_piece_parse(struct mia_piece *piece, const struct vdm_operation *op,
	uint32_t known_flags)
{
	parse(piece, op, known_flags);
}

enum vdm_operation_result
mia_piece_run(const struct mia_piece *piece)
{
	return run(piece);
}

enum vdm_operation_result
mia_piece_run_operation(const struct vdm_operation *op)
{
	struct mia_piece piece = {.kind = MIA_PIECE_INVALID};

	parse(&piece, op, VDM_F_VALID_FLAGS);
	return run(&piece);
}

struct mia_piece
mia_piece_part(const struct mia_piece *piece, size_t at, size_t n)
{
	struct mia_piece part = *piece;

	part.n = n;
	if (part.kind == MIA_PIECE_MOVES) {
		mia_piece_forward(&part, at);
		return part;
	}
	part.dest += at;
	if (part.kind == MIA_PIECE_MOVE)
		part.src += at;
	return part;
}

/* Does not read the segment after the last. */
void
mia_piece_forward(struct mia_piece *moves, size_t cost)
{
	while (cost > 0) {
		const size_t left = cost_of(moves->segment) - moves->skip;

		if (cost < left) {
			moves->skip += cost;
			return;
		}
		cost -= left;
		moves->segment++;
		moves->skip = 0;
	}
}

void
mia_piece_back(struct mia_piece *moves, size_t cost)
{
	while (cost > moves->skip) {
		cost -= moves->skip;
		moves->segment--;
		moves->skip = cost_of(moves->segment);
	}
	moves->skip -= cost;
}

bool
mia_piece_next(struct mia_piece *moves, struct mia_piece *move)
{
	return next(moves, move);
}

size_t
mia_piece_distance(const struct mia_piece *piece)
{
	if (piece->kind != MIA_PIECE_MOVE)
		return SIZE_MAX;

	const uintptr_t dest = (uintptr_t)piece->dest;
	const uintptr_t src = (uintptr_t)piece->src;
	const size_t distance = dest > src ? dest - src : src - dest;

	return distance < piece->n ? distance : SIZE_MAX;
}
