/* SPDX-License-Identifier: BSD-3-Clause */

/* sockets.c -- see sockets.h */

#include "system/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/platform.h"

/* The system allows no deeper nesting of epoll descriptors. */
#define MAX_DEPTH 5

/* Returns the text of a file of /proc, or NULL. The caller frees the text. */
static char *
read_text(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t room = 4096, n = 0;
	char *text = fd >= 0 ? malloc(room) : NULL;
	ssize_t got = 1;

	while (text != NULL && got > 0) {
		got = read(fd, text + n, room - n - 1);
		n += got > 0 ? (size_t)got : 0;
		if (n + 1 == room) {
			char *more = realloc(text, room *= 2);

			if (more == NULL)
				free(text);
			text = more;
		}
	}
	if (fd >= 0)
		close(fd);
	if (text != NULL)
		text[n] = '\0';
	return text;
}

/* The number may belong to another file by now, so the inode is compared. */
static bool
is_tcp_connection(int fd, unsigned long long inode)
{
	struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof(peer);
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) &&
		status.st_ino == inode &&
		getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
		(peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
}

/* Parses the number at the start of text. False: there is none. */
static bool
parse_number(const char *text, int base, unsigned long long *number)
{
	char *end;

	*number = strtoull(text, &end, base);
	return end != text;
}

/*
 * Calls visit() for each connection. Only the fdinfo of an epoll descriptor has
 * lines "tfd: FD events: ... ino:INODE ...".
 */
static void
visit_watched(
	int epoll, int depth, void (*visit)(int fd, void *data), void *data)
{
	static const char tfd[] = "tfd:", ino[] = " ino:";
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll);

	char *text = read_text(path);
	const char *line = text;

	while (line != NULL && (line = strstr(line, tfd)) != NULL) {
		const char *inode = strstr(line, ino);
		unsigned long long fd, number;

		line += strlen(tfd);
		if (inode != NULL && parse_number(line, 10, &fd) &&
			fd <= INT_MAX &&
			parse_number(inode + strlen(ino), 16, &number)) {
			if (is_tcp_connection((int)fd, number))
				visit((int)fd, data);
			if (depth < MAX_DEPTH)
				visit_watched((int)fd, depth + 1, visit, data);
		}
	}
	free(text);
}

static void
shut(int fd, void *data)
{
	(void)data;
	shutdown(fd, SHUT_RD);
}

void
mia_sockets_shut(int epoll)
{
	const int saved_errno = errno;

	visit_watched(epoll, 1, shut, NULL);
	mia_restore_errno(saved_errno);
}

/* An older system fills in less of info. */
static void
add_bytes(int fd, void *data)
{
	uint64_t *bytes = data;
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
		*bytes += info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

uint64_t
mia_sockets_bytes(int epoll)
{
	const int saved_errno = errno;
	uint64_t bytes = 0;

	visit_watched(epoll, 1, add_bytes, &bytes);
	mia_restore_errno(saved_errno);
	return bytes;
}

/* After 60 s without a byte: 4 keep-alive probes, 15 s apart. */
static void
keep_alive(int fd, void *data)
{
	const int on = 1, idle = 60, interval = 15, count = 4;

	(void)data;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

void
mia_sockets_keep_alive(int epoll)
{
	const int saved_errno = errno;

	visit_watched(epoll, 1, keep_alive, NULL);
	mia_restore_errno(saved_errno);
}
