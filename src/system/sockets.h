/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sockets.h -- the connections that an epoll descriptor watches, on Linux
 *
 * Threads: safe from any thread. No thread may open or close the watched
 * descriptors meanwhile.
 */

#ifndef LIBMINIASYNC_SOCKETS_H
#define LIBMINIASYNC_SOCKETS_H 1

#include <stdint.h>

/*
 * Shuts down the receiving side of the TCP connections that epoll watches.
 * Includes connections that epoll watches by way of other epoll descriptors.
 * Without /proc no connection is found. Keeps errno.
 */
void mia_sockets_shut(int epoll);

/*
 * Returns the bytes that these connections have received, plus the sent bytes
 * that the peers' systems have received. The sum grows while a slow network
 * works. Keeps errno.
 */
uint64_t mia_sockets_bytes(int epoll);

/*
 * Lets the system check these connections when they are idle. The system ends a
 * connection whose peer has not answered for two minutes. Keeps errno.
 */
void mia_sockets_keep_alive(int epoll);

#endif /* LIBMINIASYNC_SOCKETS_H */
