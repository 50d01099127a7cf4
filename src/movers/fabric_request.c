/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_request.c -- see fabric_request.h */

#include "movers/fabric_request.h"

#include <endian.h>

#include "operation/memory.h"

/* The bytes of a request with count ranges. */
static size_t
bytes_of(uint64_t count)
{
	return offsetof(struct mia_fabric_request, ranges) +
		(size_t)count * sizeof(struct mia_fabric_range);
}

/* FNV-1a with 64 bits, over all words except the check. */
static uint64_t
check_of(const struct mia_fabric_request *request)
{
	const uint64_t prime = UINT64_C(0x100000001b3);
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	sum = (sum ^ request->nonce) * prime;
	sum = (sum ^ request->count) * prime;
	for (uint64_t i = 0; i < le64toh(request->count); i++) {
		sum = (sum ^ request->ranges[i].at) * prime;
		sum = (sum ^ request->ranges[i].n) * prime;
	}
	return sum;
}

void
mia_fabric_request_set(
	struct mia_fabric_request *request, unsigned i, uint64_t at, uint64_t n)
{
	request->ranges[i].at = htole64(at);
	request->ranges[i].n = htole64(n);
}

size_t
mia_fabric_request_seal(
	struct mia_fabric_request *request, unsigned count, uint64_t nonce)
{
	request->nonce = htole64(nonce);
	request->count = htole64(count);
	request->check = htole64(check_of(request));
	return bytes_of(count);
}

bool
mia_fabric_answer_is_done(
	const struct mia_fabric_answer *answer, uint64_t nonce)
{
	return le64toh(answer->done) == nonce;
}

bool
mia_fabric_answer_is_lost(
	const struct mia_fabric_answer *answer, uint64_t nonce)
{
	return le64toh(answer->nonce) != nonce;
}

/* Relaxed: peers may write meanwhile, which the check detects. */
static struct mia_fabric_request
copy_once(const struct mia_fabric_slot *slot)
{
	union {
		uint64_t words[sizeof(slot->request) / sizeof(*slot->request)];
		struct mia_fabric_request request;
	} copy;

	_Static_assert(
		sizeof(copy.request) == sizeof(copy.words), "words alone");
	for (size_t i = 0; i < sizeof(copy.words) / sizeof(*copy.words); i++)
		copy.words[i] = atomic_load_explicit(
			&slot->request[i], memory_order_relaxed);
	return copy.request;
}

/* Whether check, ranges and the sum of their bytes are valid. */
static bool
is_valid(const struct mia_fabric_request *request, uint64_t size)
{
	const uint64_t count = le64toh(request->count);
	uint64_t left = MIA_FABRIC_REQUEST_BYTES;

	if (request->nonce == 0 || count > MIA_FABRIC_RANGES ||
		le64toh(request->check) != check_of(request))
		return false;
	for (uint64_t i = 0; i < count; i++) {
		const uint64_t at = le64toh(request->ranges[i].at);
		const uint64_t n = le64toh(request->ranges[i].n);

		if (at > size || n > size - at || n > left)
			return false;
		left -= n;
	}
	return true;
}

uint64_t
mia_fabric_request_serve(
	struct mia_fabric_slot *slot, const char *addr, uint64_t size)
{
	const struct mia_fabric_request copy = copy_once(slot);
	uint64_t bytes = 0;

	if (!is_valid(&copy, size)) {
		/* Relaxed: publishes nothing. */
		atomic_store_explicit(
			&slot->request[0], 0, memory_order_relaxed);
		return 0;
	}
	/* Relaxed: this thread wrote done, or a peer for its own request. */
	if (atomic_load_explicit(&slot->done, memory_order_relaxed) ==
		copy.nonce)
		return 0;
	for (uint64_t i = 0; i < le64toh(copy.count); i++) {
		const uint64_t n = le64toh(copy.ranges[i].n);

		(void)mia_memory_flush(
			addr + le64toh(copy.ranges[i].at), (size_t)n);
		bytes += n;
	}
	/* Release: pairs with libfabric's read of done for the mover's get. */
	atomic_store_explicit(&slot->done, copy.nonce, memory_order_release);
	return bytes;
}
