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
#include "system/probe.h"

/*
 * The probe submit, of an operation that is no plain copy: its bytes, or the
 * segments of a MEMCPYV, whose bytes nobody adds up.
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
	/* Of an unknown type no member may be set. */
	MIA_PROBE3(submit, key, op->type, (size_t)0);
}

/*
 * Does the operation now. Results: those of mia_piece_run(). Tracers know it by
 * the key.
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
