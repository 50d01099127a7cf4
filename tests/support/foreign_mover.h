/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * foreign_mover.h -- a mover of a program that keeps its first notifier
 *
 * It does not support FUTURE_PROPERTY_RENOTIFY, so op_start is called once.
 * Nothing is moved before the test calls foreign_end(), from any thread. Wakers
 * are called under the lock, so none is called after a poll has seen the end.
 */

#ifndef LIBMINIASYNC_TEST_FOREIGN_MOVER_H
#define LIBMINIASYNC_TEST_FOREIGN_MOVER_H 1

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "libminiasync/vdm.h"

struct foreign_operation;

struct foreign_mover {
	struct vdm vdm; /* the first member */
	pthread_mutex_t lock;

	/* Under the lock: */
	struct foreign_operation *started;
};

struct foreign_operation {
	/* Under the lock: */
	struct foreign_operation *next;
	bool done;

	/* Of the poll that starts it, then under the lock: */
	struct foreign_mover *mover;
	struct vdm_operation_data_memcpy copy;
	struct future_waker waker;
};

static inline void *
foreign_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct foreign_operation *op = calloc(1, sizeof(*op));

	(void)type; /* the test makes copies only */
	if (op != NULL)
		op->mover = (struct foreign_mover *)(void *)vdm;
	return op;
}

static inline int
foreign_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct foreign_operation *op = data;

	pthread_mutex_lock(&op->mover->lock);
	op->copy = operation->data.memcpy;
	if (n != NULL) {
		op->waker = n->waker;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	}
	op->next = op->mover->started;
	op->mover->started = op;
	pthread_mutex_unlock(&op->mover->lock);
	return 0;
}

static inline enum future_state
foreign_check(void *data, const struct vdm_operation *operation)
{
	struct foreign_operation *op = data;

	(void)operation;
	pthread_mutex_lock(&op->mover->lock);

	const bool done = op->done;

	pthread_mutex_unlock(&op->mover->lock);
	return done ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

static inline void
foreign_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	(void)operation;
	(void)output; /* preset */
	free(data);
}

static inline void
foreign_init(struct foreign_mover *mover)
{
	memset(mover, 0, sizeof(*mover));
	pthread_mutex_init(&mover->lock, NULL);
	mover->vdm.op_new = foreign_new;
	mover->vdm.op_start = foreign_start;
	mover->vdm.op_check = foreign_check;
	mover->vdm.op_delete = foreign_delete;
}

/* Ends all operations that were started. Returns whether there were any. */
static inline bool
foreign_end(struct foreign_mover *mover)
{
	pthread_mutex_lock(&mover->lock);

	const bool any = mover->started != NULL;

	while (mover->started != NULL) {
		struct foreign_operation *op = mover->started;

		mover->started = op->next;
		memcpy(op->copy.dest, op->copy.src, op->copy.n);
		op->done = true;
		if (op->waker.wake != NULL)
			FUTURE_WAKER_WAKE(&op->waker);
	}
	pthread_mutex_unlock(&mover->lock);
	return any;
}

static inline void
foreign_fini(struct foreign_mover *mover)
{
	foreign_end(mover);
	pthread_mutex_destroy(&mover->lock);
}

#endif /* LIBMINIASYNC_TEST_FOREIGN_MOVER_H */
