/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_sync.c -- tests movers/data_mover_sync: the contract, its
 * limits and its own setter
 */

#include "test.h"

#include <errno.h>

#include "contract.h"
#include "libminiasync.h"
#include "operation/memory.h"

static void *
make(void)
{
	return data_mover_sync_new();
}

static struct vdm *
get_vdm(void *mover)
{
	return data_mover_sync_get_vdm(mover);
}

static void
end(void *mover)
{
	data_mover_sync_delete(mover);
}

static const struct contract_mover sync_mover = {
	.name = "sync", .make = make, .get_vdm = get_vdm, .end = end};

static void
first_poll_completes(void **state)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	char a = 'a', b = 'b';
	struct vdm_operation_future f =
		vdm_memcpy(data_mover_sync_get_vdm(dms), &a, &b, 1, 0);

	(void)state;
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_COMPLETE);
	assert_int_equal(a, 'b');
	assert_false(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	data_mover_sync_delete(dms);
}

static void
capabilities_are_what_was_set(void **state)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct vdm *vdm = data_mover_sync_get_vdm(dms);

	(void)state;
	assert_int_equal(vdm->capabilities, 0);
	assert_false(vdm_is_supported(vdm, VDM_F_MEM_DURABLE));
	assert_int_equal(data_mover_sync_set_capabilities(dms, 4), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(
		data_mover_sync_set_capabilities(dms, VDM_F_NO_CACHE_HINT), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(vdm->capabilities, 0);

	if (mia_memory_capabilities() == 0) {
		assert_int_equal(data_mover_sync_set_capabilities(
					 dms, VDM_F_MEM_DURABLE),
			-1);
		assert_int_equal(errno, ENOTSUP);
	} else {
		assert_int_equal(data_mover_sync_set_capabilities(
					 dms, VDM_F_MEM_DURABLE),
			0);
		assert_true(vdm_is_supported(vdm, VDM_F_MEM_DURABLE));
		assert_false(vdm_is_supported(vdm, VDM_F_VALID_FLAGS));
		assert_int_equal(data_mover_sync_set_capabilities(
					 dms, VDM_F_VALID_FLAGS),
			0);
		assert_true(vdm_is_supported(vdm, VDM_F_VALID_FLAGS));
	}
	assert_int_equal(data_mover_sync_set_capabilities(dms, 0), 0);
	data_mover_sync_delete(dms);
	data_mover_sync_delete(NULL);
}

/* The bound, exactly; beyond it OUT_OF_MEMORY; each completion makes room. */
static void
bound_on_pending_operations(void **state)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct vdm *vdm = data_mover_sync_get_vdm(dms);
	char a[16] = "a", b[16] = "b";
	struct vdm_operation_future keep[100];
	struct vdm_operation_future f;
	size_t pending = 0;

	(void)state;
	for (;; pending++) {
		f = vdm_memcpy(vdm, a, b, 16, 0);
		if (FUTURE_STATE(&f) == FUTURE_STATE_COMPLETE)
			break;
		if (pending < 100)
			keep[pending] = f;
	}
	printf("pending operations until OUT_OF_MEMORY: %zu\n", pending);
	assert_int_equal(pending, 4194304);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_OUT_OF_MEMORY);
	assert_int_equal(FUTURE_OUTPUT(&f)->type, VDM_OPERATION_MEMCPY);
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_COMPLETE);

	for (size_t i = 0; i < 100; i++) {
		FUTURE_BUSY_POLL(&keep[i]);
		keep[i] = vdm_memcpy(vdm, a, b, 16, 0);
		assert_int_equal(FUTURE_STATE(&keep[i]), FUTURE_STATE_IDLE);
		f = vdm_memcpy(vdm, a, b, 16, 0);
		assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	}
	data_mover_sync_delete(dms);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_poll_completes),
		cmocka_unit_test(capabilities_are_what_was_set),
		cmocka_unit_test(bound_on_pending_operations),
	};

	const int failed = contract_run(&sync_mover) +
		cmocka_run_group_tests(tests, NULL, NULL);

	return failed != 0;
}
