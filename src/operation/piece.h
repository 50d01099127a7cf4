/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * piece.h -- one form for every operation, and the parts of an operation
 *
 * A piece is a parsed operation. This module alone parses and checks a
 * vdm_operation. A piece of any kind except MIA_PIECE_INVALID is valid input,
 * so later steps do not check again.
 *
 * Threads: a piece is a value. All functions are safe from any thread.
 */

#ifndef LIBMINIASYNC_PIECE_H
#define LIBMINIASYNC_PIECE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libminiasync/vdm.h"
#include "system/platform.h"

enum mia_piece_kind {
	MIA_PIECE_INVALID, /* unknown type or flag, NULL with n > 0, overflow */
	MIA_PIECE_MOVE,    /* VDM_OPERATION_MEMCPY and _MEMMOVE */
	MIA_PIECE_SET,
	MIA_PIECE_FLUSH,
	MIA_PIECE_MOVES, /* VDM_OPERATION_MEMCPYV */
};

/*
 * The n of MOVES is the cost of the segments: for each segment its bytes, and
 * then VDM_SEGMENT_COST_. So a part of MOVES takes about as long as a part of a
 * MOVE with the same n, even if the segments are small. The n of MOVES is 0
 * only without segments.
 */
struct mia_piece {
	union {
		char *dest;
		const struct vdm_segment *segment; /* of MOVES: the first */
	};
	union {
		const char *src; /* of a MOVE */
		int c;           /* of a SET */
		size_t skip; /* of MOVES: cost in segment before the piece */
	};
	size_t n;       /* bytes; 0 is legal, and touches no memory */
	uint32_t flags; /* VDM_F_*, or the known_flags of the parser */
	enum mia_piece_kind kind;
};

/*
 * Parses any operation. A flag that is not in known_flags makes the operation
 * invalid. All 64 bits of the flags are checked. The piece of an invalid
 * operation has 0 bytes.
 *
 * The caller passes the memory of the piece. A returned piece would be copied.
 * Copying 32 bytes that were just written one by one takes 20 ns.
 */
void mia_piece_parse(struct mia_piece *piece, const struct vdm_operation *op,
	uint32_t known_flags);

/* The same with the flags VDM_F_*. */
static inline void
mia_piece_of(struct mia_piece *piece, const struct vdm_operation *op)
{
	mia_piece_parse(piece, op, VDM_F_VALID_FLAGS);
}

/*
 * Does a piece now, on the calling thread. Returns VDM_ERROR_JOB_CORRUPTED and
 * writes nothing if the piece is invalid, or if it is a flush and the CPU
 * cannot write lines back.
 */
enum vdm_operation_result mia_piece_run(const struct mia_piece *piece);

/* The same for an operation with the flags VDM_F_*, parsed in registers. */
enum vdm_operation_result mia_piece_run_operation(
	const struct vdm_operation *op);

/*
 * Returns the copy if the operation is a copy with no flags and no NULL
 * pointers. Otherwise returns NULL. A small copy should take only a few
 * instructions, so it needs no piece. Both kinds of copy have the same layout.
 */
static inline const struct vdm_operation_data_memmove *
mia_piece_plain_copy(const struct vdm_operation *op)
{
	const struct vdm_operation_data_memmove *move = &op->data.memmove;

	if (MIA_UNLIKELY(op->type > VDM_OPERATION_MEMMOVE || move->flags != 0 ||
		    move->dest == NULL || move->src == NULL))
		return NULL;
	return move;
}

/*
 * Returns n bytes of a valid piece, beginning at byte at. For MOVES, at and n
 * are costs. The call then takes one step for each segment before at, like
 * mia_piece_forward().
 */
struct mia_piece mia_piece_part(
	const struct mia_piece *piece, size_t at, size_t n);

/* Moves the beginning of MOVES forward or back by cost. Keeps n. */
void mia_piece_forward(struct mia_piece *moves, size_t cost);
void mia_piece_back(struct mia_piece *moves, size_t cost);

/*
 * Removes the bytes of one segment from the front of MOVES, and stores them as
 * a MOVE. Returns false if no bytes are left.
 */
bool mia_piece_next(struct mia_piece *moves, struct mia_piece *move);

/*
 * Returns the bytes between the source and the destination of a MOVE whose
 * ranges overlap. Returns SIZE_MAX if no two bytes of the piece depend on each
 * other.
 */
size_t mia_piece_distance(const struct mia_piece *piece);

#endif /* LIBMINIASYNC_PIECE_H */
