/* SPDX-License-Identifier: BSD-3-Clause */

#include "operation.h"

#include <errno.h>
#include <stdbool.h>

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
run_move(const struct vdm_operation_data_memmove *op)
{
	if (!is_valid(op->flags, op->dest, op->src, op->n))
		return VDM_ERROR_JOB_CORRUPTED;

	if (op->n != 0)
		mia_memory_move(op->dest, op->src, op->n, (unsigned)op->flags);
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
mia_operation_run_any(const struct vdm_operation *op)
{
	switch (op->type) {
	case VDM_OPERATION_MEMCPY:
	case VDM_OPERATION_MEMMOVE:
		return run_move(&op->data.memmove);
	case VDM_OPERATION_MEMSET:
		return run_set(&op->data.memset);
	case VDM_OPERATION_FLUSH:
		return run_flush(&op->data.flush);
	default:
		return VDM_ERROR_JOB_CORRUPTED;
	}
}

/* What this file and operation.h take for granted. */
_Static_assert(sizeof(struct vdm_operation_data_memcpy) ==
			sizeof(struct vdm_operation_data_memmove) &&
		offsetof(struct vdm_operation_data_memcpy, dest) == 0 &&
		offsetof(struct vdm_operation_data_memmove, dest) == 0 &&
		offsetof(struct vdm_operation_data_memset, str) == 0 &&
		offsetof(struct vdm_operation_data_memcpy, src) ==
			offsetof(struct vdm_operation_data_memmove, src) &&
		offsetof(struct vdm_operation_data_memcpy, n) ==
			offsetof(struct vdm_operation_data_memmove, n) &&
		offsetof(struct vdm_operation_data_memcpy, flags) ==
			offsetof(struct vdm_operation_data_memmove, flags),
	"the layouts of the operations agree");

int
mia_operation_set_capabilities(struct vdm *vdm, unsigned flags)
{
	if ((flags & ~VDM_F_VALID_FLAGS) != 0 || flags == VDM_F_NO_CACHE_HINT) {
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
