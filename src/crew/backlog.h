/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * backlog.h -- items that wait for a worker: a queue that always has room
 *
 * A backlog is a ring, and a list behind it, the overflow. The overflow takes
 * the items for which the ring has no room. Items leave in about the order in
 * which they came. The Spin model is tests/model/backlog.pml.
 *
 * Threads: any thread may push and pop.
 */

#ifndef LIBMINIASYNC_BACKLOG_H
#define LIBMINIASYNC_BACKLOG_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "crew/queue.h"
#include "system/platform.h"

/* Embedded in an item. */
struct mia_backlog_node {
	struct mia_backlog_node *next; /* L: backlog.lock */
};

struct mia_backlog {
	struct mia_queue ring;

	mia_mutex lock;
	struct mia_backlog_node *first; /* L: lock; the oldest */
	struct mia_backlog_node **end;  /* L: lock */
	atomic_size_t count; /* of the overflow; written under the lock */
};

/*
 * ring_capacity  the least capacity of the ring, in items; 1 or more
 * Returns        0, or -errno: -EINVAL if no address space can hold so many
 */
int mia_backlog_init(struct mia_backlog *backlog, size_t ring_capacity);
void mia_backlog_fini(struct mia_backlog *backlog);

/* Cannot fail. Makes no system call, unless another thread holds the lock. */
void mia_backlog_push(
	struct mia_backlog *backlog, struct mia_backlog_node *node);

/*
 * Returns NULL if there is no item, or if other threads are moving all items.
 */
struct mia_backlog_node *mia_backlog_pop(struct mia_backlog *backlog);

/* Sequentially consistent with mia_backlog_push(): see idle.h. */
bool mia_backlog_is_empty(struct mia_backlog *backlog);

/* A hint: the number of items that wait. */
size_t mia_backlog_length(struct mia_backlog *backlog);

#endif /* LIBMINIASYNC_BACKLOG_H */
