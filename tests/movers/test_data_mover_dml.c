/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_dml.c -- tests movers/data_mover_dml with the fake DML:
 * constructors, jobs, deletion, notifiers, and the contract with a perfect
 * device and a bad one
 */

#include "dml_mover.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "contract.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DML_TEST(constructor_says_what_is_wrong),
		DML_TEST(hardware_without_a_usable_device_is_enodev),
		DML_TEST(device_that_never_answers_is_enodev),
		DML_TEST(stop_while_a_mover_is_made_is_not_the_devices_fault),
		DML_TEST(jobs_are_initialised_once),
		DML_TEST(without_a_job_the_cpu_does_it),
		DML_TEST(delete_waits_for_the_device_and_ends_the_rest),
		DML_TEST(futures_are_asynchronous_and_answer_every_notifier),
	};

	exit_without_mover();

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
