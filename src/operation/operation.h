/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation.h -- a whole operation on the calling thread, its output, and the
 * capabilities of a mover
 *
 * Threads: all functions are safe from any thread, for different operations and
 * movers.
 */

#ifndef LIBMINIASYNC_OPERATION_H
#define LIBMINIASYNC_OPERATION_H 1

#include <string.h>

#include "libminiasync/vdm.h"
#include "operation/piece.h"
#include "system/probe.h"

/*
 * Fires the probe submit, for an operation that is not a plain copy. Its size
 * is in bytes. For a MEMCPYV it is the number of segments, because their bytes
 * are not added up.
 */
static inline void
mia_operation_probe_submit(const void *key, const struct vdm_operation *op)
{
	switch (op->type) {
	case VDM_OPERATION_MEMCPY:
	case VDM_OPERATION_MEMMOVE:
	case VDM_OPERATION_MEMSET:
		MIA_PROBE3(submit, key, op->type, op->data.memset.n);
		return;
	case VDM_OPERATION_FLUSH:
	case VDM_OPERATION_MEMCPYV:
		MIA_PROBE3(submit, key, op->type, op->data.flush.n);
		return;
	}
	/* An unknown type: its members may be uninitialised. */
	MIA_PROBE3(submit, key, op->type, (size_t)0);
}

/*
 * Does the operation now. Returns the results of mia_piece_run(). The probes
 * name the operation by key.
 */
static inline enum vdm_operation_result
mia_operation_run(const struct vdm_operation *op, const void *key)
{
	const struct vdm_operation_data_memmove *copy =
		mia_piece_plain_copy(op);

	if (MIA_UNLIKELY(copy == NULL)) {
		mia_operation_probe_submit(key, op);
		MIA_PROBE2(run, key, MIA_PROBE_POLL);
		return mia_piece_run_operation(op);
	}

	MIA_PROBE3(submit, key, op->type, copy->n);
	MIA_PROBE2(run, key, MIA_PROBE_POLL);
	memmove(copy->dest, copy->src, copy->n);
	return VDM_SUCCESS;
}

/*
 * Except for MEMCPYV, the destination is the first member of an operation and
 * of its output.
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
 * Checks flags, and sets them as the capabilities of a mover. Returns 0,
 * -EINVAL or -ENOTSUP as data_mover_sync_set_capabilities() describes.
 */
int mia_operation_set_capabilities(struct vdm *vdm, unsigned flags);

#endif /* LIBMINIASYNC_OPERATION_H */
