/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_dml_device.c -- tests movers/data_mover_dml with the fake
 * DML: a full queue, the longest transfer, and the flags of the jobs
 */

#include "dml_mover.h"

/* The last range that this thread wrote back by memory.c. */
static _Thread_local struct {
	const void *address;
	size_t n;
} flushed;
static _Thread_local size_t nflushed;

int __real_mia_memory_flush(const void *address, size_t n);

int
__wrap_mia_memory_flush(const void *address, size_t n)
{
	flushed.address = address;
	flushed.n = n;
	nflushed++;
	return __real_mia_memory_flush(address, n);
}

/* "Not now": the future stays idle, and the next poll tries again. */
static void
full_queue_means_not_now(void **state)
{
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	char a[64] = "", b[64] = "queue";
	struct vdm_operation_future f =
		vdm_memcpy(data_mover_dml_get_vdm(dmd), a, b, sizeof(a), 0);
	const size_t before = jobs_so_far();

	(void)state;
	fake_dml_always(FAKE_DML_QUEUE_FULL);
	for (int i = 0; i < 500; i++) {
		struct future_notifier n = {
			.notifier_used = FUTURE_NOTIFIER_WAKER};

		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_IDLE);
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
		assert_int_equal(a[0], 0);
	}
	fake_dml_always(FAKE_DML_DONE);
	assert_int_equal(run(&f), VDM_SUCCESS);
	assert_string_equal(a, "queue");
	assert_int_equal(jobs_so_far(), before + 1);
	data_mover_dml_delete(dmd);
}

/* If the queue stays full or is out of reach, the CPU does the work. */
static void
queue_that_stays_full_is_done_without(void **state)
{
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	char a[64] = "", b[64] = "no queue";
	struct vdm_operation_future f =
		vdm_memcpy(data_mover_dml_get_vdm(dmd), a, b, sizeof(a), 0);

	(void)state;
	fake_dml_always(FAKE_DML_QUEUE_OVERFLOW);
	assert_int_equal(run(&f), VDM_SUCCESS);
	assert_string_equal(a, "no queue");
	assert_in_range(fake_dml_seen().refusals, 500, 2000);
	data_mover_dml_delete(dmd);
}

/* 1,000 in flight on a queue of 16; each is done, by the device. */
static void
more_operations_than_the_queue_holds(void **state)
{
	enum { N = 1000 };
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct runtime *runtime = runtime_new();
	static struct vdm_operation_future f[N];
	static struct future *futs[N];
	static uint64_t src[N][8], dst[N][8];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		src[i][7] = i + 1;
		f[i] = vdm_memcpy(data_mover_dml_get_vdm(dmd), dst[i], src[i],
			sizeof(dst[i]), 0);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	runtime_wait_multiple(runtime, futs, N);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
		assert_ptr_equal(
			FUTURE_OUTPUT(&f[i])->output.memcpy.dest, dst[i]);
		assert_int_equal(dst[i][7], i + 1);
	}
	runtime_delete(runtime);
	data_mover_dml_delete(dmd);
}

/* The device takes 100,000 bytes. Only the first operation has extra jobs. */
static void
device_maximum_is_learnt(void **state)
{
	enum { N = 3000000 };
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct vdm *vdm = data_mover_dml_get_vdm(dmd);
	unsigned char *src = malloc(N), *dst = calloc(1, N);

	(void)state;
	assert_true(src != NULL && dst != NULL);
	fake_dml_set_max_transfer(100000);
	fill_random(src, N, 1);

	size_t before = jobs_so_far();
	struct vdm_operation_future f = vdm_memcpy(vdm, dst, src, N, 0);

	assert_int_equal(run(&f), VDM_SUCCESS);
	assert_memory_equal(dst, src, N);
	const size_t first = jobs_so_far() - before;

	before = jobs_so_far();
	f = vdm_memset(vdm, dst, 7, N, 0);
	assert_int_equal(run(&f), VDM_SUCCESS);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(dst[i], 7);
	const size_t second = jobs_so_far() - before;

	printf("jobs: %zu, then %zu\n", first, second);
	assert_in_range(second, N / 100000, 2 * N / 100000 + 1);
	assert_in_range(first, second + 1, second + 20);

	/* If the device takes no job, the CPU does all work. */
	fake_dml_set_max_transfer(0);
	f = vdm_memcpy(vdm, dst, src, N, 0);
	assert_int_equal(run(&f), VDM_SUCCESS);
	assert_memory_equal(dst, src, N);

	free(src);
	free(dst);
	data_mover_dml_delete(dmd);
}

/* More than 32 bits of length: the pieces cover it, without a gap. */
static void
lengths_beyond_32_bits_go_in_pieces(void **state)
{
#if SIZE_MAX > UINT32_MAX
	const size_t n = ((size_t)5 << 30) + 12345;
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	char *range = (char *)(uintptr_t)0x100000000000; /* never touched */
	struct vdm_operation_future f =
		vdm_flush(data_mover_dml_get_vdm(dmd), range + 7, n, 0);
	const size_t before = jobs_so_far();

	(void)state;
	nflushed = 0;
	assert_int_equal(run(&f), VDM_SUCCESS);
	const struct fake_dml_seen seen = fake_dml_seen();
	uintptr_t at = (uintptr_t)range;

	assert_in_range(seen.submits - before, 2, 10);
	for (size_t i = before; i < seen.submits; i++) {
		const struct fake_dml_job *job = &seen.jobs[i];

		assert_int_equal(job->operation, DML_OP_CACHE_FLUSH);
		assert_in_range((uintptr_t)job->destination, 1, at);
		assert_true((uintptr_t)job->destination + job->length > at);
		at = (uintptr_t)job->destination + job->length;
	}
	assert_true(at >= (uintptr_t)range + 7 + n);
	assert_int_equal(nflushed, 0);
	data_mover_dml_delete(dmd);
#else
	(void)state;
	skip();
#endif
}

/* The flags of the device's jobs, and the work that the CPU does instead. */
static void
flags_are_those_of_the_manual(void **state)
{
	const struct {
		uint64_t flags;
		dml_operation_flags_t hardware;
	} table[] = {
		{0, DML_FLAG_PREFETCH_CACHE},
		{VDM_F_NO_CACHE_HINT, 0},
		{VDM_F_MEM_DURABLE, DML_FLAG_DST1_DURABLE | 0x4000},
		{VDM_F_MEM_DURABLE | VDM_F_NO_CACHE_HINT,
			DML_FLAG_DST1_DURABLE | 0x4000},
	};
	static _Alignas(64) char a[256], b[256];

	(void)state;
	for (int type = 0; type < 3; type++) {
		struct data_mover_dml *dmd =
			mover_new((enum data_mover_dml_type)type);
		struct vdm *vdm = data_mover_dml_get_vdm(dmd);
		const bool is_hardware = type == DATA_MOVER_DML_HARDWARE;

		assert_true(vdm_is_supported(vdm, VDM_F_VALID_FLAGS));
		for (size_t i = 0; i < 4; i++) {
			const bool is_durable =
				(table[i].flags & VDM_F_MEM_DURABLE) != 0;
			const size_t before = jobs_so_far();
			struct vdm_operation_future f =
				vdm_memcpy(vdm, a + 1, b, 100, table[i].flags);

			nflushed = 0;
			assert_int_equal(run(&f), VDM_SUCCESS);
			f = vdm_memset(vdm, a + 1, 1, 100, table[i].flags);
			assert_int_equal(run(&f), VDM_SUCCESS);
			const struct fake_dml_seen seen = fake_dml_seen();

			assert_int_equal(seen.submits, before + 2);
			assert_int_equal(
				seen.jobs[before].flags, table[i].hardware);
			assert_int_equal(
				seen.jobs[before + 1].flags, table[i].hardware);
			assert_int_equal(
				nflushed, is_durable && !is_hardware ? 2 : 0);
			if (nflushed != 0) {
				assert_ptr_equal(flushed.address, a + 1);
				assert_int_equal(flushed.n, 100);
			}
		}

		/* Whole lines for the device, the range for the CPU. */
		const size_t before = jobs_so_far();
		struct vdm_operation_future f = vdm_flush(vdm, a + 60, 10, 0);

		nflushed = 0;
		assert_int_equal(run(&f), VDM_SUCCESS);
		assert_int_equal(jobs_so_far(), before + is_hardware);
		assert_int_equal(nflushed, !is_hardware);
		if (is_hardware) {
			const struct fake_dml_job job =
				fake_dml_seen().jobs[before];

			assert_int_equal(job.operation, DML_OP_CACHE_FLUSH);
			assert_ptr_equal(job.destination, a);
			assert_int_equal(job.length, 128);
			assert_int_equal(job.flags, 0);
		} else {
			assert_ptr_equal(flushed.address, a + 60);
			assert_int_equal(flushed.n, 10);
		}
		data_mover_dml_delete(dmd);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DML_TEST(full_queue_means_not_now),
		DML_TEST(queue_that_stays_full_is_done_without),
		DML_TEST(more_operations_than_the_queue_holds),
		DML_TEST(device_maximum_is_learnt),
		DML_TEST(lengths_beyond_32_bits_go_in_pieces),
		DML_TEST(flags_are_those_of_the_manual),
	};

	exit_without_mover();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
