/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * custom_mover.c -- a mover for a device of your own: a complete struct vdm
 *
 *	cc -c custom_mover.c $(pkg-config --cflags libminiasync)
 *
 * The device in this example is the kernel, which moves memory with
 * process_vm_readv(2). Replace device_move() with your device.
 * doc/writing_a_mover.md explains this file line by line. custom_mover_demo.c
 * is a program that uses the mover.
 */

#define _GNU_SOURCE

#include "custom_mover.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct operation {
	enum vdm_operation_result result;
	struct custom_mover *mover;
	struct operation *prev, *next; /* L: in the mover's list */
};

/* L: only while the thread holds lock */
struct custom_mover {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	pthread_mutex_t lock;
	struct operation all; /* L: the head of the list */
};

/* The ranges must not overlap. Returns false if it moved only a part. */
static bool
device_move(void *dest, void *src, size_t n)
{
	const struct iovec to = {dest, n}, from = {src, n};

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)n;
}

static bool
is_valid(uint64_t flags, const void *a, const void *b, size_t n)
{
	return (flags & ~(uint64_t)VDM_F_VALID_FLAGS) == 0 &&
		(n == 0 || (a != NULL && b != NULL));
}

/* The CPU moves the bytes if the device fails or the ranges may overlap. */
static void
move(enum vdm_operation_type type,
	const struct vdm_operation_data_memmove *operation)
{
	void *dest = operation->dest;
	void *src = operation->src;
	const size_t n = operation->n;

	if (type == VDM_OPERATION_MEMMOVE || !device_move(dest, src, n))
		memmove(dest, src, n);
}

static enum vdm_operation_result
run(const struct vdm_operation *op)
{
	/* A copy has the layout of a move. */
	const struct vdm_operation_data_memmove *copy = &op->data.memmove;
	const struct vdm_operation_data_memset *set = &op->data.memset;
	const struct vdm_operation_data_flush *flush = &op->data.flush;
	bool done = false;

	switch (op->type) {
	case VDM_OPERATION_MEMCPY:
	case VDM_OPERATION_MEMMOVE:
		done = is_valid(copy->flags, copy->dest, copy->src, copy->n);
		if (done && copy->n > 0)
			move(op->type, copy);
		break;
	case VDM_OPERATION_MEMSET:
		done = is_valid(set->flags, set->str, set->str, set->n);
		if (done && set->n > 0)
			memset(set->str, set->c, set->n);
		break;
	case VDM_OPERATION_FLUSH: /* not supported, except for 0 bytes */
		done = flush->n == 0 && is_valid(flush->flags, NULL, NULL, 0);
		break;
	case VDM_OPERATION_MEMCPYV: /* vdm_memcpyv() asks for copies instead */
		break;
	}
	return done ? VDM_SUCCESS : VDM_ERROR_JOB_CORRUPTED;
}

static void *
operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct custom_mover *mover = (struct custom_mover *)vdm;
	const int saved_errno = errno;
	struct operation *op = malloc(sizeof(*op));

	(void)type;
	errno = saved_errno;
	if (op == NULL)
		return NULL; /* the result is VDM_ERROR_OUT_OF_MEMORY */

	op->mover = mover;
	op->prev = &mover->all;
	pthread_mutex_lock(&mover->lock);
	op->next = mover->all.next;
	op->next->prev = mover->all.next = op;
	pthread_mutex_unlock(&mover->lock);
	return op;
}

static int
operation_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	const int saved_errno = errno;

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	((struct operation *)data)->result = run(operation);
	errno = saved_errno;
	return 0; /* non-zero means "not now": the next poll tries again */
}

static enum future_state
operation_check(void *data, const struct vdm_operation *operation)
{
	(void)data;
	(void)operation;
	return FUTURE_STATE_COMPLETE; /* in progress: ..._RUNNING */
}

static void
operation_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	struct operation *op = data;

	output->type = operation->type;
	output->result = op->result;
	output->output.memcpy.dest = operation->data.memcpy.dest;

	pthread_mutex_lock(&op->mover->lock);
	op->prev->next = op->next;
	op->next->prev = op->prev;
	pthread_mutex_unlock(&op->mover->lock);
	free(op);
}

struct custom_mover *
custom_mover_new(void)
{
	struct custom_mover *mover = calloc(1, sizeof(*mover));

	if (mover == NULL)
		return NULL;
	mover->vdm.op_new = operation_new;
	mover->vdm.op_start = operation_start;
	mover->vdm.op_check = operation_check;
	mover->vdm.op_delete = operation_delete;
	mover->all.prev = mover->all.next = &mover->all;

	const int error = pthread_mutex_init(&mover->lock, NULL);

	if (error != 0) {
		free(mover);
		errno = error;
		return NULL;
	}
	return mover;
}

struct vdm *
custom_mover_get_vdm(struct custom_mover *mover)
{
	return &mover->vdm;
}

/* The list contains the operations of abandoned futures. */
void
custom_mover_delete(struct custom_mover *mover)
{
	if (mover == NULL)
		return;

	struct operation *op = mover->all.next;

	while (op != &mover->all) {
		struct operation *next = op->next;

		free(op);
		op = next;
	}
	pthread_mutex_destroy(&mover->lock);
	free(mover);
}
