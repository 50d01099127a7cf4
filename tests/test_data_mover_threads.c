/* SPDX-License-Identifier: BSD-3-Clause */

#include "test.h"

#include "contract.h"
#include "libminiasync.h"

/* The contract, for every pair of these numbers. */
static size_t nthreads;
static size_t ringbuf_size;

static void *
make(void)
{
	return data_mover_threads_new(
		nthreads, ringbuf_size, FUTURE_NOTIFIER_WAKER);
}

static struct vdm *
get_vdm(void *mover)
{
	return data_mover_threads_get_vdm(mover);
}

static void
end(void *mover)
{
	data_mover_threads_delete(mover);
}

int
main(void)
{
	static const size_t all_threads[] = { 1, 2, 8 };
	static const size_t all_sizes[] = { 1, 2, 128 };
	int failed = 0;

	for (size_t t = 0; t < 3; t++) {
		for (size_t r = 0; r < 3; r++) {
			char name[64];
			const struct contract_mover mover = { .name = name,
				.make = make, .get_vdm = get_vdm, .end = end };

			nthreads = all_threads[t];
			ringbuf_size = all_sizes[r];
			snprintf(name, sizeof(name),
				"threads %zu, queue %zu", nthreads,
				ringbuf_size);
			failed += contract_run(&mover);
		}
	}

	return failed;
}
