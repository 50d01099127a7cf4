/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_fake_memory.c -- tests the mover over libfabric with a
 * fake libfabric: the memory of pending operations, and operations that get
 * none
 *
 * The linker puts __wrap_malloc() before malloc().
 */

#include "fake_pair.h"

#include <stdatomic.h>

#include "system.h"

/* Sets and copies within the region need buffers, but not all at once. */
static void
pending_operations_take_little_memory(void **state)
{
	enum { MANY = 1000, SIZE = 256 * 1024 };
	static struct vdm_operation_future f[MANY];
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, NULL));

	const size_t before = test_allocated_bytes();

	fake_fabric_stall(true);
	for (int i = 0; i < MANY; i++) {
		char *dest = pair.window + (size_t)i % 8 * SIZE;

		f[i] = i % 16 == 0 ? vdm_memset(pair.vdm, dest, i, SIZE, 0)
				   : vdm_memcpy(pair.vdm, dest,
					     dest + REGION / 2, SIZE, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	assert_true(test_allocated_bytes() <= before + 5 * KIB * KIB);
	fake_fabric_stall(false);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(wait_for(&f[i]), VDM_SUCCESS);
	pair_fini(&pair);
}

/* Of the buffers of sets, which no other memory has. */
enum { SET = 64 * 1024 };

/* Buffers that get no memory. */
static atomic_int refused;

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *
__wrap_malloc(size_t n)
{
	if (n == SET && atomic_load(&refused) > 0 &&
		atomic_fetch_sub(&refused, 1) > 0)
		return NULL;
	return __real_malloc(n);
}

/*
 * The first sets have a buffer. The others find no memory, and wait for one of
 * these buffers: 2,000 refusals, and 16 more for each buffer that comes back.
 * When all have come back the next sets fail, for nothing would give them
 * another turn. Nor do the sets that still wait get one of a buffer.
 */
static void
operations_without_memory_fail_alone(void **state)
{
	enum { MANY = 2000, FIRST = 3000 };
	static struct vdm_operation_future f[MANY];

	/* Under drd 2,000 polls that do the work last longer than the mover. */
	const unsigned threads = TEST_SLOWDOWN > 100 ? 1 : 2;

	(void)state;
	for (unsigned no_thread = 0; no_thread < threads; no_thread++) {
		/* Sets that nothing ends fail with the mover, after a while. */
		const struct data_mover_fabric_options options = options_of(
			TEST_SLOWDOWN > 10 ? 100000 : 5000, 0, no_thread);
		const int more = (int)(test_random(&seed) % 1000);
		int failed = 0;
		struct pair pair;

		assert_true(pair_init(&pair, &options));
		fake_fabric_stall(true);
		for (int i = 0; i < MANY; i++) {
			f[i] = vdm_memset(pair.vdm,
				pair.window + (size_t)i % 64 * SET, i, SET, 0);
			(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		}
		atomic_store(&refused, FIRST + more);
		fake_fabric_stall(false);
		for (int i = 0; i < MANY; i++) {
			const enum vdm_operation_result result =
				no_thread ? poll_for(&f[i]) : wait_for(&f[i]);

			if (result != VDM_SUCCESS) {
				assert_int_equal(
					result, VDM_ERROR_OUT_OF_MEMORY);
				failed++;
			}
		}
		printf("%d sets failed\n", failed);
		assert_in_range(failed, 1, MANY - 1);
		assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
		pair_fini(&pair);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(pending_operations_take_little_memory),
		FAKE_TEST(operations_without_memory_fail_alone),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
