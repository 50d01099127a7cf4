/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_dml.h -- the mover over Intel's Data Mover Library (DML)
 *
 * DML moves the memory with a device, a Data Streaming Accelerator (DSA), or in
 * software. Link with libminiasync-vdm-dml, libminiasync and DML.
 *
 * Failures  if DML or the device does not do a piece of an operation, for
 *           whatever reason, the CPU does the piece in a poll. So an operation
 *           succeeds only when all its bytes are written. If the device's work
 *           queue is full, the future stays IDLE, or RUNNING in the middle of
 *           an operation. The next poll tries again. The CPU does a piece that
 *           was refused more than 1,024 times in a row.
 * Notifier  FUTURE_NOTIFIER_NONE: a device calls no waker. Poll the futures.
 * Blocks    if the CPU or DML's software does the work, a poll takes as long as
 *           the work. A device works between polls.
 * Memory    a device accesses the ranges until the future is complete. If you
 *           abandon a RUNNING future, keep both ranges until the mover is
 *           deleted.
 * Fork      a child may use and delete the movers of its parent. The CPU does
 *           the operations in their first poll. If an operation was started
 *           before the fork, its next poll completes it with
 *           VDM_ERROR_JOB_CORRUPTED.
 * Hardware  tested with a simulated device only, never with a real device. The
 *           mover follows the Intel DML documentation, Low-Level C API
 *           Reference, and the Intel Data Streaming Accelerator Architecture
 *           Specification, order number 341204.
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
	DATA_MOVER_DML_HARDWARE = 1, /* a device, a DSA */
	DATA_MOVER_DML_AUTO =
		2 /* for each operation DML chooses: a device, else software */
};

/*
 * data_mover_dml_new -- creates a mover over DML
 *
 * Returns  the mover, or NULL with errno
 *           - EINVAL: an unknown type
 *           - ENODEV: the type is DATA_MOVER_DML_HARDWARE, and no device did a
 *             test copy of 64 bytes
 *           - ENOTSUP: the mover does not support this version of DML, or the
 *             CPU has no cache write-back instruction
 *           - ENOMEM
 * Owner    the caller. Delete it with data_mover_dml_delete().
 * Threads  any number may create and poll its operations at once
 * Blocks   DATA_MOVER_DML_HARDWARE: up to 1 s until a device accepts the test
 *          copy, and up to 1 s more until the copy is done. Otherwise never.
 *
 * A device may accept the test copy and not finish it in time. Then the memory
 * of the mover, about 17 KiB, is never freed, because the device may still
 * write there.
 */
struct data_mover_dml *data_mover_dml_new(enum data_mover_dml_type type);

/*
 * Returns the mover's struct vdm, never NULL, which is valid until the mover is
 * deleted. Never blocks, and is safe from any thread.
 *
 * It advertises VDM_F_MEM_DURABLE and VDM_F_NO_CACHE_HINT. All futures of the
 * mover have FUTURE_PROPERTY_ASYNC. Each pending operation takes about half a
 * KiB. The number of pending operations is limited: see vdm.h.
 */
struct vdm *data_mover_dml_get_vdm(struct data_mover_dml *dmd);

/*
 * data_mover_dml_delete -- deletes a mover
 *
 * dmd      may be NULL. If futures of the mover are not complete, do not poll
 *          them afterwards.
 * Threads  during the call, and afterwards, no other thread may use the mover
 * Blocks   until all started operations are done, because a device may still be
 *          writing. The call yields the CPU again and again while it waits. It
 *          never returns if a device never finishes.
 */
void data_mover_dml_delete(struct data_mover_dml *dmd);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VDM_DML_DATA_MOVER_DML_H */
