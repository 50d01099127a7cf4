/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_flush.c -- tests persistent memory behind the mover
 * over libfabric, with a fake libfabric: which operations make bytes durable,
 * beside failures and hostile peers
 */

#include "fabric_group.h"
#include "write_back.h"

#include <pthread.h>

static void
other_regions_refuse_durable_operations(void **state)
{
	char local[64] = "";
	struct group group;

	(void)state;
	assert_true(group_init(&group, BOTH, 0, 1, NULL));
	assert_true((group.vdm[0]->capabilities & VDM_F_MEM_DURABLE) == 0);

	const struct vdm_operation_future refused[] = {
		vdm_memcpy(group.vdm[0], group.window[0], local, 64,
			VDM_F_MEM_DURABLE),
		vdm_memset(group.vdm[0], group.window[0], 1, 64,
			VDM_F_MEM_DURABLE),
		vdm_memmove(group.vdm[0], group.window[0], group.window[0] + 9,
			64, VDM_F_MEM_DURABLE),
		vdm_flush(group.vdm[0], group.window[0], 64, 0),
	};
	const uint64_t parts = fake_fabric_parts();

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_int_equal(
			result_of(refused[i]), VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(fake_fabric_parts(), parts);
	/* The destination is local, so the region has no part in it. */
	assert_int_equal(result_of(vdm_memcpy(group.vdm[0], local,
				 group.window[0], 64, VDM_F_MEM_DURABLE)),
		VDM_SUCCESS);
	assert_int_equal(data_mover_fabric_error(group.dmf[0]), 0);
	group_fini(&group);
}

/* Who may only read or write may flush, too. */
static void
persistence_is_a_right_of_its_own(void **state)
{
	char local[64] = "";
	struct group group;

	(void)state;
	for (unsigned access = 1; access <= 3; access++) {
		const bool writes = (access & DATA_MOVER_REGION_WRITE) != 0;

		assert_true(group_init(
			&group, access, DATA_MOVER_REGION_PMEM, 1, NULL));
		assert_true(
			(group.vdm[0]->capabilities & VDM_F_MEM_DURABLE) != 0);
		assert_int_equal(result_of(vdm_flush(
					 group.vdm[0], group.window[0], 64, 0)),
			VDM_SUCCESS);
		assert_int_equal(
			result_of(vdm_memcpy(group.vdm[0], group.window[0],
				local, 64, VDM_F_MEM_DURABLE)),
			writes ? VDM_SUCCESS : VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(result_of(vdm_flush(group.vdm[0],
					 group.window[0] + REGION - 1, 2, 0)),
			VDM_ERROR_JOB_CORRUPTED);
		group_fini(&group);
	}
}

/* An operation under way, and what it makes durable. */
struct durable {
	struct vdm_operation_future f;
	char *local;
	size_t to;
	size_t n;
	bool is_done;
};

enum { AT_ONCE = 40 };

/* In a slice of its own: writes, sets, moves, or flushes what is there. */
static void
begin(struct durable *d, struct group *group, int mover, size_t slice,
	size_t slice_bytes)
{
	const size_t half = slice_bytes / 2;
	const uint64_t flags = VDM_F_MEM_DURABLE;
	char *window = group->window[mover] + slice;

	d->n = test_random(&seed) % half;
	d->to = slice + test_random(&seed) % (half - d->n + 1);
	d->is_done = false;
	char *to = group->window[mover] + d->to;

	for (size_t i = 0; i < d->n; i++)
		d->local[i] = (char)(test_random(&seed) & 127);
	switch (test_random(&seed) % 4) {
	case 0:
		d->f = vdm_memcpy(group->vdm[mover], to, d->local, d->n, flags);
		break;
	case 1:
		d->f = vdm_memset(group->vdm[mover], to,
			(int)(test_random(&seed) & 127), d->n, flags);
		break;
	case 2:
		d->f = vdm_memmove(
			group->vdm[mover], to, window + half, d->n, flags);
		break;
	default:
		assert_int_equal(result_of(vdm_memcpy(group->vdm[mover], to,
					 d->local, d->n, 0)),
			VDM_SUCCESS);
		d->f = vdm_flush(group->vdm[mover], to, d->n, 0);
		break;
	}
	(void)future_poll(FUTURE_AS_RUNNABLE(&d->f), NULL);
}

/* Polls all. What has succeeded is durable at that moment. */
static int
look(struct durable *d, int n, int *failed)
{
	int done = 0;

	for (int i = 0; i < n; i++) {
		if (d[i].is_done ||
			future_poll(FUTURE_AS_RUNNABLE(&d[i].f), NULL) !=
				FUTURE_STATE_COMPLETE)
			continue;
		d[i].is_done = true;
		done++;
		if (FUTURE_OUTPUT(&d[i].f)->result != VDM_SUCCESS) {
			(*failed)++;
			continue;
		}
		if (memcmp(image + d[i].to, exposed + d[i].to, d[i].n) != 0)
			fail_msg("%zu bytes at %zu are not durable", d[i].n,
				d[i].to);
	}
	return done;
}

/* Returns how many failed. */
static int
run_durable(struct group *group, int movers, int rounds)
{
	const size_t slice = exposed_bytes / AT_ONCE / 8 * 8;
	struct durable d[AT_ONCE];
	int failed = 0;

	for (int i = 0; i < AT_ONCE; i++)
		assert_non_null(d[i].local = malloc(slice));
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < AT_ONCE; i++)
			begin(&d[i], group, i % movers, (size_t)i * slice,
				slice);
		for (int left = AT_ONCE; left > 0;)
			left -= look(d, AT_ONCE, &failed);
	}
	for (int i = 0; i < AT_ONCE; i++)
		free(d[i].local);
	return failed;
}

static void
what_has_succeeded_is_durable(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(0, no_thread);
		struct group group;

		fake_fabric_set_full(5);
		assert_true(group_init(&group, BOTH, DATA_MOVER_REGION_PMEM,
			MOVERS, &options));
		assert_int_equal(
			run_durable(&group, MOVERS, TEST_ROUNDS(60)), 0);
		group_fini(&group);
	}
}

/* Other peers spoil slots: the mover asks again, and succeeds. */
static atomic_bool is_over;

static void *
spoil(void *arg)
{
	const size_t slots = 256 * 256;
	uint64_t own = *(uint64_t *)arg;

	while (!atomic_load(&is_over)) {
		const size_t slot = test_random(&own) % 256;
		const size_t word = 1 + test_random(&own) % 4;

		fake_fabric_scribble(slots, slot * 256 + word * 8,
			test_random(&own) % 2 == 0 ? test_random(&own) : 1);
		/* valgrind lets it run long enough to spoil each request. */
		if (TEST_SLOWDOWN > 10)
			test_sleep_ns(MS);
	}
	return NULL;
}

static void
slots_that_others_spoil_cost_time_alone(void **state)
{
	uint64_t own = test_random(&seed);
	struct group group;
	pthread_t spoiler;

	(void)state;
	assert_true(
		group_init(&group, BOTH, DATA_MOVER_REGION_PMEM, MOVERS, NULL));
	atomic_store(&is_over, false);
	assert_int_equal(pthread_create(&spoiler, NULL, spoil, &own), 0);
	assert_int_equal(run_durable(&group, MOVERS, TEST_ROUNDS(20)), 0);
	atomic_store(&is_over, true);
	pthread_join(spoiler, NULL);
	group_fini(&group);
}

static void
failures_make_nothing_durable_that_is_not(void **state)
{
	static const enum fake_fabric_call calls[] = {
		FAKE_FABRIC_POST, FAKE_FABRIC_PART, FAKE_FABRIC_CQ_READ};
	int failed = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		for (unsigned nth = 1; nth < 200; nth += TEST_SLOWDOWN) {
			const struct data_mover_fabric_options options =
				options_of(2000, nth % 2);
			struct durable d[8];
			struct group group;
			char local[8][600];

			fake_fabric_reset(test_random(&seed));
			assert_true(group_init(&group, BOTH,
				DATA_MOVER_REGION_PMEM, 1, &options));
			fake_fabric_fail(calls[i], nth, -EIO);
			for (int k = 0; k < 8; k++) {
				d[k] = (struct durable){.local = local[k],
					.to = (size_t)k * 1000,
					.n = 600};
				memset(local[k], k + 1, 600);
				d[k].f = vdm_memcpy(group.vdm[0],
					group.window[0] + d[k].to, local[k],
					600, VDM_F_MEM_DURABLE);
			}
			for (int left = 8; left > 0;)
				left -= look(d, 8, &failed);
			group_fini(&group);
		}
	assert_true(failed > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		GROUP_TEST(other_regions_refuse_durable_operations),
		GROUP_TEST(persistence_is_a_right_of_its_own),
		GROUP_TEST(what_has_succeeded_is_durable),
		GROUP_TEST(slots_that_others_spoil_cost_time_alone),
		GROUP_TEST(failures_make_nothing_durable_that_is_not),
	};

	end_without_write_back();
	seed = test_seed("data_mover_fabric_flush");
	return cmocka_run_group_tests(tests, NULL, group_teardown);
}
