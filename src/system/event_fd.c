/* SPDX-License-Identifier: BSD-3-Clause */

/* event_fd.c -- see event_fd.h */

#include "system/event_fd.h"

#include <errno.h>

#if defined(__linux__)

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "system/platform.h"

/*
 * syscall() is not a cancellation point. write(), read() and close() are. All
 * these calls may run in a thread of the program, inside a waker.
 */
static void
close_if_open(int fd)
{
	if (fd >= 0)
		syscall(SYS_close, fd);
}

void
mia_event_fd_fini(struct mia_event_fd *fd)
{
	const int saved_errno = errno;

	close_if_open(fd->epoll);
	close_if_open(fd->event);
	close_if_open(fd->timer);
	mia_restore_errno(saved_errno);
}

static int
watch(const struct mia_event_fd *fd, int which)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = which};

	return epoll_ctl(fd->epoll, EPOLL_CTL_ADD, which, &event);
}

int
mia_event_fd_init(struct mia_event_fd *fd)
{
	fd->event = -1;
	fd->timer = -1;
	fd->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (fd->epoll >= 0)
		fd->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd->event >= 0)
		fd->timer = timerfd_create(
			CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd->timer >= 0 && watch(fd, fd->event) == 0 &&
		watch(fd, fd->timer) == 0)
		return 0;

	const int error = -errno;

	mia_event_fd_fini(fd);
	return error;
}

/*
 * Whether the numbers still refer to these descriptors. A daemon may have
 * closed all descriptors, and opened others. Changes nothing.
 */
static bool
is_whole(const struct mia_event_fd *fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd->event};
	struct epoll_event timer = {.events = EPOLLIN, .data.fd = fd->timer};

	return epoll_ctl(fd->epoll, EPOLL_CTL_MOD, fd->event, &event) == 0 &&
		epoll_ctl(fd->epoll, EPOLL_CTL_MOD, fd->timer, &timer) == 0;
}

int
mia_event_fd_renew(struct mia_event_fd *fd)
{
	const int saved_errno = errno;
	const bool was_whole = is_whole(fd);
	struct mia_event_fd own;
	const int error = mia_event_fd_init(&own);

	/* Descriptors of other files are left alone. */
	if (was_whole && error != 0)
		mia_event_fd_fini(fd);
	if (was_whole && error == 0 &&
		dup3(own.epoll, fd->epoll, O_CLOEXEC) == fd->epoll) {
		close_if_open(own.epoll);
		own.epoll = fd->epoll;
		close_if_open(fd->event);
		close_if_open(fd->timer);
	}
	if (error == 0)
		*fd = own;
	mia_restore_errno(saved_errno);
	return error;
}

int
mia_event_fd_add(struct mia_event_fd *fd, int other)
{
	return watch(fd, other) == 0 ? 0 : -errno;
}

void
mia_event_fd_remove(struct mia_event_fd *fd, int other)
{
	const int saved_errno = errno;

	epoll_ctl(fd->epoll, EPOLL_CTL_DEL, other, NULL);
	mia_restore_errno(saved_errno);
}

bool
mia_event_fd_wait(struct mia_event_fd *fd, unsigned ms)
{
	const int saved_errno = errno;
	struct epoll_event events[4];
	const long n = syscall(SYS_epoll_pwait, fd->epoll, events,
		sizeof(events) / sizeof(*events), (int)ms, NULL, 0);
	bool is_set = false;

	for (long i = 0; i < n; i++)
		is_set |= events[i].data.fd == fd->event;
	mia_restore_errno(saved_errno);
	return is_set;
}

void
mia_event_fd_set(struct mia_event_fd *fd)
{
	const int saved_errno = errno;
	const uint64_t one = 1;

	syscall(SYS_write, fd->event, &one, sizeof(one));
	mia_restore_errno(saved_errno);
}

bool
mia_event_fd_reset(struct mia_event_fd *fd)
{
	const int saved_errno = errno;
	uint64_t sets;
	const bool was_set = syscall(SYS_read, fd->event, &sets,
				     sizeof(sets)) == sizeof(sets);

	mia_restore_errno(saved_errno);
	return was_set;
}

void
mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns)
{
	const int saved_errno = errno;
	const struct itimerspec when = {
		.it_value.tv_sec = (time_t)(ns / MIA_NS_PER_S),
		.it_value.tv_nsec = (long)(ns % MIA_NS_PER_S)};

	timerfd_settime(fd->timer, 0, &when, NULL);
	mia_restore_errno(saved_errno);
}

#else

int
mia_event_fd_add(struct mia_event_fd *fd, int other)
{
	(void)fd;
	(void)other;
	return -ENOTSUP;
}

void
mia_event_fd_remove(struct mia_event_fd *fd, int other)
{
	(void)fd;
	(void)other;
}

bool
mia_event_fd_wait(struct mia_event_fd *fd, unsigned ms)
{
	(void)fd;
	(void)ms;
	return false;
}

int
mia_event_fd_init(struct mia_event_fd *fd)
{
	(void)fd;
	return -ENOTSUP;
}

int
mia_event_fd_renew(struct mia_event_fd *fd)
{
	(void)fd;
	return -ENOTSUP;
}

/* No descriptor was made. */
void
mia_event_fd_fini(struct mia_event_fd *fd)
{
	(void)fd;
}

void
mia_event_fd_set(struct mia_event_fd *fd)
{
	(void)fd;
}

bool
mia_event_fd_reset(struct mia_event_fd *fd)
{
	(void)fd;
	return false;
}

void
mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns)
{
	(void)fd;
	(void)ns;
}

#endif
