/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * backlog.c -- see backlog.h
 *
 * While the overflow has items, new items go there too, so that few items
 * overtake an older item. A pop that finds the ring empty enters the lock, and
 * looks at the ring again: items that came in between are older than the items
 * of the overflow. Without such items, it takes the oldest item of the overflow
 * and moves the next items to the ring. So the lock is entered once for each
 * item that enters the overflow, and once for up to FILL_MAX items that leave
 * it.
 *
 * If one thread pushes and one thread pops, the pops have the order of the
 * pushes. If several push, a thread may have claimed a cell of the ring that it
 * has not filled yet. Until then, items of the overflow overtake those behind.
 *
 * An item that moves to the ring is in the ring before the overflow's count
 * becomes smaller. So a thread that checks the overflow first and then the ring
 * misses no item.
 */

#include "crew/backlog.h"

#include "system/happens.h"

/* The most items that one pop takes from the overflow. */
#define FILL_MAX 64

int
mia_backlog_init(struct mia_backlog *backlog, size_t ring_capacity)
{
	int error = mia_queue_init(&backlog->ring, ring_capacity);

	if (error != 0)
		return error;

	error = mia_mutex_init(&backlog->lock);
	if (error != 0) {
		mia_queue_fini(&backlog->ring);
		return error;
	}

	backlog->first = NULL;
	backlog->end = &backlog->first;
	atomic_init(&backlog->count, 0);
	return 0;
}

void
mia_backlog_fini(struct mia_backlog *backlog)
{
	mia_mutex_fini(&backlog->lock);
	mia_queue_fini(&backlog->ring);
}

void
mia_backlog_push(struct mia_backlog *backlog, struct mia_backlog_node *node)
{
	mia_happens_before(node);
	/* Relaxed: an old count only lets a few items overtake others. */
	if (MIA_LIKELY(atomic_load_explicit(
			       &backlog->count, memory_order_relaxed) == 0 &&
		    mia_queue_push(&backlog->ring, node)))
		return;

	mia_mutex_lock(&backlog->lock);
	node->next = NULL;
	*backlog->end = node;
	backlog->end = &node->next;
	/* Seq_cst: published before the caller reads the sleepers. */
	atomic_fetch_add_explicit(&backlog->count, 1, memory_order_seq_cst);
	mia_mutex_unlock(&backlog->lock);
}

/* For a ring that was empty: returns the oldest item, or NULL. */
static struct mia_backlog_node *
pop_overflow(struct mia_backlog *backlog)
{
	size_t taken = 0;

	/* Relaxed: the lock decides. A worker checks again before it sleeps. */
	if (atomic_load_explicit(&backlog->count, memory_order_relaxed) == 0)
		return NULL;

	mia_mutex_lock(&backlog->lock);
	struct mia_backlog_node *node = mia_queue_pop(&backlog->ring);

	if (node != NULL) {
		mia_mutex_unlock(&backlog->lock);
		return node;
	}

	node = backlog->first;
	struct mia_backlog_node *next = node;

	if (node != NULL) {
		next = node->next;
		taken = 1;
	}
	while (next != NULL && taken < FILL_MAX) {
		/* A worker may do the item as soon as it is in the ring. */
		struct mia_backlog_node *behind = next->next;

		if (!mia_queue_push(&backlog->ring, next))
			break;
		next = behind;
		taken++;
	}
	backlog->first = next;
	if (next == NULL)
		backlog->end = &backlog->first;
	/* Seq_cst: after the pushes, see mia_backlog_is_empty(). */
	atomic_fetch_sub_explicit(&backlog->count, taken, memory_order_seq_cst);
	mia_mutex_unlock(&backlog->lock);
	return node;
}

struct mia_backlog_node *
mia_backlog_pop(struct mia_backlog *backlog)
{
	struct mia_backlog_node *node = mia_queue_pop(&backlog->ring);

	if (node == NULL)
		node = pop_overflow(backlog);
	if (node != NULL)
		mia_happens_after(node);
	return node;
}

bool
mia_backlog_is_empty(struct mia_backlog *backlog)
{
	/* Checks the overflow first: see the head of this file. */
	return atomic_load_explicit(&backlog->count, memory_order_seq_cst) ==
		0 &&
		mia_queue_is_empty(&backlog->ring);
}

size_t
mia_backlog_length(struct mia_backlog *backlog)
{
	/* Relaxed: a hint. */
	return mia_queue_length(&backlog->ring) +
		atomic_load_explicit(&backlog->count, memory_order_relaxed);
}
