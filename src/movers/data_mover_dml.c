/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_dml.c -- the mover over Intel's Data Mover Library (DML)
 *
 * The four functions of the mover, and its public calls. dml_work.c does the
 * operations.
 */

#include "libminiasync-vdm-dml/data_mover_dml.h"

#include <dml/dml.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "movers/dml_work.h"
#include "operation/memory.h"
#include "operation/operation.h"
#include "operation/operation_pool.h"
#include "system/forks.h"
#include "system/platform.h"
#include "system/probe.h"

static void *
dml_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_dml *dmd = (struct data_mover_dml *)vdm;
	struct mia_dml_operation *op = mia_operation_pool_get(&dmd->pool);

	(void)type; /* op_start refuses an unknown type */
	if (op == NULL)
		return NULL;

	op->dmd = dmd;
	op->refusals = 0;
	return op;
}

static int
dml_operation_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct mia_dml_operation *op = data;

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	if (op->stage != MIA_DML_IDLE)
		return 0; /* a later poll brings a notifier */

	const int saved_errno = errno;

	/* Only once, because a refused operation is started again. */
	if (op->refusals == 0)
		mia_operation_probe_submit(op, operation);

	const int error = mia_dml_start(op, operation);

	if (error != 0)
		MIA_PROBE2(refused, op, -error);
	mia_restore_errno(saved_errno);
	return error;
}

static enum future_state
dml_operation_check(void *data, const struct vdm_operation *operation)
{
	struct mia_dml_operation *op = data;
	const int saved_errno = errno;

	(void)operation;
	mia_dml_advance(op);
	mia_restore_errno(saved_errno);

	return op->stage == MIA_DML_DONE ? FUTURE_STATE_COMPLETE
					 : FUTURE_STATE_RUNNING;
}

static void
dml_operation_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	struct mia_dml_operation *op = data;

	mia_operation_output(operation, op->result, output);
	op->stage = MIA_DML_IDLE;
	mia_operation_pool_put(op);
}

static int
dml_has_property(void *future, enum future_property property)
{
	(void)future;
	switch (property) {
	case FUTURE_PROPERTY_ASYNC:
		return 1;
	case FUTURE_PROPERTY_RENOTIFY:
	case FUTURE_PROPERTY_MEMCPYV:
		return (int)property;
	}
	return 0;
}

static const struct vdm dml_vdm = {
	.op_new = dml_operation_new,
	.op_start = dml_operation_start,
	.op_check = dml_operation_check,
	.op_delete = dml_operation_delete,
	.capabilities = VDM_F_VALID_FLAGS,
	.has_property = dml_has_property,
};

static int
probe(struct data_mover_dml *dmd)
{
	struct mia_dml_operation *op =
		dml_operation_new(&dmd->vdm, VDM_OPERATION_MEMCPY);

	if (op == NULL)
		return -ENOMEM;

	const int error = mia_dml_probe(op);

	if (error != -EINPROGRESS)
		mia_operation_pool_put(op);
	return error;
}

MIA_PUBLIC struct data_mover_dml *
data_mover_dml_new(enum data_mover_dml_type type)
{
	static const dml_path_t paths[] = {
		[DATA_MOVER_DML_SOFTWARE] = DML_PATH_SW,
		[DATA_MOVER_DML_HARDWARE] = DML_PATH_HW,
		[DATA_MOVER_DML_AUTO] = DML_PATH_AUTO,
	};
	struct data_mover_dml *dmd;
	uint32_t job_size;

	if ((unsigned)type >= sizeof(paths) / sizeof(paths[0])) {
		errno = EINVAL;
		return NULL;
	}
	if (mia_memory_capabilities() != VDM_F_VALID_FLAGS) {
		errno = ENOTSUP;
		return NULL;
	}
	if (dml_get_job_size(paths[type], &job_size) != DML_STATUS_OK) {
		errno = type == DATA_MOVER_DML_HARDWARE ? ENODEV : ENOTSUP;
		return NULL;
	}
	if (job_size >
		MIA_OPERATION_SLOT_MAX - sizeof(struct mia_dml_operation)) {
		errno = ENOTSUP;
		return NULL;
	}

	dmd = malloc(sizeof(*dmd));
	if (dmd == NULL)
		return NULL;

	dmd->vdm = dml_vdm;
	dmd->path = paths[type];
	dmd->forks = mia_forks();
	atomic_init(&dmd->part_max_bytes, MIA_DML_PART_MAX_BYTES);
	mia_operation_pool_init(&dmd->pool,
		(sizeof(struct mia_dml_operation) + job_size + MIA_CACHE_LINE -
			1) /
			MIA_CACHE_LINE * MIA_CACHE_LINE,
		mia_dml_end);

	const int error = type == DATA_MOVER_DML_HARDWARE ? probe(dmd) : 0;

	if (error == -EINPROGRESS) {
		errno = ENODEV; /* the device still has the mover's memory */
		return NULL;
	}
	if (error != 0) {
		data_mover_dml_delete(dmd);
		errno = -error;
		return NULL;
	}

	return dmd;
}

MIA_PUBLIC struct vdm *
data_mover_dml_get_vdm(struct data_mover_dml *dmd)
{
	return &dmd->vdm;
}

MIA_PUBLIC void
data_mover_dml_delete(struct data_mover_dml *dmd)
{
	if (dmd == NULL)
		return;

	mia_operation_pool_fini(&dmd->pool);
	free(dmd);
}
