/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation.h -- what every mover does with an operation: check it, do it on
 * the calling thread, and write its output
 */

#ifndef LIBMINIASYNC_OPERATION_H
#define LIBMINIASYNC_OPERATION_H 1

#include "libminiasync/vdm.h"

/*
 * Does the operation now. VDM_ERROR_JOB_CORRUPTED, with nothing written, for
 * an unknown type, unknown flags, a NULL pointer with n > 0, or a flush on a
 * CPU that has no way to.
 */
enum vdm_operation_result mia_operation_run(const struct vdm_operation *op);

/* Fills in the whole output; the destination only on success. */
void mia_operation_output(const struct vdm_operation *op,
	enum vdm_operation_result result, struct vdm_operation_output *output);

/*
 * Checks and sets what a mover advertises. 0, or -1 with errno set, as
 * data_mover_sync_set_capabilities() says.
 */
int mia_operation_set_capabilities(struct vdm *vdm, unsigned flags);

#endif /* LIBMINIASYNC_OPERATION_H */
