/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_sharing_stripes.c -- tests crew/sharing: several stripes, the turns of
 * the workers, and the CPUs of the openers
 */

#include "stripes.h"

#include <stdatomic.h>

#include "system.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STRIPES_TEST(workers_have_a_stripe_together),
		STRIPES_TEST(each_thread_has_one_stripe),
		STRIPES_TEST(turns_begin_with_different_stripes),
		STRIPES_TEST(joiner_leaves_the_cpu_of_the_opener),
		STRIPES_TEST(joiner_stays_if_each_cpu_has_an_opener),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
