/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * event_fd.h -- a descriptor that any thread, or a timer, makes readable
 *
 * It is an epoll descriptor with an eventfd and a timerfd. One timerfd alone
 * would not do: a thread that makes it readable at once, and one that sets it
 * to a later time, would undo each other's work.
 *
 * Threads: any thread calls mia_event_fd_set(). One at a time calls the others.
 */

#ifndef LIBMINIASYNC_EVENT_FD_H
#define LIBMINIASYNC_EVENT_FD_H 1

#include <stdbool.h>
#include <stdint.h>

struct mia_event_fd {
	int epoll; /* which others watch */
	int event;
	int timer;
};

/*
 * Returns 0, or -errno with nothing left behind. -ENOTSUP: the system has no
 * such descriptors.
 */
int mia_event_fd_init(struct mia_event_fd *fd);
void mia_event_fd_fini(struct mia_event_fd *fd);

/*
 * In a child that was forked since: the descriptors belong to the parent too.
 * Makes others. fd->epoll keeps its number, unless the program has closed that
 * since. Returns 0, or -errno: there is none afterwards, as after fini.
 */
int mia_event_fd_renew(struct mia_event_fd *fd);

/* It is readable, too, while another descriptor is. Returns 0 or -errno. */
int mia_event_fd_add(struct mia_event_fd *fd, int other);

/* Before the other one is closed, of which a child may have a copy. */
void mia_event_fd_remove(struct mia_event_fd *fd, int other);

/*
 * Sleeps until it is readable, at most so many milliseconds. Returns whether
 * mia_event_fd_set() was called, if there are at most 4 descriptors.
 */
bool mia_event_fd_wait(struct mia_event_fd *fd, unsigned ms);

/* Makes it readable. Neither this nor the next is a cancellation point. */
void mia_event_fd_set(struct mia_event_fd *fd);

/* Takes all sets back. Returns whether there were any. */
bool mia_event_fd_reset(struct mia_event_fd *fd);

/*
 * The timer makes it readable so many nanoseconds from now on, and no earlier
 * timer does. 0: never.
 */
void mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns);

#endif /* LIBMINIASYNC_EVENT_FD_H */
