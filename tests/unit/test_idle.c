/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_idle.c -- tests crew/idle: the number of wakes, and no work left beside
 * a sleeper
 *
 * Most tests need one thread, which plays all workers: mia_idle_sleep() returns
 * at once if there is a token. The stress at the end has real threads.
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crew/idle.h"
#include "system.h"

static struct mia_idle idle;

static size_t
searchers(void)
{
	return atomic_load(&idle.counts) % (MIA_IDLE_MAX_WORKERS + 1);
}

static size_t
sleepers(void)
{
	return atomic_load(&idle.counts) / (MIA_IDLE_MAX_WORKERS + 1);
}

/* Tokens that were posted and not taken. */
static size_t
tokens(void)
{
	int value = -1;

	assert_int_equal(sem_getvalue(&idle.tokens, &value), 0);
	return (size_t)value;
}

#define assert_counts(nsearchers, nsleepers, ntokens) \
	do { \
		assert_int_equal(searchers(), nsearchers); \
		assert_int_equal(sleepers(), nsleepers); \
		assert_int_equal(tokens(), ntokens); \
	} while (0)

/* A crew with the given numbers of workers in each state, and of CPUs. */
static void
begin(size_t working, size_t searching, size_t sleeping, size_t ncpus)
{
	const size_t all = working + searching + sleeping;

	assert_int_equal(mia_idle_init(&idle, all, ncpus), 0);
	for (size_t i = 0; i < working; i++)
		(void)mia_idle_found(&idle);
	for (size_t i = 0; i < sleeping; i++)
		mia_idle_prepare(&idle);
	assert_counts(searching, sleeping, 0);
}

/* Wakes all sleepers, and takes all tokens. */
static void
end(void)
{
	const size_t left = sleepers() + tokens();

	mia_idle_notify_all(&idle);
	assert_int_equal(sleepers(), 0);
	for (size_t i = 0; i < left; i++)
		mia_idle_sleep(&idle);
	assert_int_equal(tokens(), 0);
	mia_idle_fini(&idle);
}

static void
all_workers_search_at_first(void **state)
{
	(void)state;
	assert_int_equal(mia_idle_init(&idle, 3, 1), 0);
	assert_counts(3, 0, 0);
	mia_idle_fini(&idle);
}

static void
notify_with_nobody_asleep_posts_nothing(void **state)
{
	(void)state;
	for (size_t working = 0; working <= 3; working++) {
		begin(working, 3 - working, 0, 8);
		for (size_t asked = 1; asked < 10; asked++)
			mia_idle_notify(&idle, asked);
		mia_idle_notify_all(&idle);
		assert_int_equal(searchers(), 3 - working);
		assert_int_equal(tokens(), 0);
		end();
	}
}

static void
notify_beside_a_searcher_posts_nothing(void **state)
{
	(void)state;
	begin(1, 1, 2, 8);
	mia_idle_notify(&idle, 1);
	assert_counts(1, 2, 0);
	end();
}

/*
 * Also if all CPUs have an awake worker, because a searcher must find the work.
 */
static void
notify_without_a_searcher_wakes_one(void **state)
{
	(void)state;
	begin(3, 0, 2, 1);
	mia_idle_notify(&idle, 1);
	assert_counts(1, 1, 1);

	/* The woken worker has not run yet, but is a searcher already. */
	mia_idle_notify(&idle, 1);
	assert_int_equal(tokens(), 1);
	end();
}

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Returns how many sleepers one call of notify must wake. */
static size_t
wakes(size_t working, size_t searching, size_t sleeping, size_t ncpus,
	size_t asked)
{
	const size_t awake = working + searching;
	const size_t missing = asked > searching ? asked - searching : 0;
	const size_t spare = ncpus > awake ? ncpus - awake : 0;
	const size_t n = smaller(sleeping, smaller(missing, spare));

	return n == 0 && searching == 0 && sleeping > 0 ? 1 : n;
}

static void
notify_wakes_several_only_while_cpus_are_spare(void **state)
{
	enum { MAX = 4 };

	(void)state;
	for (size_t i = 0; i < MAX * MAX * MAX * 6 * 6; i++) {
		const size_t working = i % MAX;
		const size_t searching = i / MAX % MAX;
		const size_t sleeping = i / MAX / MAX % MAX;
		const size_t ncpus = 1 + i / MAX / MAX / MAX % 6;
		const size_t asked = 1 + i / MAX / MAX / MAX / 6;
		const size_t n =
			wakes(working, searching, sleeping, ncpus, asked);

		begin(working, searching, sleeping, ncpus);
		mia_idle_notify(&idle, asked);
		assert_counts(searching + n, sleeping - n, n);
		end();
	}
}

/* One sleeper at most: if nobody searches, and a CPU is free. */
static void
notify_spare_wakes_one_only_for_a_free_cpu(void **state)
{
	enum { MAX = 4 };

	(void)state;
	for (size_t i = 0; i < MAX * MAX * MAX * 6 * MAX; i++) {
		const size_t working = i % MAX;
		const size_t searching = i / MAX % MAX;
		const size_t sleeping = i / MAX / MAX % MAX;
		const size_t ncpus = 1 + i / MAX / MAX / MAX % 6;
		const size_t others = i / MAX / MAX / MAX / 6;
		const bool is_free = working + others < ncpus;
		const size_t n = searching == 0 && sleeping > 0 && is_free;

		begin(working, searching, sleeping, ncpus);
		mia_idle_notify_spare(&idle, others);
		assert_counts(searching + n, sleeping - n, n);

		/* The woken worker searches now. */
		mia_idle_notify_spare(&idle, others);
		assert_counts(searching + n, sleeping - n, n);
		end();
	}
}

static void
notify_all_wakes_every_sleeper(void **state)
{
	(void)state;
	begin(1, 1, 3, 1);
	mia_idle_notify_all(&idle);
	assert_counts(4, 0, 3);
	end();
}

static void
found_is_true_for_the_last_searcher_beside_sleepers(void **state)
{
	(void)state;
	for (size_t searching = 1; searching <= 3; searching++) {
		for (size_t sleeping = 0; sleeping <= 2; sleeping++) {
			begin(1, searching, sleeping, 2);
			assert_int_equal(mia_idle_found(&idle),
				searching == 1 && sleeping > 0);
			assert_counts(searching - 1, sleeping, 0);
			mia_idle_search(&idle);
			assert_int_equal(searchers(), searching);
			end();
		}
	}
}

static void
only_searcher_is_told_from_one_of_several(void **state)
{
	(void)state;
	begin(1, 2, 1, 2);
	assert_false(mia_idle_is_only_searcher(&idle));
	(void)mia_idle_found(&idle);
	assert_true(mia_idle_is_only_searcher(&idle));
	end();
}

static void
cancel_without_a_wake_makes_a_searcher_again(void **state)
{
	(void)state;
	begin(1, 1, 0, 2);
	mia_idle_prepare(&idle);
	assert_int_equal(searchers(), 0);
	assert_int_equal(sleepers(), 1);
	mia_idle_cancel(&idle);
	assert_counts(1, 0, 0);
	end();
}

static void
cancel_after_a_wake_takes_the_token(void **state)
{
	(void)state;
	begin(1, 1, 0, 2);
	mia_idle_prepare(&idle);
	mia_idle_notify(&idle, 1);
	assert_int_equal(tokens(), 1);
	mia_idle_cancel(&idle);
	assert_counts(1, 0, 0);
	end();
}

/* It does not matter which of two sleepers a token was meant for. */
static void
cancel_beside_a_sleeper_leaves_the_token_to_it(void **state)
{
	(void)state;
	begin(0, 2, 0, 2);
	mia_idle_prepare(&idle);
	mia_idle_prepare(&idle);
	mia_idle_notify(&idle, 1);
	mia_idle_cancel(&idle);
	assert_counts(2, 0, 1);
	mia_idle_sleep(&idle);
	assert_int_equal(tokens(), 0);
	end();
}

/*
 * The protocol of idle.h with real threads. Each producer has a counter of its
 * own as work. After a burst it waits until the workers have done all of it. So
 * with one producer, one lost wake is enough for the test to hang.
 */
enum { MAX_PRODUCERS = 3, WORKERS = 7 };

static struct work {
	atomic_size_t queued;
	atomic_size_t done;
} works[MAX_PRODUCERS];

static atomic_bool stop;

struct producer {
	struct work *work;
	uint64_t seed;
	pthread_t thread;
};

static bool
has_work(void)
{
	for (size_t i = 0; i < MAX_PRODUCERS; i++)
		if (atomic_load(&works[i].queued) > 0)
			return true;
	return false;
}

static struct work *
take_work(void)
{
	for (size_t i = 0; i < MAX_PRODUCERS; i++) {
		size_t queued = atomic_load(&works[i].queued);

		while (queued > 0)
			if (atomic_compare_exchange_weak_explicit(
				    &works[i].queued, &queued, queued - 1,
				    memory_order_seq_cst, memory_order_seq_cst))
				return &works[i];
	}
	return NULL;
}

static void *
work_until_stop(void *arg)
{
	(void)arg;
	for (;;) {
		const bool stopped = atomic_load(&stop);
		struct work *work = take_work();

		if (work == NULL) {
			if (stopped)
				return NULL;
			mia_idle_prepare(&idle);
			if (has_work() || atomic_load(&stop))
				mia_idle_cancel(&idle);
			else
				mia_idle_sleep(&idle);
			continue;
		}

		if (mia_idle_found(&idle) && has_work())
			mia_idle_notify(&idle, 1);
		do
			atomic_fetch_add(&work->done, 1);
		while ((work = take_work()) != NULL);
		mia_idle_search(&idle);
	}
}

static void *
produce(void *arg)
{
	struct producer *p = arg;
	size_t made = 0;

	for (int burst = 0; burst < TEST_ROUNDS(4000); burst++) {
		const size_t n = 1 + test_random(&p->seed) % 4;

		for (size_t i = 0; i < n; i++) {
			atomic_fetch_add(&p->work->queued, 1);
			mia_idle_notify(&idle, 1 + test_random(&p->seed) % 3);
		}
		made += n;
		while (atomic_load(&p->work->done) < made)
			sched_yield();
		/* Now and then the workers have the time to fall asleep. */
		if (test_random(&p->seed) % 8 == 0)
			for (int i = 0; i < 100 && sleepers() < WORKERS; i++)
				sched_yield();
	}
	return (void *)made;
}

static void
run_stress(size_t nproducers, size_t ncpus, uint64_t *seed)
{
	struct producer producers[MAX_PRODUCERS];
	pthread_t workers[WORKERS];

	assert_int_equal(mia_idle_init(&idle, WORKERS, ncpus), 0);
	atomic_store(&stop, false);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_create(&workers[i], NULL, work_until_stop, NULL);
	for (size_t i = 0; i < nproducers; i++) {
		atomic_store(&works[i].queued, 0);
		atomic_store(&works[i].done, 0);
		producers[i] = (struct producer){
			.work = &works[i], .seed = test_random(seed)};
		pthread_create(
			&producers[i].thread, NULL, produce, &producers[i]);
	}
	for (size_t i = 0; i < nproducers; i++) {
		void *made;

		pthread_join(producers[i].thread, &made);
		assert_int_equal(
			atomic_load(&works[i].done), (size_t)(uintptr_t)made);
	}

	/* All sleep at last: every token that was posted has been taken. */
	while (sleepers() < WORKERS)
		sched_yield();
	assert_int_equal(searchers(), 0);
	assert_int_equal(tokens(), 0);

	atomic_store(&stop, true);
	mia_idle_notify_all(&idle);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	assert_counts(WORKERS, 0, 0);
	mia_idle_fini(&idle);
}

static void
no_work_is_left_beside_sleepers(void **state)
{
	uint64_t seed = test_seed("idle");

	(void)state;
	for (size_t nproducers = 1; nproducers <= MAX_PRODUCERS; nproducers++)
		for (size_t ncpus = 1; ncpus <= WORKERS; ncpus += 3)
			run_stress(nproducers, ncpus, &seed);
}

/*
 * Many threads want help at once for one free CPU, while all sleep: exactly one
 * sleeper is woken.
 */
enum { WANTERS = 4 };

static atomic_size_t wanted, wanters_done;

static void *
want_help(void *arg)
{
	(void)arg;
	for (size_t round = 1; round <= TEST_ROUNDS(5000); round++) {
		while (atomic_load(&wanted) < round)
			sched_yield();
		mia_idle_notify_spare(&idle, 1);
		atomic_fetch_add(&wanters_done, 1);
	}
	return NULL;
}

static void
one_sleeper_is_woken_by_many_that_want_help(void **state)
{
	pthread_t wanters[WANTERS];

	(void)state;
	begin(0, 0, 3, 2);
	atomic_store(&wanted, 0);
	atomic_store(&wanters_done, 0);
	for (size_t i = 0; i < WANTERS; i++)
		pthread_create(&wanters[i], NULL, want_help, NULL);
	for (size_t round = 1; round <= TEST_ROUNDS(5000); round++) {
		atomic_store(&wanted, round);
		while (atomic_load(&wanters_done) < round * WANTERS)
			sched_yield();
		assert_counts(1, 2, 1);

		/* It finds nothing, and sleeps again. */
		mia_idle_sleep(&idle);
		mia_idle_prepare(&idle);
	}
	for (size_t i = 0; i < WANTERS; i++)
		pthread_join(wanters[i], NULL);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_workers_search_at_first),
		cmocka_unit_test(notify_with_nobody_asleep_posts_nothing),
		cmocka_unit_test(notify_beside_a_searcher_posts_nothing),
		cmocka_unit_test(notify_without_a_searcher_wakes_one),
		cmocka_unit_test(
			notify_wakes_several_only_while_cpus_are_spare),
		cmocka_unit_test(notify_spare_wakes_one_only_for_a_free_cpu),
		cmocka_unit_test(notify_all_wakes_every_sleeper),
		cmocka_unit_test(
			found_is_true_for_the_last_searcher_beside_sleepers),
		cmocka_unit_test(only_searcher_is_told_from_one_of_several),
		cmocka_unit_test(cancel_without_a_wake_makes_a_searcher_again),
		cmocka_unit_test(cancel_after_a_wake_takes_the_token),
		cmocka_unit_test(
			cancel_beside_a_sleeper_leaves_the_token_to_it),
		cmocka_unit_test(one_sleeper_is_woken_by_many_that_want_help),
		cmocka_unit_test(no_work_is_left_beside_sleepers),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
