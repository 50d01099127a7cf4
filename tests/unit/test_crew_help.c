/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_crew_help.c -- tests crew/crew: who is woken to help with shared work,
 * and what a helper does
 */

#include "crew_items.h"

#include "system.h"
#include "system/cpus.h"
#include "system/platform.h"

/* CPUs, as the functions of system/cpus tell and change them. */
static _Thread_local int fake_cpu = -1;
static atomic_int avoided = -1;
static atomic_size_t avoidances, allowances;

int __wrap_mia_cpu(void);
struct mia_avoidance *__wrap_mia_cpu_avoid(int cpu);
void __wrap_mia_cpu_allow(struct mia_avoidance *avoidance);

int
__wrap_mia_cpu(void)
{
	return fake_cpu;
}

struct mia_avoidance *
__wrap_mia_cpu_avoid(int cpu)
{
	assert_int_equal(atomic_exchange(&avoided, cpu), -1);
	atomic_fetch_add(&avoidances, 1);
	return (struct mia_avoidance *)(void *)&avoided;
}

void
__wrap_mia_cpu_allow(struct mia_avoidance *avoidance)
{
	if (avoidance == NULL)
		return;
	assert_ptr_equal(avoidance, &avoided);
	assert_int_not_equal(atomic_exchange(&avoided, -1), -1);
	atomic_fetch_add(&allowances, 1);
}

/* Opens the work, and waits for help before the first chunk. */
static void
share_with_a_helper(struct item *item)
{
	mia_crew_share(&crew, &item->shared, BYTES, 0, MIA_OPENER_WORKER);
	await(&helps, 1);
	while (do_chunk(item, MIA_RANGE_FRONT))
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
	mia_crew_share(&crew, &item->shared, BYTES, 0, MIA_OPENER_WORKER);
	while (do_chunk(item, MIA_RANGE_FRONT))
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

/* Pretends to have so many CPUs, before anything is shared. */
static void
pretend_cpus(size_t ncpus)
{
	crew.idle.ncpus = ncpus;
}

static size_t
sleepers(void)
{
	return atomic_load(&crew.idle.counts) / (MIA_IDLE_MAX_WORKERS + 1);
}

/* The calling thread is at work itself, which takes one CPU. */
static void
other_thread_wakes_a_helper_only_for_a_free_cpu(void **state)
{
	static struct item item;

	(void)state;
	for (size_t ncpus = 1; ncpus <= 3; ncpus++) {
		memset(&item, 0, sizeof(item));
		assert_int_equal(init(2, 1), 0);
		await_sleepers(2);
		pretend_cpus(ncpus);

		/* Too small to be shown: no wake. */
		mia_crew_share(&crew, &item.shared, BYTES, BYTES + 1,
			MIA_OPENER_OTHER);
		mia_crew_want_help(&crew);
		assert_int_equal(sleepers(), 2);
		while (do_chunk(&item, MIA_RANGE_FRONT))
			continue;
		leave(&item);
		assert_int_equal(ends, 1);

		/* Shown, and not worth a wake. */
		mia_crew_share(
			&crew, &item.shared, BYTES, BYTES, MIA_OPENER_OTHER);
		assert_int_equal(sleepers(), 2);
		while (do_chunk(&item, MIA_RANGE_FRONT))
			continue;
		leave(&item);
		assert_int_equal(ends, 2);

		mia_crew_share(&crew, &item.shared, BYTES,
			BYTES / MIA_SHARING_WAKE_FACTOR, MIA_OPENER_OTHER);
		if (ncpus > 1) {
			await(&helps, 1);
		} else {
			assert_int_equal(sleepers(), 2);
			mia_crew_want_help(&crew);
			assert_int_equal(sleepers(), 2);
			pretend_cpus(2);
			mia_crew_want_help(&crew);
			await(&helps, 1);
		}
		while (do_chunk(&item, MIA_RANGE_FRONT))
			continue;
		leave(&item);
		await(&ends, 3);
		mia_crew_fini(&crew);
		for (size_t i = 0; i < BYTES; i++)
			assert_int_equal(item.bytes[i], 3);
	}
}

/* A worker that shares always gets a searcher: a thread may wait for it. */
static void
worker_wakes_a_helper_without_a_free_cpu(void **state)
{
	static struct item item;

	(void)state;
	memset(&item, 0, sizeof(item));
	item.also = share_with_a_helper;
	assert_int_equal(init(2, 1), 0);
	await_sleepers(2);
	pretend_cpus(1);
	mia_crew_submit(&crew, &item.node, MIA_CREW_WAKE_ONE);
	await(&ends, 1);
	mia_crew_fini(&crew);
	assert_int_equal(runs, 1);
}

/* Holds a worker. */
static atomic_bool is_gate_open;

static void
wait_at_gate(struct item *item)
{
	(void)item;
	while (!atomic_load(&is_gate_open))
		sched_yield();
}

/*
 * The last searcher goes to work. What waits in the backlog needs a searcher,
 * also without a free CPU. Shared work does not.
 */
static void
backlog_gets_a_searcher_and_shared_work_only_for_a_free_cpu(void **state)
{
	static struct item items[2], shared;

	(void)state;
	for (int has_backlog = 0; has_backlog < 2; has_backlog++) {
		memset(items, 0, sizeof(items));
		memset(&shared, 0, sizeof(shared));
		atomic_store(&is_gate_open, false);
		items[0].also = wait_at_gate;
		items[1].also = wait_at_gate;
		assert_int_equal(init(2, 4), 0);
		await_sleepers(2);
		pretend_cpus(1);

		mia_crew_share(
			&crew, &shared.shared, BYTES, 0, MIA_OPENER_OTHER);
		if (has_backlog)
			/* Published without a wake. */
			mia_backlog_push(&crew.backlog, &items[1].node);
		mia_crew_submit(&crew, &items[0].node, MIA_CREW_WAKE_ONE);
		if (has_backlog) {
			while (sleepers() > 0)
				sched_yield();
		} else {
			/* It is at the gate, and nobody helps. */
			while (sleepers() > 1 ||
				!mia_backlog_is_empty(&crew.backlog))
				sched_yield();
			mia_sleep(5 * MS);
			assert_int_equal(sleepers(), 1);
			assert_int_equal(helps, 0);
		}
		while (do_chunk(&shared, MIA_RANGE_FRONT))
			continue;
		leave(&shared);
		atomic_store(&is_gate_open, true);
		mia_crew_fini(&crew);
		assert_int_equal(runs, 1 + has_backlog);
		assert_int_equal(ends, 1);
	}
}

/*
 * A helper that leaves a work because there is another joins that one. The only
 * worker must see both, long before one of them is done.
 */
static void
helper_goes_from_stripe_to_stripe(void **state)
{
	static struct item items[3];

	(void)state;
	memset(items, 0, sizeof(items));
	atomic_store(&is_gate_open, false);
	items[2].also = wait_at_gate;
	assert_int_equal(init(1, 4), 0);
	mia_crew_submit(&crew, &items[2].node, MIA_CREW_WAKE_ONE);
	while (!mia_backlog_is_empty(&crew.backlog))
		sched_yield();
	/* Two stripes, as of a worker and of another thread. */
	mia_crew_share(&crew, &items[0].shared, BYTES, 0, MIA_OPENER_OTHER);
	mia_crew_share(&crew, &items[1].shared, BYTES, 0, MIA_OPENER_WORKER);
	atomic_store(&is_gate_open, true);
	/* It does all, as this thread does nothing yet. */
	for (int i = 0; i < 2; i++)
		while (atomic_load(&items[i].done) < BYTES)
			sched_yield();
	for (int i = 0; i < 2; i++)
		assert_in_range(items[i].first_help, 1, 6);
	for (int i = 0; i < 2; i++) {
		while (do_chunk(&items[i], MIA_RANGE_FRONT))
			continue;
		leave(&items[i]);
	}
	await(&ends, 2);
	mia_crew_fini(&crew);
	for (size_t i = 0; i < 2 * BYTES; i++)
		assert_int_equal(items[i / BYTES].bytes[i % BYTES], 1);
}

/*
 * The system should not wake it on the CPU of the thread that it helps. So it
 * sleeps with a mask without this CPU, once for each time that it has helped.
 */
static void
helper_avoids_the_cpu_of_the_opener_while_it_sleeps(void **state)
{
	static struct item items[3];

	(void)state;
	memset(items, 0, sizeof(items));
	atomic_store(&avoidances, 0);
	atomic_store(&allowances, 0);
	assert_int_equal(init(1, 4), 0);
	await_sleepers(1);
	pretend_cpus(2);
	for (size_t i = 0; i < 2; i++) {
		fake_cpu = 3 + (int)i;
		mia_crew_share(
			&crew, &items[i].shared, BYTES, 0, MIA_OPENER_OTHER);
		await(&helps, 1);
		while (do_chunk(&items[i], MIA_RANGE_FRONT))
			continue;
		leave(&items[i]);
		await(&ends, i + 1);
		await(&avoidances, i + 1);
		await_sleepers(1);
		assert_int_equal(avoided, 3 + (int)i);
		assert_int_equal(allowances, i);
		atomic_store(&helps, 0);
	}
	mia_crew_submit(&crew, &items[2].node, MIA_CREW_WAKE_ONE);
	await(&runs, 1);
	await_sleepers(1);
	mia_crew_fini(&crew);
	assert_int_equal(avoidances, 2);
	assert_int_equal(allowances, 2);
	fake_cpu = -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleeping_worker_is_woken_to_help),
		cmocka_unit_test(works_shared_by_many_workers_are_done_once),
		cmocka_unit_test(
			other_thread_wakes_a_helper_only_for_a_free_cpu),
		cmocka_unit_test(worker_wakes_a_helper_without_a_free_cpu),
		cmocka_unit_test(
			backlog_gets_a_searcher_and_shared_work_only_for_a_free_cpu),
		cmocka_unit_test(helper_goes_from_stripe_to_stripe),
		cmocka_unit_test(
			helper_avoids_the_cpu_of_the_opener_while_it_sleeps),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
