/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_range.c -- tests crew/range: every byte is taken once, from either end,
 * by any number of threads
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crew/range.h"
#include "system.h"

#define HALF_BITS (sizeof(size_t) * 4)

static void
front_goes_up_and_back_goes_down(void **state)
{
	struct mia_range range;
	struct mia_part part;

	(void)state;
	mia_range_init(&range, 100);
	part = mia_range_take(&range, 30, MIA_RANGE_FRONT);
	assert_int_equal(part.at, 0);
	assert_int_equal(part.n, 30);
	assert_int_equal(part.left, 70);
	part = mia_range_take(&range, 20, MIA_RANGE_BACK);
	assert_int_equal(part.at, 80);
	assert_int_equal(part.n, 20);
	assert_int_equal(part.left, 50);
	part = mia_range_take(&range, 10, MIA_RANGE_BACK);
	assert_int_equal(part.at, 70);
	assert_int_equal(part.n, 10);
	assert_int_equal(part.left, 40);
	part = mia_range_take(&range, 41, MIA_RANGE_FRONT);
	assert_int_equal(part.at, 30);
	assert_int_equal(part.n, 40);
	assert_int_equal(part.left, 0);
	for (int i = 0; i < 2; i++) {
		part = mia_range_take(&range, 1, (enum mia_range_end)i);
		assert_int_equal(part.n, 0);
		assert_int_equal(part.left, 0);
	}
}

/* Also if the last unit is short: an overlapping move is one claim. */
static void
all_is_taken_at_once(void **state)
{
	const size_t half = (size_t)1 << (HALF_BITS - 1);
	const size_t totals[] = {1, 100, half - 1, half, half + 1, 3 * half + 5,
		half * half - 77, SIZE_MAX / 2};

	(void)state;
	for (size_t i = 0; i < sizeof(totals) / sizeof(*totals); i++)
		for (int end = 0; end < 2; end++) {
			struct mia_range range;

			mia_range_init(&range, totals[i]);

			const struct mia_part part = mia_range_take(
				&range, totals[i], (enum mia_range_end)end);

			assert_int_equal(part.at, 0);
			assert_int_equal(part.n, totals[i]);
			assert_int_equal(part.left, 0);
		}
}

/* Takes all, from an end by turns or not, and checks that the parts meet. */
static void
check_takes(size_t total, size_t max, unsigned ends)
{
	struct mia_range range;
	size_t front = 0;
	size_t back = total;

	mia_range_init(&range, total);
	for (unsigned i = 0; front < back; i++) {
		const enum mia_range_end end = (ends >> i % 8 & 1) != 0
			? MIA_RANGE_BACK
			: MIA_RANGE_FRONT;
		const struct mia_part part = mia_range_take(&range, max, end);

		assert_true(part.n > 0 && part.n <= back - front);
		if (end == MIA_RANGE_FRONT) {
			assert_int_equal(part.at, front);
			front += part.n;
		} else {
			assert_int_equal(part.at + part.n, back);
			back -= part.n;
		}
		/* Units are more than bytes for large totals only. */
		assert_true(part.n <= max || total >> (HALF_BITS - 1) > 0);
		assert_int_equal(part.left == 0, front == back);
		assert_true(part.left >= back - front);
		assert_true(
			part.left - (back - front) <= total >> (HALF_BITS - 1));
	}
	assert_int_equal(mia_range_take(&range, max, MIA_RANGE_FRONT).n, 0);
	assert_int_equal(mia_range_take(&range, max, MIA_RANGE_BACK).n, 0);
}

static void
every_byte_is_taken_once(void **state)
{
	static const size_t totals[] = {1, 2, 3, 7, 64, 1000, 4096, 10007};
	static const size_t most[] = {
		1, 2, 3, 64, 1000, 4095, 4097, 20000, SIZE_MAX / 2, SIZE_MAX};

	(void)state;
	for (size_t t = 0; t < sizeof(totals) / sizeof(*totals); t++)
		for (size_t m = 0; m < sizeof(most) / sizeof(*most); m++)
			for (unsigned ends = 0; ends < 256; ends += 5)
				check_takes(totals[t], most[m], ends);
}

/* Those that half a word cannot count in bytes, and the largest of all. */
static void
every_byte_of_much_is_taken_once(void **state)
{
	const size_t word = (size_t)1 << (HALF_BITS - 1);

	(void)state;
	for (size_t more = 0; more < 70; more++)
		for (unsigned ends = 0; ends < 256; ends += 5) {
			const size_t less = SIZE_MAX / 2 - more;

			check_takes(word - 5 + more, word / 7, ends);
			check_takes(3 * word + more, word / 5 + 1, ends);
			check_takes(less, less / 9, ends);
			check_takes(less, SIZE_MAX - more, ends);
		}
}

/* A unit of the largest total has many bytes. */
static void
less_than_a_unit_is_taken_for_one(void **state)
{
	struct mia_range range;

	(void)state;
	mia_range_init(&range, SIZE_MAX / 2);
	for (size_t i = 0; i < 100; i++) {
		const struct mia_part part =
			mia_range_take(&range, 1, MIA_RANGE_FRONT);

		assert_int_equal(part.at, i * part.n);
		assert_in_range(part.n, 2, (size_t)1 << HALF_BITS);
	}
}

/* Threads that take one range, each from an end of its own or from both. */
enum { TAKERS = 4, BYTES = 20000 };

struct taker {
	unsigned ends; /* bits: front, back */
	uint64_t seed;
	pthread_t thread;
	size_t lasts;
};

static struct mia_range shared;
static unsigned char bytes[BYTES];
static pthread_barrier_t barrier;

static void *
take_all(void *arg)
{
	struct taker *t = arg;
	struct mia_part part;

	pthread_barrier_wait(&barrier);
	do {
		const enum mia_range_end end = t->ends == 3
			? (enum mia_range_end)(test_random(&t->seed) % 2)
			: (enum mia_range_end)(t->ends / 2);

		part = mia_range_take(
			&shared, 1 + test_random(&t->seed) % 90, end);
		for (size_t i = 0; i < part.n; i++)
			bytes[part.at + i]++;
		if (part.n > 0 && part.left == 0)
			t->lasts++;
	} while (part.n > 0);
	return NULL;
}

static void
threads_take_every_byte_once(void **state)
{
	uint64_t seed = test_seed("range");

	(void)state;
	pthread_barrier_init(&barrier, NULL, TAKERS);
	for (size_t round = 0; round < TEST_ROUNDS(200); round++) {
		struct taker takers[TAKERS];
		size_t lasts = 0;

		memset(bytes, 0, sizeof(bytes));
		mia_range_init(&shared, BYTES);
		for (unsigned i = 0; i < TAKERS; i++) {
			takers[i] = (struct taker){
				.ends = 1 + i % 3, .seed = test_random(&seed)};
			assert_int_equal(pthread_create(&takers[i].thread, NULL,
						 take_all, &takers[i]),
				0);
		}
		for (unsigned i = 0; i < TAKERS; i++) {
			pthread_join(takers[i].thread, NULL);
			lasts += takers[i].lasts;
		}
		assert_int_equal(lasts, 1);
		for (size_t i = 0; i < BYTES; i++)
			assert_int_equal(bytes[i], 1);
	}
	pthread_barrier_destroy(&barrier);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(front_goes_up_and_back_goes_down),
		cmocka_unit_test(all_is_taken_at_once),
		cmocka_unit_test(every_byte_is_taken_once),
		cmocka_unit_test(every_byte_of_much_is_taken_once),
		cmocka_unit_test(less_than_a_unit_is_taken_for_one),
		cmocka_unit_test(threads_take_every_byte_once),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
