/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * event_fd.h -- a descriptor that any thread, or a timer, makes readable
 *
 * It is an epoll descriptor over an eventfd and a timerfd. One timerfd is not
 * enough. A thread that makes the timerfd readable at once, and a thread that
 * sets it to a later time, would undo each other's work.
 *
 * Threads: any thread calls mia_event_fd_set(). One thread at a time calls the
 * other functions.
 */

#ifndef LIBMINIASYNC_EVENT_FD_H
#define LIBMINIASYNC_EVENT_FD_H 1

#include <stdbool.h>
#include <stdint.h>

struct mia_event_fd {
	int epoll; /* the descriptor that users watch */
	int event;
	int timer;
};

/*
 * Returns 0, or -errno with no descriptor left open. -ENOTSUP: the system has
 * no such descriptors.
 */
int mia_event_fd_init(struct mia_event_fd *fd);
void mia_event_fd_fini(struct mia_event_fd *fd);

/*
 * Call this in a forked child, whose descriptors belong to the parent too.
 * Makes new descriptors. fd->epoll keeps its number, unless the program has
 * closed that number. Returns 0, or -errno with no descriptor, as after
 * mia_event_fd_fini().
 */
int mia_event_fd_renew(struct mia_event_fd *fd);

/* fd is then also readable while other is readable. Returns 0 or -errno. */
int mia_event_fd_add(struct mia_event_fd *fd, int other);

/* Call this before other is closed, because a child may have a copy of it. */
void mia_event_fd_remove(struct mia_event_fd *fd, int other);

/*
 * Sleeps until fd is readable, for at most ms milliseconds. Returns whether
 * mia_event_fd_set() was called. This is reliable if fd watches at most 4
 * descriptors.
 */
bool mia_event_fd_wait(struct mia_event_fd *fd, unsigned ms);

/*
 * Makes fd readable. This and mia_event_fd_reset() are not cancellation points.
 */
void mia_event_fd_set(struct mia_event_fd *fd);

/* Undoes all sets. Returns whether there were any. */
bool mia_event_fd_reset(struct mia_event_fd *fd);

/*
 * The timer makes fd readable after ns nanoseconds. Replaces an earlier time.
 * 0: the timer never makes fd readable.
 */
void mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns);

#endif /* LIBMINIASYNC_EVENT_FD_H */
