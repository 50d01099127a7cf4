/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_speed.c -- tests that the threads mover learns how
 * fast a machine is, so that a piece takes about the same time on each
 */

#include "test.h"

#include <libminiasync.h>

#include "kept.h"

uint64_t __wrap_mia_clock_ns(void);

uint64_t
__wrap_mia_clock_ns(void)
{
	return fake_ns;
}

#define SIZE (64 * KIB * KIB)

/* No piece is really run. */
static char *nowhere = (char *)(uintptr_t)(1 << 20);

/* The longest piece of an operation, and the speed that was learnt. */
static void
learn_from(struct data_mover_threads *dmt, size_t n, uint64_t *longest_ns)
{
	struct vdm_operation_future f =
		vdm_memset(data_mover_threads_get_vdm(dmt), nowhere, 1, n, 0);
	enum future_state state;

	*longest_ns = 0;
	do {
		const uint64_t start_ns = fake_ns;

		state = poll_like_runtime(&f, WORK);
		if (fake_ns - start_ns > *longest_ns)
			*longest_ns = fake_ns - start_ns;
	} while (state != FUTURE_STATE_COMPLETE);
}

/* A third and three times of what the mover assumes, and much more. */
static void
piece_takes_the_same_time_at_any_speed(void **state)
{
	static const unsigned speeds[] = {22000, 7300, 66000, 5500, 22000};
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	uint64_t longest_ns;

	(void)state;
	for (size_t i = 0; i < sizeof(speeds) / sizeof(*speeds); i++) {
		fake_speed = speeds[i];
		for (int j = 0; j < 4; j++)
			learn_from(dmt, SIZE, &longest_ns);
		learn_from(dmt, SIZE, &longest_ns);
		printf("%u bytes in a us: learnt %u, pieces of %llu ns\n",
			fake_speed, atomic_load(&dmt->speed),
			(unsigned long long)longest_ns);
		assert_in_range(longest_ns, 8000, 18000);
	}

	/* Pieces have bounds. */
	fake_speed = 100;
	for (int j = 0; j < 4; j++)
		learn_from(dmt, SIZE, &longest_ns);
	assert_int_equal(longest_ns, 64 * KIB * 10);
	fake_speed = 1000000;
	for (int j = 0; j < 8; j++)
		learn_from(dmt, SIZE, &longest_ns);
	assert_int_equal(longest_ns, 640 * KIB / 1000);

	fake_speed = 0;
	release(dmt);
	data_mover_threads_delete(dmt);
}

/* A piece that lost its CPU for long teaches little. */
static void
one_slow_piece_halves_the_speed_at_most(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	uint64_t longest_ns;

	(void)state;
	fake_speed = 1;
	for (int i = 0; i < 100; i++) {
		const unsigned before = atomic_load(&dmt->speed);

		/* One piece only, which may be a sample. */
		learn_from(dmt, 20 * KIB, &longest_ns);
		nowhere += 64 * KIB;
		assert_true(atomic_load(&dmt->speed) >= before / 8 * 7 - 8);
	}
	fake_speed = 0;
	release(dmt);
	data_mover_threads_delete(dmt);
}

/* A flush on a CPU without the instruction ends at once. */
static void
failures_teach_nothing(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	const unsigned before = atomic_load(&dmt->speed);
	uint64_t longest_ns;

	(void)state;
	fake_speed = 1000000;
	failing_piece = 0;
	learn_from(dmt, SIZE, &longest_ns);
	assert_int_equal(atomic_load(&dmt->speed), before);
	failing_piece = SIZE_MAX;
	learn_from(dmt, SIZE, &longest_ns);
	assert_true(atomic_load(&dmt->speed) > before);
	fake_speed = 0;
	release(dmt);
	data_mover_threads_delete(dmt);
}

static unsigned
speed_after_list(struct data_mover_threads *dmt, const struct vdm_segment *list,
	size_t n)
{
	struct vdm_operation_future f =
		vdm_memcpyv(data_mover_threads_get_vdm(dmt), list, n, 0);

	mia_threads_init_speed(dmt);
	work_until_end(&f);
	return atomic_load(&dmt->speed);
}

/* The bytes are the same, and so is the time. */
static void
only_long_segments_of_a_list_teach(void **state)
{
	enum { N = 4096 };
	static struct vdm_segment list[N];
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	const struct vdm_segment one = {nowhere, nowhere, SIZE};

	(void)state;
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	mia_threads_init_speed(dmt);
	fake_speed = 1000;

	const unsigned before = atomic_load(&dmt->speed);

	for (size_t i = 0; i < N; i++)
		list[i] = (struct vdm_segment){nowhere, nowhere, SIZE / N};
	assert_int_equal(speed_after_list(dmt, list, N), before);
	assert_true(speed_after_list(dmt, &one, 1) < before);
	fake_speed = 0;
	release(dmt);
	data_mover_threads_delete(dmt);
}

/*
 * Also copies that the first poll does without a plan, of one buffer again and
 * again, wherever it is.
 */
static void
copies_of_one_piece_teach_too(void **state)
{
	static char bytes[16 * 32 * KIB];
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);

	(void)state;
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	for (size_t i = 0; i < 15; i++) {
		mia_threads_init_speed(dmt);
		fake_speed = 1000;

		const unsigned before = atomic_load(&dmt->speed);

		for (int j = 0; j < 7; j++) {
			struct vdm_operation_future f =
				vdm_memcpy(data_mover_threads_get_vdm(dmt),
					&bytes[i * 32 * KIB],
					&bytes[15 * 32 * KIB], 32 * KIB, 0);

			assert_int_equal(poll_like_runtime(&f, WORK),
				FUTURE_STATE_COMPLETE);
		}
		/* One of them, as if half as fast: a quarter of the way. */
		assert_int_equal(atomic_load(&dmt->speed), before / 8 * 7);
	}
	fake_speed = 0;
	release(dmt);
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KEPT_TEST(piece_takes_the_same_time_at_any_speed),
		KEPT_TEST(one_slow_piece_halves_the_speed_at_most),
		KEPT_TEST(failures_teach_nothing),
		KEPT_TEST(only_long_segments_of_a_list_teach),
		KEPT_TEST(copies_of_one_piece_teach_too),
	};

	sem_init(&gate, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
