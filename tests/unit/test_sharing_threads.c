/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_sharing_threads.c -- tests crew/sharing: many threads that open, join
 * and close work
 */

#include "stripes.h"

#include <sched.h>
#include <stdatomic.h>

#include "system.h"

/*
 * Works open and close while threads join them. The bytes are not atomic, so
 * that ThreadSanitizer reports it if the last sharer reads them too early. Then
 * the work's memory is overwritten, as its owner may do.
 */
enum { OPENERS = 4, HELPERS = 4, MOST_BYTES = 600 };

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
static atomic_size_t errors, helped, taken_over;

/* The part of an opener that closed its work. */
static _Atomic(struct work *) handed;

static bool
do_chunk(struct work *work, uint64_t *seed)
{
	const size_t max = 1 + test_random(seed) % 100;
	const enum mia_range_end end =
		(enum mia_range_end)(test_random(seed) % 2);
	const struct mia_claim claim =
		mia_sharing_claim(&sharing, &work->shared, max, end);

	if (claim.n > max || claim.n > work->total ||
		claim.at > work->total - claim.n) {
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
	if (!mia_sharing_leave(&work->shared))
		return;

	for (size_t i = 0; i < MOST_BYTES; i++)
		if (work->bytes[i] != (i < work->total))
			atomic_fetch_add(&errors, 1);
	memset(work->bytes, 0, sizeof(work->bytes));
	memset(&work->shared, 0xff, sizeof(work->shared));
	atomic_fetch_add(&work->ended, 1);
}

static void
do_rest(struct work *work, uint64_t *seed)
{
	while (do_chunk(work, seed))
		if (test_random(seed) % 16 == 0)
			sched_yield();
	leave(work);
}

/* Does the work, or gives the rest to another thread. */
static void
end_as_opener(struct work *work, uint64_t *seed)
{
	struct work *none = NULL;

	if (test_random(seed) % 4 > 0) {
		do_rest(work, seed);
		return;
	}

	(void)do_chunk(work, seed);
	mia_sharing_close(&sharing, &work->shared);
	/* The list does not use it any more. */
	work->shared.next = &work->shared;
	while (!atomic_compare_exchange_strong(&handed, &none, work)) {
		none = NULL;
		sched_yield();
	}
}

static void *
open_works(void *arg)
{
	struct opener *o = arg;
	struct work *work = &o->work;

	for (size_t round = 0; round < TEST_ROUNDS(40000); round++) {
		work->total = 1 + test_random(&o->seed) % MOST_BYTES;
		mia_sharing_open(&sharing, &work->shared, work->total,
			test_random(&o->seed) % 400,
			(enum mia_opener)(test_random(&o->seed) % 2));
		end_as_opener(work, &o->seed);
		while (atomic_load(&work->ended) <= round)
			sched_yield();
		if (atomic_load(&work->ended) != round + 1)
			atomic_fetch_add(&errors, 1);
	}
	return NULL;
}

static void
help(struct work *work, uint64_t *seed)
{
	if (!do_chunk(work, seed))
		mia_sharing_close(&sharing, &work->shared);
	else
		/* Mostly until the end; now and then it leaves early. */
		while (test_random(seed) % 8 > 0 &&
			!(mia_sharing_has_other(&sharing, &work->shared) &&
				test_random(seed) % 4 == 0) &&
			do_chunk(work, seed))
			continue;
	leave(work);
}

static void *
help_with_works(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	unsigned turn = (unsigned)seed;
	int cpu;

	while (!atomic_load(&stop)) {
		struct work *work = atomic_exchange(&handed, NULL);

		if (work != NULL) {
			atomic_fetch_add(&taken_over, 1);
			do_rest(work, &seed);
			continue;
		}
		work = (void *)mia_sharing_join(&sharing, turn++, &cpu);
		if (work == NULL) {
			sched_yield();
			continue;
		}
		atomic_fetch_add(&helped, 1);
		help(work, &seed);
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
	printf("joined %zu times, taken over %zu times\n", atomic_load(&helped),
		atomic_load(&taken_over));
	assert_int_equal(errors, 0);
	assert_false(mia_sharing_has_work(&sharing));
	assert_int_equal(mia_sharing_others(&sharing), 0);
	assert_null(join(0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STRIPES_TEST(each_work_of_many_threads_ends_once_and_complete),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
