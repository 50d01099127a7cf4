/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sockets.h -- the connections that an epoll descriptor watches, in Linux
 *
 * Threads: safe from any thread. Nobody may open or close what is watched
 * meanwhile.
 */

#ifndef LIBMINIASYNC_SOCKETS_H
#define LIBMINIASYNC_SOCKETS_H 1

#include <stdint.h>

/*
 * Nothing is received any more by the TCP connections that epoll watches, also
 * by way of other epoll descriptors that it watches. Without /proc it finds
 * none. Keeps errno.
 */
void mia_sockets_shut(int epoll);

/*
 * Bytes that these connections have received, and bytes of theirs that the
 * peers' systems have received. It grows while a slow network works. Keeps
 * errno.
 */
uint64_t mia_sockets_bytes(int epoll);

/*
 * The system looks after these connections when they are idle, and ends one
 * whose peer has not answered for two minutes. Keeps errno.
 */
void mia_sockets_keep_alive(int epoll);

#endif /* LIBMINIASYNC_SOCKETS_H */
