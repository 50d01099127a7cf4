/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * piece.h -- one shape for every operation, and the parts of an operation
 *
 * A piece is a parsed operation. This module alone parses and checks a
 * vdm_operation. A piece of any kind other than MIA_PIECE_INVALID is valid
 * input, so nothing below checks again.
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
	MIA_PIECE_INVALID, /* an unknown type or flag, or NULL with n > 0 */
	MIA_PIECE_MOVE,    /* VDM_OPERATION_MEMCPY and _MEMMOVE */
	MIA_PIECE_SET,
	MIA_PIECE_FLUSH,
	MIA_PIECE_MOVES, /* VDM_OPERATION_MEMCPYV */
};

/*
 * MOVES counts the cost of segments: their bytes, and VDM_SEGMENT_COST_ after
 * the bytes of each. So a part of it takes about as long as a part of a MOVE
 * with the same n, however small the segments are. Its n is 0 only without
 * segments.
 */
struct mia_piece {
	union {
		char *dest;
		const struct vdm_segment *segment; /* of MOVES: the first */
	};
	union {
		const char *src; /* of a MOVE */
		int c;           /* of a SET */
		size_t skip; /* of MOVES: cost of segment before the piece */
	};
	size_t n;       /* bytes; 0 is legal, and touches no memory */
	uint32_t flags; /* VDM_F_*, or all that the parser was told to accept */
	enum mia_piece_kind kind;
};

/*
 * Parses any operation. A flag that is not in known_flags makes it invalid. The
 * flags of an operation have 64 bits: all of them are looked at. The piece of
 * an invalid operation has 0 bytes.
 *
 * The piece is written where the caller wants it: to copy 32 bytes that were
 * just written one by one takes 20 ns.
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
 * Does a piece now, on the calling thread. VDM_ERROR_JOB_CORRUPTED, with
 * nothing written: the piece is invalid, or a flush on a CPU without an
 * instruction for that.
 */
enum vdm_operation_result mia_piece_run(const struct mia_piece *piece);

/* The same for an operation with the flags VDM_F_*, parsed in registers. */
enum vdm_operation_result mia_piece_run_operation(
	const struct vdm_operation *op);

/*
 * Whether an operation is valid, a copy, and without flags. A small copy must
 * be as short as a few instructions, so it needs no piece: returns the copy, or
 * NULL. Both kinds of copy have one layout.
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
 * n bytes of a valid piece, from byte at on. Of MOVES in as many steps as
 * segments lie before; so does forward.
 */
struct mia_piece mia_piece_part(
	const struct mia_piece *piece, size_t at, size_t n);

/* MOVES: the piece begins so much later or earlier. Its n stays. */
void mia_piece_forward(struct mia_piece *moves, size_t cost);
void mia_piece_back(struct mia_piece *moves, size_t cost);

/*
 * Takes the bytes of one segment off the front of MOVES, as a MOVE. False: no
 * bytes are left.
 */
bool mia_piece_next(struct mia_piece *moves, struct mia_piece *move);

/*
 * Bytes between the source and the destination of a MOVE whose ranges overlap.
 * SIZE_MAX: no two bytes of the piece depend on each other.
 */
size_t mia_piece_distance(const struct mia_piece *piece);

#endif /* LIBMINIASYNC_PIECE_H */
