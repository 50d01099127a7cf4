/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue.h -- a bounded queue of pointers, for any number of threads
 *
 * First in, first out. Push and pop do not block and make no system call. A
 * thread that stops in the middle of a push delays only the items behind its
 * own item. A thread that stops in the middle of a pop makes the queue look
 * full to the push that comes to its cell one lap later.
 */

#ifndef LIBMINIASYNC_QUEUE_H
#define LIBMINIASYNC_QUEUE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "system/platform.h"

struct mia_queue_cell;

struct mia_queue {
	/* I: init only */
	struct mia_queue_cell *cells;
	size_t mask; /* capacity - 1. The capacity is a power of two. */

	/*
	 * A: all threads. Own cache lines: push writes tail, pop writes head.
	 */
	char padding_head[MIA_CACHE_LINE];
	atomic_size_t head; /* the next position to pop */
	char padding_tail[MIA_CACHE_LINE];
	atomic_size_t tail; /* the next position to push */
	char padding_end[MIA_CACHE_LINE];
};

/*
 * capacity  items that the queue can hold, at least 1. Rounded up to a power of
 *          two, at least 2.
 * Returns   0, -EINVAL if no address space can hold so many, or -ENOMEM
 */
int mia_queue_init(struct mia_queue *queue, size_t capacity);
void mia_queue_fini(struct mia_queue *queue);

/* Returns false and changes nothing if the queue is full, or looks full. */
bool mia_queue_push(struct mia_queue *queue, void *item);

/* Returns NULL if the queue is empty. */
void *mia_queue_pop(struct mia_queue *queue);

/*
 * Whether there is nothing to pop. Sequentially consistent with
 * mia_queue_push(). Example: one thread pushes and then reads a flag, another
 * thread sets the flag and then calls this function. If both accesses to the
 * flag are sequentially consistent, at least one thread sees the other.
 *
 * A push that is half done hides the items behind it. The pushing thread reads
 * the flag after its push, so it sees the other thread then.
 */
bool mia_queue_is_empty(struct mia_queue *queue);

/* A hint: about the number of items, from 0 to the capacity. */
size_t mia_queue_length(struct mia_queue *queue);

#endif /* LIBMINIASYNC_QUEUE_H */
