/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait_works_writes.c -- counts the locks and writes by which threads that
 * wait on one mover disturb each other
 *
 * On a machine with many CPUs a cache line that all threads write limits them
 * all. So an operation that is waited for may write the mover's lines a few
 * times at most, and none of its pieces may.
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libminiasync.h>

#include "movers/threads_work.h"

#define MIB ((size_t)1 << 20)

static struct data_mover_threads *dmt;
static struct vdm *vdm;
static struct runtime *runtime;

/* Of all threads. counting: whether the test is between start and stop. */
static atomic_bool counting;
static atomic_uint mover_writes, speed_writes, stripe_locks, mover_locks;

static bool
is_within(const volatile void *address, const void *begin, size_t size)
{
	return (uintptr_t)address - (uintptr_t)begin < size;
}

static bool
is_of_stripe(const volatile void *address)
{
	const struct mia_sharing *sharing = &dmt->crew.sharing;

	return is_within(address, sharing->stripes,
		sharing->nstripes * sizeof(*sharing->stripes));
}

void
counted_write(const volatile void *address)
{
	if (!atomic_load(&counting) || !is_within(address, dmt, sizeof(*dmt)))
		return;
	if (address == (const volatile void *)&dmt->speed)
		atomic_fetch_add(&speed_writes, 1);
	else
		atomic_fetch_add(&mover_writes, 1);
}

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

int
__wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (atomic_load(&counting)) {
		if (is_of_stripe(mutex))
			atomic_fetch_add(&stripe_locks, 1);
		if (is_within(mutex, dmt, sizeof(*dmt)))
			atomic_fetch_add(&mover_locks, 1);
	}
	return __real_pthread_mutex_lock(mutex);
}

static int
setup(void **state)
{
	(void)state;
	dmt = data_mover_threads_new(2, 128, FUTURE_NOTIFIER_WAKER);
	runtime = runtime_new();
	if (dmt == NULL || runtime == NULL)
		return -1;

	vdm = data_mover_threads_get_vdm(dmt);
	/* Sleepers write nothing. */
	while (atomic_load(&dmt->crew.idle.counts) /
			(MIA_IDLE_MAX_WORKERS + 1) <
		2)
		continue;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return 0;
}

/* Waits for n copies together, and counts meanwhile. */
static void
count_copies(size_t n, size_t size)
{
	char *memory = malloc(2 * n * size);
	struct vdm_operation_future futures[16];
	struct future *futs[16];

	assert_non_null(memory);
	memset(memory, 1, n * size);
	memset(memory + n * size, 2, n * size);
	for (size_t i = 0; i < n; i++) {
		futures[i] = vdm_memcpy(vdm, memory + i * size,
			memory + (n + i) * size, size, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&futures[i]);
	}
	atomic_store(&mover_writes, 0);
	atomic_store(&speed_writes, 0);
	atomic_store(&stripe_locks, 0);
	atomic_store(&mover_locks, 0);
	atomic_store(&counting, true);
	runtime_wait_multiple(runtime, futs, n);
	atomic_store(&counting, false);
	printf("%zu copies of %zu bytes: %u writes of the mover's lines, "
	       "%u of its speed, %u of its locks, %u locks of stripes\n",
		n, size, atomic_load(&mover_writes), atomic_load(&speed_writes),
		atomic_load(&mover_locks), atomic_load(&stripe_locks));
	assert_memory_equal(memory, memory + n * size, n * size);
	free(memory);
}

static void
a_copy_of_one_piece_writes_nothing(void **state)
{
	static const size_t sizes[] = {64, 16384, 16385, 65536};

	(void)state;
	for (int i = 0; i < 4; i++) {
		count_copies(1, sizes[i]);
		assert_int_equal(atomic_load(&mover_writes), 0);
		assert_in_range(atomic_load(&speed_writes), 0, 1);
		assert_int_equal(atomic_load(&mover_locks), 0);
		assert_int_equal(atomic_load(&stripe_locks), 0);
	}
}

static void
copies_that_need_no_help_enter_their_stripe_twice(void **state)
{
	(void)state;
	/* 12 us of work at the speed that the mover assumes at first. */
	count_copies(4, 65536);
	assert_int_equal(atomic_load(&mover_writes), 0);
	assert_int_equal(atomic_load(&mover_locks), 0);
	assert_in_range(atomic_load(&stripe_locks), 0, 4 * 2);
}

static void
pieces_write_nothing(void **state)
{
	/* PIECE_MAX_BYTES of threads_work.c; about 256 KiB at first. */
	const unsigned pieces = 64 * MIB / (640 * KIB);

	(void)state;
	count_copies(1, 64 * MIB);
	/* Workers wake and sleep, the stripe shows its work and hides it. */
	assert_in_range(atomic_load(&mover_writes), 0, pieces / 2);
	/* One piece of seven is timed, and not each changes the speed. */
	assert_in_range(atomic_load(&speed_writes), 0, pieces);
	assert_int_equal(atomic_load(&mover_locks), 0);
	assert_in_range(atomic_load(&stripe_locks), 2, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_copy_of_one_piece_writes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			copies_that_need_no_help_enter_their_stripe_twice,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			pieces_write_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
