/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * tcp.h -- whether an address can be used here, and anybody listens there
 *
 * Threads: safe from any thread.
 */

#ifndef LIBMINIASYNC_TCP_H
#define LIBMINIASYNC_TCP_H 1

#include <stdbool.h>
#include <stddef.h>

/*
 * Connects and closes. Returns 0, or -errno: -ECONNREFUSED: nobody listens,
 * -ETIMEDOUT: no answer in so many milliseconds, and others of connect().
 *
 * address  a struct sockaddr_in or _in6 of n bytes
 */
int mia_tcp_probe(const void *address, size_t n, unsigned ms);

/*
 * False: the address names a network interface, as in "fe80::1%eth0", which
 * this system does not have.
 */
bool mia_tcp_has_interface(const char *host);

#endif /* LIBMINIASYNC_TCP_H */
