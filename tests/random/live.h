/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * live.h -- the operations of a random program that are not complete, and a
 * model of the memory
 *
 * Memory consists of a few regions. The model has a second copy of each. A live
 * operation owns its destination region, and shares its source region with
 * other readers. So its result is known when it is created. The model is
 * written then, and compared when the operation is complete.
 */

#ifndef LIVE_H
#define LIVE_H 1

#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "program.h"
#include "reaping.h"
#include "stage.h"

#define REGIONS 16
#define LIVE 24
#define QUEUES 2

struct region {
	unsigned char *memory;
	unsigned char *model;
	int readers; /* live operations; -1: an operation writes */
};

/* A copy, then a fill of the first half of its destination. */
struct pair_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, copy);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, fill);
};

FUTURE(pair_future, struct pair_data, char);

struct live {
	struct mover *mover; /* NULL: not in use */
	struct region *dst;
	struct region *src; /* NULL: has none, or the same as dst */
	bool is_pair;
	bool is_bad;
	size_t at, n;                 /* the range that it writes */
	struct vdm_segment *segments; /* NULL: it has none */
	union {
		struct vdm_operation_future one;
		struct pair_future pair;
	} future;
	atomic_uint wakes[2]; /* its waker's, and its other waker's */
	int waker;            /* which the last poll brought; -1: none */
	unsigned seen;        /* of that one's wakes, by the last poll */
	struct queue *queue;  /* NULL: no queue has it */
	bool is_canceled;     /* while a queue has it */
};

struct program {
	struct stage *stage;
	struct stream *stream;
	struct tally *tally;
	struct region regions[REGIONS];
	struct live live[LIVE];
	struct queue queues[QUEUES];
	const char *wrong;
};

enum place { PLACE_FREE, PLACE_USED };

struct future *live_future(struct live *live);

/* Returns the first such place at this number or after it, or NULL. */
struct live *live_find(struct program *p, uint64_t from, enum place wanted);

/* Creates an operation if a place and a region are free. */
void live_create(struct program *p);

/* The operation is complete, so the model and the memory must agree. */
void live_finish(struct program *p, struct live *live);

/* Frees the place without a comparison. */
void live_clear(struct program *p, struct live *live);

#endif /* LIVE_H */
