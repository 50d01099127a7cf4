/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_dml_fork.c -- tests movers/data_mover_dml with the fake DML:
 * movers that were made before a fork, in the child
 */

#include "test.h"

#include "child.h"
#include "fake_dml.h"
#include "libminiasync-vdm-dml.h"
#include "libminiasync.h"
#include "write_back.h"

#define N ((size_t)100000)

static struct data_mover_dml *dmd; /* made before the fork */
static struct vdm_operation_future begun[3];
static unsigned char src[N], dst[4][N];
static size_t nsubmits; /* at the fork */

static struct vdm *
vdm(void)
{
	return data_mover_dml_get_vdm(dmd);
}

static void
check_done(struct vdm_operation_future *f)
{
	CHILD_CHECK(future_poll(FUTURE_AS_RUNNABLE(f), NULL) ==
		FUTURE_STATE_COMPLETE);
	CHILD_CHECK(FUTURE_OUTPUT(f)->result == VDM_SUCCESS);
}

/* Child: the CPU does all operations in their first poll. */
static void
use_and_delete(void)
{
	const struct vdm_segment segments[] = {
		{dst[1], src, N}, {dst[2], src, N}};
	struct vdm_operation_future f = vdm_memcpy(vdm(), dst[3], src, N, 0);

	check_done(&f);
	CHILD_CHECK(memcmp(dst[3], src, N) == 0);
	f = vdm_memmove(vdm(), dst[3] + 1, dst[3], N - 1, VDM_F_MEM_DURABLE);
	check_done(&f);
	CHILD_CHECK(memcmp(dst[3] + 1, src, N - 1) == 0);
	f = vdm_memset(vdm(), dst[3], 9, N, VDM_F_NO_CACHE_HINT);
	check_done(&f);
	CHILD_CHECK(dst[3][0] == 9 && dst[3][N - 1] == 9);
	f = vdm_flush(vdm(), dst[3], N, 0);
	check_done(&f);
	f = vdm_memcpyv(vdm(), segments, 2, 0);
	check_done(&f);
	CHILD_CHECK(memcmp(dst[1], src, N) == 0 && memcmp(dst[2], src, N) == 0);
	CHILD_CHECK(fake_dml_seen().submits == nsubmits);
	data_mover_dml_delete(dmd);
}

static void
lose_and_delete(void)
{
	struct runtime *runtime = runtime_new();

	CHILD_CHECK(future_poll(FUTURE_AS_RUNNABLE(&begun[0]), NULL) ==
		FUTURE_STATE_COMPLETE);
	CHILD_CHECK(
		FUTURE_OUTPUT(&begun[0])->result == VDM_ERROR_JOB_CORRUPTED);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&begun[1]));
	CHILD_CHECK(
		FUTURE_OUTPUT(&begun[1])->result == VDM_ERROR_JOB_CORRUPTED);
	runtime_delete(runtime);
	use_and_delete(); /* the third one is dropped */
}

static void
make_mover(enum data_mover_dml_type type)
{
	fake_dml_reset();
	for (size_t i = 0; i < N; i++)
		src[i] = (unsigned char)(i * 7);
	memset(dst, 0, sizeof(dst));
	dmd = data_mover_dml_new(type);
	assert_non_null(dmd);
}

static void
fork_and_complete(void (*run)(void))
{
	nsubmits = fake_dml_seen().submits;
	ASSERT_CHILD(run);
	fake_dml_always(FAKE_DML_DONE);
	fake_dml_answer();
	for (int i = 0; i < 3 && run == lose_and_delete; i++) {
		FUTURE_BUSY_POLL(&begun[i]);
		assert_int_equal(FUTURE_OUTPUT(&begun[i])->result, VDM_SUCCESS);
		assert_memory_equal(dst[i], src, N);
	}
	data_mover_dml_delete(dmd);
	assert_int_equal(fake_dml_seen().misuses, 0);
	assert_int_equal(fake_dml_seen().inits, fake_dml_seen().finalizes);
}

static void
begin_three(void)
{
	for (int i = 0; i < 3; i++) {
		begun[i] = vdm_memcpy(vdm(), dst[i], src, N, 0);
		assert_int_equal(
			future_poll(FUTURE_AS_RUNNABLE(&begun[i]), NULL),
			FUTURE_STATE_RUNNING);
	}
}

static void
idle_mover(void **state)
{
	static const enum data_mover_dml_type types[] = {
		DATA_MOVER_DML_SOFTWARE, DATA_MOVER_DML_HARDWARE,
		DATA_MOVER_DML_AUTO};

	(void)state;
	for (int i = 0; i < 3; i++) {
		make_mover(types[i]);
		struct vdm_operation_future f =
			vdm_memcpy(vdm(), dst[0], src, N, 0);

		FUTURE_BUSY_POLL(&f); /* its slot has a job */
		fork_and_complete(use_and_delete);
	}
}

/* The device never answers in the child. */
static void
device_has_parts(void **state)
{
	(void)state;
	make_mover(DATA_MOVER_DML_HARDWARE);
	fake_dml_always(FAKE_DML_SILENT);
	begin_three();
	fork_and_complete(lose_and_delete);
}

/* The second part of each was refused, and waits for a later poll. */
static void
parts_are_left(void **state)
{
	static const enum fake_dml_outcome outcomes[] = {
		FAKE_DML_DONE, FAKE_DML_QUEUE_FULL};

	(void)state;
	make_mover(DATA_MOVER_DML_HARDWARE);
	fake_dml_set_max_transfer(65536);
	for (int i = 0; i < 3; i++) {
		fake_dml_script(outcomes, 2);
		begun[i] = vdm_memcpy(vdm(), dst[i], src, N, 0);
		while (fake_dml_seen().outcomes[FAKE_DML_QUEUE_FULL] <=
			(size_t)i)
			assert_int_equal(
				future_poll(
					FUTURE_AS_RUNNABLE(&begun[i]), NULL),
				FUTURE_STATE_RUNNING);
	}
	fork_and_complete(lose_and_delete);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_mover),
		cmocka_unit_test(device_has_parts),
		cmocka_unit_test(parts_are_left),
	};

	end_without_write_back();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
