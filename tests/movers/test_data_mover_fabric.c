/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric.c -- tests movers/data_mover_fabric with the installed
 * libfabric: the contract, and what each operation writes
 */

#include "test.h"

#include <pthread.h>

#include "contract.h"
#include "fabric_pair.h"
#include "operation.h"

#define MIB (1024 * KIB)
#define ARENA (6 * MIB)

/* Both threads; without the one, the other, and both. */
static const struct pair_of kinds[] = {
	{.size = ARENA},
	{.size = ARENA, .no_mover_thread = true},
	{.size = ARENA, .no_region_thread = true},
	{.size = ARENA, .no_mover_thread = true, .no_region_thread = true},
};

/* Of the sizes, a sanitizer gets one in three. */
#define STEP (TEST_SLOWDOWN > 1 ? 3 : 1)

#define KINDS (sizeof(kinds) / sizeof(*kinds))

/* What was moved is compared with a model of the window and of the rest. */
struct model {
	struct pair pair;
	char *local;
	char *want_local;
	char *want_memory;
};

static void
model_init(struct model *m, struct pair_of of, uint64_t *seed)
{
	pair_init(&m->pair, of);
	m->local = malloc(of.size);
	m->want_local = malloc(of.size);
	m->want_memory = malloc(of.size);
	assert_true(m->local != NULL && m->want_local != NULL &&
		m->want_memory != NULL);
	for (size_t i = 0; i + 8 <= of.size; i += 8) {
		const uint64_t a = test_random(seed), b = test_random(seed);

		memcpy(m->local + i, &a, 8);
		memcpy(m->pair.memory + i, &b, 8);
	}
	memcpy(m->want_local, m->local, of.size);
	memcpy(m->want_memory, m->pair.memory, of.size);
}

static void
model_fini(struct model *m)
{
	pair_fini(&m->pair);
	free(m->local);
	free(m->want_local);
	free(m->want_memory);
}

static void
model_check(struct model *m, const char *what, size_t n)
{
	if (memcmp(m->local, m->want_local, m->pair.size) != 0)
		fail_msg("%s of %zu bytes: local memory", what, n);
	if (memcmp(m->pair.memory, m->want_memory, m->pair.size) != 0)
		fail_msg("%s of %zu bytes: the region", what, n);
}

enum way { LOCAL, PUT, GET, RELAY, SET_LOCAL, SET };

#define WAYS (SET + 1)
static const char *const way_names[WAYS] = {
	"local copy", "put", "get", "relay", "local set", "set"};

/* One operation and its model. */
static void
move(struct model *m, enum way way, enum vdm_operation_type type, size_t to,
	size_t from, size_t n, uint64_t flags)
{
	const bool to_window = way == PUT || way == RELAY || way == SET;
	const bool from_window = way == GET || way == RELAY;
	char *base = to_window ? m->pair.window : m->local;
	char *want = to_window ? m->want_memory : m->want_local;
	const char *source = from_window ? m->pair.window : m->local;
	const char *want_source = from_window ? m->want_memory : m->want_local;
	struct vdm_operation_future f = operation_new(m->pair.vdm, type,
		base + to, source + from, (int)(n * 31 + to), n, flags);

	pair_wait(&m->pair, FUTURE_AS_RUNNABLE(&f));
	if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
		fail_msg("%s of %zu bytes from %zu to %zu: %s, %s",
			way_names[way], n, from, to,
			vdm_result_string(FUTURE_OUTPUT(&f)->result),
			strerror(data_mover_fabric_error(m->pair.dmf)));
	assert_int_equal(FUTURE_OUTPUT(&f)->type, type);
	assert_ptr_equal(FUTURE_OUTPUT(&f)->output.memcpy.dest, base + to);
	if (type == VDM_OPERATION_MEMSET)
		memset(want + to, (int)(n * 31 + to), n);
	else
		memmove(want + to, want_source + from, n);
}

static enum vdm_operation_type
type_of(enum way way, bool moves)
{
	if (way == SET || way == SET_LOCAL)
		return VDM_OPERATION_MEMSET;
	return moves ? VDM_OPERATION_MEMMOVE : VDM_OPERATION_MEMCPY;
}

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
	for (size_t k = 0; k < KINDS; k++) {
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
				d++) {
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
	for (size_t i = 0; i < sizeof(queues) / sizeof(*queues); i++)
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

/* Nothing of a range over an edge arrives, and the mover goes on. */
static void
ranges_over_the_edges_are_refused(void **state)
{
	uint64_t seed = test_seed("edges");
	struct model m;

	(void)state;
	model_init(&m, kinds[0], &seed);

	char *const window = m.pair.window;
	char *const end = window + ARENA;
	const struct {
		char *at;
		size_t n;
	} wrong[] = {
		{window - 1, 2},
		{window - 1, ARENA + 1},
		{window - 1, ARENA + 2},
		{window - 4096, 4097},
		{end - 1, 2},
		{end - 4096, 4097},
		{window, ARENA + 1},
		{window, SIZE_MAX},
		{window, SIZE_MAX - (uintptr_t)window},
		{window, SIZE_MAX - (uintptr_t)window + 1},
		{window, SIZE_MAX / 2},
		{window + 5, (size_t)0 - 5},
		{end - 1, SIZE_MAX},
		{window - 1, SIZE_MAX},
		{(char *)8, SIZE_MAX - 4},
		{end, SIZE_MAX - 16},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char *const at = wrong[i].at;
		const size_t n = wrong[i].n;
		struct vdm_operation_future f[] = {
			vdm_memcpy(m.pair.vdm, at, m.local, n, 0),
			vdm_memmove(m.pair.vdm, m.local, at, n, 0),
			vdm_memmove(m.pair.vdm, at, window, n, 0),
			vdm_memmove(m.pair.vdm, window, at, n, 0),
			vdm_memset(m.pair.vdm, at, 7, n, 0),
			vdm_flush(m.pair.vdm, at, n, 0),
		};

		for (size_t k = 0; k < sizeof(f) / sizeof(*f); k++) {
			const enum vdm_operation_result result =
				pair_finish(&m.pair, f[k]);

			if (result != VDM_ERROR_JOB_CORRUPTED)
				fail_msg("range %zu, operation %zu: %d", i, k,
					(int)result);
		}
	}
	model_check(&m, "a refused range", 0);
	assert_int_equal(data_mover_fabric_error(m.pair.dmf), 0);
	for (int way = 0; way < WAYS; way++)
		move(&m, (enum way)way, type_of((enum way)way, true), 0, 0,
			ARENA, 0);
	model_check(&m, "everything", ARENA);
	model_fini(&m);
}

static void
flags_and_operations_that_the_window_does_not_have(void **state)
{
	uint64_t seed = test_seed("flags");
	struct model m;

	(void)state;
	model_init(&m, kinds[0], &seed);

	struct vdm *vdm = m.pair.vdm;
	char *w = m.pair.window;
	struct vdm_operation_future wrong[] = {
		vdm_memcpy(vdm, w, m.local, 9, VDM_F_MEM_DURABLE),
		vdm_memcpy(vdm, w, w + 100, 9, VDM_F_MEM_DURABLE),
		vdm_memset(vdm, w, 1, 9, VDM_F_MEM_DURABLE),
		vdm_memset(
			vdm, w, 1, 9, VDM_F_MEM_DURABLE | VDM_F_NO_CACHE_HINT),
		vdm_flush(vdm, w, 9, 0),
		vdm_flush(vdm, w, 9, VDM_F_MEM_DURABLE),
		vdm_memcpy(vdm, w, m.local, 9, 4),
		vdm_memcpy(vdm, m.local, w, 9, UINT64_C(1) << 40),
		vdm_memcpy(vdm, w, NULL, 9, 0),
		vdm_memcpy(vdm, NULL, w, 9, 0),
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(pair_finish(&m.pair, wrong[i]),
			VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(
		pair_finish(&m.pair, vdm_flush(vdm, w, 0, 0)), VDM_SUCCESS);
	model_check(&m, "a refused flag", 9);
	assert_int_equal(vdm_is_supported(vdm, VDM_F_NO_CACHE_HINT), 1);
	/* A local destination may be durable, also of a get. */
	move(&m, GET, VDM_OPERATION_MEMCPY, 11, 22, 3 * MIB, VDM_F_MEM_DURABLE);
	move(&m, LOCAL, VDM_OPERATION_MEMCPY, 0, 5 * MIB, MIB,
		VDM_F_MEM_DURABLE);
	model_check(&m, "durable", 0);
	model_fini(&m);
}

static void
what_the_region_does_not_allow_is_refused(void **state)
{
	(void)state;
	for (unsigned access = 1; access <= 3; access++) {
		const bool reads = (access & DATA_MOVER_REGION_READ) != 0;
		const bool writes = (access & DATA_MOVER_REGION_WRITE) != 0;
		struct pair p;
		char local[100] = "local";

		pair_init(&p, (struct pair_of){.size = 1000, .access = access});
		assert_int_equal(pair_finish(&p,
					 vdm_memcpy(p.vdm, p.window, local,
						 sizeof(local), 0)),
			writes ? VDM_SUCCESS : VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(strcmp(p.memory, "local") == 0, writes);
		assert_int_equal(
			pair_finish(&p,
				vdm_memset(p.vdm, p.window + 200, 'x', 5, 0)),
			writes ? VDM_SUCCESS : VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(p.memory[200], writes ? 'x' : 0x5a);
		memcpy(p.memory + 300, "remote", 7);
		assert_int_equal(
			pair_finish(&p,
				vdm_memcpy(p.vdm, local, p.window + 300, 7, 0)),
			reads ? VDM_SUCCESS : VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(strcmp(local, "remote") == 0, reads);
		assert_int_equal(pair_finish(&p,
					 vdm_memcpy(p.vdm, p.window + 400,
						 p.window + 300, 7, 0)),
			reads && writes ? VDM_SUCCESS
					: VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(
			strcmp(p.memory + 400, "remote") == 0, reads && writes);
		assert_int_equal(data_mover_fabric_error(p.dmf), 0);
		pair_fini(&p);
	}
}

/* Two movers of one region, and two regions of one process. */
static void
movers_and_regions_do_not_mix(void **state)
{
	struct pair a, b;
	struct data_mover_fabric *second;
	char text[100] = "second";

	(void)state;
	pair_init(&a, (struct pair_of){.size = 1000});
	pair_init(&b, (struct pair_of){.size = 1000});
	second = pair_connect(a.region, true, NULL);
	assert_non_null(second);

	char *window = data_mover_fabric_addr(second);
	struct vdm_operation_future f =
		vdm_memcpy(data_mover_fabric_get_vdm(second), window, text,
			sizeof(text), 0);

	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_string_equal(a.memory, "second");
	assert_int_equal(b.memory[0], 0x5a);
	assert_int_equal(
		pair_finish(&a, vdm_memcpy(a.vdm, text, a.window, 7, 0)),
		VDM_SUCCESS);
	/* The window of another mover is no memory: not tried. */
	data_mover_fabric_delete(second);
	pair_fini(&a);
	assert_int_equal(pair_finish(&b, vdm_memset(b.vdm, b.window, 1, 1, 0)),
		VDM_SUCCESS);
	pair_fini(&b);
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
		cmocka_unit_test(ranges_over_the_edges_are_refused),
		cmocka_unit_test(
			flags_and_operations_that_the_window_does_not_have),
		cmocka_unit_test(what_the_region_does_not_allow_is_refused),
		cmocka_unit_test(movers_and_regions_do_not_mix),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	for (int no_thread = 0; no_thread < 2; no_thread++) {
		contract_of = (struct pair_of){
			.size = 4096, .no_mover_thread = no_thread != 0};
		failed += contract_run(&mover);
	}
	return failed != 0;
}
