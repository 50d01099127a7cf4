/* SPDX-License-Identifier: BSD-3-Clause */

/* queue_fd.c -- see queue_fd.h */

#include "wait/queue_fd.h"

#include "system/platform.h"
#include "wait/pace.h"

void
mia_queue_fd_init(struct mia_queue_fd *qfd)
{
	atomic_init(&qfd->is_open, false);
	qfd->is_set = false;
	qfd->timer_ns = MIA_NEVER;
}

void
mia_queue_fd_fini(struct mia_queue_fd *qfd)
{
	if (mia_queue_fd_is_open(qfd))
		mia_event_fd_fini(&qfd->fd);
}

int
mia_queue_fd_open(struct mia_queue_fd *qfd)
{
	const int error = mia_event_fd_init(&qfd->fd);

	/* Release: pairs with the acquire in mia_queue_fd_rouse(). */
	if (error == 0)
		atomic_store_explicit(
			&qfd->is_open, true, memory_order_release);
	return error;
}

void
mia_queue_fd_renew(struct mia_queue_fd *qfd)
{
	if (!mia_queue_fd_is_open(qfd))
		return;
	qfd->is_set = false;
	qfd->timer_ns = MIA_NEVER;
	/* Relaxed: no wakers. */
	if (mia_event_fd_renew(&qfd->fd) != 0)
		atomic_store_explicit(
			&qfd->is_open, false, memory_order_relaxed);
}

void
mia_queue_fd_set(struct mia_queue_fd *qfd)
{
	if (!qfd->is_set)
		mia_event_fd_set(&qfd->fd);
	qfd->is_set = true;
}

void
mia_queue_fd_reset(struct mia_queue_fd *qfd)
{
	if (mia_event_fd_reset(&qfd->fd))
		qfd->is_set = false;
}

void
mia_queue_fd_set_timer(struct mia_queue_fd *qfd, uint64_t due_ns)
{
	if (due_ns == MIA_NEVER) {
		if (qfd->timer_ns != MIA_NEVER)
			mia_event_fd_arm(&qfd->fd, 0);
		qfd->timer_ns = MIA_NEVER;
		return;
	}

	const uint64_t now = mia_clock_ns();

	if (now < qfd->timer_ns && qfd->timer_ns <= due_ns)
		return;

	mia_event_fd_arm(&qfd->fd, due_ns > now ? due_ns - now : 1);
	qfd->timer_ns = due_ns;
}
