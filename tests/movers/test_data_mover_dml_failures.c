/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_dml_failures.c -- tests movers/data_mover_dml with the fake
 * DML: the bytes are right after every failure of a device, or the operation
 * fails
 */

#include "dml_mover.h"

#include <pthread.h>
#include <sched.h>

#include "operation.h"

/* The last move of the CPU on this thread. */
static _Thread_local struct {
	const void *dst;
	size_t n;
	unsigned flags;
} moved;

void __real_mia_memory_move(
	void *dst, const void *src, size_t n, unsigned flags);

void
__wrap_mia_memory_move(void *dst, const void *src, size_t n, unsigned flags)
{
	moved.dst = dst;
	moved.n = n;
	moved.flags = flags;
	__real_mia_memory_move(dst, src, n, flags);
}

#define OUTCOME_SIZE 20000

/* An operation of that type on a part of dst; does it to want. */
static struct vdm_operation_future
operation_on_part(struct vdm *vdm, enum vdm_operation_type type,
	unsigned char *dst, const unsigned char *src, unsigned char *want,
	uint64_t flags)
{
	const size_t n = OUTCOME_SIZE;

	switch (type) {
	case VDM_OPERATION_MEMCPY:
		memcpy(want + 3, src + 7, n - 9);
		return vdm_memcpy(vdm, dst + 3, src + 7, n - 9, flags);
	case VDM_OPERATION_MEMMOVE:
		memmove(want, want + 5000, n - 5000);
		return vdm_memmove(vdm, dst, dst + 5000, n - 5000, flags);
	case VDM_OPERATION_MEMSET:
		memset(want + 1, 0x1f5, n - 3);
		return vdm_memset(vdm, dst + 1, 0x1f5, n - 3, flags);
	case VDM_OPERATION_FLUSH:
		return vdm_flush(vdm, dst + 5, n - 11, flags);
	case VDM_OPERATION_MEMCPYV: /* test_data_mover_dml_memcpyv.c */
		break;
	}
	abort(); /* no such type */
}

/* Each outcome, for each type of mover, each operation and each flag. */
static void
every_outcome_ends_with_the_right_bytes(void **state)
{
	enum { N = OUTCOME_SIZE };
	static unsigned char src[N], dst[N], want[N];
	const enum data_mover_dml_type types[] = {DATA_MOVER_DML_SOFTWARE,
		DATA_MOVER_DML_HARDWARE, DATA_MOVER_DML_AUTO};

	(void)state;
	for (size_t t = 0; t < 3; t++) {
		fake_dml_script(NULL, 0); /* for the probe */
		struct data_mover_dml *dmd = mover_new(types[t]);
		struct vdm *vdm = data_mover_dml_get_vdm(dmd);

		for (int i = 0; i < ALL_OUTCOMES * 4 * 4; i++) {
			const enum fake_dml_outcome once =
				(enum fake_dml_outcome)(i % ALL_OUTCOMES);
			const uint64_t flags = (uint64_t)i / ALL_OUTCOMES % 4;
			const enum vdm_operation_type type =
				(enum vdm_operation_type)(i / ALL_OUTCOMES / 4);

			fill_random(src, N, (uint64_t)i);
			fill_random(dst, N, (uint64_t)i + 1000);
			memcpy(want, dst, N);
			fake_dml_script(&once, 1);
			struct vdm_operation_future f = operation_on_part(
				vdm, type, dst, src, want, flags);

			errno = 77;
			assert_int_equal(run(&f), VDM_SUCCESS);
			assert_int_equal(errno, 77);
			assert_memory_equal(dst, want, N);
		}
		data_mover_dml_delete(dmd);
	}
	for (int o = 0; o < ALL_OUTCOMES; o++)
		assert_true(fake_dml_seen().outcomes[o] > 10);
}

/*
 * Every status of DML, at every moment. 0 to 255 include all names of DML 0.1
 * to 1.1. Each operation with each flag meets each status.
 */
#define ANSWER_SIZE 10000

static void
run_after_answer(struct data_mover_dml *dmd, enum vdm_operation_type type,
	uint64_t flags, enum fake_dml_outcome outcome, dml_status_t status)
{
	static unsigned char src[ANSWER_SIZE], dst[ANSWER_SIZE];
	static unsigned char want[ANSWER_SIZE];
	struct vdm *vdm = data_mover_dml_get_vdm(dmd);
	const size_t before = fake_dml_seen().outcomes[outcome];
	const size_t n = ANSWER_SIZE - 9;

	memset(src, (int)status | 1, sizeof(src));
	memset(dst, 0, sizeof(dst));
	memset(want, 0, sizeof(want));
	fake_dml_set_status(status);
	fake_dml_script(&outcome, 1);
	if (type == VDM_OPERATION_MEMSET)
		memset(want + 3, 7, n);
	else if (type != VDM_OPERATION_FLUSH)
		memcpy(want + 3, src, n);
	struct vdm_operation_future f =
		operation_new(vdm, type, dst + 3, src, 7, n, flags);

	assert_int_equal(run(&f), VDM_SUCCESS);
	assert_memory_equal(dst, want, sizeof(dst));
	assert_in_range(fake_dml_seen().outcomes[outcome] - before,
		type != VDM_OPERATION_FLUSH, 1);
	fake_dml_script(NULL, 0);
}

static void
every_status_ends_with_the_right_bytes(void **state)
{
	static const dml_status_t beyond[] = {(dml_status_t)256,
		(dml_status_t)65536, (dml_status_t)INT32_MAX,
		(dml_status_t)UINT32_MAX};
	const unsigned step = TEST_SLOWDOWN > 1 ? 5 : 1;

	(void)state;
	for (unsigned i = 2; i < 2 * 260; i++) {
		const dml_status_t status = i / 2 < 256 ? (dml_status_t)(i / 2)
							: beyond[i / 2 - 256];
		/*
		 * A new mover for each status, because some statuses change a
		 * mover.
		 */
		struct data_mover_dml *dmd =
			mover_new(i % 2 == 0 ? DATA_MOVER_DML_HARDWARE
					     : DATA_MOVER_DML_AUTO);

		for (unsigned k = 0; k < 3 * 16; k += step)
			/* BEING_PROCESSED is no answer yet. */
			if (k % 3 == 0 || status != DML_STATUS_BEING_PROCESSED)
				run_after_answer(dmd,
					(enum vdm_operation_type)(k / 3 % 4),
					k / 12,
					(enum fake_dml_outcome)(
						FAKE_DML_REFUSED + k % 3),
					status);
		data_mover_dml_delete(dmd);
	}
}

static void
every_status_of_a_new_job_leaves_it_to_the_cpu(void **state)
{
	char a[64], b[64] = "no job";

	(void)state;
	for (unsigned s = 1; s < 256; s++) {
		struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_AUTO);

		memset(a, 0, sizeof(a));
		fake_dml_set_init_status((dml_status_t)s);
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_dml_get_vdm(dmd), a, b, sizeof(a), 0);

		assert_int_equal(run(&f), VDM_SUCCESS);
		assert_string_equal(a, "no job");
		fake_dml_set_init_status(DML_STATUS_OK);
		data_mover_dml_delete(dmd);
	}
	assert_int_equal(fake_dml_seen().inits, 0);
}

/*
 * Moves that overlap, forwards and backwards, by much and by little, under
 * every failure. The fake complains about any job whose ranges overlap.
 */
static void
overlapping_moves_are_right_under_every_failure(void **state)
{
	enum { N = 100000 };
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct vdm *vdm = data_mover_dml_get_vdm(dmd);
	static unsigned char ours[2 * N], want[2 * N];
	const size_t distances[] = {
		0, 1, 63, 64, 100, 4095, 4096, 5000, 30000, 99999, 100000};

	(void)state;
	fake_dml_random(test_seed("overlap"), 3);
	for (size_t d = 0; d < sizeof(distances) / sizeof(distances[0]); d++)
		for (int i = 0; i < TEST_ROUNDS(100); i++) {
			const size_t to = i % 2 == 0 ? distances[d] : 0;
			const size_t from = i % 2 == 0 ? 0 : distances[d];
			struct vdm_operation_future f;

			fill_random(ours, 2 * N, (uint64_t)i);
			memcpy(want, ours, 2 * N);
			memmove(want + to, want + from, N);
			f = i % 4 < 2
				? vdm_memmove(vdm, ours + to, ours + from, N, 0)
				: vdm_memcpy(vdm, ours + to, ours + from, N,
					  VDM_F_MEM_DURABLE);
			assert_int_equal(run(&f), VDM_SUCCESS);
			assert_memory_equal(ours, want, 2 * N);
		}
	data_mover_dml_delete(dmd);
}

/* The CPU repeats a piece with the flags of the operation. */
static void
repaired_pieces_keep_their_flags(void **state)
{
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	static char a[1000], b[1000];
	struct vdm_operation_future f = vdm_memcpy(data_mover_dml_get_vdm(dmd),
		a, b, sizeof(a), VDM_F_MEM_DURABLE);
	const enum fake_dml_outcome once = FAKE_DML_PAGE_FAULT;

	(void)state;
	fake_dml_script(&once, 1);
	assert_int_equal(run(&f), VDM_SUCCESS);
	assert_int_equal(moved.flags, VDM_F_MEM_DURABLE);
	assert_ptr_equal(moved.dst, a);
	assert_int_equal(moved.n, sizeof(a));
	data_mover_dml_delete(dmd);
}

/*
 * More threads than CPUs, and one device that fails one job in four. Each
 * thread has several operations in flight, which may overtake each other.
 */
struct storm {
	struct vdm *vdm;
	uint64_t seed;
	size_t nwrong;
};

#define STORM_IN_FLIGHT 8
#define STORM_SIZE 30000

static void *
storm_run(void *arg)
{
	struct storm *storm = arg;
	struct vdm_operation_future f[STORM_IN_FLIGHT];
	unsigned char *src = malloc(STORM_SIZE);
	unsigned char *dst = malloc(STORM_IN_FLIGHT * STORM_SIZE);

	if (src == NULL || dst == NULL)
		abort();
	for (int round = 0; round < TEST_ROUNDS(300); round++) {
		size_t n[STORM_IN_FLIGHT];
		int left = STORM_IN_FLIGHT;

		fill_random(src, STORM_SIZE, storm->seed);
		memset(dst, 0, STORM_IN_FLIGHT * STORM_SIZE);
		for (int i = 0; i < STORM_IN_FLIGHT; i++) {
			n[i] = test_random(&storm->seed) % STORM_SIZE;
			f[i] = vdm_memcpy(storm->vdm, dst + i * STORM_SIZE, src,
				n[i], test_random(&storm->seed) % 4);
		}
		while (left > 0) {
			left = 0;
			for (int i = 0; i < STORM_IN_FLIGHT; i++)
				left += future_poll(FUTURE_AS_RUNNABLE(&f[i]),
						NULL) != FUTURE_STATE_COMPLETE;
			if (left > 0)
				sched_yield();
		}
		for (int i = 0; i < STORM_IN_FLIGHT; i++) {
			const unsigned char *to = dst + i * STORM_SIZE;
			const bool is_too_long =
				n[i] < STORM_SIZE && to[n[i]] != 0;

			storm->nwrong +=
				FUTURE_OUTPUT(&f[i])->result != VDM_SUCCESS ||
				memcmp(to, src, n[i]) != 0 || is_too_long;
		}
	}
	free(src);
	free(dst);
	return NULL;
}

static void
storm_of_failures_loses_no_byte(void **state)
{
	enum { THREADS = 6 };
	const enum data_mover_dml_type types[] = {
		DATA_MOVER_DML_HARDWARE, DATA_MOVER_DML_AUTO};
	const uint64_t seed = test_seed("storm");

	(void)state;
	for (size_t t = 0; t < 2; t++) {
		struct data_mover_dml *dmd = mover_new(types[t]);
		struct storm storms[THREADS];
		pthread_t threads[THREADS];

		fake_dml_random(seed, 4);
		for (int i = 0; i < THREADS; i++) {
			storms[i] = (struct storm){data_mover_dml_get_vdm(dmd),
				seed + (uint64_t)i, 0};
			pthread_create(
				&threads[i], NULL, storm_run, &storms[i]);
		}
		for (int i = 0; i < THREADS; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(storms[i].nwrong, 0);
		}
		fake_dml_random(seed, 0);
		data_mover_dml_delete(dmd);
	}
	printf("%zu jobs, %zu refused\n", fake_dml_seen().submits,
		fake_dml_seen().refusals);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DML_TEST(every_outcome_ends_with_the_right_bytes),
		DML_TEST(every_status_ends_with_the_right_bytes),
		DML_TEST(every_status_of_a_new_job_leaves_it_to_the_cpu),
		DML_TEST(overlapping_moves_are_right_under_every_failure),
		DML_TEST(repaired_pieces_keep_their_flags),
		DML_TEST(storm_of_failures_loses_no_byte),
	};

	exit_without_mover();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
