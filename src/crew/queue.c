/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue.c -- see queue.h
 *
 * A ring in which every cell says whose turn it is, after D. Vyukov, "Bounded
 * MPMC queue". Positions count up for ever; position p uses cell p & mask. Of
 * a position, the lap is what is left without those bits:
 *
 *	turn == lap             free, for the push of that lap
 *	turn == lap + 1         full, for the pop of that lap
 *	turn == lap + capacity  free, for the next lap
 *
 * All of it is right modulo the size of a size_t, the capacity is 2 at least,
 * and zeros are an empty queue, so that memory is touched only as it is used.
 */

#include "crew/queue.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct mia_queue_cell {
	atomic_size_t turn;
	void *item; /* written and read by whose turn it is */
};

int
mia_queue_init(struct mia_queue *queue, size_t capacity)
{
	const size_t max = PTRDIFF_MAX / sizeof(struct mia_queue_cell);
	size_t rounded = 2;

	if (capacity > max)
		return -EINVAL;
	while (rounded < capacity)
		rounded *= 2;

	queue->cells = calloc(rounded, sizeof(*queue->cells));
	if (queue->cells == NULL)
		return -ENOMEM;
	queue->mask = rounded - 1;
	atomic_init(&queue->head, 0);
	atomic_init(&queue->tail, 0);
	return 0;
}

void
mia_queue_fini(struct mia_queue *queue)
{
	free(queue->cells);
}

bool
mia_queue_push(struct mia_queue *queue, void *item)
{
	struct mia_queue_cell *cell;
	/* Relaxed: the compare-exchange below tells whether it is the newest. */
	size_t pos = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	for (;;) {
		cell = &queue->cells[pos & queue->mask];

		/* Acquire: pairs with the release in pop; the item is read. */
		const size_t turn =
			atomic_load_explicit(&cell->turn, memory_order_acquire);

		if (turn == (pos & ~queue->mask)) {
			/* Relaxed: claims a number, publishes nothing. */
			if (atomic_compare_exchange_weak_explicit(&queue->tail,
				    &pos, pos + 1, memory_order_relaxed,
				    memory_order_relaxed))
				break;
		} else {
			const size_t old = pos;

			pos = atomic_load_explicit(
				&queue->tail, memory_order_relaxed);
			if (pos == old)
				return false;
		}
	}

	cell->item = item;
	/* Publishes the item to pop. See mia_queue_is_empty() for seq_cst. */
	atomic_store_explicit(
		&cell->turn, (pos & ~queue->mask) + 1, memory_order_seq_cst);
	return true;
}

void *
mia_queue_pop(struct mia_queue *queue)
{
	struct mia_queue_cell *cell;
	/* Relaxed: as in mia_queue_push(). */
	size_t pos = atomic_load_explicit(&queue->head, memory_order_relaxed);

	for (;;) {
		cell = &queue->cells[pos & queue->mask];

		/* Acquire: pairs with the store in push; the item is there. */
		const size_t turn =
			atomic_load_explicit(&cell->turn, memory_order_acquire);

		if (turn == (pos & ~queue->mask) + 1) {
			/* Relaxed: claims a number, publishes nothing. */
			if (atomic_compare_exchange_weak_explicit(&queue->head,
				    &pos, pos + 1, memory_order_relaxed,
				    memory_order_relaxed))
				break;
		} else {
			const size_t old = pos;

			pos = atomic_load_explicit(
				&queue->head, memory_order_relaxed);
			if (pos == old)
				return NULL;
		}
	}

	void *item = cell->item;

	/* Release: the item was read before a push may write it anew. */
	atomic_store_explicit(&cell->turn,
		(pos & ~queue->mask) + queue->mask + 1, memory_order_release);
	return item;
}

bool
mia_queue_is_empty(struct mia_queue *queue)
{
	size_t pos = atomic_load_explicit(&queue->head, memory_order_seq_cst);

	for (;;) {
		const struct mia_queue_cell *cell =
			&queue->cells[pos & queue->mask];
		const size_t turn =
			atomic_load_explicit(&cell->turn, memory_order_seq_cst);
		const size_t old = pos;

		if (turn == (pos & ~queue->mask) + 1)
			return false;

		/* Not that: nothing pushed there yet, or popped meanwhile. */
		pos = atomic_load_explicit(&queue->head, memory_order_seq_cst);
		if (pos == old)
			return true;
	}
}

size_t
mia_queue_length(struct mia_queue *queue)
{
	/* Relaxed, both: a hint. The tail may be of an earlier moment. */
	const size_t head =
		atomic_load_explicit(&queue->head, memory_order_relaxed);
	const size_t tail =
		atomic_load_explicit(&queue->tail, memory_order_relaxed);
	const size_t length = tail - head;

	return length <= queue->mask + 1 ? length : 0;
}
