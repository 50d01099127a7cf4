/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * copying_mover.h -- a mover of the test that supports only vdm_memcpy(), and
 * refuses, delays or fails copies as the test sets
 */

#ifndef LIBMINIASYNC_TEST_COPYING_MOVER_H
#define LIBMINIASYNC_TEST_COPYING_MOVER_H 1

#include "test.h"

#include <stdbool.h>

#include "libminiasync.h"
#include "segments.h"

enum { NEVER = 1000000 };

/* What the mover of the test does, and has seen. */
static struct {
	size_t news, starts, deletes; /* calls */
	size_t live;                  /* operations made, and not deleted */
	size_t fail_new, fail_copy;   /* the call with this number */
	int refusals;                 /* "not now", before each start */
	int running;                  /* RUNNING, after each start */
	enum future_notifier_type answer;
	bool had_notifier;
	enum vdm_operation_type type; /* of the last op_new */
	int property;                 /* the answer to all properties */
} mover;

struct copy {
	int refusals, running;
	bool is_started;
};

static inline void *
op_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	(void)vdm;
	mover.type = type;
	if (mover.news++ == mover.fail_new)
		return NULL;

	struct copy *copy = segments_memory(sizeof(*copy));

	*copy = (struct copy){mover.refusals, mover.running, false};
	/* One that was refused is made anew. */
	mover.refusals = mover.refusals > 0 ? mover.refusals - 1 : 0;
	mover.live++;
	return copy;
}

static inline int
op_start(void *data, const struct vdm_operation *op, struct future_notifier *n)
{
	struct copy *copy = data;

	assert_int_equal(op->type, VDM_OPERATION_MEMCPY);
	assert_false(copy->is_started);
	mover.had_notifier = n != NULL;
	if (n != NULL)
		n->notifier_used = mover.answer;
	if (copy->refusals > 0)
		return 1;

	const struct vdm_operation_data_memcpy *memcpy_ = &op->data.memcpy;

	copy->is_started = true;
	memcpy(memcpy_->dest, memcpy_->src, memcpy_->n);
	mover.starts++;
	return 0;
}

static inline enum future_state
op_check(void *data, const struct vdm_operation *op)
{
	struct copy *copy = data;

	assert_int_equal(op->type, VDM_OPERATION_MEMCPY);
	assert_true(copy->is_started);
	return copy->running-- > 0 ? FUTURE_STATE_RUNNING
				   : FUTURE_STATE_COMPLETE;
}

static inline void
op_delete(void *data, const struct vdm_operation *op,
	struct vdm_operation_output *output)
{
	assert_int_equal(op->type, VDM_OPERATION_MEMCPY);
	if (((struct copy *)data)->is_started &&
		mover.deletes++ == mover.fail_copy)
		output->result = VDM_ERROR_JOB_CORRUPTED;
	mover.live--;
	free(data);
}

static inline int
has_property(void *future, enum future_property property)
{
	const struct vdm_operation_future *f = future;

	assert_non_null(f->data.vdm);
	/* As an old mover may do. */
	if (property != FUTURE_PROPERTY_MEMCPYV)
		assert_true(((const struct copy *)f->data.data)->is_started);
	return property == FUTURE_PROPERTY_RENOTIFY ? 0 : mover.property;
}

static struct vdm vdm = {
	op_new, op_delete, op_start, op_check, 0, has_property};

static inline int
setup(void **state)
{
	(void)state;
	memset(&mover, 0, sizeof(mover));
	mover.fail_new = mover.fail_copy = NEVER;
	mover.property = 1;
	return 0;
}

static inline void
ignore_wake(void *data)
{
	(void)data;
}

#define COPYING_MOVER_TEST(name) cmocka_unit_test_setup(name, setup)

#endif /* LIBMINIASYNC_TEST_COPYING_MOVER_H */
