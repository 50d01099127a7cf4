/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_sync.c -- the synchronous mover, and the shortest complete one
 *
 * Read this file to learn what a mover has to do. The future of an operation
 * calls the four functions below in this order:
 *
 *   op_new     when it is created   gets memory for the operation
 *   op_start   in the first poll    here: does all of the work
 *   op_check   in every poll        here: always returns COMPLETE
 *   op_delete  when it completes    writes the output, frees the memory
 *
 * An operation that is canceled before its first poll goes from op_new to
 * op_delete at once. Its result is undefined, and nothing reads the result.
 *
 * Threads: any thread may be in any of these functions, for different
 * operations. The operations share only the pool, which is thread-safe.
 */

#include "libminiasync/data_mover_sync.h"

#include <errno.h>
#include <stdlib.h>

#include "operation/operation.h"
#include "operation/operation_pool.h"
#include "system/platform.h"
#include "system/probe.h"

struct data_mover_sync {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;
};

/* The data of an operation: op_start writes it, op_delete reads it. */
struct sync_operation {
	enum vdm_operation_result result;
};

static void *
sync_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_sync *dms = (struct data_mover_sync *)vdm;

	(void)type; /* op_start refuses an unknown type */
	return mia_operation_pool_get(&dms->pool);
}

static int
sync_operation_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct sync_operation *op = data;

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;

	op->result = mia_operation_run(operation, op);
	MIA_PROBE2(complete, op, op->result);
	return 0;
}

static enum future_state
sync_operation_check(void *data, const struct vdm_operation *operation)
{
	(void)data;
	(void)operation;
	return FUTURE_STATE_COMPLETE;
}

static void
sync_operation_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	struct sync_operation *op = data;

	mia_operation_output(operation, op->result, output);
	mia_operation_pool_put(op);
}

/* Without this property, vdm_memcpyv() would make one memcpy per segment. */
static int
sync_has_property(void *future, enum future_property property)
{
	(void)future;
	return property == FUTURE_PROPERTY_MEMCPYV ? FUTURE_PROPERTY_MEMCPYV
						   : 0;
}

static const struct vdm sync_vdm = {
	.op_new = sync_operation_new,
	.op_start = sync_operation_start,
	.op_check = sync_operation_check,
	.op_delete = sync_operation_delete,
	.capabilities = 0,
	.has_property = sync_has_property,
};

MIA_PUBLIC struct data_mover_sync *
data_mover_sync_new(void)
{
	struct data_mover_sync *dms = malloc(sizeof(*dms));

	if (dms == NULL)
		return NULL;

	dms->vdm = sync_vdm;
	mia_operation_pool_init(
		&dms->pool, sizeof(struct sync_operation), NULL);
	return dms;
}

MIA_PUBLIC struct vdm *
data_mover_sync_get_vdm(struct data_mover_sync *dms)
{
	return &dms->vdm;
}

MIA_PUBLIC int
data_mover_sync_set_capabilities(struct data_mover_sync *dms, unsigned flags)
{
	const int error = mia_operation_set_capabilities(&dms->vdm, flags);

	if (error != 0) {
		errno = -error;
		return -1;
	}
	return 0;
}

MIA_PUBLIC void
data_mover_sync_delete(struct data_mover_sync *dms)
{
	if (dms == NULL)
		return;

	mia_operation_pool_fini(&dms->pool);
	free(dms);
}
