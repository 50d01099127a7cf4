/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_request.h -- how a mover asks a region to write memory back
 *
 * A region of persistent memory exposes a second piece of memory: slots. A
 * mover puts a request into one of them. The number of the slot comes with the
 * put, as remote data of the completion queue. Then the mover gets the first
 * two words of the slot, until they tell that it is done:
 *
 *	mover                  slot
 *	request       -- put --> done | nonce | check | count | ranges
 *	                         (the region writes back, then done = nonce)
 *	done, nonce   <-- get -- done | nonce
 *
 * Movers choose slots at random. If two have chosen the same at once, one finds
 * a nonce that is not its own, and asks again elsewhere.
 *
 * Peers write the slots, so a region trusts nothing there: it copies a request
 * once, and checks the copy. The check is a checksum. It finds a request of
 * which a part is another mover's. The Spin model is tests/model/request.pml.
 *
 * Threads: the functions are safe from any thread. One at a time answers the
 * requests of one region.
 */

#ifndef LIBMINIASYNC_FABRIC_REQUEST_H
#define LIBMINIASYNC_FABRIC_REQUEST_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIA_FABRIC_SLOTS 256
#define MIA_FABRIC_RANGES 14

/*
 * Bytes of one request at most. The region serves nobody else while it writes
 * them back.
 */
#define MIA_FABRIC_REQUEST_BYTES ((uint64_t)64 << 20)

/* All words are little-endian. */

struct mia_fabric_range {
	uint64_t at; /* offset in the region */
	uint64_t n;
};

struct mia_fabric_request {
	uint64_t nonce;
	uint64_t check;
	uint64_t count; /* of ranges */
	struct mia_fabric_range ranges[MIA_FABRIC_RANGES];
};

struct mia_fabric_answer {
	uint64_t done;
	uint64_t nonce;
};

/* A: the region, and peers through libfabric, at any time. */
struct mia_fabric_slot {
	_Atomic uint64_t done;
	_Atomic uint64_t request[sizeof(struct mia_fabric_request) / 8];
};

/* The key of the slots of the region with this key. */
static inline uint64_t
mia_fabric_slots_key(uint64_t key)
{
	return ~key;
}

/* The range i of a request that is made. */
void mia_fabric_request_set(struct mia_fabric_request *request, unsigned i,
	uint64_t at, uint64_t n);

/* It has so many ranges. Returns the bytes to put. The nonce is not 0. */
size_t mia_fabric_request_seal(
	struct mia_fabric_request *request, unsigned count, uint64_t nonce);

/* What a mover has got: the region has done the request with this nonce. */
bool mia_fabric_answer_is_done(
	const struct mia_fabric_answer *answer, uint64_t nonce);

/* Or another mover has put its request into the slot. */
bool mia_fabric_answer_is_lost(
	const struct mia_fabric_answer *answer, uint64_t nonce);

/*
 * The region: writes back what the request asks for, and says so. It takes the
 * nonce of a bad request away, so that the mover asks again. Whoever has no key
 * can only bring a request here once more: one that is done costs nothing.
 * Returns the bytes written back.
 */
uint64_t mia_fabric_request_serve(
	struct mia_fabric_slot *slot, const char *addr, uint64_t size);

#endif /* LIBMINIASYNC_FABRIC_REQUEST_H */
