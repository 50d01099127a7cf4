/* SPDX-License-Identifier: BSD-3-Clause */

/* stage.h -- the movers of random programs, which are replaced now and then */

#ifndef STAGE_H
#define STAGE_H 1

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "libminiasync.h"
#include "program.h"

/* The safety net of the stage's runtime comes later than that. */
#define STAGE_STALL_S 60

enum kind { SYNC, THREADS, DML };

#define KINDS (DML + 1)

/*
 * A mover with its users counted: it is replaced by a new one now and then,
 * and deleted when the last user has gone.
 */
struct mover {
	enum kind kind;
	void *object;
	struct vdm *vdm;
	size_t users; /* under the stage's lock; operations, and the stage */
};

struct stage {
	pthread_mutex_t lock;
	struct mover *movers[KINDS]; /* under the lock */
	struct runtime *runtime;
	size_t region_size;
};

/* Takes the stage's mover of that kind as a new user, and leaves it. */
struct mover *mover_take(struct stage *stage, enum kind kind);
void mover_leave(struct stage *stage, struct mover *mover);

/* The stage gets a new mover, whose settings are drawn from the number. */
void mover_replace(struct stage *stage, enum kind kind, uint64_t number);

/*
 * Some futures, by the number, get the poll of a program that was compiled with
 * earlier headers.
 */
void age_future(struct vdm_operation_future *future, unsigned number);

#endif /* STAGE_H */
