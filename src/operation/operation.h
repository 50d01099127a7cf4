/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation.h -- a whole operation: does it on the calling thread, writes its
 * output, sets what a mover supports
 *
 * Threads: all functions are safe from any thread, for different operations and
 * movers.
 */

#ifndef LIBMINIASYNC_OPERATION_H
#define LIBMINIASYNC_OPERATION_H 1

#include <string.h>

#include "libminiasync/vdm.h"
#include "operation/piece.h"

/* Does the operation now. Results: those of mia_piece_run(). */
static inline enum vdm_operation_result
mia_operation_run(const struct vdm_operation *op)
{
	const struct vdm_operation_data_memmove *copy =
		mia_piece_plain_copy(op);

	if (MIA_UNLIKELY(copy == NULL))
		return mia_piece_run_operation(op);

	memmove(copy->dest, copy->src, copy->n);
	return VDM_SUCCESS;
}

/*
 * The destination is the first member of every other operation, and of its
 * output.
 */
static inline void
mia_operation_output(const struct vdm_operation *op,
	enum vdm_operation_result result, struct vdm_operation_output *output)
{
	output->type = op->type;
	output->result = result;
	if (MIA_UNLIKELY(op->type == VDM_OPERATION_MEMCPYV))
		output->output.memcpyv.copied =
			result == VDM_SUCCESS ? op->data.memcpyv.nsegments : 0;
	else
		output->output.memcpy.dest = op->data.memcpy.dest;
}

/*
 * Checks and sets the flags that a mover advertises. Returns 0, -EINVAL or
 * -ENOTSUP, as data_mover_sync_set_capabilities() says.
 */
int mia_operation_set_capabilities(struct vdm *vdm, unsigned flags);

#endif /* LIBMINIASYNC_OPERATION_H */
