/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_sync.h -- the synchronous mover: the first poll does the work
 *
 * 4,194,304 operations can be pending on one mover, a few more if several
 * threads use it; creating more gives futures that are complete with
 * VDM_ERROR_OUT_OF_MEMORY.
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
 * Returns   the mover, or NULL with errno ENOMEM
 * Owner     the caller; end with data_mover_sync_delete()
 * Threads   any number may create and poll its operations
 */
struct data_mover_sync *data_mover_sync_new(void);

/* The mover's struct vdm, which lives as long as the mover. */
struct vdm *data_mover_sync_get_vdm(struct data_mover_sync *dms);

/*
 * data_mover_sync_set_capabilities -- makes the mover advertise flags
 *
 * The mover honours VDM_F_MEM_DURABLE and VDM_F_NO_CACHE_HINT in any case, as
 * far as the CPU can. Programs that ask vdm_is_supported() first see only what
 * is advertised: nothing, by default.
 *
 * flags     0, VDM_F_MEM_DURABLE, or that and VDM_F_NO_CACHE_HINT
 * Returns   0; or -1 with errno EINVAL (unknown flags, or the hint alone) or
 *           ENOTSUP (this CPU cannot write its caches back)
 * Threads   call it before the mover is shared
 */
int data_mover_sync_set_capabilities(
	struct data_mover_sync *dms, unsigned flags);

/*
 * data_mover_sync_delete -- ends a mover; NULL is fine
 *
 * Its futures that are not complete must not be polled any more, and no other
 * thread may be in a call with this mover.
 */
void data_mover_sync_delete(struct data_mover_sync *dms);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_DATA_MOVER_SYNC_H */
