/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_sync.h -- the synchronous mover: the first poll does the work
 *
 * The polling thread does all of the work, so the first poll takes as long as
 * the operation. The futures have no FUTURE_PROPERTY_ASYNC. The mover calls no
 * waker. The number of pending operations is limited: see vdm.h. After fork()
 * the child may use and delete the mover.
 */

#ifndef LIBMINIASYNC_DATA_MOVER_SYNC_H
#define LIBMINIASYNC_DATA_MOVER_SYNC_H 1

#include "vdm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct data_mover_sync;

/*
 * data_mover_sync_new -- creates a synchronous mover
 *
 * Returns  the mover, or NULL with errno ENOMEM
 * Owner    the caller. Delete it with data_mover_sync_delete().
 * Threads  any number may create and poll its operations at once
 * Blocks   never
 */
struct data_mover_sync *data_mover_sync_new(void);

/*
 * Returns the mover's struct vdm, never NULL, which is valid until the mover is
 * deleted. Never blocks, and is safe from any thread.
 */
struct vdm *data_mover_sync_get_vdm(struct data_mover_sync *dms);

/*
 * data_mover_sync_set_capabilities -- sets the flags that the mover advertises
 *
 * Call it for programs that call vdm_is_supported(). A new mover advertises no
 * flag. The mover always honours VDM_F_MEM_DURABLE and VDM_F_NO_CACHE_HINT as
 * far as the CPU supports them.
 *
 * flags    0, VDM_F_MEM_DURABLE, or both flags together
 * Returns  0, or -1 with errno. After an error the mover is unchanged.
 *           - EINVAL: an unknown flag, or VDM_F_NO_CACHE_HINT alone
 *           - ENOTSUP: this CPU has no cache write-back instruction
 * Threads  call it before other threads use the mover
 * Blocks   never
 */
int data_mover_sync_set_capabilities(
	struct data_mover_sync *dms, unsigned flags);

/*
 * data_mover_sync_delete -- deletes a mover
 *
 * dms      may be NULL. If futures of the mover are not complete, do not poll
 *          them afterwards.
 * Threads  during the call, and afterwards, no other thread may use the mover
 * Blocks   never
 */
void data_mover_sync_delete(struct data_mover_sync *dms);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_DATA_MOVER_SYNC_H */
