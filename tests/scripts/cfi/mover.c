/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * mover.c -- a mover and a future of another library, compiled without control
 * flow integrity. The mover only copies. It refuses each first start, and its
 * first check of a copy returns RUNNING.
 */

#include <libminiasync.h>

#include <string.h>

static int refused, checked;

static void *
op_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	(void)type;
	return vdm;
}

static int
op_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	const struct vdm_operation_data_memcpy *m = &operation->data.memcpy;

	(void)data;
	(void)n;
	refused = !refused;
	if (!refused)
		memcpy(m->dest, m->src, m->n);
	return refused;
}

static enum future_state
op_check(void *data, const struct vdm_operation *operation)
{
	(void)data;
	(void)operation;
	checked = !checked;
	return checked ? FUTURE_STATE_RUNNING : FUTURE_STATE_COMPLETE;
}

static void
op_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	(void)data;
	output->output.memcpy.dest = operation->data.memcpy.dest;
}

static int
has_property(void *future, enum future_property property)
{
	(void)future;
	(void)property;
	return 0;
}

extern struct vdm refusing_mover;
struct vdm refusing_mover = {.op_new = op_new,
	.op_delete = op_delete,
	.op_start = op_start,
	.op_check = op_check,
	.has_property = has_property};

static enum future_state
task(struct future_context *context, struct future_notifier *n)
{
	(void)context;
	(void)n;
	return FUTURE_STATE_COMPLETE;
}

extern struct future other_future;
struct future other_future = {.task = task};
