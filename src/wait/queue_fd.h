/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue_fd.h -- the descriptor of a completion queue, if it has one
 *
 * The struct stores the state of the descriptor, so that few calls need the
 * system.
 *
 * Threads: the queue's thread. Any thread calls mia_queue_fd_rouse().
 */

#ifndef LIBMINIASYNC_QUEUE_FD_H
#define LIBMINIASYNC_QUEUE_FD_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "system/event_fd.h"

struct mia_queue_fd {
	/* A: only the queue's thread writes it */
	atomic_bool is_open;

	/* I: before is_open is set */
	struct mia_event_fd fd;

	/* Owned by the queue's thread: */
	bool is_set;       /* or a waker is about to set fd */
	uint64_t timer_ns; /* when the timer sets fd, or MIA_NEVER */
};

void mia_queue_fd_init(struct mia_queue_fd *qfd);
void mia_queue_fd_fini(struct mia_queue_fd *qfd);

/*
 * Call this in a forked child, before the child has wakers. Makes new
 * descriptors. If this fails, the queue has no open descriptor.
 */
void mia_queue_fd_renew(struct mia_queue_fd *qfd);

/*
 * Call this once. mia_queue_fd_rouse() then sets the descriptor. Returns 0 or
 * -errno.
 */
int mia_queue_fd_open(struct mia_queue_fd *qfd);

/* Relaxed: the calling thread wrote the flag. */
static inline bool
mia_queue_fd_is_open(struct mia_queue_fd *qfd)
{
	return atomic_load_explicit(&qfd->is_open, memory_order_relaxed);
}

/*
 * Any thread: sets the descriptor, if it is open. Acquire: pairs with the
 * release in mia_queue_fd_open(). A wake after mia_ready_listen() finds is_open
 * set, because its push has acquired the writes that mia_ready_listen()
 * released. An earlier wake may find is_open set too.
 */
static inline void
mia_queue_fd_rouse(struct mia_queue_fd *qfd)
{
	if (atomic_load_explicit(&qfd->is_open, memory_order_acquire))
		mia_event_fd_set(&qfd->fd);
}

/* The descriptor is readable now, or soon if a waker is about to set it. */
void mia_queue_fd_set(struct mia_queue_fd *qfd);

/*
 * The descriptor is no longer set. The taker must be quiet. If a waker sets the
 * descriptor late, it is readable again until the next reset.
 */
void mia_queue_fd_reset(struct mia_queue_fd *qfd);

/*
 * The timer sets the descriptor at due_ns. A timer that is due earlier stays.
 * MIA_NEVER stops the timer.
 */
void mia_queue_fd_set_timer(struct mia_queue_fd *qfd, uint64_t due_ns);

#endif /* LIBMINIASYNC_QUEUE_FD_H */
