/* SPDX-License-Identifier: BSD-3-Clause */

/* tcp.c -- see tcp.h */

#include "system/tcp.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system/platform.h"

/* Waits until a connect that has begun is over. */
static int
finish_connect(int fd, unsigned ms)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	const uint64_t start_ns = mia_clock_ns();
	int error = 0;
	socklen_t size = sizeof(error);

	for (;;) {
		const uint64_t past_ms = (mia_clock_ns() - start_ns) / 1000000;

		if (past_ms >= ms)
			return -ETIMEDOUT;

		const uint64_t left_ms = ms - past_ms;
		const int n = poll(
			&ready, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			break;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return -errno;
	return -error;
}

int
mia_tcp_probe(const void *address, size_t n, unsigned ms)
{
	const struct sockaddr *name = address;
	const int fd = socket(
		name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, name, (socklen_t)n) != 0)
		error = errno == EINPROGRESS ? finish_connect(fd, ms) : -errno;
	close(fd);
	return error;
}

bool
mia_tcp_has_interface(const char *host)
{
	const char *name = strchr(host, '%');
	const int saved_errno = errno;

	if (name == NULL)
		return true;
	name++;

	/* The number of an interface is valid too. */
	const bool is_known = if_nametoindex(name) != 0 ||
		name[strspn(name, "0123456789")] == '\0';

	mia_restore_errno(saved_errno);
	return is_known;
}
