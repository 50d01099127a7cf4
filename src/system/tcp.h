/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * tcp.h -- whether an address can be used here, and has a listener
 *
 * Threads: safe from any thread.
 */

#ifndef LIBMINIASYNC_TCP_H
#define LIBMINIASYNC_TCP_H 1

#include <stdbool.h>
#include <stddef.h>

/*
 * Connects, and closes the connection. Returns 0 or -errno. -ECONNREFUSED: no
 * listener. -ETIMEDOUT: no answer in ms milliseconds. Other errors come from
 * connect().
 *
 * address  a struct sockaddr_in or _in6 of n bytes
 */
int mia_tcp_probe(const void *address, size_t n, unsigned ms);

/*
 * Returns false if this system does not have the network interface that the
 * address names, as in "fe80::1%eth0".
 */
bool mia_tcp_has_interface(const char *host);

#endif /* LIBMINIASYNC_TCP_H */
