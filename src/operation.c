/* SPDX-License-Identifier: BSD-3-Clause */

#include "operation.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "memory.h"

/*
 * The flags are 64 bits wide: look at all of them before any is dropped. A
 * pointer may be NULL only if there is nothing to do.
 */
static bool
is_valid(uint64_t flags, const void *a, const void *b, size_t n)
{
	return (flags & ~(uint64_t)VDM_F_VALID_FLAGS) == 0 &&
		((a != NULL && b != NULL) || n == 0);
}

static enum vdm_operation_result
run_move(void *dest, const void *src, size_t n, uint64_t flags)
{
	if (!is_valid(flags, dest, src, n))
		return VDM_ERROR_JOB_CORRUPTED;

	/* The plain case here, which saves small operations a call. */
	if (flags == 0 && n != 0)
		memmove(dest, src, n);
	else if (n != 0)
		mia_memory_move(dest, src, n, (unsigned)flags);
	return VDM_SUCCESS;
}

static enum vdm_operation_result
run_set(const struct vdm_operation_data_memset *op)
{
	if (!is_valid(op->flags, op->str, op->str, op->n))
		return VDM_ERROR_JOB_CORRUPTED;

	if (op->n != 0)
		mia_memory_set(op->str, op->c, op->n, (unsigned)op->flags);
	return VDM_SUCCESS;
}

static enum vdm_operation_result
run_flush(const struct vdm_operation_data_flush *op)
{
	if (!is_valid(op->flags, op->dest, op->dest, op->n))
		return VDM_ERROR_JOB_CORRUPTED;

	if (op->n != 0 && !mia_memory_flush(op->dest, op->n))
		return VDM_ERROR_JOB_CORRUPTED;
	return VDM_SUCCESS;
}

enum vdm_operation_result
mia_operation_run(const struct vdm_operation *op)
{
	switch (op->type) {
	case VDM_OPERATION_MEMCPY:
		return run_move(op->data.memcpy.dest, op->data.memcpy.src,
			op->data.memcpy.n, op->data.memcpy.flags);
	case VDM_OPERATION_MEMMOVE:
		return run_move(op->data.memmove.dest, op->data.memmove.src,
			op->data.memmove.n, op->data.memmove.flags);
	case VDM_OPERATION_MEMSET:
		return run_set(&op->data.memset);
	case VDM_OPERATION_FLUSH:
		return run_flush(&op->data.flush);
	default:
		return VDM_ERROR_JOB_CORRUPTED;
	}
}

_Static_assert(offsetof(struct vdm_operation_data_memcpy, dest) == 0 &&
		offsetof(struct vdm_operation_data_memmove, dest) == 0 &&
		offsetof(struct vdm_operation_data_memset, str) == 0,
	"mia_operation_output() relies on it");

void
mia_operation_output(const struct vdm_operation *op,
	enum vdm_operation_result result, struct vdm_operation_output *output)
{
	const bool has_dest =
		result == VDM_SUCCESS && op->type != VDM_OPERATION_FLUSH;

	/* The destination is the first member of every operation that has one. */
	output->type = op->type;
	output->result = result;
	output->output.memcpy.dest = has_dest ? op->data.memcpy.dest : NULL;
}

int
mia_operation_set_capabilities(struct vdm *vdm, unsigned flags)
{
	if ((flags & ~VDM_F_VALID_FLAGS) != 0 ||
		flags == VDM_F_NO_CACHE_HINT) {
		errno = EINVAL;
		return -1;
	}
	if ((flags & ~mia_memory_capabilities()) != 0) {
		errno = ENOTSUP;
		return -1;
	}

	vdm->capabilities = flags;
	return 0;
}
