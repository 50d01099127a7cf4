/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * backlog.h -- items that wait for a worker: a queue that always has room
 *
 * A ring, and behind it the overflow, a list that takes the items for which the
 * ring has no room. Items leave in about the order in which they came. The Spin
 * model is tests/model/backlog.pml.
 *
 * Threads: any thread pushes, any thread pops.
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
	atomic_size_t count; /* of the list; written under the lock */
};

/*
 * ring_capacity  items that the ring can hold at least, from 1
 * Returns        0, or -errno: EINVAL if no address space holds so many
 */
int mia_backlog_init(struct mia_backlog *backlog, size_t ring_capacity);
void mia_backlog_fini(struct mia_backlog *backlog);

/* Cannot fail. Makes no system call, except for a lock that others hold. */
void mia_backlog_push(
	struct mia_backlog *backlog, struct mia_backlog_node *node);

/* Returns NULL if there was nothing, or only what others were moving. */
struct mia_backlog_node *mia_backlog_pop(struct mia_backlog *backlog);

/* Sequentially consistent with mia_backlog_push(): see idle.h. */
bool mia_backlog_is_empty(struct mia_backlog *backlog);

/* A hint: how many items wait. */
size_t mia_backlog_length(struct mia_backlog *backlog);

#endif /* LIBMINIASYNC_BACKLOG_H */
