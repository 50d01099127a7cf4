/* SPDX-License-Identifier: BSD-3-Clause */

/* contract.c -- see contract.h */

#include "contract_case.h"

#include <errno.h>

#include "operation.h"

#define SIZE 4096

static void
random_fill(unsigned char *p, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)test_random(seed);
}

/*
 * Random sizes below max, offsets, overlaps and flags: the whole arena, three
 * times as big, equals libc's after each step.
 */
static void
compare_to_libc(void **state, size_t max, size_t often, int steps)
{
	const size_t arena = 3 * max;
	unsigned char *libcs = malloc(arena), *looked = malloc(arena);
	struct vdm *vdm = contract_vdm_of(state);
	uint64_t seed = test_seed(contract_kind->name);

	assert_true(libcs != NULL && looked != NULL);
	random_fill(libcs, arena, &seed);

	unsigned char *ours = contract_get(state, libcs, arena);

	for (int i = 0; i < steps; i++) {
		const size_t n = test_random(&seed) %
			(test_random(&seed) % 4 == 0 ? max : often);
		const size_t half = arena / 2;
		size_t to = test_random(&seed) % (half - n);
		size_t from = half + test_random(&seed) % (half - n);
		const uint64_t flags =
			test_random(&seed) % (VDM_F_VALID_FLAGS + 1) &
			~(contract_kind->cannot_be_durable ? VDM_F_MEM_DURABLE
							   : 0);
		const int c = (int)test_random(&seed);
		const enum vdm_operation_type type = (enum vdm_operation_type)(
			test_random(&seed) % VDM_OPERATION_FLUSH);

		if (type == VDM_OPERATION_MEMMOVE) {
			from = test_random(&seed) % (arena - n);
			to = test_random(&seed) % 2 == 0
				? test_random(&seed) % (arena - n)
				: (from + test_random(&seed) % 100) %
					(arena - n);
		}

		struct vdm_operation_future f = operation_new(
			vdm, type, ours + to, ours + from, c, n, flags);
		const struct vdm_operation_output *out = contract_finish(&f);

		switch (type) {
		case VDM_OPERATION_MEMCPY:
			assert_ptr_equal(out->output.memcpy.dest, ours + to);
			memcpy(libcs + to, libcs + from, n);
			break;
		case VDM_OPERATION_MEMMOVE:
			assert_ptr_equal(out->output.memmove.dest, ours + to);
			memmove(libcs + to, libcs + from, n);
			break;
		case VDM_OPERATION_MEMSET:
			assert_ptr_equal(out->output.memset.str, ours + to);
			memset(libcs + to, c, n);
			break;
		case VDM_OPERATION_FLUSH: /* these two are not drawn */
		case VDM_OPERATION_MEMCPYV:
			break;
		}
		assert_int_equal(out->result, VDM_SUCCESS);
		assert_int_equal(out->type, type);
		contract_look(state, looked, ours, arena);
		if (memcmp(looked, libcs, arena) != 0)
			fail_msg("step %d: type %d, %zu bytes", i, type, n);
	}
	free(libcs);
	free(looked);
}

static void
operations_equal_libc(void **state)
{
	compare_to_libc(state, SIZE, 200, contract_rounds(5000));
}

/* Big enough for a mover that shares them among its workers. */
static void
big_operations_equal_libc(void **state)
{
	compare_to_libc(state, 5000000, 5000000, contract_rounds(40));
}

/* The capabilities of the synchronous mover are those of the CPU. */
static bool
cpu_can_flush(void)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	const bool can =
		data_mover_sync_set_capabilities(dms, VDM_F_MEM_DURABLE) == 0;

	data_mover_sync_delete(dms);
	return can;
}

static void
flush_succeeds_where_the_cpu_can(void **state)
{
	char looked[300];
	memset(looked, 7, sizeof(looked));
	char *buf = contract_get(state, looked, sizeof(looked));
	struct vdm_operation_future f = vdm_flush(
		contract_vdm_of(state), buf + 3, 200, VDM_F_MEM_DURABLE);

	assert_int_equal(contract_finish(&f)->result,
		cpu_can_flush() && !contract_kind->cannot_flush
			? VDM_SUCCESS
			: VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(FUTURE_OUTPUT(&f)->type, VDM_OPERATION_FLUSH);
	contract_look(state, looked, buf, sizeof(looked));
	assert_int_equal(looked[100], 7);
}

static void
bad_input_is_refused_and_writes_nothing(void **state)
{
	struct vdm *vdm = contract_vdm_of(state);
	char *a = contract_get(state, "a", 2), *b = contract_get(state, "b", 2);
	const uint64_t bad_flags[] = {
		4, 1u << 31, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX};
	struct vdm_operation_future f[32];
	size_t n = 0;

	for (size_t i = 0; i < 5; i++) {
		f[n++] = vdm_memcpy(vdm, a, b, 1, bad_flags[i]);
		f[n++] = vdm_memmove(vdm, a, b, 1, bad_flags[i]);
		f[n++] = vdm_memset(vdm, a, 'c', 1, bad_flags[i]);
		f[n++] = vdm_flush(vdm, a, 1, bad_flags[i]);
	}
	f[n++] = vdm_memcpy(vdm, a, NULL, 1, 0);
	f[n++] = vdm_memcpy(vdm, NULL, b, 1, 0);
	f[n++] = vdm_memmove(vdm, a, NULL, SIZE_MAX, 0);
	f[n++] = vdm_memmove(vdm, NULL, b, 1, 0);
	f[n++] = vdm_memset(vdm, NULL, 1, 1, 0);
	f[n++] = vdm_flush(vdm, NULL, 1, 0);
	f[n] = vdm_memset(vdm, a, 'c', 1, 0);
	f[n++].data.operation.type = (enum vdm_operation_type)77;

	for (size_t i = 0; i < n; i++) {
		const struct vdm_operation_output *out = contract_finish(&f[i]);

		assert_int_equal(out->result, VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(out->type, f[i].data.operation.type);
	}
	assert_true(contract_has_text(state, a, "a"));
	assert_true(contract_has_text(state, b, "b"));
}

static void
zero_bytes_succeed_without_memory(void **state)
{
	struct vdm *vdm = contract_vdm_of(state);
	struct vdm_operation_future f[] = {
		vdm_memcpy(vdm, NULL, NULL, 0, 0),
		vdm_memmove(vdm, NULL, NULL, 0, VDM_F_VALID_FLAGS),
		vdm_memset(vdm, NULL, 1, 0, VDM_F_MEM_DURABLE),
		vdm_flush(vdm, NULL, 0, 0),
		vdm_memcpy(vdm, (void *)8, (void *)8, 0, 0),
	};

	for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++)
		assert_int_equal(contract_finish(&f[i])->result, VDM_SUCCESS);
}

static void
zero_bytes_with_unknown_flags_are_refused(void **state)
{
	struct vdm_operation_future f =
		vdm_memcpy(contract_vdm_of(state), NULL, NULL, 0, 8);

	assert_int_equal(contract_finish(&f)->result, VDM_ERROR_JOB_CORRUPTED);
}

/* An error of the caller. The destination is written all the same. */
static void
overlapping_memcpy_is_done(void **state)
{
	char *buf = contract_get(state, "0123456789", 11);
	struct vdm_operation_future f =
		vdm_memcpy(contract_vdm_of(state), buf + 1, buf, 5, 0);

	if (contract_finish(&f)->result == VDM_SUCCESS)
		assert_false(contract_has_text(state, buf, "0123456789"));
}

static void
creating_writes_nothing_and_polling_keeps_errno(void **state)
{
	char *a = contract_get(state, "a\0______", 8),
	     *b = contract_get(state, "b\0______", 8);

	errno = 12345;
	struct vdm_operation_future f =
		vdm_memcpy(contract_vdm_of(state), a, b, 8, 0);

	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_IDLE);
	assert_true(contract_has_text(state, a, "a"));
	errno = 12345;
	contract_finish(&f);
	assert_int_equal(errno, 12345);
	assert_true(contract_has_text(state, a, "b"));
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
}

static void
ignore_wake(void *data)
{
	(void)data;
}

/* A notifier that the poll brings is answered, unless the poll completes. */
static void
notifier_used_is_written(void **state)
{
	char *a = contract_get(state, "a\0______", 8),
	     *b = contract_get(state, "b\0______", 8);
	struct vdm_operation_future f =
		vdm_memcpy(contract_vdm_of(state), a, b, 8, 0);
	struct future_notifier n = {.waker = {NULL, ignore_wake},
		.notifier_used = (enum future_notifier_type)99};

	if (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		assert_true(n.notifier_used <= FUTURE_NOTIFIER_POLLER);
	contract_finish(&f);
}

static void
future_may_move_between_polls(void **state)
{
	char *a = contract_get(state, "a\0______", 8),
	     *b = contract_get(state, "b\0______", 8);
	struct vdm_operation_future f =
		vdm_memcpy(contract_vdm_of(state), a, b, 8, 0);
	struct vdm_operation_future moved;

	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	memcpy(&moved, &f, sizeof(f));
	memset(&f, 0xff, sizeof(f));
	contract_finish(&moved);
	assert_true(contract_has_text(state, a, "b"));
}

static void
canceled_operation_writes_nothing(void **state)
{
	char *a = contract_get(state, "a\0______", 8);
	struct vdm_operation_future f =
		vdm_memset(contract_vdm_of(state), a, 'b', 8, 0);

	assert_int_equal(vdm_operation_cancel(&f), 1);
	assert_int_equal(contract_finish(&f)->result, VDM_ERROR_CANCELED);
	assert_int_equal(vdm_operation_cancel(&f), 0);
	assert_true(contract_has_text(state, a, "a"));
}

int
contract_run(const struct contract_mover *mover)
{
#define CONTRACT(test) \
	cmocka_unit_test_setup_teardown(test, contract_setup, contract_teardown)
	const struct CMUnitTest contract[] = {
		CONTRACT(operations_equal_libc),
		CONTRACT(big_operations_equal_libc),
		CONTRACT(flush_succeeds_where_the_cpu_can),
		CONTRACT(bad_input_is_refused_and_writes_nothing),
		CONTRACT(zero_bytes_succeed_without_memory),
		CONTRACT(zero_bytes_with_unknown_flags_are_refused),
		CONTRACT(overlapping_memcpy_is_done),
		CONTRACT(creating_writes_nothing_and_polling_keeps_errno),
		CONTRACT(notifier_used_is_written),
		CONTRACT(future_may_move_between_polls),
		CONTRACT(dropped_futures_block_nobody),
		CONTRACT(canceled_operation_writes_nothing),
		CONTRACT(many_pending_operations_all_complete),
		CONTRACT(runtime_waits_for_many),
		CONTRACT(created_on_one_thread_completed_on_another),
	};

	contract_begin(mover);
	const int failed =
		cmocka_run_group_tests_name(mover->name, contract, NULL, NULL);

	contract_end();
	return failed;
}
