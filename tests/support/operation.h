/* SPDX-License-Identifier: BSD-3-Clause */

/* operation.h -- an operation of a type that a test chooses while it runs */

#ifndef LIBMINIASYNC_TEST_OPERATION_H
#define LIBMINIASYNC_TEST_OPERATION_H 1

#include <stdlib.h>

#include "libminiasync/vdm.h"

/* n bytes at to; copies read from, and MEMSET writes c. Not MEMCPYV. */
static inline struct vdm_operation_future
operation_new(struct vdm *vdm, enum vdm_operation_type type, void *to,
	const void *from, int c, size_t n, uint64_t flags)
{
	switch (type) {
	case VDM_OPERATION_MEMCPY:
		return vdm_memcpy(vdm, to, from, n, flags);
	case VDM_OPERATION_MEMMOVE:
		return vdm_memmove(vdm, to, from, n, flags);
	case VDM_OPERATION_MEMSET:
		return vdm_memset(vdm, to, c, n, flags);
	case VDM_OPERATION_FLUSH:
		return vdm_flush(vdm, to, n, flags);
	case VDM_OPERATION_MEMCPYV:
		break;
	}
	abort(); /* no such type */
}

#endif /* LIBMINIASYNC_TEST_OPERATION_H */
