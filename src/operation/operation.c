/* SPDX-License-Identifier: BSD-3-Clause */

#include "operation/operation.h"

#include <errno.h>
#include <stdbool.h>

#include "operation/memory.h"

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

bool
mia_operation_is_valid(const struct vdm_operation *op)
{
	const struct vdm_operation_data_memmove *move = &op->data.memmove;
	const struct vdm_operation_data_memset *set = &op->data.memset;
	const struct vdm_operation_data_flush *flush = &op->data.flush;

	switch (op->type) {
	case VDM_OPERATION_MEMCPY:
	case VDM_OPERATION_MEMMOVE:
		return is_valid(move->flags, move->dest, move->src, move->n);
	case VDM_OPERATION_MEMSET:
		return is_valid(set->flags, set->str, set->str, set->n);
	case VDM_OPERATION_FLUSH:
		return is_valid(
			flush->flags, flush->dest, flush->dest, flush->n);
	default:
		return false;
	}
}

enum vdm_operation_result
mia_operation_run_any(const struct vdm_operation *op)
{
	const struct vdm_operation_data_memmove *move = &op->data.memmove;
	const struct vdm_operation_data_memset *set = &op->data.memset;
	const struct vdm_operation_data_flush *flush = &op->data.flush;

	if (!mia_operation_is_valid(op))
		return VDM_ERROR_JOB_CORRUPTED;

	switch (op->type) {
	case VDM_OPERATION_MEMCPY:
	case VDM_OPERATION_MEMMOVE:
		if (move->n != 0)
			mia_memory_move(move->dest, move->src, move->n,
				(unsigned)move->flags);
		return VDM_SUCCESS;
	case VDM_OPERATION_MEMSET:
		if (set->n != 0)
			mia_memory_set(
				set->str, set->c, set->n, (unsigned)set->flags);
		return VDM_SUCCESS;
	case VDM_OPERATION_FLUSH:
	default:
		return flush->n == 0 || mia_memory_flush(flush->dest, flush->n)
			? VDM_SUCCESS
			: VDM_ERROR_JOB_CORRUPTED;
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
