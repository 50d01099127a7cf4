/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_cancel.c -- tests vdm_operation_cancel() on every mover: the slot, the
 * other operations, other threads, wakers
 *
 * test_vdm.c has the states of the future.
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>

#include "fake_dml.h"
#include "libminiasync-vdm-dml.h"
#include "libminiasync.h"
#include "operation.h"
#include "threads_mover.h"
#include "wakers.h"
#include "write_back.h"

/*
 * A mover of another program. AddressSanitizer finds an operation that is
 * released twice, or never.
 */

static void *
foreign_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	(void)vdm;
	(void)type;
	return malloc(1);
}

static int
foreign_start(
	void *data, const struct vdm_operation *op, struct future_notifier *n)
{
	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	*(char *)data = 'x';
	memset(op->data.memset.str, op->data.memset.c, op->data.memset.n);
	return 0;
}

static enum future_state
foreign_check(void *data, const struct vdm_operation *op)
{
	(void)op;
	assert_int_equal(*(char *)data, 'x');
	return FUTURE_STATE_COMPLETE;
}

static void
foreign_delete(void *data, const struct vdm_operation *op,
	struct vdm_operation_output *output)
{
	output->type = op->type;
	output->result = VDM_SUCCESS;
	output->output.memset.str = op->data.memset.str;
	free(data);
}

static struct vdm foreign = {
	foreign_new, foreign_delete, foreign_start, foreign_check, 0, NULL};

enum { SYNC, THREADS, DML, FOREIGN, MOVERS };

static struct {
	struct data_mover_sync *sync;
	struct data_mover_threads *threads;
	struct data_mover_dml *dml;
	struct vdm *vdms[MOVERS];
} movers;

static int
setup(void **state)
{
	(void)state;
	fake_dml_reset();
	movers.sync = data_mover_sync_new();
	movers.threads = mover_new(2, 8);
	movers.dml = data_mover_dml_new(DATA_MOVER_DML_HARDWARE);
	assert_non_null(movers.sync);
	assert_non_null(movers.dml);
	movers.vdms[SYNC] = data_mover_sync_get_vdm(movers.sync);
	movers.vdms[THREADS] = data_mover_threads_get_vdm(movers.threads);
	movers.vdms[DML] = data_mover_dml_get_vdm(movers.dml);
	movers.vdms[FOREIGN] = &foreign;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	data_mover_sync_delete(movers.sync);
	data_mover_threads_delete(movers.threads);
	data_mover_dml_delete(movers.dml);
	assert_int_equal(fake_dml_seen().misuses, 0);
	return 0;
}

static void
slot_goes_back_once(void **state)
{
	char to[8] = "to", from[8] = "from";

	(void)state;
	for (int i = 0; i < 32; i++) {
		struct vdm *vdm = movers.vdms[i % FOREIGN];
		const enum vdm_operation_type type =
			(enum vdm_operation_type)(i / FOREIGN % 4);
		struct vdm_operation_future f =
			operation_new(vdm, type, to, from, 'c', 8, 0);
		const void *const slot = f.data.data;

		assert_int_equal(vdm_operation_cancel(&f), 1);
		assert_int_equal(vdm_operation_cancel(&f), 0);
		assert_int_equal(FUTURE_OUTPUT(&f)->type, type);

		struct vdm_operation_future next = vdm_memset(vdm, to, 1, 0, 0);
		struct vdm_operation_future last = vdm_memset(vdm, to, 1, 0, 0);

		assert_ptr_equal(next.data.data, slot);
		assert_ptr_not_equal(last.data.data, slot);
		FUTURE_BUSY_POLL(&next);
		FUTURE_BUSY_POLL(&last);
		assert_int_equal(FUTURE_OUTPUT(&next)->result, VDM_SUCCESS);
		assert_int_equal(FUTURE_OUTPUT(&last)->result, VDM_SUCCESS);
	}
	assert_string_equal(to, "to");
}

static void
operation_that_a_device_refused_can_be_canceled(void **state)
{
	static char to[HANDED_OVER], from[HANDED_OVER];
	struct vdm_operation_future f =
		vdm_memcpy(movers.vdms[DML], to, from, sizeof(to), 0);
	const void *const slot = f.data.data;

	(void)state;
	memset(to, 't', sizeof(to));
	fake_dml_always(FAKE_DML_QUEUE_FULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
			FUTURE_STATE_IDLE);
	assert_int_equal(vdm_operation_cancel(&f), 1);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_CANCELED);

	/* The slot with its job serves the next operation. */
	fake_dml_always(FAKE_DML_DONE);
	f = vdm_memset(movers.vdms[DML], from, 'f', sizeof(from), 0);
	assert_ptr_equal(f.data.data, slot);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_int_equal(from[HANDED_OVER - 1], 'f');
	assert_int_equal(to[0], 't');
}

/* An error path: cancel all, and wait for those that were started. */
static void
error_path_cancels_all_and_waits_for_those_that_run(void **state)
{
	enum { N = 8 };
	static char to[N][HANDED_OVER];
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f[N];
	struct future *running[N];
	size_t nrunning = 0;

	assert_non_null(runtime);
	data_mover_threads_set_memset_fn(movers.threads, plain_memset);
	for (int round = 0; round < TEST_ROUNDS(200); round++) {
		struct vdm *vdm = movers.vdms[round % MOVERS];

		memset(to, 0, sizeof(to));
		nrunning = 0;
		for (int i = 0; i < N; i++) {
			f[i] = vdm_memset(vdm, to[i], 'n', HANDED_OVER, 0);
			if (i % 2 == 0)
				future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		}
		for (int i = 0; i < N; i++)
			if (vdm_operation_cancel(&f[i]) == 0)
				running[nrunning++] = FUTURE_AS_RUNNABLE(&f[i]);
		assert_int_equal(nrunning, N / 2);
		runtime_wait_multiple(runtime, running, nrunning);
		for (int i = 0; i < N; i++) {
			assert_int_equal(FUTURE_OUTPUT(&f[i])->result,
				i % 2 == 0 ? VDM_SUCCESS : VDM_ERROR_CANCELED);
			assert_int_equal(to[i][1], i % 2 == 0 ? 'n' : 0);
		}
	}
	runtime_delete(runtime);
	(void)state;
}

/* Two threads create futures, and cancel those of the other one. */
#define RELAY_DEPTH 200 /* more than a thread keeps of free slots */

static struct relay {
	pthread_barrier_t barrier;
	struct vdm_operation_future f[2][RELAY_DEPTH];
	unsigned failures[2];
} relay;

static void *
relay_run(void *arg)
{
	const size_t me = (size_t)((unsigned *)arg - relay.failures);
	char to = 0;

	for (unsigned round = 0; round < TEST_ROUNDS(200); round++) {
		for (size_t i = 0; i < RELAY_DEPTH; i++)
			relay.f[me][i] = vdm_memset(
				movers.vdms[i % MOVERS], &to, 'r', 1, 0);
		pthread_barrier_wait(&relay.barrier);
		for (size_t i = 0; i < RELAY_DEPTH; i++)
			relay.failures[me] +=
				vdm_operation_cancel(&relay.f[1 - me][i]) != 1;
		pthread_barrier_wait(&relay.barrier);
	}
	relay.failures[me] += to != 0;
	return NULL;
}

static void
created_on_one_thread_canceled_on_another(void **state)
{
	pthread_t threads[2];

	(void)state;
	memset(&relay, 0, sizeof(relay));
	pthread_barrier_init(&relay.barrier, NULL, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, relay_run,
					 &relay.failures[i]),
			0);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(relay.failures[i], 0);
	}
	pthread_barrier_destroy(&relay.barrier);
}

/* A waker that cancels another future of its mover, and then posts. */
struct canceler {
	struct vdm_operation_future other;
	sem_t canceled;
	int result;
};

static void
cancel_other_wake(void *data)
{
	struct canceler *canceler = data;

	canceler->result = vdm_operation_cancel(&canceler->other);
	sem_post(&canceler->canceled);
}

static void
waker_may_cancel_another_future(void **state)
{
	static char to[HANDED_OVER];
	struct vdm *vdm = movers.vdms[THREADS];
	struct vdm_operation_future f = vdm_memset(vdm, to, 'w', sizeof(to), 0);
	struct canceler canceler = {.other = vdm_memset(vdm, to, 'o', 1, 0)};
	struct future_notifier n = {.waker = {&canceler, cancel_other_wake}};
	const uint64_t deadline = test_clock_ns(CLOCK_MONOTONIC) + 60000 * MS;

	(void)state;
	sem_init(&canceler.canceled, 0, 0);
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	assert_true(await(&canceler.canceled));
	assert_int_equal(canceler.result, 1);
	assert_int_equal(
		FUTURE_OUTPUT(&canceler.other)->result, VDM_ERROR_CANCELED);

	/* The worker still knows in which waker it is. */
	while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
		FUTURE_STATE_COMPLETE) {
		assert_true(test_clock_ns(CLOCK_MONOTONIC) < deadline);
		sched_yield();
	}
	assert_int_equal(to[0], 'w');
	sem_destroy(&canceler.canceled);
}

int
main(void)
{
#define CANCEL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		CANCEL(slot_goes_back_once),
		CANCEL(operation_that_a_device_refused_can_be_canceled),
		CANCEL(error_path_cancels_all_and_waits_for_those_that_run),
		CANCEL(created_on_one_thread_canceled_on_another),
		CANCEL(waker_may_cancel_another_future),
	};

	end_without_write_back();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
