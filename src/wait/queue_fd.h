/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue_fd.h -- the descriptor of a completion queue, if it has one
 *
 * Remembers what was done, so that few calls need the system.
 *
 * Threads: the queue's, except as said.
 */

#ifndef LIBMINIASYNC_QUEUE_FD_H
#define LIBMINIASYNC_QUEUE_FD_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "system/event_fd.h"

struct mia_queue_fd {
	/* A: the queue's thread writes it once */
	atomic_bool is_open;

	/* I: once is_open is true */
	struct mia_event_fd fd;

	/* Of the queue's thread: */
	bool is_set;       /* or a waker is about to set it */
	uint64_t timer_ns; /* when the timer sets it, or MIA_NEVER */
};

void mia_queue_fd_init(struct mia_queue_fd *qfd);
void mia_queue_fd_fini(struct mia_queue_fd *qfd);

/*
 * In a child that was forked since, and has no wakers yet: makes descriptors of
 * its own. Without any it is not open afterwards.
 */
void mia_queue_fd_renew(struct mia_queue_fd *qfd);

/* Not twice. Wakers that rouse afterwards set it. Returns 0 or -errno. */
int mia_queue_fd_open(struct mia_queue_fd *qfd);

/* Relaxed: the queue's thread has written it. */
static inline bool
mia_queue_fd_is_open(struct mia_queue_fd *qfd)
{
	return atomic_load_explicit(&qfd->is_open, memory_order_relaxed);
}

/*
 * Any thread: sets it, if it is open. Acquire: pairs with the release in
 * mia_queue_fd_open(). A wake after that finds it open, because its push has
 * acquired what mia_ready_listen() released. One before may find it open, too.
 */
static inline void
mia_queue_fd_rouse(struct mia_queue_fd *qfd)
{
	if (atomic_load_explicit(&qfd->is_open, memory_order_acquire))
		mia_event_fd_set(&qfd->fd);
}

/* It is readable from now on, or soon: a waker may be about to set it. */
void mia_queue_fd_set(struct mia_queue_fd *qfd);

/*
 * It is not set any more. The taker must be quiet. If a waker has not set it
 * yet, it is readable later, until the next reset.
 */
void mia_queue_fd_reset(struct mia_queue_fd *qfd);

/* It is readable at this time, or MIA_NEVER. An earlier timer stays. */
void mia_queue_fd_set_timer(struct mia_queue_fd *qfd, uint64_t due_ns);

#endif /* LIBMINIASYNC_QUEUE_FD_H */
