/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_dml.c -- tests movers/data_mover_dml with the fake DML: the
 * bytes are right after every failure of a device, or the operation fails
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "contract.h"
#include "fake_dml.h"
#include "libminiasync-vdm-dml.h"
#include "libminiasync.h"
#include "operation.h"
#include "operation/memory.h"
#include "operation/operation_pool.h"

#define ALL_OUTCOMES (FAKE_DML_OUTCOMES - 1) /* but SILENT, the last */

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

/*
 * The number of the read of the clock at which the thread stops for 0.3 s, or
 * 0. The clock then shows 2 s more, which is longer than the mover waits.
 */
static _Thread_local int stop_at_look;
static _Thread_local uint64_t stood_ns;

uint64_t __real_mia_clock_ns(void);
uint64_t __wrap_mia_clock_ns(void);

uint64_t
__wrap_mia_clock_ns(void)
{
	if (stop_at_look > 0 && --stop_at_look == 0) {
		test_sleep_ns(300 * MS);
		stood_ns += 2000 * MS;
	}
	return __real_mia_clock_ns() + stood_ns;
}

static int
setup(void **state)
{
	(void)state;
	fake_dml_reset();
	nflushed = 0;
	return 0;
}

/* After every test: all jobs were ended, none was used against the rules. */
static int
teardown(void **state)
{
	const struct fake_dml_seen seen = fake_dml_seen();

	(void)state;
	if (seen.misuses != 0 || seen.in_flight != 0 ||
		seen.inits != seen.finalizes) {
		printf("misuses %zu, in flight %zu, "
		       "initialised %zu, finalized %zu\n",
			seen.misuses, seen.in_flight, seen.inits,
			seen.finalizes);
		return 1;
	}
	return 0;
}

static struct data_mover_dml *
mover_new(enum data_mover_dml_type type)
{
	struct data_mover_dml *dmd = data_mover_dml_new(type);

	assert_non_null(dmd);
	return dmd;
}

static enum vdm_operation_result
run(struct vdm_operation_future *f)
{
	FUTURE_BUSY_POLL(f);
	return FUTURE_OUTPUT(f)->result;
}

static void
fill_random(unsigned char *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)test_random(&seed);
}

/* The jobs of the probe by which a hardware mover is made. */
static size_t
jobs_so_far(void)
{
	return fake_dml_seen().submits;
}

static void
constructor_says_what_is_wrong(void **state)
{
	(void)state;
	errno = 0;
	assert_null(data_mover_dml_new((enum data_mover_dml_type)3));
	assert_int_equal(errno, EINVAL);
	assert_null(data_mover_dml_new((enum data_mover_dml_type) - 1));
	assert_int_equal(errno, EINVAL);

	fake_dml_set_job_size(0);
	assert_null(data_mover_dml_new(DATA_MOVER_DML_SOFTWARE));
	assert_int_equal(errno, ENOTSUP);
	assert_null(data_mover_dml_new(DATA_MOVER_DML_HARDWARE));
	assert_int_equal(errno, ENODEV);
	fake_dml_set_job_size(UINT32_MAX);
	assert_null(data_mover_dml_new(DATA_MOVER_DML_AUTO));
	assert_int_equal(errno, ENOTSUP);

	data_mover_dml_delete(NULL);
}

static void
hardware_without_a_usable_device_is_enodev(void **state)
{
	(void)state;
	fake_dml_set_device(FAKE_DML_NO_DEVICE);
	assert_null(data_mover_dml_new(DATA_MOVER_DML_HARDWARE));
	assert_int_equal(errno, ENODEV);
	data_mover_dml_delete(mover_new(DATA_MOVER_DML_AUTO));
	data_mover_dml_delete(mover_new(DATA_MOVER_DML_SOFTWARE));
	fake_dml_set_device(FAKE_DML_DEVICE);

	fake_dml_set_init_status(DML_STATUS_LIBACCEL_NOT_FOUND);
	assert_null(data_mover_dml_new(DATA_MOVER_DML_HARDWARE));
	assert_int_equal(errno, ENODEV);
	fake_dml_set_init_status(DML_STATUS_OK);

	for (int o = 0; o < ALL_OUTCOMES; o++) {
		const bool works =
			o == FAKE_DML_DONE || o == FAKE_DML_DONE_LATE;

		fake_dml_always((enum fake_dml_outcome)o);
		errno = 0;
		struct data_mover_dml *dmd =
			data_mover_dml_new(DATA_MOVER_DML_HARDWARE);
		assert_int_equal(dmd != NULL, works);
		assert_int_equal(errno, works ? 0 : ENODEV);
		data_mover_dml_delete(dmd);
	}

	/* A queue that is full now and then is no reason. */
	const enum fake_dml_outcome busy[] = {FAKE_DML_QUEUE_FULL,
		FAKE_DML_QUEUE_OVERFLOW, FAKE_DML_QUEUE_FULL};
	fake_dml_always(FAKE_DML_DONE);
	fake_dml_script(busy, 3);
	data_mover_dml_delete(mover_new(DATA_MOVER_DML_HARDWARE));
}

/* The device keeps its job and memory, so the device answers at the end. */
static void
device_that_never_answers_is_enodev(void **state)
{
	(void)state;
	fake_dml_always(FAKE_DML_SILENT);
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	assert_null(data_mover_dml_new(DATA_MOVER_DML_HARDWARE));
	assert_int_equal(errno, ENODEV);
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < 10000 * MS);
	assert_int_equal(fake_dml_seen().finalizes, 0);

	fake_dml_answer();
	while (fake_dml_seen().in_flight != 0)
		sched_yield();
	fake_dml_reset(); /* the job is never finalized */
}

/* The device was not slow. The thread was stopped. */
static void
stop_while_a_mover_is_made_is_not_the_devices_fault(void **state)
{
	const enum fake_dml_outcome outcomes[] = {
		FAKE_DML_QUEUE_FULL, FAKE_DML_DONE_LATE};

	(void)state;
	for (int look = 1; look <= 4; look++)
		for (size_t i = 0; i < 2; i++) {
			fake_dml_script(&outcomes[i], 1);
			stop_at_look = look;
			data_mover_dml_delete(
				mover_new(DATA_MOVER_DML_HARDWARE));
			stop_at_look = 0;
			stood_ns = 0; /* others have their own clock */
		}
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

/* 10,000 operations, one job; only a failure costs another initialisation. */
static void
jobs_are_initialised_once(void **state)
{
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_SOFTWARE);
	struct vdm *vdm = data_mover_dml_get_vdm(dmd);
	char a[8], b[8] = "";

	(void)state;
	for (int i = 0; i < 10000; i++) {
		struct vdm_operation_future f = vdm_memcpy(vdm, a, b, 8, 0);

		assert_int_equal(run(&f), VDM_SUCCESS);
	}
	assert_int_equal(fake_dml_seen().inits, 1);
	data_mover_dml_delete(dmd);

	dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	const size_t before = fake_dml_seen().inits;
	const enum fake_dml_outcome once = FAKE_DML_CORRUPT;

	fake_dml_script(&once, 1);
	for (int i = 0; i < 1000; i++) {
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_dml_get_vdm(dmd), a, b, 8, 0);

		assert_int_equal(run(&f), VDM_SUCCESS);
	}
	assert_int_equal(fake_dml_seen().inits, before + 1);
	data_mover_dml_delete(dmd);
}

static void
without_a_job_the_cpu_does_it(void **state)
{
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_SOFTWARE);
	char a[64] = "", b[64] = "no job";

	(void)state;
	fake_dml_set_init_status(DML_STATUS_LIBACCEL_ERROR);
	struct vdm_operation_future f =
		vdm_memcpy(data_mover_dml_get_vdm(dmd), a, b, sizeof(a), 0);

	assert_int_equal(run(&f), VDM_SUCCESS);
	assert_string_equal(a, "no job");
	assert_int_equal(fake_dml_seen().inits, 0);
	data_mover_dml_delete(dmd);
}

struct answerer {
	atomic_bool has_answered;
};

static void *
answer_soon(void *arg)
{
	struct answerer *answerer = arg;

	test_sleep_ns(20 * MS);
	atomic_store(&answerer->has_answered, true);
	fake_dml_answer();
	return NULL;
}

/* Futures were dropped on the way: the device still has their memory. */
static void
delete_waits_for_the_device_and_ends_the_rest(void **state)
{
	enum { N = 50000, FUTURES = 3 };
	static unsigned char src[N], dst[FUTURES][N];
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct answerer answerer = {false};
	pthread_t thread;

	(void)state;
	fill_random(src, N, 1);
	memset(dst, 0, sizeof(dst));
	fake_dml_set_max_transfer(20000);
	fake_dml_always(FAKE_DML_SILENT);
	for (int i = 0; i < FUTURES; i++) {
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_dml_get_vdm(dmd), dst[i], src, N, 0);

		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
			FUTURE_STATE_RUNNING);
	}
	/* The mover does not wait for an operation that was never started. */
	const struct vdm_operation_future dropped =
		vdm_memcpy(data_mover_dml_get_vdm(dmd), dst[0], src, N, 0);

	(void)dropped;
	pthread_create(&thread, NULL, answer_soon, &answerer);
	data_mover_dml_delete(dmd);
	assert_true(atomic_load(&answerer.has_answered));
	pthread_join(thread, NULL);
	for (int i = 0; i < FUTURES; i++)
		assert_memory_equal(dst[i], src, N);
}

static void
futures_are_asynchronous_and_answer_every_notifier(void **state)
{
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	char a[64] = "", b[64] = "notified";
	struct vdm_operation_future f =
		vdm_memcpy(data_mover_dml_get_vdm(dmd), a, b, sizeof(a), 0);
	const size_t before = jobs_so_far();

	(void)state;
	assert_true(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	fake_dml_always(FAKE_DML_SILENT);
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	for (int i = 0; i < 2; i++) {
		/* A notifier that another mover's future has used. */
		struct future_notifier n = {
			.notifier_used = FUTURE_NOTIFIER_WAKER};

		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_RUNNING);
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
	}
	fake_dml_answer();
	assert_int_equal(run(&f), VDM_SUCCESS);
	assert_string_equal(a, "notified");
	assert_int_equal(jobs_so_far(), before + 1);
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

/* The contract suite, on each type, with a perfect device and a bad one. */

static enum data_mover_dml_type contract_type;

static void *
contract_make(void)
{
	return data_mover_dml_new(contract_type);
}

static struct vdm *
contract_get_vdm(void *mover)
{
	return data_mover_dml_get_vdm(mover);
}

static void
contract_end(void *mover)
{
	data_mover_dml_delete(mover);
}

static int
run_contract(const char *name, enum data_mover_dml_type type)
{
	const struct contract_mover mover = {
		.name = name,
		.make = contract_make,
		.get_vdm = contract_get_vdm,
		.end = contract_end,
	};

	contract_type = type;
	return contract_run(&mover);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(constructor_says_what_is_wrong),
		TEST(hardware_without_a_usable_device_is_enodev),
		TEST(device_that_never_answers_is_enodev),
		TEST(stop_while_a_mover_is_made_is_not_the_devices_fault),
		TEST(every_outcome_ends_with_the_right_bytes),
		TEST(every_status_ends_with_the_right_bytes),
		TEST(every_status_of_a_new_job_leaves_it_to_the_cpu),
		TEST(full_queue_means_not_now),
		TEST(queue_that_stays_full_is_done_without),
		TEST(more_operations_than_the_queue_holds),
		TEST(device_maximum_is_learnt),
		TEST(lengths_beyond_32_bits_go_in_pieces),
		TEST(overlapping_moves_are_right_under_every_failure),
		TEST(flags_are_those_of_the_manual),
		TEST(repaired_pieces_keep_their_flags),
		TEST(jobs_are_initialised_once),
		TEST(without_a_job_the_cpu_does_it),
		TEST(delete_waits_for_the_device_and_ends_the_rest),
		TEST(futures_are_asynchronous_and_answer_every_notifier),
		TEST(storm_of_failures_loses_no_byte),
	};
	if (mia_memory_capabilities() != VDM_F_VALID_FLAGS) {
		errno = 0;
		printf("this CPU cannot write its caches back: no such "
		       "mover\n");
		return data_mover_dml_new(DATA_MOVER_DML_AUTO) != NULL ||
			errno != ENOTSUP;
	}

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	fake_dml_reset();
	fake_dml_random(test_seed("contract"), 20);
	failed += run_contract("dml software", DATA_MOVER_DML_SOFTWARE);
	/* AUTO makes no probe, which a bad device may fail. */
	failed += run_contract(
		"dml auto, device that fails", DATA_MOVER_DML_AUTO);
	fake_dml_random(0, 0);
	failed += run_contract("dml hardware", DATA_MOVER_DML_HARDWARE);
	fake_dml_set_device(FAKE_DML_NO_DEVICE);
	failed += run_contract("dml auto, no device", DATA_MOVER_DML_AUTO);
	void *nothing = NULL;

	failed += teardown(&nothing);
	return failed != 0;
}
