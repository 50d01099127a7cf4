/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_sync.c -- the synchronous mover, and the shortest complete one
 *
 * Read this to learn what a mover has to do. The future of an operation calls
 * the four functions below in this order:
 *
 *   op_new     when it is created   memory for what this mover must remember
 *   op_start   by its first poll    here: all of the work
 *   op_check   by every poll        here: it is always done
 *   op_delete  when it is done      writes the output, gives the memory back
 *
 * An operation that is canceled before its first poll goes from op_new to
 * op_delete at once. Its result is undefined, and nobody reads it.
 *
 * Any thread may be in any of them, for different operations; what they share
 * is in the pool, which takes care of itself.
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

/* What is remembered of an operation from op_start to op_delete. */
struct sync_operation {
	enum vdm_operation_result result;
};

static void *
sync_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_sync *dms = (struct data_mover_sync *)vdm;

	(void)type; /* an unknown one is refused when it is started */
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

/* Without this answer a vdm_memcpyv() would be a memcpy for each segment. */
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
