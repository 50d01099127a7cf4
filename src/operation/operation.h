/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation.h -- what every mover does with an operation: check it, do it on
 * the calling thread, and write its output
 */

#ifndef LIBMINIASYNC_OPERATION_H
#define LIBMINIASYNC_OPERATION_H 1

#include <stdbool.h>
#include <string.h>

#include "libminiasync/vdm.h"
#include "system/platform.h"

/* Whether mia_operation_run() would do it, on a CPU that can. */
bool mia_operation_is_valid(const struct vdm_operation *op);

/* Does any operation, as mia_operation_run() says. */
enum vdm_operation_result mia_operation_run_any(const struct vdm_operation *op);

/*
 * Does the operation now. VDM_ERROR_JOB_CORRUPTED, with nothing written, for
 * an unknown type, unknown flags, a NULL pointer with n > 0, or a flush on a
 * CPU that has no way to. Inline for the plain copy, whose way must be short.
 */
static inline enum vdm_operation_result
mia_operation_run(const struct vdm_operation *op)
{
	/* One name for both kinds of copy: their layouts are the same. */
	const struct vdm_operation_data_memmove *move = &op->data.memmove;

	if (MIA_UNLIKELY(op->type > VDM_OPERATION_MEMMOVE || move->flags != 0 ||
		    move->dest == NULL || move->src == NULL))
		return mia_operation_run_any(op);

	memmove(move->dest, move->src, move->n);
	return VDM_SUCCESS;
}

/* The destination is the first member of every operation and of its output. */
static inline void
mia_operation_output(const struct vdm_operation *op,
	enum vdm_operation_result result, struct vdm_operation_output *output)
{
	output->type = op->type;
	output->result = result;
	output->output.memcpy.dest = op->data.memcpy.dest;
}

/*
 * Checks and sets what a mover advertises. 0, or -1 with errno set, as
 * data_mover_sync_set_capabilities() says.
 */
int mia_operation_set_capabilities(struct vdm *vdm, unsigned flags);

#endif /* LIBMINIASYNC_OPERATION_H */
