/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_token.h -- the data that a peer needs to use a region, as text
 *
 *	miniasync-region-1,127.0.0.1:4711,1000000,3,89abcdef01234567,0badcafe
 *	                   address        size    |  key              checksum
 *	                                          access
 *
 * Size and key are hexadecimal. The checksum detects typing mistakes and cut
 * tokens. It does not protect against forgery; the key does.
 *
 * Threads: a token is a value. All functions are safe from any thread.
 */

#ifndef LIBMINIASYNC_FABRIC_TOKEN_H
#define LIBMINIASYNC_FABRIC_TOKEN_H 1

#include <stddef.h>
#include <stdint.h>

/* A bit of access: the region writes memory back on request. */
#define MIA_FABRIC_PERSISTENT 4U

/* An IPv6 address with a zone, and the final 0. */
#define MIA_FABRIC_HOST_MAX 80

/* Where a region listens: an address as numbers, and a port. */
struct mia_fabric_address {
	char host[MIA_FABRIC_HOST_MAX];
	char port[6];
};

struct mia_fabric_token {
	struct mia_fabric_address address;
	uint64_t size;
	uint64_t key;
	unsigned access; /* DATA_MOVER_REGION_*, MIA_FABRIC_PERSISTENT */
};

/*
 * Parses "127.0.0.1:4711", "[::1]:4711", or the same without a port. The port
 * is then "0". Returns 0, or -EINVAL, also for 0.0.0.0 and ::.
 */
int mia_fabric_address_parse(
	struct mia_fabric_address *address, const char *text);

/* Returns 0, or -ENOSPC. */
int mia_fabric_token_write(
	const struct mia_fabric_token *token, char *text, size_t size);

/* Returns 0, -EINVAL: not a token, or -EPROTO: a token of another version. */
int mia_fabric_token_parse(struct mia_fabric_token *token, const char *text);

#endif /* LIBMINIASYNC_FABRIC_TOKEN_H */
