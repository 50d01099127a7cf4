/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_flush.c -- tests persistent memory behind the mover
 * over libfabric, with a fake libfabric
 *
 * __wrap_mia_memory_flush() copies what it writes back into an image. What an
 * operation has made durable must be in the image.
 */

#include "test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <libminiasync-vdm-fabric.h>

#include "fake_fabric.h"
#include "movers/fabric_request.h"

#define BOTH (DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE)
#define REGION ((size_t)1 << 20)
#define MOVERS 4

static uint64_t seed;

static char *exposed;
static char *image;
static size_t exposed_bytes;
static size_t longest; /* that was written back at once */

/* A slow CPU, and how often it wrote something back. */
static atomic_uint flush_ms;
static atomic_uint flushes;

int __real_mia_memory_flush(const void *address, size_t n);
int __wrap_mia_memory_flush(const void *address, size_t n);

int
__wrap_mia_memory_flush(const void *address, size_t n)
{
	const size_t at = (size_t)((const char *)address - exposed);

	/* Local memory that a get has written is none of the region. */
	if ((uintptr_t)address - (uintptr_t)exposed >= exposed_bytes)
		return __real_mia_memory_flush(address, n);
	if (n > exposed_bytes - at)
		fail_msg("%zu bytes at %zu are not all in the region", n, at);
	memcpy(image + at, exposed + at, n);
	test_sleep_ns(atomic_load(&flush_ms) * MS);
	atomic_fetch_add(&flushes, 1);
	if (longest < n)
		longest = n;
	return 0;
}

/* A region, and movers to it. */
struct group {
	struct data_mover_region *region;
	struct data_mover_fabric *dmf[MOVERS];
	struct vdm *vdm[MOVERS];
	char *window[MOVERS];
};

static struct data_mover_fabric_options
options_of(unsigned idle_ms, unsigned no_thread)
{
	return (struct data_mover_fabric_options){
		.size = sizeof(struct data_mover_fabric_options),
		.connect_ms = 200,
		.idle_ms = idle_ms,
		.no_thread = no_thread};
}

/* Returns false with errno if one of them could not be made. */
static bool
group_init(struct group *group, unsigned access, unsigned flags, int movers,
	const struct data_mover_fabric_options *options)
{
	char token[DATA_MOVER_REGION_TOKEN_MAX];

	memset(group, 0, sizeof(*group));
	group->region = data_mover_region_new(
		exposed, exposed_bytes, access, NULL, flags);
	if (group->region == NULL)
		return false;
	assert_int_equal(
		data_mover_region_token(group->region, token, sizeof(token)),
		0);
	for (int i = 0; i < movers; i++) {
		group->dmf[i] = data_mover_fabric_new(token, options);
		if (group->dmf[i] == NULL)
			return false;
		group->vdm[i] = data_mover_fabric_get_vdm(group->dmf[i]);
		group->window[i] = data_mover_fabric_addr(group->dmf[i]);
	}
	return true;
}

static void
group_fini(struct group *group)
{
	for (int i = 0; i < MOVERS; i++)
		data_mover_fabric_delete(group->dmf[i]);
	data_mover_region_delete(group->region);
	assert_int_equal(fake_fabric_open(), 0);
}

static void
expose(size_t n)
{
	free(exposed);
	free(image);
	exposed = calloc(1, n);
	image = calloc(1, n);
	assert_true(exposed != NULL && image != NULL);
	exposed_bytes = n;
	longest = 0;
}

static int
setup(void **state)
{
	(void)state;
	fake_fabric_reset(test_random(&seed));
	expose(REGION);
	return 0;
}

static enum vdm_operation_result
result_of(struct vdm_operation_future f)
{
	FUTURE_BUSY_POLL(&f);
	return FUTURE_OUTPUT(&f)->result;
}

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
long_ranges_are_written_back_in_turns(void **state)
{
	const size_t n = ((size_t)160 << 20) + 12345;
	struct group group;

	(void)state;
	expose(n);
	assert_true(group_init(&group, BOTH, DATA_MOVER_REGION_PMEM, 1, NULL));
	memset(exposed, 0x33, n);
	assert_int_equal(result_of(vdm_flush(
				 group.vdm[0], group.window[0] + 1, n - 1, 0)),
		VDM_SUCCESS);
	assert_int_equal(image[0], 0);
	assert_memory_equal(image + 1, exposed + 1, n - 1);
	assert_int_equal(longest, (size_t)64 << 20);
	group_fini(&group);
}

/* The fake moves bytes without the region, but nobody answers requests. */
static void
a_region_that_does_not_answer_breaks_the_mover(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(100, no_thread);
		char local[64] = "";
		struct group group;

		assert_true(group_init(&group, BOTH,
			DATA_MOVER_REGION_PMEM | DATA_MOVER_REGION_NO_THREAD, 1,
			&options));
		assert_int_equal(
			result_of(vdm_memcpy(group.vdm[0], group.window[0],
				local, 64, VDM_F_MEM_DURABLE)),
			VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(
			data_mover_fabric_error(group.dmf[0]), ETIMEDOUT);
		group_fini(&group);
	}
}

/* Puts requests for as much as is allowed into so many slots, at once. */
static void
flood(unsigned slots)
{
	for (unsigned slot = 0; slot < slots; slot++) {
		struct mia_fabric_request request;
		uint64_t words[sizeof(request) / 8];

		mia_fabric_request_set(
			&request, 0, 0, MIA_FABRIC_REQUEST_BYTES);

		const size_t n = mia_fabric_request_seal(&request, 1, slot + 1);

		memcpy(words, &request, sizeof(request));
		for (size_t i = 0; i < n / 8; i++)
			fake_fabric_scribble(
				256 * 256, slot * 256 + 8 + i * 8, words[i]);
	}
	for (unsigned slot = 0; slot < slots; slot++)
		fake_fabric_send_data(1, slot);
}

/* Whatever peers ask for, a call and a delete of the region wait for little. */
static void
a_flood_of_requests_does_not_hold_the_region(void **state)
{
	enum { SLOTS = 20 };
	struct group group;
	struct pollfd ready = {.events = POLLIN};

	(void)state;
	expose(MIA_FABRIC_REQUEST_BYTES);
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		assert_true(group_init(&group, BOTH,
			DATA_MOVER_REGION_PMEM |
				(no_thread ? DATA_MOVER_REGION_NO_THREAD : 0),
			0, NULL));
		atomic_store(&flushes, 0);
		atomic_store(&flush_ms, no_thread ? 0 : 50);
		flood(SLOTS);
		if (!no_thread) {
			while (atomic_load(&flushes) == 0)
				test_sleep_ns(MS);
			group_fini(&group);
			assert_in_range(atomic_load(&flushes), 0, SLOTS / 2);
			continue;
		}
		ready.fd = data_mover_region_fd(group.region);
		for (unsigned calls = 1; calls <= SLOTS; calls++) {
			assert_int_equal(poll(&ready, 1, 0), 1);
			data_mover_region_progress(group.region);
			assert_int_equal(atomic_load(&flushes), calls);
		}
		/* The same ones, by a peer without key, are done. */
		for (unsigned slot = 0; slot < SLOTS; slot++)
			fake_fabric_send_data(1, slot);
		data_mover_region_progress(group.region);
		assert_int_equal(poll(&ready, 1, 0), 0);
		assert_int_equal(atomic_load(&flushes), SLOTS);
		group_fini(&group);
	}
	atomic_store(&flush_ms, 0);
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

static void
making_fails_cleanly(void **state)
{
	unsigned failed = 0;

	(void)state;
	for (unsigned nth = 1; nth <= 3; nth++) {
		struct group group;

		fake_fabric_fail(FAKE_FABRIC_MR_REG, nth, -EMFILE);
		if (group_init(&group, BOTH, DATA_MOVER_REGION_PMEM, 1, NULL)) {
			assert_int_equal(nth, 3);
		} else {
			assert_int_equal(errno, EMFILE);
			failed++;
		}
		group_fini(&group);
	}
	assert_int_equal(failed, 2);
	/* A flag that is none. */
	assert_null(data_mover_region_new(exposed, 1, 1, NULL, 4));
	assert_int_equal(errno, EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			other_regions_refuse_durable_operations, setup),
		cmocka_unit_test_setup(
			persistence_is_a_right_of_its_own, setup),
		cmocka_unit_test_setup(what_has_succeeded_is_durable, setup),
		cmocka_unit_test_setup(
			slots_that_others_spoil_cost_time_alone, setup),
		cmocka_unit_test_setup(
			long_ranges_are_written_back_in_turns, setup),
		cmocka_unit_test_setup(
			a_region_that_does_not_answer_breaks_the_mover, setup),
		cmocka_unit_test_setup(
			a_flood_of_requests_does_not_hold_the_region, setup),
		cmocka_unit_test_setup(
			failures_make_nothing_durable_that_is_not, setup),
		cmocka_unit_test_setup(making_fails_cleanly, setup),
	};

	seed = test_seed("data_mover_fabric_flush");

	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(exposed);
	free(image);
	return failed;
}
