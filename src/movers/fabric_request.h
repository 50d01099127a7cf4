/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_request.h -- how a mover asks a region to write memory back
 *
 * A region of persistent memory exposes a second range of memory: slots. A
 * mover puts a request into a slot. The number of the slot comes with the put,
 * as remote data of the completion queue. Then the mover gets the first two
 * words of the slot, again and again until done equals its nonce:
 *
 *	mover                  slot
 *	request       -- put --> done | nonce | check | count | ranges
 *	                         (the region writes back, then done = nonce)
 *	done, nonce   <-- get -- done | nonce
 *
 * Movers choose slots at random. If two movers choose the same slot at once,
 * one of them finds the other's nonce, and asks again in another slot.
 *
 * Peers write the slots, so a region does not trust their content. It copies a
 * request once, and checks the copy. The check is a checksum. It detects a
 * request that another mover has overwritten in part.
 * The Spin model is tests/model/request.pml.
 *
 * Threads: the functions are safe from any thread. One thread at a time answers
 * the requests of one region.
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
 * The most bytes of one request. While the region writes them back, it serves
 * nothing else.
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

/* Sets range i of a new request. */
void mia_fabric_request_set(struct mia_fabric_request *request, unsigned i,
	uint64_t at, uint64_t n);

/* Completes a request of count ranges; nonce is not 0. Returns bytes to put. */
size_t mia_fabric_request_seal(
	struct mia_fabric_request *request, unsigned count, uint64_t nonce);

/* Whether the region has done the request with this nonce. */
bool mia_fabric_answer_is_done(
	const struct mia_fabric_answer *answer, uint64_t nonce);

/* Whether the request is gone: overwritten by another mover, or refused. */
bool mia_fabric_answer_is_lost(
	const struct mia_fabric_answer *answer, uint64_t nonce);

/*
 * For the region: writes back the ranges of the request, and sets done. Sets
 * the nonce of an invalid request to 0, so that the mover asks again. A peer
 * without the key can only cause a second check of a request. A request that is
 * done costs nothing. Returns the bytes written back.
 */
uint64_t mia_fabric_request_serve(
	struct mia_fabric_slot *slot, const char *addr, uint64_t size);

#endif /* LIBMINIASYNC_FABRIC_REQUEST_H */
