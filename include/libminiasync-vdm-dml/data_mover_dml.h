/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_dml.h -- the mover over Intel's Data Mover Library (DML): a Data
 * Streaming Accelerator (DSA) moves the memory, or DML's software does
 *
 * Link with libminiasync-vdm-dml, libminiasync and DML.
 *
 * Failures  what DML or the device does not do, for whatever reason, the CPU
 *           does within a poll. An operation succeeds only when its bytes are
 *           there; a full work queue makes it wait, then be done by the CPU.
 * Notifier  NONE: a device wakes nobody, so its futures have to be polled.
 * Blocks    DML's software path moves the memory within the poll; so does the
 *           CPU when it stands in for a device. A device works by itself.
 * Memory    a device reads and writes the ranges by itself until the future is
 *           complete. A program that drops a future on the way must keep both
 *           ranges until the mover is deleted.
 * Fork      a child must not use the movers of its parent.
 * Hardware  written to the manuals and run against a simulated device. It has
 *           not been run on a real one.
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
 * HARDWARE tries the device with one small copy, and waits up to 1 s until it
 * is taken and 1 s more until it is done. If a device takes the copy and does
 * not answer, the memory of the mover that was to be, about 17 KiB, is left to
 * it for ever: it may still write there.
 *
 * Returns   the mover; or NULL with errno EINVAL (an unknown type), ENODEV
 *           (HARDWARE, and no device does that copy), ENOTSUP (a DML that this
 *           mover does not know how to use, or a CPU that cannot write its
 *           caches back) or ENOMEM
 * Owner     the caller; end with data_mover_dml_delete()
 * Threads   any number may create and poll its operations
 */
struct data_mover_dml *data_mover_dml_new(enum data_mover_dml_type type);

/*
 * The mover's struct vdm, which lives as long as the mover. It advertises
 * VDM_F_MEM_DURABLE and VDM_F_NO_CACHE_HINT. Its futures have the property
 * FUTURE_PROPERTY_ASYNC. 4,194,304 operations can be pending, a few more
 * if several threads use it; each takes about half a KiB until it is complete.
 */
struct vdm *data_mover_dml_get_vdm(struct data_mover_dml *dmd);

/*
 * data_mover_dml_delete -- ends a mover; NULL is fine
 *
 * Waits for the operations that were started, yielding the CPU: a device may
 * still be writing. It waits for ever for a device that never answers. Futures
 * of the mover must not be polled any more, and no other thread may be in a
 * call with it.
 */
void data_mover_dml_delete(struct data_mover_dml *dmd);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VDM_DML_DATA_MOVER_DML_H */
