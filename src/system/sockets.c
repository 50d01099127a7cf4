/* SPDX-License-Identifier: BSD-3-Clause */

/* sockets.c -- see sockets.h */

#include "system/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/platform.h"

/* The system allows no deeper one. */
#define MAX_DEPTH 5

/* The text of a file of /proc, which the caller frees, or NULL. */
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

/* A number may be that of another file by now: the inode tells. */
static void
shut_if_tcp(int fd, unsigned long long inode)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	struct stat status;

	if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) &&
		status.st_ino == inode &&
		getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
		(peer.ss_family == AF_INET || peer.ss_family == AF_INET6))
		shutdown(fd, SHUT_RD);
}

/* Lines "tfd: FD events: ... ino:INODE ...", of epoll descriptors alone. */
static void
shut_watched(int epoll, int depth)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll);

	char *text = read_text(path);
	const char *line = text;

	while (line != NULL && (line = strstr(line, "tfd:")) != NULL) {
		const char *inode = strstr(line, " ino:");
		int fd;
		unsigned long long number;

		if (inode != NULL && sscanf(line, "tfd: %d", &fd) == 1 &&
			sscanf(inode, " ino:%llx", &number) == 1) {
			shut_if_tcp(fd, number);
			if (depth < MAX_DEPTH)
				shut_watched(fd, depth + 1);
		}
		line += strlen("tfd:");
	}
	free(text);
}

void
mia_sockets_shut(int epoll)
{
	const int saved_errno = errno;

	shut_watched(epoll, 1);
	mia_restore_errno(saved_errno);
}
