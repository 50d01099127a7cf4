/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_sharing.c -- tests crew/sharing: each byte is claimed once, and exactly
 * one sharer is the last
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crew/sharing.h"
#include "system.h"

static struct mia_sharing sharing;

static int
setup(void **state)
{
	(void)state;
	return mia_sharing_init(&sharing);
}

static int
teardown(void **state)
{
	(void)state;
	mia_sharing_fini(&sharing);
	return 0;
}

/* Claims all that is left, without doing it. */
static void
claim_all(struct mia_shared *work)
{
	while (mia_sharing_claim(work).n > 0)
		continue;
}

static void
nothing_is_joined_before_work_is_open(void **state)
{
	(void)state;
	assert_false(mia_sharing_has_work(&sharing));
	assert_null(mia_sharing_join_oldest(&sharing));
}

/* The claims of one sharer follow each other, until there are none. */
static void
check_claims(size_t total, size_t chunk)
{
	struct mia_shared work;
	size_t at = 0;

	mia_sharing_open(&sharing, &work, total, chunk);
	assert_true(mia_sharing_has_work(&sharing));
	while (at < total) {
		const size_t left = total - at;
		const struct mia_claim claim = mia_sharing_claim(&work);

		assert_int_equal(claim.at, at);
		assert_int_equal(claim.n, left < chunk ? left : chunk);
		at += claim.n;
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(mia_sharing_claim(&work).n, 0);
	assert_true(mia_sharing_leave(&sharing, &work));
	assert_false(mia_sharing_has_work(&sharing));
}

static void
one_sharer_claims_every_byte_once(void **state)
{
	static const size_t totals[] = {1, 2, 3, 7, 64, 1000, 4096, 10007};
	static const size_t chunks[] = {
		1, 2, 3, 64, 1000, 4095, 4096, 4097, 20000};

	(void)state;
	for (size_t t = 0; t < sizeof(totals) / sizeof(*totals); t++)
		for (size_t c = 0; c < sizeof(chunks) / sizeof(*chunks); c++)
			check_claims(totals[t], chunks[c]);
}

static void
totals_near_half_of_the_range_are_claimed_once(void **state)
{
	const size_t half = SIZE_MAX / 2;

	(void)state;
	for (size_t less = 0; less < 4; less++)
		for (size_t parts = 1; parts < 9; parts++)
			check_claims(half - less, half / parts);
}

/* A chunk may be larger than the work, at any size of the work. */
static void
huge_chunks_are_claimed_once(void **state)
{
	(void)state;
	for (size_t total = 1; total < 4; total++)
		for (size_t parts = 1; parts < 9; parts++)
			check_claims(total, SIZE_MAX / parts + parts - 1);
}

static void
only_the_last_to_leave_is_told(void **state)
{
	enum { MOST = 5 };

	(void)state;
	for (int helpers = 0; helpers < MOST; helpers++) {
		struct mia_shared work;

		mia_sharing_open(&sharing, &work, 10, 3);
		for (int i = 0; i < helpers; i++)
			assert_ptr_equal(
				mia_sharing_join_oldest(&sharing), &work);
		claim_all(&work);
		for (int i = 0; i < helpers; i++)
			assert_false(mia_sharing_leave(&sharing, &work));
		assert_true(mia_sharing_leave(&sharing, &work));
	}
}

static void
exhausted_work_is_joined_until_a_sharer_leaves(void **state)
{
	struct mia_shared work;

	(void)state;
	mia_sharing_open(&sharing, &work, 10, 3);
	claim_all(&work);
	assert_ptr_equal(mia_sharing_join_oldest(&sharing), &work);
	assert_int_equal(mia_sharing_claim(&work).n, 0);
	assert_false(mia_sharing_leave(&sharing, &work));
	assert_null(mia_sharing_join_oldest(&sharing));
	assert_false(mia_sharing_has_work(&sharing));
	assert_true(mia_sharing_leave(&sharing, &work));
	assert_null(mia_sharing_join_oldest(&sharing));
}

static void
helper_that_leaves_early_leaves_the_rest_to_others(void **state)
{
	struct mia_shared work;

	(void)state;
	mia_sharing_open(&sharing, &work, 10, 4);
	assert_ptr_equal(mia_sharing_join_oldest(&sharing), &work);
	assert_int_equal(mia_sharing_claim(&work).n, 4);
	assert_false(mia_sharing_leave(&sharing, &work));

	assert_true(mia_sharing_has_work(&sharing));
	assert_ptr_equal(mia_sharing_join_oldest(&sharing), &work);
	assert_false(mia_sharing_leave(&sharing, &work));
	assert_int_equal(mia_sharing_claim(&work).at, 4);
	assert_int_equal(mia_sharing_claim(&work).at, 8);
	assert_int_equal(mia_sharing_claim(&work).n, 0);
	assert_true(mia_sharing_leave(&sharing, &work));
	assert_false(mia_sharing_has_work(&sharing));
}

static void
oldest_of_several_works_is_joined(void **state)
{
	static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
		{1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (size_t order = 0; order < 6; order++) {
		struct mia_shared works[3];
		bool is_open[3] = {true, true, true};

		for (int i = 0; i < 3; i++)
			mia_sharing_open(&sharing, &works[i], 1, 1);
		for (int i = 0; i < 3; i++) {
			struct mia_shared *ended = &works[orders[order][i]];
			int oldest = 0;

			claim_all(ended);
			assert_true(mia_sharing_leave(&sharing, ended));
			is_open[orders[order][i]] = false;

			while (oldest < 3 && !is_open[oldest])
				oldest++;
			assert_int_equal(
				mia_sharing_has_work(&sharing), oldest < 3);
			if (oldest == 3)
				continue;
			assert_ptr_equal(mia_sharing_join_oldest(&sharing),
				&works[oldest]);
			assert_false(
				mia_sharing_leave(&sharing, &works[oldest]));
		}
		assert_null(mia_sharing_join_oldest(&sharing));
	}
}

/*
 * Works open and close while threads join them. The bytes are not atomic, so
 * that ThreadSanitizer reports it if the last sharer reads them too early. Then
 * the work's memory is overwritten, as its owner may do.
 */
enum { OPENERS = 3, HELPERS = 4, MOST_BYTES = 600 };

struct work {
	struct mia_shared shared; /* first: a shared is its work */
	size_t total;
	unsigned char bytes[MOST_BYTES];
	atomic_size_t ended; /* how often a sharer was the last */
};

struct opener {
	struct work work;
	uint64_t seed;
	pthread_t thread;
};

static atomic_bool stop;
static atomic_size_t errors, helped;

static bool
do_chunk(struct work *work)
{
	const struct mia_claim claim = mia_sharing_claim(&work->shared);

	if (claim.n > work->total || claim.at > work->total - claim.n) {
		atomic_fetch_add(&errors, 1);
		return false;
	}
	for (size_t i = 0; i < claim.n; i++)
		work->bytes[claim.at + i]++;
	return claim.n > 0;
}

static void
leave(struct work *work)
{
	if (!mia_sharing_leave(&sharing, &work->shared))
		return;

	for (size_t i = 0; i < MOST_BYTES; i++)
		if (work->bytes[i] != (i < work->total))
			atomic_fetch_add(&errors, 1);
	memset(work->bytes, 0, sizeof(work->bytes));
	memset(&work->shared, 0xff, sizeof(work->shared));
	atomic_fetch_add(&work->ended, 1);
}

static void *
open_works(void *arg)
{
	struct opener *o = arg;
	struct work *work = &o->work;

	for (size_t round = 0; round < TEST_ROUNDS(60000); round++) {
		work->total = 1 + test_random(&o->seed) % MOST_BYTES;
		mia_sharing_open(&sharing, &work->shared, work->total,
			1 + test_random(&o->seed) % 100);
		while (do_chunk(work))
			if (test_random(&o->seed) % 16 == 0)
				sched_yield();
		leave(work);
		while (atomic_load(&work->ended) <= round)
			sched_yield();
		if (atomic_load(&work->ended) != round + 1)
			atomic_fetch_add(&errors, 1);
	}
	return NULL;
}

static void *
help_with_works(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	while (!atomic_load(&stop)) {
		struct work *work = (void *)mia_sharing_join_oldest(&sharing);

		if (work == NULL) {
			sched_yield();
			continue;
		}
		atomic_fetch_add(&helped, 1);
		/* Mostly until the end; now and then it leaves early. */
		while (test_random(&seed) % 8 > 0 && do_chunk(work))
			continue;
		leave(work);
	}
	return NULL;
}

static void
each_work_of_many_threads_ends_once_and_complete(void **state)
{
	static struct opener openers[OPENERS];
	uint64_t seed = test_seed("sharing");
	uint64_t seeds[HELPERS];
	pthread_t helpers[HELPERS];

	(void)state;
	for (size_t i = 0; i < HELPERS; i++) {
		seeds[i] = test_random(&seed);
		pthread_create(&helpers[i], NULL, help_with_works, &seeds[i]);
	}
	for (size_t i = 0; i < OPENERS; i++) {
		openers[i].seed = test_random(&seed);
		pthread_create(
			&openers[i].thread, NULL, open_works, &openers[i]);
	}
	for (size_t i = 0; i < OPENERS; i++)
		pthread_join(openers[i].thread, NULL);
	atomic_store(&stop, true);
	for (size_t i = 0; i < HELPERS; i++)
		pthread_join(helpers[i], NULL);
	printf("joined %zu times\n", atomic_load(&helped));
	assert_int_equal(errors, 0);
	assert_false(mia_sharing_has_work(&sharing));
	assert_null(mia_sharing_join_oldest(&sharing));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_joined_before_work_is_open),
		TEST(one_sharer_claims_every_byte_once),
		TEST(totals_near_half_of_the_range_are_claimed_once),
		TEST(huge_chunks_are_claimed_once),
		TEST(only_the_last_to_leave_is_told),
		TEST(exhausted_work_is_joined_until_a_sharer_leaves),
		TEST(helper_that_leaves_early_leaves_the_rest_to_others),
		TEST(oldest_of_several_works_is_joined),
		TEST(each_work_of_many_threads_ends_once_and_complete),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
