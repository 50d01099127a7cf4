/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_crew.c -- tests crew/crew: workers that run items, help, sleep and end
 *
 * run() counts its calls, and does what the item asks for.
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crew/crew.h"
#include "system.h"
#include "system/platform.h"

enum { BYTES = 1000, MAX_WORKERS = 5 };

struct item {
	union {
		struct mia_backlog_node node; /* until a worker has it */
		struct mia_shared shared;     /* then, if it is shared */
	};
	void (*also)(struct item *item); /* may be NULL */
	struct item *next;
	unsigned runs; /* not atomic: fini comes after all runs */
	unsigned char bytes[BYTES];
};

static struct mia_crew crew;

/* Counted by all items of a test. */
static atomic_size_t runs, helps, ends;

static void
run_item(void *arg, struct mia_backlog_node *node)
{
	struct item *item = (struct item *)(void *)node;

	assert_ptr_equal(arg, &crew);
	item->runs++;
	if (item->also != NULL)
		item->also(item);
	atomic_fetch_add(&runs, 1);
}

static bool
do_chunk(struct item *item)
{
	const struct mia_claim claim = mia_sharing_claim(&item->shared);

	for (size_t i = 0; i < claim.n; i++)
		item->bytes[claim.at + i]++;
	return claim.n > 0;
}

static void
leave(struct item *item)
{
	if (mia_sharing_leave(&crew.sharing, &item->shared))
		atomic_fetch_add(&ends, 1);
}

static void
help_with_item(void *arg, struct mia_shared *shared)
{
	struct item *item = (struct item *)(void *)shared;

	assert_ptr_equal(arg, &crew);
	atomic_fetch_add(&helps, 1);
	while (mia_backlog_is_empty(&crew.backlog) && do_chunk(item))
		continue;
	leave(item);
}

static int
init(size_t nworkers, size_t ring)
{
	const struct mia_work_fns fns = {
		.run = run_item, .help = help_with_item, .arg = &crew};

	atomic_store(&runs, 0);
	atomic_store(&helps, 0);
	atomic_store(&ends, 0);
	return mia_crew_init(&crew, nworkers, ring, fns);
}

static void
await(atomic_size_t *count, size_t n)
{
	while (atomic_load(count) < n)
		sched_yield();
}

static void
await_sleepers(size_t n)
{
	while (atomic_load(&crew.idle.counts) / (MIA_IDLE_MAX_WORKERS + 1) < n)
		sched_yield();
}

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

/* Opens the work, and waits for help before the first chunk. */
static void
share_with_a_helper(struct item *item)
{
	mia_crew_share(&crew, &item->shared, BYTES, 7);
	await(&helps, 1);
	while (do_chunk(item))
		continue;
	leave(item);
}

static void
sleeping_worker_is_woken_to_help(void **state)
{
	static struct item item;

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(200); round++) {
		memset(&item, 0, sizeof(item));
		item.also = share_with_a_helper;
		assert_int_equal(init(2, 1), 0);
		await_sleepers(2);
		mia_crew_submit(&crew, &item.node, MIA_CREW_WAKE_ONE);
		/* Before fini, which wakes all. */
		await(&ends, 1);
		mia_crew_fini(&crew);
		assert_int_equal(runs, 1);
		assert_int_equal(ends, 1);
		for (size_t i = 0; i < BYTES; i++)
			assert_int_equal(item.bytes[i], 1);
	}
}

static void
share(struct item *item)
{
	mia_crew_share(&crew, &item->shared, BYTES, 7);
	while (do_chunk(item))
		continue;
	leave(item);
}

static void
works_shared_by_many_workers_are_done_once(void **state)
{
	enum { ITEMS = 40 };
	static struct item items[ITEMS];

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(200); round++) {
		memset(items, 0, sizeof(items));
		assert_int_equal(init(MAX_WORKERS, 4), 0);
		for (size_t i = 0; i < ITEMS; i++) {
			items[i].also = i % 4 < 3 ? share : NULL;
			mia_crew_submit(&crew, &items[i].node,
				MIA_CREW_WAKE_EACH_SHARED);
		}
		mia_crew_fini(&crew);
		assert_int_equal(runs, ITEMS);
		assert_int_equal(ends, ITEMS / 4 * 3);
		for (size_t i = 0; i < ITEMS; i++)
			for (size_t j = 0; j < BYTES; j++)
				assert_int_equal(items[i].bytes[j], i % 4 < 3);
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
		cmocka_unit_test(sleeping_worker_is_woken_to_help),
		cmocka_unit_test(works_shared_by_many_workers_are_done_once),
		cmocka_unit_test(workers_without_work_use_no_cpu_time),
		cmocka_unit_test(init_that_gets_too_few_threads_leaves_none),
		cmocka_unit_test(
			init_refuses_absurd_rings_and_accepts_small_ones),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
