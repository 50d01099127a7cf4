/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_buffers.c -- see fabric_buffers.h */

#include "movers/fabric_buffers.h"

#include <stdlib.h>
#include <string.h>

/* The limit for all buffers together. One buffer alone may be longer. */
#define BUFFERS_BYTES ((size_t)4 << 20)

/* The number of waiting operations that get their turn at once. */
#define TURNS 16

bool
mia_fabric_needs_buffer(const struct mia_fabric_operation *op)
{
	return op->buffer == NULL &&
		(op->kind == MIA_FABRIC_SET || op->kind == MIA_FABRIC_RELAY);
}

bool
mia_fabric_get_buffer(struct mia_fabric_operation *op)
{
	struct data_mover_fabric *dmf = op->dmf;

	if (dmf->buffered > 0 && op->part_bytes > BUFFERS_BYTES - dmf->buffered)
		return false;
	op->buffer = malloc(op->part_bytes);
	if (op->buffer == NULL)
		return false;
	if (op->kind == MIA_FABRIC_SET)
		memset(op->buffer, op->c, op->part_bytes);
	dmf->buffered += op->part_bytes;
	return true;
}

void
mia_fabric_give_turns(struct data_mover_fabric *dmf)
{
	struct mia_fabric_operation *next;

	for (int i = 0; i < TURNS; i++)
		if ((next = mia_fabric_list_take(&dmf->unbuffered)) != NULL)
			mia_fabric_list_add(&dmf->posting, next);
}

void
mia_fabric_put_buffer(struct mia_fabric_operation *op)
{
	free(op->buffer);
	op->buffer = NULL;
	op->dmf->buffered -= op->part_bytes;
	mia_fabric_give_turns(op->dmf);
}
