/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_sharing_stripes.c -- tests crew/sharing: several stripes, what they
 * show, and many threads that open, join and close
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crew/sharing.h"
#include "system/backoff.h"
#include "system.h"

/* Stripes for other threads; the workers' is the last. */
enum { STRIPES = 4, WORKERS = STRIPES, SHOW_MIN = 100, NONE = -2 };

static struct mia_sharing sharing;

/* CPUs, as the functions of system/cpus tell and change them. */
static _Thread_local int fake_cpu = -1;
static int left_cpu;
static int opener_cpu; /* as the last join() was told */

int __wrap_mia_cpu(void);
void __wrap_mia_cpu_leave(int cpu);

int
__wrap_mia_cpu(void)
{
	return fake_cpu;
}

void
__wrap_mia_cpu_leave(int cpu)
{
	left_cpu = cpu;
}

static int
setup(void **state)
{
	(void)state;
	fake_cpu = -1;
	return mia_sharing_init(&sharing, STRIPES / 2);
}

static int
teardown(void **state)
{
	(void)state;
	mia_sharing_fini(&sharing);
	return 0;
}

static bool
open_here(struct mia_shared *work, size_t total)
{
	return mia_sharing_open(
		&sharing, work, total, SHOW_MIN, MIA_OPENER_OTHER);
}

static bool
open_as_worker(struct mia_shared *work, size_t total)
{
	return mia_sharing_open(
		&sharing, work, total, SHOW_MIN, MIA_OPENER_WORKER);
}

/* The only sharer ends the work. */
static void
end(struct mia_shared *work)
{
	while (mia_sharing_claim(&sharing, work, 1000, MIA_RANGE_FRONT).n > 0)
		continue;
	assert_true(mia_sharing_leave(work));
}

/* What another thread opens. */
struct opened {
	struct mia_shared work;
	unsigned stripe;       /* the one that is looked for */
	struct opened *result; /* where the work of that stripe goes */
	int depth;
};

/*
 * Opens shown work. As long as the stripe is not the right one, another thread
 * tries, while this one exists: its number would come again.
 */
static void *
open_elsewhere(void *arg)
{
	struct opened *o = arg;
	struct opened next = {.stripe = o->stripe, .depth = o->depth + 1};
	pthread_t thread;

	assert_true(open_here(&o->work, SHOW_MIN));
	if (o->work.stripe == o->stripe) {
		end(&o->work);
		assert_true(open_here(&o->result->work, SHOW_MIN));
		return NULL;
	}

	end(&o->work);
	assert_true(o->depth < 500);
	next.result = o->result;
	assert_int_equal(
		pthread_create(&thread, NULL, open_elsewhere, &next), 0);
	pthread_join(thread, NULL);
	return NULL;
}

/* Opens shown work in a stripe, by another thread. */
static void
open_in(struct opened *o, unsigned stripe)
{
	struct opened first = {.stripe = stripe, .result = o};
	pthread_t thread;

	assert_int_equal(
		pthread_create(&thread, NULL, open_elsewhere, &first), 0);
	pthread_join(thread, NULL);
	assert_int_equal(o->work.stripe, stripe);
}

static struct mia_shared *
join(unsigned turn)
{
	struct mia_shared *work = mia_sharing_join(&sharing, turn, &opener_cpu);

	if (work != NULL)
		assert_false(mia_sharing_leave(work));
	return work;
}

static void
small_work_is_hidden_until_there_is_enough(void **state)
{
	struct mia_shared works[4];

	(void)state;
	assert_false(open_here(&works[0], 60));
	assert_false(open_here(&works[1], SHOW_MIN - 61));
	assert_false(mia_sharing_has_work(&sharing));
	assert_int_equal(mia_sharing_others(&sharing), 0);
	assert_null(join(0));

	/* Its sharer works as usual. */
	assert_int_equal(
		mia_sharing_claim(&sharing, &works[0], 9, MIA_RANGE_FRONT).n,
		9);

	assert_true(open_here(&works[2], 1));
	assert_true(mia_sharing_has_work(&sharing));
	assert_int_equal(mia_sharing_others(&sharing), 1);
	assert_ptr_equal(join(0), &works[2]);

	/* Shown until the list is empty, also with less than that. */
	end(&works[2]);
	assert_ptr_equal(join(0), &works[1]);
	end(&works[1]);
	assert_ptr_equal(join(0), &works[0]);
	assert_true(mia_sharing_has_work(&sharing));
	end(&works[0]);
	assert_false(mia_sharing_has_work(&sharing));
	assert_int_equal(mia_sharing_others(&sharing), 0);

	/* And then hidden again. */
	assert_false(open_here(&works[3], SHOW_MIN - 1));
	assert_null(join(0));
	end(&works[3]);
}

static enum mia_showing
open_of(struct mia_shared *work, size_t total)
{
	return mia_sharing_open(
		&sharing, work, total, SHOW_MIN, MIA_OPENER_OTHER);
}

/* Much work is worth a wake, and some that comes again soon. */
static void
little_work_is_worth_a_wake_only_if_it_comes_again(void **state)
{
	struct mia_shared work;

	(void)state;
	assert_int_equal(open_of(&work, SHOW_MIN - 1), MIA_HIDDEN);
	end(&work);
	assert_int_equal(open_of(&work, SHOW_MIN), MIA_SHOWN);
	end(&work);
	test_sleep_ns(2 * MIA_SLEEP_COST_NS);
	assert_int_equal(open_of(&work, SHOW_MIN), MIA_SHOWN);
	end(&work);
	test_sleep_ns(2 * MIA_SLEEP_COST_NS);
	assert_int_equal(open_of(&work, MIA_SHARING_WAKE_FACTOR * SHOW_MIN),
		MIA_WORTH_A_WAKE);
	end(&work);

	/* At once, unless this thread loses its CPU here each time. */
	int again = 0;

	for (int i = 0; i < 100; i++) {
		if (open_of(&work, SHOW_MIN) == MIA_WORTH_A_WAKE)
			again++;
		end(&work);
		if (open_of(&work, SHOW_MIN - 1) != MIA_HIDDEN)
			fail();
		end(&work);
	}
	assert_true(again > 50);
}

static void
hidden_work_ends_and_closes_in_any_order(void **state)
{
	struct mia_shared works[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_false(open_here(&works[i], 1 + (size_t)i));
	mia_sharing_close(&sharing, &works[1]);
	end(&works[2]);
	end(&works[0]);
	end(&works[1]);
	assert_false(mia_sharing_has_work(&sharing));

	/* No byte is left over. */
	assert_false(open_here(&works[0], SHOW_MIN - 1));
	assert_true(open_here(&works[1], 1));
	end(&works[1]);
	end(&works[0]);
}

/* Of the claimed work itself, and then of its stripe. */
static void
claim_tells_what_is_left_for_others(void **state)
{
	struct mia_shared works[3], other;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		open_here(&works[i], 1000 * (i + 1));
	open_as_worker(&other, 70000);

	const struct mia_claim first =
		mia_sharing_claim(&sharing, &works[1], 1500, MIA_RANGE_FRONT);
	const struct mia_claim last =
		mia_sharing_claim(&sharing, &works[1], 1500, MIA_RANGE_FRONT);

	assert_int_equal(first.for_help, 500);
	assert_int_equal(last.n, 500);
	assert_int_equal(last.for_help, 1000 + 3000);
	assert_int_equal(
		mia_sharing_claim(&sharing, &works[1], 1500, MIA_RANGE_FRONT)
			.for_help,
		0);
	mia_sharing_close(&sharing, &works[0]);
	assert_int_equal(
		mia_sharing_claim(&sharing, &works[2], 3000, MIA_RANGE_FRONT)
			.for_help,
		0);
	assert_int_equal(
		mia_sharing_claim(&sharing, &other, 70000, MIA_RANGE_FRONT)
			.for_help,
		0);
	for (int i = 0; i < 3; i++)
		end(&works[i]);
	end(&other);
}

static void
workers_have_a_stripe_together(void **state)
{
	struct mia_shared works[2];
	struct opened o;

	(void)state;
	assert_true(open_as_worker(&works[0], SHOW_MIN));
	assert_int_equal(works[0].stripe, WORKERS);
	assert_true(mia_sharing_has_work(&sharing));

	/* They are no others. */
	assert_int_equal(mia_sharing_others(&sharing), 0);
	assert_true(open_as_worker(&works[1], 1));
	assert_int_equal(works[1].stripe, WORKERS);
	assert_false(mia_sharing_has_other(&sharing, &works[0]));

	open_in(&o, 2);
	assert_int_equal(mia_sharing_others(&sharing), 1);
	assert_true(mia_sharing_has_other(&sharing, &works[0]));
	assert_true(mia_sharing_has_other(&sharing, &o.work));
	end(&works[0]);
	end(&works[1]);
	assert_false(mia_sharing_has_other(&sharing, &o.work));
	end(&o.work);
	assert_int_equal(mia_sharing_others(&sharing), 0);
}

static void
each_thread_has_one_stripe(void **state)
{
	struct mia_shared works[9];

	(void)state;
	for (int i = 0; i < 9; i++) {
		open_here(&works[i], SHOW_MIN);
		assert_int_equal(works[i].stripe, works[0].stripe);
		assert_true(works[i].stripe < STRIPES);
	}
	assert_int_equal(mia_sharing_others(&sharing), 1);
	for (int i = 0; i < 9; i++)
		end(&works[i]);
}

static void
turns_begin_with_different_stripes(void **state)
{
	static struct opened o[STRIPES];
	struct mia_shared worker;

	(void)state;
	for (unsigned i = 0; i < STRIPES; i++)
		open_in(&o[i], i);
	open_as_worker(&worker, SHOW_MIN);
	assert_int_equal(mia_sharing_others(&sharing), STRIPES);
	for (unsigned turn = 0; turn < 3 * (STRIPES + 1); turn++) {
		const unsigned stripe = turn % (STRIPES + 1);

		assert_ptr_equal(join(turn),
			stripe == WORKERS ? &worker : &o[stripe].work);
	}

	/* A turn at a stripe without work goes on to the next. */
	end(&o[1].work);
	end(&o[2].work);
	assert_int_equal(mia_sharing_others(&sharing), 2);
	assert_ptr_equal(join(1), &o[3].work);
	end(&o[3].work);
	assert_ptr_equal(join(1), &worker);
	end(&worker);
	assert_ptr_equal(join(1), &o[0].work);
	assert_ptr_equal(join(UINT32_MAX), &o[0].work);
	end(&o[0].work);
	for (unsigned turn = 0; turn <= STRIPES; turn++)
		assert_null(join(turn));
}

/* Of the thread that opened work last in the stripe that is joined. */
static void
joiner_leaves_the_cpu_of_the_opener(void **state)
{
	struct mia_shared works[2];
	struct mia_shared worker;

	(void)state;
	left_cpu = NONE;
	open_here(&works[0], SHOW_MIN);
	(void)join(0);
	assert_int_equal(left_cpu, NONE);
	assert_int_equal(opener_cpu, -1);

	fake_cpu = 3;
	open_here(&works[1], SHOW_MIN);
	fake_cpu = 0;
	open_as_worker(&worker, SHOW_MIN);
	fake_cpu = 2;
	(void)join(0);
	assert_int_equal(opener_cpu, 3);
	(void)join(WORKERS);
	assert_int_equal(opener_cpu, 0);
	assert_int_equal(left_cpu, NONE);
	fake_cpu = 3;
	assert_ptr_equal(join(WORKERS), &worker);
	assert_int_equal(left_cpu, NONE);
	assert_ptr_equal(join(0), &works[1]);
	assert_int_equal(left_cpu, 3);
	left_cpu = NONE;
	fake_cpu = 0;
	assert_ptr_equal(join(WORKERS), &worker);
	assert_int_equal(left_cpu, 0);

	/* Or of the thread that has taken its part over. */
	left_cpu = NONE;
	mia_sharing_take_over(&sharing, &works[0]);
	fake_cpu = 3;
	assert_ptr_equal(join(0), &works[1]);
	assert_int_equal(left_cpu, NONE);
	assert_int_equal(opener_cpu, 0);
	fake_cpu = 0;
	assert_ptr_equal(join(0), &works[1]);
	assert_int_equal(left_cpu, 0);

	/* Nothing is there to be joined. */
	left_cpu = NONE;
	for (int i = 0; i < 2; i++)
		end(&works[i]);
	end(&worker);
	for (fake_cpu = 0; fake_cpu < 4; fake_cpu++)
		for (unsigned turn = 0; turn <= STRIPES; turn++)
			assert_null(join(turn));
	assert_int_equal(left_cpu, NONE);
}

/* Then another CPU has such a thread as well. */
static void
joiner_stays_if_each_cpu_has_an_opener(void **state)
{
	static struct opened o[STRIPES / 2];

	(void)state;
	for (unsigned i = 0; i < STRIPES / 2; i++)
		open_in(&o[i], i);
	for (unsigned i = 0; i < STRIPES / 2; i++)
		atomic_store(&sharing.stripes[i].cpu, 5);
	left_cpu = NONE;
	fake_cpu = 5;
	(void)join(0);
	assert_int_equal(left_cpu, NONE);
	end(&o[1].work);
	(void)join(0);
	assert_int_equal(left_cpu, 5);
	end(&o[0].work);
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(small_work_is_hidden_until_there_is_enough),
		TEST(little_work_is_worth_a_wake_only_if_it_comes_again),
		TEST(hidden_work_ends_and_closes_in_any_order),
		TEST(claim_tells_what_is_left_for_others),
		TEST(workers_have_a_stripe_together),
		TEST(each_thread_has_one_stripe),
		TEST(turns_begin_with_different_stripes),
		TEST(joiner_leaves_the_cpu_of_the_opener),
		TEST(joiner_stays_if_each_cpu_has_an_opener),
		TEST(each_work_of_many_threads_ends_once_and_complete),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
