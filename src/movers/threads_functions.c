/* SPDX-License-Identifier: BSD-3-Clause */

/* threads_functions.c -- see threads_functions.h */

#include "movers/threads_functions.h"

#include "operation/memory.h"
#include "system/platform.h"

/* The owner of the call that this thread is inside of, or NULL. */
static MIA_THREAD_POINTER(void, this_owner, NULL);

static void
write_back_if_durable(const struct mia_piece *piece)
{
	if (piece->flags & VDM_F_MEM_DURABLE)
		mia_memory_flush(piece->dest, piece->n);
}

static void
move_range(memcpy_fn fn, const struct mia_piece *move)
{
	if (move->n > 0) {
		fn(move->dest, move->src, move->n, move->flags);
		write_back_if_durable(move);
	}
}

/*
 * MIA_THREAD_SET() fails only without memory. Then the mover does not detect
 * that fn ends the thread.
 */
void
mia_function_move(memcpy_fn fn, const struct mia_piece *piece, void *owner)
{
	struct mia_piece moves = *piece;
	struct mia_piece move;

	(void)MIA_THREAD_SET(this_owner, owner);
	if (piece->kind != MIA_PIECE_MOVES)
		move_range(fn, piece);
	else
		while (mia_piece_next(&moves, &move))
			move_range(fn, &move);
	(void)MIA_THREAD_SET(this_owner, NULL);
}

void
mia_function_set(memset_fn fn, const struct mia_piece *piece, void *owner)
{
	if (piece->n == 0)
		return;

	(void)MIA_THREAD_SET(this_owner, owner);
	fn(piece->dest, piece->c, piece->n, piece->flags);
	(void)MIA_THREAD_SET(this_owner, NULL);
	write_back_if_durable(piece);
}

void *
mia_function_leave_thread(void)
{
	void *owner = MIA_THREAD_GET(this_owner, NULL);

	(void)MIA_THREAD_SET(this_owner, NULL);
	return owner;
}
