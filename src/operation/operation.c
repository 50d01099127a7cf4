/* SPDX-License-Identifier: BSD-3-Clause */

/* operation.c -- see operation.h */

#include "operation/operation.h"

#include <errno.h>

#include "operation/memory.h"

_Static_assert(offsetof(struct vdm_operation_data_memcpy, dest) == 0 &&
		offsetof(struct vdm_operation_data_memmove, dest) == 0 &&
		offsetof(struct vdm_operation_data_memset, str) == 0 &&
		offsetof(struct vdm_operation_data_flush, dest) == 0,
	"mia_operation_output() reads any operation as a memcpy");

_Static_assert(offsetof(struct vdm_operation_data_memcpy, n) ==
			offsetof(struct vdm_operation_data_memset, n) &&
		offsetof(struct vdm_operation_data_memmove, n) ==
			offsetof(struct vdm_operation_data_memset, n) &&
		offsetof(struct vdm_operation_data_memcpyv, nsegments) ==
			offsetof(struct vdm_operation_data_flush, n),
	"mia_operation_probe_submit() reads two members for all types");

int
mia_operation_set_capabilities(struct vdm *vdm, unsigned flags)
{
	if ((flags & ~VDM_F_VALID_FLAGS) != 0 || flags == VDM_F_NO_CACHE_HINT)
		return -EINVAL;
	if ((flags & ~mia_memory_capabilities()) != 0)
		return -ENOTSUP;

	vdm->capabilities = flags;
	return 0;
}
