/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_dml.h -- the mover over Intel's Data Mover Library (DML): a Data
 * Streaming Accelerator (DSA) or DML's software moves the memory
 *
 * Link with libminiasync-vdm-dml, libminiasync and DML.
 *
 * Failures  if DML or the device does not do a piece of work, for whatever
 *           reason, the CPU does it in a poll. An operation succeeds only if
 *           all its bytes are written. If the device's work queue is full, the
 *           operation waits, and later the CPU does it.
 * Notifier  FUTURE_NOTIFIER_NONE: a device sends no notification. Poll.
 * Blocks    DML's software moves the memory inside the poll. So does the CPU if
 *           it replaces a device. A device works between polls.
 * Memory    a device accesses the ranges until the future is complete. If you
 *           abandon a future, keep both ranges until the mover is deleted.
 * Fork      a child may use and delete the movers of its parent. The CPU does
 *           its operations in their first poll. One that was started before the
 *           fork ends with VDM_ERROR_JOB_CORRUPTED at its next poll.
 * Hardware  written to Intel's manuals and tested with a simulated device. Not
 *           tested on a real device.
 */

#ifndef LIBMINIASYNC_VDM_DML_DATA_MOVER_DML_H
#define LIBMINIASYNC_VDM_DML_DATA_MOVER_DML_H 1

#include "../libminiasync/vdm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct data_mover_dml;

enum data_mover_dml_type {
	DATA_MOVER_DML_SOFTWARE = 0, /* DML's own code on the CPU */
	DATA_MOVER_DML_HARDWARE = 1, /* a device */
	DATA_MOVER_DML_AUTO =
		2 /* for each operation: a device, else software */
};

/*
 * data_mover_dml_new -- makes a mover over DML
 *
 * Returns  the mover, or NULL with errno
 *           - EINVAL: an unknown type
 *           - ENODEV: HARDWARE, and no device does a small test copy
 *           - ENOTSUP: this mover cannot use this DML, or the CPU has no cache
 *             write-back instruction
 *           - ENOMEM
 * Owner    the caller. Destroy it with data_mover_dml_delete().
 * Threads  any number may create and poll its operations at once
 * Blocks   HARDWARE: up to 1 s until a device accepts the test copy, and up to
 *          1 s until the copy is done. Otherwise never.
 *
 * If a device accepts the test copy but never finishes it, about 17 KiB stay
 * allocated for ever, because the device may still write there.
 */
struct data_mover_dml *data_mover_dml_new(enum data_mover_dml_type type);

/*
 * Returns the mover's struct vdm, which is valid until the mover is deleted. It
 * advertises VDM_F_MEM_DURABLE and VDM_F_NO_CACHE_HINT. Its futures have
 * FUTURE_PROPERTY_ASYNC. A pending operation takes about half a KiB. The number
 * of pending operations is limited: see vdm.h.
 */
struct vdm *data_mover_dml_get_vdm(struct data_mover_dml *dmd);

/*
 * data_mover_dml_delete -- destroys a mover
 *
 * dmd      may be NULL. Do not poll its futures any more.
 * Threads  no other thread may be in a call with this mover
 * Blocks   until all started operations are done, because a device may still be
 *          writing. It yields the CPU meanwhile. If a device never finishes, it
 *          does not return.
 */
void data_mover_dml_delete(struct data_mover_dml *dmd);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VDM_DML_DATA_MOVER_DML_H */
