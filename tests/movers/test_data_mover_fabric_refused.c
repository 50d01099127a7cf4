/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_refused.c -- tests movers/data_mover_fabric with the
 * installed libfabric: ranges, flags and rights that the mover refuses, and
 * several movers and regions
 */

#include "fabric_model.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_over_the_edges_are_refused),
		cmocka_unit_test(
			flags_and_operations_that_the_window_does_not_have),
		cmocka_unit_test(what_the_region_does_not_allow_is_refused),
		cmocka_unit_test(movers_and_regions_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
