/* SPDX-License-Identifier: BSD-3-Clause */

/* reaping.h -- random calls of a completion queue, which are verified */

#ifndef REAPING_H
#define REAPING_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libminiasync.h"

#define QUEUE_SILENT 3

/* Is complete after some polls, and says nothing about it. */
struct silent_data {
	uint64_t left; /* polls */
};

FUTURE(silent_future, struct silent_data, char);

struct queue {
	struct completion_queue *cq;
	struct silent_future silent[QUEUE_SILENT];
	bool has_silent[QUEUE_SILENT];
	size_t nfutures;
	uint64_t nreaped; /* by all queues that were here */
	const char *wrong;
};

/* Only the counts stay. */
void queue_make(struct queue *queue);

/* Futures that are not complete become complete. */
void queue_delete(struct queue *queue);

/* user_data is not NULL. */
void queue_add(struct queue *queue, struct future *fut, void *user_data);

/* A future of the queue's own. */
void queue_add_silent(struct queue *queue, uint64_t number);

/*
 * Reaps or waits, and may wait for the descriptor before: drawn from the
 * number. Calls done() for each future that was added and is complete.
 */
void queue_reap(struct queue *queue, uint64_t number,
	void (*done)(const struct completion *completion, void *arg),
	void *arg);

#endif /* REAPING_H */
