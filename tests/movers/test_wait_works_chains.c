/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait_works_chains.c -- tests waits whose thread works: chains of copies,
 * nested, lazy, and many at once
 *
 * Each entry copies what the entry before it has written. So an entry that
 * begins too early shows in the last place.
 */

#include "works.h"

#include <stdbool.h>

static const enum future_notifier_type kinds[] = {
	FUTURE_NOTIFIER_WAKER, FUTURE_NOTIFIER_POLLER, FUTURE_NOTIFIER_NONE};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define PLACES 5

struct pair_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, second);
};

FUTURE(pair_future, struct pair_data, char);

/* A copy, a nested pair, a copy that is made when its turn comes. */
struct nest_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY(struct pair_future, pair);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, lazy);
	struct path *path;
};

FUTURE(nest_future, struct nest_data, char);

/* Where the data goes: from place 0 to the last. */
struct path {
	struct vdm *vdm;
	size_t size;
	unsigned char *places[PLACES];
	unsigned maps;
	struct nest_future nest;
};

static struct vdm_operation_future
step(struct path *path, int i)
{
	return vdm_memcpy(path->vdm, path->places[i + 1], path->places[i],
		path->size, i % 2 ? VDM_F_NO_CACHE_HINT : 0);
}

static void
init_lazy(void *future, struct future_context *chain, void *arg)
{
	const struct vdm_operation_future f = step(arg, PLACES - 2);

	(void)chain;
	memcpy(future, &f, sizeof(f));
}

static void
count_map(struct future_context *lhs, struct future_context *rhs, void *arg)
{
	struct path *path = arg;

	(void)rhs;
	WORKS_CHECK(lhs->state == FUTURE_STATE_COMPLETE);
	path->maps++;
}

static void
path_init(struct path *path, struct vdm *vdm, size_t size, uint64_t seed)
{
	struct nest_data *data = &path->nest.data;
	struct pair_future pair;

	path->vdm = vdm;
	path->size = size;
	path->maps = 0;
	for (int i = 0; i < PLACES; i++)
		path->places[i] = works_filled(size, i == 0 ? seed : 0);

	FUTURE_CHAIN_ENTRY_INIT(
		&pair.data.first, step(path, 1), count_map, path);
	FUTURE_CHAIN_ENTRY_INIT(
		&pair.data.second, step(path, 2), count_map, path);
	FUTURE_CHAIN_INIT(&pair);

	FUTURE_CHAIN_ENTRY_INIT(&data->first, step(path, 0), count_map, path);
	FUTURE_CHAIN_ENTRY_INIT(&data->pair, pair, count_map, path);
	FUTURE_CHAIN_ENTRY_LAZY_INIT(
		&data->lazy, init_lazy, path, count_map, path);
	FUTURE_CHAIN_INIT(&path->nest);
}

static void
path_check(struct path *path)
{
	assert_int_equal(path->maps, 5);
	for (int i = 1; i < PLACES; i++)
		assert_memory_equal(
			path->places[i], path->places[0], path->size);
	for (int i = 0; i < PLACES; i++)
		free(path->places[i]);
}

static size_t
random_size(uint64_t *seed)
{
	static const size_t sizes[] = {20 * KIB, 64 * KIB, 1024 * KIB};
	const uint64_t r = test_random(seed);

	return sizes[r % 3] - (r >> 8) % 200;
}

/* size: of all paths; 0: of each its own */
static void
run_paths(size_t n, size_t size, uint64_t *seed)
{
	struct path *paths = calloc(n, sizeof(*paths));
	struct future **futs = calloc(n, sizeof(struct future *));

	assert_non_null(paths);
	assert_non_null(futs);
	for (size_t k = 0; k < KINDS; k++) {
		struct data_mover_threads *dmt =
			works_mover(1 + test_random(seed) % 4, kinds[k]);

		for (size_t i = 0; i < n; i++) {
			path_init(&paths[i], data_mover_threads_get_vdm(dmt),
				size != 0 ? size : random_size(seed),
				test_random(seed) | 1);
			futs[i] = FUTURE_AS_RUNNABLE(&paths[i].nest);
		}
		works_wait(runtime, futs, n);
		for (size_t i = 0; i < n; i++)
			path_check(&paths[i]);
		data_mover_threads_delete(dmt);
	}
	free(futs);
	free(paths);
}

static void
one_chain_keeps_its_order(void **state)
{
	static const size_t sizes[] = {1, 16 * KIB, 20 * KIB, 64 * KIB,
		300 * KIB, 1024 * KIB, 5 * 1024 * KIB};
	uint64_t seed = test_seed("one chain");

	(void)state;
	for (size_t round = 0; round < works_rounds(3); round++)
		for (size_t i = 0; i < 7; i++)
			run_paths(1, sizes[i], &seed);
}

static void
many_chains_keep_their_order(void **state)
{
	uint64_t seed = test_seed("many chains");

	(void)state;
	for (size_t round = 0; round < works_rounds(1); round++) {
		run_paths(16, 20 * KIB, &seed);
		run_paths(16, 64 * KIB, &seed);
		run_paths(16, 1024 * KIB, &seed);
		run_paths(1 + test_random(&seed) % 30, 0, &seed);
	}
	run_paths(300, 20 * KIB, &seed);
}

/* A chain on several movers: each entry finds another kind of notifier. */
static void
chains_over_several_movers_keep_their_order(void **state)
{
	enum { PATHS = 8 };
	struct data_mover_threads *dmts[KINDS];
	struct data_mover_sync *dms = data_mover_sync_new();
	uint64_t seed = test_seed("several movers");

	(void)state;
	assert_non_null(dms);
	for (size_t k = 0; k < KINDS; k++)
		dmts[k] = works_mover(2, kinds[k]);

	for (size_t round = 0; round < works_rounds(8); round++) {
		static struct path paths[PATHS];
		struct future *futs[PATHS];

		for (size_t i = 0; i < PATHS; i++) {
			struct path *path = &paths[i];
			struct nest_data *data = &path->nest.data;
			struct pair_data *pair = &data->pair.fut.data;
			const size_t k = round + i;

			path_init(path,
				data_mover_threads_get_vdm(dmts[k % KINDS]),
				random_size(&seed), test_random(&seed) | 1);
			/* The first operation is dropped. */
			path->vdm = data_mover_threads_get_vdm(
				dmts[(k + 1) % KINDS]);
			pair->first.fut = step(path, 1);
			path->vdm = data_mover_sync_get_vdm(dms);
			pair->second.fut = step(path, 2);
			path->vdm = data_mover_threads_get_vdm(
				dmts[(k + 2) % KINDS]);
			futs[i] = FUTURE_AS_RUNNABLE(&path->nest);
		}
		works_wait(runtime, futs, PATHS);
		for (size_t i = 0; i < PATHS; i++)
			path_check(&paths[i]);
	}

	for (size_t k = 0; k < KINDS; k++)
		data_mover_threads_delete(dmts[k]);
	data_mover_sync_delete(dms);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_chain_keeps_its_order),
		cmocka_unit_test(many_chains_keep_their_order),
		cmocka_unit_test(chains_over_several_movers_keep_their_order),
	};

	return cmocka_run_group_tests(tests, works_set_up, works_tear_down);
}
