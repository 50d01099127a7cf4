/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_sync.h -- the synchronous mover: the first poll does the work
 *
 * The number of pending operations is limited: see vdm.h.
 */

#ifndef LIBMINIASYNC_DATA_MOVER_SYNC_H
#define LIBMINIASYNC_DATA_MOVER_SYNC_H 1

#include "vdm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct data_mover_sync;

/*
 * data_mover_sync_new -- makes a synchronous mover
 *
 * Returns  the mover, or NULL with errno ENOMEM
 * Owner    the caller. Destroy it with data_mover_sync_delete().
 * Threads  any number may create and poll its operations at once
 * Blocks   never
 */
struct data_mover_sync *data_mover_sync_new(void);

/* Returns the mover's struct vdm, which is valid until the mover is deleted. */
struct vdm *data_mover_sync_get_vdm(struct data_mover_sync *dms);

/*
 * data_mover_sync_set_capabilities -- makes the mover advertise flags
 *
 * Call it for programs that check vdm_is_supported(). By default the mover
 * advertises no flag. In any case it honours VDM_F_MEM_DURABLE and
 * VDM_F_NO_CACHE_HINT as far as the CPU can.
 *
 * flags    0, VDM_F_MEM_DURABLE, or both flags together
 * Returns  0, or -1 with errno
 *           - EINVAL: unknown flags, or the hint alone
 *           - ENOTSUP: this CPU has no cache write-back instruction
 * Threads  call it before other threads use the mover
 * Blocks   never
 */
int data_mover_sync_set_capabilities(
	struct data_mover_sync *dms, unsigned flags);

/*
 * data_mover_sync_delete -- destroys a mover
 *
 * dms      may be NULL. Do not poll its futures any more that are not complete.
 * Threads  no other thread may be in a call with this mover
 * Blocks   never
 */
void data_mover_sync_delete(struct data_mover_sync *dms);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_DATA_MOVER_SYNC_H */
