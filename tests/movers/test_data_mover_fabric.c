/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric.c -- tests movers/data_mover_fabric with the installed
 * libfabric: the contract, and the bytes that each operation writes
 */

#include "contract.h"
#include "fabric_model.h"

/* Sizes around the limits of parts and buffers, at even and odd offsets. */
static void
every_size_and_way(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 7, 63, 64, 65, 255, 4095, 4096,
		4097, 16 * KIB, 16 * KIB + 1, 64 * KIB - 1, 64 * KIB,
		64 * KIB + 1, 128 * KIB, 128 * KIB + 1, 256 * KIB - 1,
		256 * KIB, 256 * KIB + 1, 512 * KIB, 512 * KIB + 1, MIB - 1,
		MIB, MIB + 1, 2 * MIB, 2 * MIB + 1};
	uint64_t seed = test_seed("sizes");

	(void)state;
	for (size_t k = 0; k < KINDS; k += STEP) {
		struct model m;

		model_init(&m, kinds[k], &seed);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes);
			i += STEP)
			for (int way = 0; way < WAYS; way++) {
				const size_t n = sizes[i];
				const size_t to = test_random(&seed) % 100;
				const size_t from =
					ARENA / 2 + test_random(&seed) % 100;

				move(&m, (enum way)way,
					type_of((enum way)way, i % 2), to, from,
					n,
					i % 3 == 0 ? VDM_F_NO_CACHE_HINT : 0);
				model_check(&m, way_names[way], n);
			}
		/* The whole of it, and its last byte. */
		for (int way = 0; way < WAYS; way++) {
			move(&m, (enum way)way, type_of((enum way)way, true), 0,
				0, ARENA, 0);
			move(&m, (enum way)way, type_of((enum way)way, false),
				ARENA - 1, 5, 1, 0);
			model_check(&m, way_names[way], ARENA);
		}
		model_fini(&m);
	}
}

static void
overlaps_within_the_window(void **state)
{
	static const size_t distances[] = {0, 1, 17, 4096, 256 * KIB - 1,
		256 * KIB, 256 * KIB + 1, 300001, MIB};
	static const size_t sizes[] = {1, 100, 256 * KIB - 1, 256 * KIB,
		256 * KIB + 1, 600001, MIB + 1};
	uint64_t seed = test_seed("overlaps");

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct model m;

		model_init(&m, kinds[k], &seed);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes);
			i += STEP)
			for (size_t d = 0;
				d < sizeof(distances) / sizeof(*distances);
				d += STEP) {
				const size_t at = 33, away = at + distances[d];

				move(&m, RELAY, VDM_OPERATION_MEMMOVE, away, at,
					sizes[i], 0);
				model_check(&m, "overlap upwards", sizes[i]);
				move(&m, RELAY, VDM_OPERATION_MEMMOVE, at, away,
					sizes[i], 0);
				model_check(&m, "overlap downwards", sizes[i]);
			}
		model_fini(&m);
	}
}

/* Bigger than all parts of one operation and of the queue together. */
static void
more_parts_than_the_queue_holds(void **state)
{
	static const unsigned queues[] = {1, 2, 3, 17, 1000000};
	uint64_t seed = test_seed("queue");

	(void)state;
	for (size_t i = 0; i < sizeof(queues) / sizeof(*queues); i += STEP)
		for (int thread = 0; thread < 2; thread += STEP) {
			struct model m;

			model_init(&m,
				(struct pair_of){.size = 24 * MIB + 11,
					.queue = queues[i],
					.no_mover_thread = thread == 0},
				&seed);
			for (int way = PUT; way < WAYS; way++)
				move(&m, (enum way)way,
					type_of((enum way)way, true), 3, 7,
					24 * MIB + 3, 0);
			model_check(&m, "everything", 24 * MIB + 3);
			model_fini(&m);
		}
}

/* Random operations, many under way at once, on disjoint slices. */
static void
random_operations_at_once(void **state)
{
	enum { AT_ONCE = 24 };
	const size_t slice = ARENA / AT_ONCE;
	uint64_t seed = test_seed("random");

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct model m;

		model_init(&m, kinds[k], &seed);
		for (int round = 0; round < TEST_ROUNDS(50); round++) {
			struct vdm_operation_future f[AT_ONCE];

			for (size_t i = 0; i < AT_ONCE; i++) {
				const enum way way =
					(enum way)(test_random(&seed) % WAYS);
				const size_t n = test_random(&seed) %
					(test_random(&seed) % 4 == 0 ? slice
								     : 5000);
				const size_t to = i * slice +
					test_random(&seed) % (slice - n);
				const size_t from = i * slice +
					test_random(&seed) % (slice - n);
				const bool to_window = way == PUT ||
					way == RELAY || way == SET;
				const bool from_window =
					way == GET || way == RELAY;
				char *want = to_window ? m.want_memory
						       : m.want_local;

				f[i] = operation_new(m.pair.vdm,
					type_of(way, true),
					(to_window ? m.pair.window : m.local) +
						to,
					(from_window ? m.pair.window
						     : m.local) +
						from,
					(int)i, n, 0);
				if (type_of(way, true) == VDM_OPERATION_MEMSET)
					memset(want + to, (int)i, n);
				else
					memmove(want + to,
						(from_window ? m.want_memory
							     : m.want_local) +
							from,
						n);
				future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
			}
			for (size_t i = 0; i < AT_ONCE; i++) {
				pair_wait(&m.pair, FUTURE_AS_RUNNABLE(&f[i]));
				assert_int_equal(FUTURE_OUTPUT(&f[i])->result,
					VDM_SUCCESS);
			}
			model_check(&m, "all", 0);
		}
		model_fini(&m);
	}
}

/* The CPU on the other side writes back; test_data_mover_fabric_flush looks. */
static void
durable_operations(void **state)
{
	static const size_t sizes[] = {1, 64, 4097, 256 * KIB + 1, 3 * MIB};
	uint64_t seed = test_seed("durable");

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct pair_of of = kinds[k];
		struct model m;

		of.is_pmem = true;
		model_init(&m, of, &seed);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			const size_t n = sizes[i];

			for (int way = PUT; way < WAYS; way++)
				move(&m, (enum way)way,
					type_of((enum way)way, true), 33,
					ARENA / 2, n, VDM_F_MEM_DURABLE);
			assert_int_equal(
				pair_finish(&m.pair,
					vdm_flush(m.pair.vdm, m.pair.window + 5,
						n, 0)),
				VDM_SUCCESS);
			model_check(&m, "durable", n);
		}
		model_fini(&m);
	}
}

/* The contract, with local ranges. */
static struct pair_of contract_of;

static void *
make(void)
{
	struct pair *pair = malloc(sizeof(*pair));

	pair_init(pair, contract_of);
	return pair;
}

static struct vdm *
get_vdm(void *mover)
{
	return ((struct pair *)mover)->vdm;
}

static void
end(void *mover)
{
	pair_fini(mover);
	free(mover);
}

int
main(void)
{
	const struct contract_mover mover = {
		.name = "fabric", .make = make, .get_vdm = get_vdm, .end = end};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_and_way),
		cmocka_unit_test(overlaps_within_the_window),
		cmocka_unit_test(more_parts_than_the_queue_holds),
		cmocka_unit_test(random_operations_at_once),
		cmocka_unit_test(durable_operations),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	for (int no_thread = 0; no_thread < 2; no_thread++) {
		contract_of = (struct pair_of){
			.size = 4096, .no_mover_thread = no_thread != 0};
		failed += contract_run(&mover);
	}
	return failed != 0;
}
