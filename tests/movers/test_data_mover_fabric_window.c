/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_window.c -- tests movers/data_mover_fabric with the
 * installed libfabric: the contract, with all memory in the window
 *
 * The tests write it by puts and read it by gets of a second mover to the same
 * region, as another peer would.
 */

#include "test.h"

#include <stdatomic.h>

#include "contract.h"
#include "fabric_pair.h"

#define SIZE (16 * 1024 * KIB)

struct windowed {
	struct pair pair;
	struct data_mover_fabric *other; /* the second mover */
	size_t used;
};

static struct pair_of contract_of;

static void *
make(void)
{
	struct windowed *w = malloc(sizeof(*w));

	assert_non_null(w);
	pair_init(&w->pair, contract_of);
	w->other = pair_connect(w->pair.region, true, NULL);
	assert_non_null(w->other);
	w->used = 0;
	return w;
}

static struct vdm *
get_vdm(void *mover)
{
	return ((struct windowed *)mover)->pair.vdm;
}

static void
end(void *mover)
{
	struct windowed *w = mover;

	data_mover_fabric_delete(w->other);
	pair_fini(&w->pair);
	free(w);
}

/* Aligned, as of malloc(). */
static void *
get(void *mover, size_t n)
{
	struct windowed *w = mover;
	char *memory = w->pair.window + w->used;

	w->used += (n + 15) / 16 * 16;
	assert_true(w->used <= SIZE);
	return memory;
}

/* The place of the same bytes in the window of the second mover. */
static char *
place(const struct windowed *w, const void *memory)
{
	return (char *)data_mover_fabric_addr(w->other) +
		((const char *)memory - w->pair.window);
}

static void
finish(struct vdm_operation_future f)
{
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
}

static void
write_by_put(void *mover, void *to, const void *from, size_t n)
{
	const struct windowed *w = mover;

	finish(vdm_memcpy(data_mover_fabric_get_vdm(w->other), place(w, to),
		(void *)(uintptr_t)from, n, 0));
}

static void
read_by_get(void *mover, void *to, const void *from, size_t n)
{
	const struct windowed *w = mover;

	finish(vdm_memcpy(
		data_mover_fabric_get_vdm(w->other), to, place(w, from), n, 0));
}

int
main(void)
{
	const struct contract_memory memory = {
		.get = get, .write = write_by_put, .read = read_by_get};
	const struct contract_mover mover = {.name = "window",
		.make = make,
		.get_vdm = get_vdm,
		.end = end,
		.cannot_flush = true,
		.cannot_be_durable = true,
		.is_slow = true,
		.memory = &memory};
	int failed = 0;

	for (int no_thread = 0; no_thread < 2; no_thread++) {
		contract_of = (struct pair_of){
			.size = SIZE, .no_mover_thread = no_thread != 0};
		failed += contract_run(&mover);
	}
	return failed != 0;
}
