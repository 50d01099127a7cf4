/* SPDX-License-Identifier: BSD-3-Clause */

/* test_crew.c -- tests crew/crew: workers that run items, sleep and end */

#include "crew_items.h"

#include <errno.h>
#include <pthread.h>

#include "system.h"
#include "system/platform.h"

/* Only so many threads can start, or all (-1); see the last tests. */
static int threads_allowed = -1;
static size_t threads_made, threads_joined;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);
int __real_pthread_join(pthread_t thread, void **value);
int __wrap_pthread_join(pthread_t thread, void **value);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg)
{
	if (threads_allowed == 0)
		return EAGAIN;
	if (threads_allowed > 0)
		threads_allowed--;
	threads_made++;
	return __real_pthread_create(thread, attr, run, arg);
}

int
__wrap_pthread_join(pthread_t thread, void **value)
{
	threads_joined++;
	return __real_pthread_join(thread, value);
}

/* fini() right after the last submit, which workers may be asleep for. */
static void
every_item_runs_once_before_fini_returns(void **state)
{
	enum { ITEMS = 60 };
	static struct item items[ITEMS];
	uint64_t seed = test_seed("crew");

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(1500); round++) {
		const size_t n = test_random(&seed) % (ITEMS + 1);
		const size_t nworkers = 1 + test_random(&seed) % MAX_WORKERS;

		memset(items, 0, sizeof(items));
		assert_int_equal(init(nworkers, 1 + round % 9), 0);
		if (round % 4 == 0)
			await_sleepers(nworkers);
		for (size_t i = 0; i < n; i++)
			mia_crew_submit(&crew, &items[i].node,
				(enum mia_crew_wake)(test_random(&seed) % 3));
		mia_crew_fini(&crew);
		assert_int_equal(runs, n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(items[i].runs, 1);
	}
}

static void
submit_next(struct item *item)
{
	if (item->next != NULL)
		mia_crew_submit(&crew, &item->next->node, MIA_CREW_WAKE_ONE);
}

static void
items_submitted_by_run_are_done_before_fini_returns(void **state)
{
	enum { ITEMS = 50 };
	static struct item items[ITEMS];

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(200); round++) {
		memset(items, 0, sizeof(items));
		for (size_t i = 0; i < ITEMS; i++) {
			items[i].also = submit_next;
			items[i].next = i + 1 < ITEMS ? &items[i + 1] : NULL;
		}
		assert_int_equal(init(1 + (size_t)round % 3, 1), 0);
		mia_crew_submit(&crew, &items[0].node, MIA_CREW_WAKE_ONE);
		mia_crew_fini(&crew);
		for (size_t i = 0; i < ITEMS; i++)
			assert_int_equal(items[i].runs, 1);
	}
}

/* How many items wait for each other. */
static size_t meeting;
static atomic_size_t arrived;

static void
meet(struct item *item)
{
	(void)item;
	atomic_fetch_add(&arrived, 1);
	await(&arrived, meeting);
}

/* No worker sleeps beside an item, with any number of wakes a submit. */
static void
items_that_wait_for_each_other_run_on_all_workers(void **state)
{
	static struct item items[MAX_WORKERS];

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(600); round++) {
		meeting = 1 + (size_t)round % MAX_WORKERS;
		memset(items, 0, sizeof(items));
		atomic_store(&arrived, 0);
		assert_int_equal(init(meeting, 2), 0);
		if (round % 2 == 0)
			await_sleepers(meeting);
		for (size_t i = 0; i < meeting; i++) {
			items[i].also = meet;
			mia_crew_submit(&crew, &items[i].node,
				(enum mia_crew_wake)(round / 2 % 3));
		}
		await(&runs, meeting);
		mia_crew_fini(&crew);
	}
}

static void
workers_without_work_use_no_cpu_time(void **state)
{
	static struct item item;

	(void)state;
	assert_int_equal(init(MAX_WORKERS, 1), 0);
	mia_crew_submit(&crew, &item.node, MIA_CREW_WAKE_EACH);
	await(&runs, 1);
	await_sleepers(MAX_WORKERS);

	const uint64_t before = test_clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	mia_sleep(300 * MS); /* the time that is measured */
	assert_true(
		test_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before < 100 * MS);
	mia_crew_fini(&crew);
}

static void
init_that_gets_too_few_threads_leaves_none(void **state)
{
	(void)state;
	for (int allowed = 0; allowed < MAX_WORKERS; allowed++) {
		threads_allowed = allowed;
		threads_made = 0;
		threads_joined = 0;
		assert_int_equal(init(MAX_WORKERS, 4), -EAGAIN);
		assert_int_equal(threads_made, allowed);
		assert_int_equal(threads_joined, allowed);
	}
	threads_allowed = -1;
	threads_made = 0;
	assert_int_equal(init(MAX_WORKERS, 4), 0);
	assert_int_equal(threads_made, MAX_WORKERS);
	mia_crew_fini(&crew);
}

static void
init_refuses_absurd_rings_and_accepts_small_ones(void **state)
{
	(void)state;
	threads_made = 0;
	assert_int_equal(init(1, SIZE_MAX), -EINVAL);
	assert_int_equal(threads_made, 0);
	for (size_t nworkers = 1; nworkers <= MAX_WORKERS; nworkers++) {
		for (size_t ring = 1; ring < 10; ring++) {
			assert_int_equal(init(nworkers, ring), 0);
			mia_crew_fini(&crew);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_item_runs_once_before_fini_returns),
		cmocka_unit_test(
			items_submitted_by_run_are_done_before_fini_returns),
		cmocka_unit_test(
			items_that_wait_for_each_other_run_on_all_workers),
		cmocka_unit_test(workers_without_work_use_no_cpu_time),
		cmocka_unit_test(init_that_gets_too_few_threads_leaves_none),
		cmocka_unit_test(
			init_refuses_absurd_rings_and_accepts_small_ones),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
