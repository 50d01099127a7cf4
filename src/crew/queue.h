/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue.h -- a bounded queue of pointers; any thread pushes, any thread pops
 *
 * First in, first out. Neither push nor pop blocks or makes a system call. A
 * thread that is stopped in the middle of one delays only the items behind the
 * one that it is at.
 */

#ifndef LIBMINIASYNC_QUEUE_H
#define LIBMINIASYNC_QUEUE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "system/platform.h"

struct mia_queue_cell;

struct mia_queue {
	struct mia_queue_cell *cells;
	size_t mask; /* capacity - 1; the capacity is a power of two */

	/* Each on a line of its own: producers write one, consumers one. */
	char padding_head[MIA_CACHE_LINE];
	atomic_size_t head; /* the next to pop */
	char padding_tail[MIA_CACHE_LINE];
	atomic_size_t tail; /* the next to push */
	char padding_end[MIA_CACHE_LINE];
};

/*
 * capacity  items that the queue can hold at least, from 1
 * Returns   0, -EINVAL if no address space could hold that many, or -ENOMEM
 */
int mia_queue_init(struct mia_queue *queue, size_t capacity);
void mia_queue_fini(struct mia_queue *queue);

/* Returns false, and does nothing, if the queue is full. */
bool mia_queue_push(struct mia_queue *queue, void *item);

/* Returns NULL if the queue is empty. */
void *mia_queue_pop(struct mia_queue *queue);

/*
 * Whether there is nothing to pop. In the single total order of sequentially
 * consistent operations with mia_queue_push(): of a thread that pushes and
 * then looks at a flag, and one that sets the flag and then calls this, at
 * least one sees what the other did.
 */
bool mia_queue_is_empty(struct mia_queue *queue);

/* About how many items there are: a hint, from 0 to the capacity. */
size_t mia_queue_length(struct mia_queue *queue);

#endif /* LIBMINIASYNC_QUEUE_H */
