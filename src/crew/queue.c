/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue.c -- see queue.h
 *
 * A ring of cells after D. Vyukov, "Bounded MPMC queue". Positions count up
 * without end. Position p uses cell p & mask. The lap of p is p without these
 * bits. The turn of the cell is its state for that lap:
 *
 *	turn == lap             free, for the push of this lap
 *	turn == lap + 1         full, for the pop of this lap
 *	turn == lap + capacity  free, for the push of the next lap
 *
 * All numbers are modulo the size of a size_t. The capacity is at least 2. A
 * new queue is all zero, so its memory is touched only when cells are used.
 */

#include "crew/queue.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct mia_queue_cell {
	atomic_size_t turn; /* A: all threads */
	void *item;         /* of the thread whose turn it is */
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
	/* Relaxed: the compare-exchange below checks the value. */
	size_t pos = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	for (;;) {
		cell = &queue->cells[pos & queue->mask];

		/* Acquire: pairs with pop's release after its read of item. */
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
	/* Publishes item to pop. Seq_cst for mia_queue_is_empty(). */
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

		/* Acquire: pairs with push's store after its write of item. */
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

	/* Release: pairs with the acquire in push, which writes item again. */
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

		/* No item yet, or another thread has popped it. */
		pos = atomic_load_explicit(&queue->head, memory_order_seq_cst);
		if (pos == old)
			return true;
	}
}

size_t
mia_queue_length(struct mia_queue *queue)
{
	/* Relaxed, both: a hint. The tail may be older than the head. */
	const size_t head =
		atomic_load_explicit(&queue->head, memory_order_relaxed);
	const size_t tail =
		atomic_load_explicit(&queue->tail, memory_order_relaxed);
	const size_t length = tail - head;

	return length <= queue->mask + 1 ? length : 0;
}
