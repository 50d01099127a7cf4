/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_dml_memcpyv.c -- tests movers/data_mover_dml with the fake
 * DML: vdm_memcpyv(), and failures of the device at any of its segments
 */

#include "dml_mover.h"

#include "segments.h"

static const enum data_mover_dml_type types[] = {
	DATA_MOVER_DML_SOFTWARE, DATA_MOVER_DML_HARDWARE, DATA_MOVER_DML_AUTO};

static uint64_t seed;

/* Bytes that memory.c has written back. */
static size_t flushed_bytes;

int __real_mia_memory_flush(const void *address, size_t n);
int __wrap_mia_memory_flush(const void *address, size_t n);

int
__wrap_mia_memory_flush(const void *address, size_t n)
{
	flushed_bytes += n;
	return __real_mia_memory_flush(address, n);
}

/* The moves that memory.c has done with the flags that are looked for. */
static struct {
	unsigned flags;
	size_t n;
} moved;

void __real_mia_memory_move(
	void *dst, const void *src, size_t n, unsigned flags);
void __wrap_mia_memory_move(
	void *dst, const void *src, size_t n, unsigned flags);

void
__wrap_mia_memory_move(void *dst, const void *src, size_t n, unsigned flags)
{
	moved.n += flags == moved.flags;
	__real_mia_memory_move(dst, src, n, flags);
}

static struct vdm_operation_future
start(struct data_mover_dml *dmd, struct segments *s, uint64_t flags)
{
	segments_reset(s);
	return vdm_memcpyv(data_mover_dml_get_vdm(dmd), s->list, s->n, flags);
}

static void
check(struct vdm_operation_future *f, const struct segments *s)
{
	FUTURE_BUSY_POLL(f);
	assert_int_equal(FUTURE_OUTPUT(f)->type, VDM_OPERATION_MEMCPYV);
	assert_int_equal(FUTURE_OUTPUT(f)->result, VDM_SUCCESS);
	assert_int_equal(FUTURE_OUTPUT(f)->output.memcpyv.copied, s->n);
	segments_check(s);
}

static void
random_segments_are_equal_to_a_loop(void **state)
{
	(void)state;
	for (size_t t = 0; t < 3; t++) {
		struct data_mover_dml *dmd = mover_new(types[t]);

		for (size_t i = 0; i < TEST_ROUNDS(100); i++) {
			struct segments s = segments_random(
				(i + 7) % 40, i % 10 == 0 ? 40000 : 500, &seed);
			struct vdm_operation_future f = start(dmd, &s, i % 4);

			check(&f, &s);
			segments_free(&s);
		}
		data_mover_dml_delete(dmd);
	}
}

/* Each with bytes; a long one is cut as a copy is. */
static void
each_segment_is_a_job(void **state)
{
	const size_t sizes[] = {100, 0, 20000, 1, 0};
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	const size_t before = fake_dml_seen().submits;
	struct segments s = segments_of(sizes, 5, &seed);
	struct vdm_operation_future f = start(dmd, &s, VDM_F_NO_CACHE_HINT);
	size_t bytes = 0;

	(void)state;
	check(&f, &s);

	const struct fake_dml_seen seen = fake_dml_seen();

	assert_int_equal(seen.submits - before, 3);
	for (size_t i = before; i < seen.submits; i++) {
		assert_int_equal(seen.jobs[i].operation, DML_OP_MEM_MOVE);
		assert_int_equal(seen.jobs[i].flags, 0);
		bytes += seen.jobs[i].length;
	}
	assert_int_equal(bytes, 20101);

	fake_dml_set_max_transfer(8192);
	f = start(dmd, &s, 0);
	check(&f, &s);
	assert_true(fake_dml_seen().submits - seen.submits >= 5);
	segments_free(&s);
	data_mover_dml_delete(dmd);
}

/* An error of the caller, for which the CPU is. The others are done. */
static void
overlapping_segment_does_not_stop_the_others(void **state)
{
	char bytes[] = "0123456789", a[] = "a", b[] = "b";
	const struct vdm_segment list[] = {
		{a, "x", 1}, {bytes + 1, bytes, 5}, {b, "y", 1}};
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct vdm_operation_future f =
		vdm_memcpyv(data_mover_dml_get_vdm(dmd), list, 3, 0);

	(void)state;
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_string_equal(a, "x");
	assert_string_not_equal(bytes, "0123456789");
	assert_string_equal(b, "y");
	data_mover_dml_delete(dmd);
}

/* Each outcome at each segment: no other segment is lost. */
static void
failure_at_any_segment_is_repaired(void **state)
{
	enum { N = 5 };
	const size_t sizes[N] = {9000, 1, 20000, 300, 5000};

	(void)state;
	for (size_t t = 0; t < 3; t++) {
		struct data_mover_dml *dmd = mover_new(types[t]);

		for (int i = 0; i < ALL_OUTCOMES * N; i++) {
			enum fake_dml_outcome script[N] = {FAKE_DML_DONE};
			struct segments s = segments_of(sizes, N, &seed);

			script[i % N] = (enum fake_dml_outcome)(i / N);
			fake_dml_script(script, N);

			struct vdm_operation_future f =
				start(dmd, &s, (uint64_t)i % 4);

			check(&f, &s);
			segments_free(&s);
		}
		data_mover_dml_delete(dmd);
	}
	for (int o = 0; o < ALL_OUTCOMES; o++)
		assert_true(fake_dml_seen().outcomes[o] >= N);
}

/* Every status of DML, for the segment in the middle, at every moment. */
static void
every_status_in_the_middle_is_repaired(void **state)
{
	const size_t sizes[] = {300, 5000, 700};

	(void)state;
	for (unsigned i = 2 * 3; i < 257 * 3; i++) {
		const dml_status_t status = (dml_status_t)(i / 3);
		const enum fake_dml_outcome script[] = {FAKE_DML_DONE,
			(enum fake_dml_outcome)(FAKE_DML_REFUSED + i % 3)};

		/* BEING_PROCESSED is no answer yet. */
		if (status == DML_STATUS_BEING_PROCESSED && i % 3 != 0)
			continue;

		/* A new one each time: some statuses change a mover. */
		struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
		struct segments s = segments_of(sizes, 3, &seed);
		struct vdm_operation_future f = start(dmd, &s, i % 4);

		fake_dml_set_status(status);
		fake_dml_script(script, 2);
		check(&f, &s);
		assert_true(fake_dml_seen().outcomes[script[1]] > 0);
		segments_free(&s);
		data_mover_dml_delete(dmd);
	}
}

static void
repaired_segments_keep_their_flags(void **state)
{
	const enum fake_dml_outcome script[] = {
		FAKE_DML_DONE, FAKE_DML_PAGE_FAULT, FAKE_DML_CORRUPT};
	const size_t sizes[] = {5000, 300, 6000, 7000};
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct segments s = segments_of(sizes, 4, &seed);

	(void)state;
	for (unsigned flags = 0; flags < 4; flags++) {
		struct vdm_operation_future f = start(dmd, &s, flags);

		moved.flags = flags;
		moved.n = 0;
		fake_dml_script(script, 3);
		check(&f, &s);
		assert_int_equal(moved.n, 2);
	}
	segments_free(&s);
	data_mover_dml_delete(dmd);
}

/* The device fails the second segment. After that there is no new job. */
static void
without_another_job_the_cpu_does_the_rest(void **state)
{
	const enum fake_dml_outcome script[] = {
		FAKE_DML_SILENT, FAKE_DML_DEVICE_LOST};
	const size_t sizes[] = {5000, 6000, 300, 7000};
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_AUTO);
	struct segments s = segments_of(sizes, 4, &seed);

	(void)state;
	fake_dml_script(script, 2);

	struct vdm_operation_future f = start(dmd, &s, 0);

	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	fake_dml_set_init_status(DML_STATUS_LIBACCEL_NOT_FOUND);
	fake_dml_answer();
	check(&f, &s);
	assert_int_equal(fake_dml_seen().submits, 2);
	assert_int_equal(fake_dml_seen().inits, 1);
	segments_free(&s);
	data_mover_dml_delete(dmd);
}

/* Longer segments than the device takes, so that parts of them fail. */
static void
failures_at_random_are_repaired(void **state)
{
	(void)state;
	fake_dml_random(seed, 3);
	fake_dml_set_max_transfer(5000);
	for (size_t t = 0; t < 3; t++) {
		struct data_mover_dml *dmd = NULL;

		/* The probe may meet a failure. */
		while (dmd == NULL)
			dmd = data_mover_dml_new(types[t]);
		for (size_t i = 0; i < TEST_ROUNDS(100); i++) {
			struct segments s = segments_random(20, 9000, &seed);
			struct vdm_operation_future f = start(dmd, &s, i % 4);

			check(&f, &s);
			segments_free(&s);
		}
		data_mover_dml_delete(dmd);
	}
}

/* More lists than the queue has places, which overtake each other. */
static void
many_lists_at_once_lose_nothing(void **state)
{
	enum { N = 40 };
	struct runtime *runtime = runtime_new();
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct vdm_operation_future f[N];
	struct future *futs[N];
	struct segments s[N];

	(void)state;
	assert_non_null(runtime);
	fake_dml_random(seed, 4);
	for (size_t i = 0; i < N; i++) {
		s[i] = segments_random(i, 9000, &seed);
		f[i] = start(dmd, &s[i], i % 4);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	runtime_wait_multiple(runtime, futs, N);
	for (size_t i = 0; i < N; i++) {
		check(&f[i], &s[i]);
		segments_free(&s[i]);
	}
	data_mover_dml_delete(dmd);
	runtime_delete(runtime);
}

/* Only before the first part the future stays IDLE: nothing was written. */
static void
full_queue_at_the_first_segment_is_not_now(void **state)
{
	static const enum fake_dml_outcome full[] = {
		FAKE_DML_QUEUE_FULL, FAKE_DML_QUEUE_OVERFLOW};
	const size_t sizes[] = {5000, 6000};
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct segments s = segments_of(sizes, 2, &seed);
	struct vdm_operation_future f = start(dmd, &s, 0);

	(void)state;
	fake_dml_script(full, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
			FUTURE_STATE_IDLE);
		segments_check_untouched(&s);
	}
	check(&f, &s);
	segments_free(&s);
	data_mover_dml_delete(dmd);
}

/* The CPU did the first one within the poll, whose two tries then failed. */
static void
full_queue_at_a_later_segment_is_running(void **state)
{
	static const enum fake_dml_outcome refused[] = {
		FAKE_DML_CORRUPT, FAKE_DML_QUEUE_FULL, FAKE_DML_QUEUE_FULL};
	const size_t sizes[] = {5000, 6000};
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct segments s = segments_of(sizes, 2, &seed);
	struct vdm_operation_future f = start(dmd, &s, 0);

	(void)state;
	fake_dml_script(refused, 3);
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	check(&f, &s);
	segments_free(&s);
	data_mover_dml_delete(dmd);
}

/* Otherwise a list of n segments would wait n times as long as a copy. */
static void
queue_that_stays_full_is_waited_for_once(void **state)
{
	enum { N = 30 };
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	size_t sizes[N];

	(void)state;
	for (size_t i = 0; i < N; i++)
		sizes[i] = 100 * i + 1;

	struct segments s = segments_of(sizes, N, &seed);
	struct vdm_operation_future f = start(dmd, &s, 0);

	fake_dml_always(FAKE_DML_QUEUE_FULL);
	check(&f, &s);
	assert_in_range(fake_dml_seen().refusals, 500, 2000);
	segments_free(&s);
	data_mover_dml_delete(dmd);
}

/* The first segment waits in vain. All others get to the device again. */
static void
queue_that_has_room_again_is_used_again(void **state)
{
	enum { REFUSED = 1025 };
	const size_t sizes[] = {5000, 6000, 7000, 100};
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct segments s = segments_of(sizes, 4, &seed);
	struct vdm_operation_future f = start(dmd, &s, 0);
	const size_t before = fake_dml_seen().submits;
	enum fake_dml_outcome script[REFUSED + 2];

	(void)state;
	for (size_t i = 0; i < REFUSED; i++)
		script[i] = FAKE_DML_QUEUE_FULL;
	script[REFUSED] = FAKE_DML_DONE;
	script[REFUSED + 1] = FAKE_DML_QUEUE_OVERFLOW;
	fake_dml_script(script, REFUSED + 2);
	check(&f, &s);
	assert_int_equal(fake_dml_seen().submits - before, 3);
	segments_free(&s);
	data_mover_dml_delete(dmd);
}

static void
durable_segments_are_written_back_where_dml_does_not(void **state)
{
	const size_t sizes[] = {5000, 0, 70, 6000};
	struct segments s = segments_of(sizes, 4, &seed);

	(void)state;
	for (size_t t = 0; t < 3; t++) {
		struct data_mover_dml *dmd = mover_new(types[t]);
		struct vdm_operation_future f =
			start(dmd, &s, VDM_F_MEM_DURABLE);

		flushed_bytes = 0;
		check(&f, &s);
		assert_int_equal(flushed_bytes,
			types[t] == DATA_MOVER_DML_HARDWARE ? 0 : 11070);
		data_mover_dml_delete(dmd);
	}
	segments_free(&s);
}

static void
bad_input_gets_no_job(void **state)
{
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_SOFTWARE);
	struct vdm *vdm = data_mover_dml_get_vdm(dmd);
	struct segments s = segments_random(4, 100, &seed);
	const size_t before = fake_dml_seen().submits;
	struct vdm_operation_future f[4];

	(void)state;
	segments_reset(&s);
	s.list[3] = (struct vdm_segment){NULL, s.src, 1};
	f[0] = vdm_memcpyv(vdm, s.list, 4, 0);
	f[1] = vdm_memcpyv(vdm, s.list, 3, 4);
	f[2] = vdm_memcpyv(vdm, NULL, 1, 0);
	f[3] = vdm_memcpyv(vdm, NULL, 0, 0);
	for (size_t i = 0; i < 4; i++) {
		FUTURE_BUSY_POLL(&f[i]);
		assert_int_equal(FUTURE_OUTPUT(&f[i])->result,
			i < 3 ? VDM_ERROR_JOB_CORRUPTED : VDM_SUCCESS);
		assert_int_equal(
			FUTURE_OUTPUT(&f[i])->output.memcpyv.copied, 0);
	}
	assert_int_equal(fake_dml_seen().submits, before);
	segments_check_untouched(&s);
	segments_free(&s);
	data_mover_dml_delete(dmd);
}

/* Its array is still there, as vdm.h asks. Deletion does what is left. */
static void
deletion_waits_for_an_abandoned_one(void **state)
{
	static const enum fake_dml_outcome late[] = {
		FAKE_DML_DONE_LATE, FAKE_DML_DONE_LATE, FAKE_DML_FAILED_LATE};
	const size_t sizes[] = {5000, 6000, 100, 7000};
	struct data_mover_dml *dmd = mover_new(DATA_MOVER_DML_HARDWARE);
	struct segments s = segments_of(sizes, 4, &seed);

	(void)state;
	fake_dml_script(late, 3);

	struct vdm_operation_future f = start(dmd, &s, 0);

	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	data_mover_dml_delete(dmd);
	segments_check(&s);
	segments_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DML_TEST(random_segments_are_equal_to_a_loop),
		DML_TEST(each_segment_is_a_job),
		DML_TEST(overlapping_segment_does_not_stop_the_others),
		DML_TEST(failure_at_any_segment_is_repaired),
		DML_TEST(every_status_in_the_middle_is_repaired),
		DML_TEST(repaired_segments_keep_their_flags),
		DML_TEST(without_another_job_the_cpu_does_the_rest),
		DML_TEST(failures_at_random_are_repaired),
		DML_TEST(many_lists_at_once_lose_nothing),
		DML_TEST(full_queue_at_the_first_segment_is_not_now),
		DML_TEST(full_queue_at_a_later_segment_is_running),
		DML_TEST(queue_that_stays_full_is_waited_for_once),
		DML_TEST(queue_that_has_room_again_is_used_again),
		DML_TEST(durable_segments_are_written_back_where_dml_does_not),
		DML_TEST(bad_input_gets_no_job),
		DML_TEST(deletion_waits_for_an_abandoned_one),
	};

	exit_without_mover();
	seed = test_seed("data_mover_dml_memcpyv");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
