/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_threads.c -- tests operation/completion: the data that its
 * memory orders publish, failures from several threads, and no lost wake
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "completion_run.h"
#include "operation/completion.h"
#include "system/cpus.h"
#include "system/platform.h"
#include "wakers.h"

/* Memory orders: wrong ones are seen by ThreadSanitizer only */

static void
data_happens_before_the_poll_that_finds_it_done(void **state)
{
	struct run run;

	(void)state;
	for (int is_slow = 0; is_slow < 2; is_slow++) {
		start(&run, no_waker);
		flag_set(&run.go, 1);
		flag_await(&run.finished, 1);
		assert_int_equal(is_slow ? mia_completion_poll_slow(&run.c)
					 : mia_completion_poll(&run.c),
			FUTURE_STATE_COMPLETE);
		assert_int_equal(run.data, 1);
		end(&run);
	}
}

/* Under valgrind a yield gives the other thread 100,000 blocks of code. */
#define YIELDS (TEST_SLOWDOWN > 10 ? 2 : 100)

static void
write_note_wake(void *data)
{
	struct run *run = data;

	flag_set(&run->entered, 1);
	flag_await(&run->leave, 1);
	/* The poll begins to wait for this waker, most of the time. */
	for (int i = 0; i < YIELDS; i++)
		sched_yield();
	run->note++;
}

static void
waker_that_returned_happens_before_the_poll_that_waited_for_it(void **state)
{
	struct run run;

	(void)state;
	for (int i = 0; i < 20; i++) {
		start(&run, (struct future_waker){&run, write_note_wake});
		flag_set(&run.go, 1);
		flag_await(&run.entered, 1);
		flag_set(&run.leave, 1);
		while (mia_completion_poll(&run.c) != FUTURE_STATE_COMPLETE)
			continue;
		assert_true(run.note >= 1);
		end(&run);
	}
}

/* Then the program may free the data of the waker. */
static void
waker_that_returned_happens_before_the_end_of_replacing_it(void **state)
{
	struct run run;

	(void)state;
	start(&run, (struct future_waker){&run, write_note_wake});
	flag_set(&run.go, 1);
	flag_set(&run.leave, 1);
	flag_await(&run.finished, 1);
	mia_completion_replace_waker(&run.c, no_waker);
	assert_int_equal(run.note, 1);
	end(&run);
}

static void
read_note_wake(void *data)
{
	struct run *run = data;

	run->other = run->note;
}

static void
what_a_poll_wrote_happens_before_the_call_of_its_waker(void **state)
{
	struct run run;

	(void)state;
	start(&run, no_waker);
	run.note = 1;
	mia_completion_replace_waker(
		&run.c, (struct future_waker){&run, read_note_wake});
	flag_set(&run.go, 1);
	end(&run);
	assert_int_equal(run.other, 1);
}

static void
read_note_when_polled_wake(void *data)
{
	struct run *run = data;

	held_wake(run);
	if (flag_get(&run->entered) == 2)
		run->other = run->note;
}

static void
poll_happens_before_the_further_call_that_it_causes(void **state)
{
	struct run run;

	(void)state;
	start(&run, (struct future_waker){&run, read_note_when_polled_wake});
	flag_set(&run.go, 1);
	flag_await(&run.entered, 1);
	/* The first finds WAKING, the others POLLED. */
	for (int i = 1; i <= 3; i++) {
		run.note = i;
		assert_int_equal(
			mia_completion_poll(&run.c), FUTURE_STATE_RUNNING);
	}
	end(&run);
	assert_int_equal(run.other, 3);
}

/* Several threads that do one operation */

#define FAILERS 4

struct shared {
	struct mia_completion c;
	atomic_int *round; /* of all threads */
	atomic_int left;   /* threads that have not done their part */
	int parts[FAILERS];
};

struct failer {
	struct shared *shared;
	pthread_t thread;
	int number, rounds;
};

/* Thread number k fails in round r if bit k of r is set. */
static void *
failer_run(void *arg)
{
	struct failer *failer = arg;

	for (int r = 0; r < failer->rounds; r++) {
		struct shared *shared = &failer->shared[r];

		flag_await(shared->round, r);
		shared->parts[failer->number] = r;
		if (r & 1 << failer->number)
			mia_completion_fail(
				&shared->c, VDM_ERROR_JOB_CORRUPTED);
		/* The finisher acquires the writes of the others. */
		if (atomic_fetch_sub_explicit(
			    &shared->left, 1, memory_order_acq_rel) == 1)
			mia_completion_finish(&shared->c);
	}
	return NULL;
}

static void
failure_of_any_thread_is_the_result_and_all_parts_are_visible(void **state)
{
	const int rounds = TEST_ROUNDS(10000);
	struct shared *shared = calloc((size_t)rounds, sizeof(*shared));
	struct failer failers[FAILERS];
	atomic_int round = -1;

	(void)state;
	assert_non_null(shared);
	for (int r = 0; r < rounds; r++) {
		shared[r].round = &round;
		shared[r].left = FAILERS;
		mia_completion_init(&shared[r].c);
		mia_completion_begin(&shared[r].c, no_waker);
	}
	for (int k = 0; k < FAILERS; k++) {
		failers[k] = (struct failer){
			.shared = shared, .number = k, .rounds = rounds};
		assert_int_equal(pthread_create(&failers[k].thread, NULL,
					 failer_run, &failers[k]),
			0);
	}
	for (int r = 0; r < rounds; r++) {
		struct mia_completion *c = &shared[r].c;

		flag_set(&round, r);
		while (mia_completion_poll(c) != FUTURE_STATE_COMPLETE)
			sched_yield();
		assert_int_equal(mia_completion_retire(c),
			r & ((1 << FAILERS) - 1) ? VDM_ERROR_JOB_CORRUPTED
						 : VDM_SUCCESS);
		for (int k = 0; k < FAILERS; k++)
			assert_int_equal(shared[r].parts[k], r);
	}
	for (int k = 0; k < FAILERS; k++)
		pthread_join(failers[k].thread, NULL);
	free(shared);
}

/*
 * Pollers sleep until a waker is called. A poller whose wake is lost sleeps for
 * a minute.
 */

#define MAX_THREADS 16
#define BATCH 8

struct stress {
	pthread_mutex_t lock;
	struct item *work; /* under the lock */
	sem_t nwork;       /* items in work, and one for each end */
	atomic_int lost, late, wrong;
};

struct poller {
	struct stress *stress;
	pthread_t thread;
	sem_t woken;
	uint64_t seed;
	size_t left; /* operations */
};

/* Never freed; a waker that is not alive must not be called. */
struct waker {
	struct poller *poller;
	future_waker_wake_fn wake; /* its own: half of a waker is seen */
	bool alive;
};

struct item {
	struct mia_completion c;
	struct item *next;
	struct waker wakers[16];
	struct waker *waker; /* the last, or NULL */
	uint64_t src, dst;
	bool done;
};

static void
wake_from(struct waker *waker, future_waker_wake_fn wake)
{
	struct stress *stress = waker->poller->stress;

	if (waker->wake != wake)
		atomic_fetch_add(&stress->wrong, 1);
	if (!waker->alive)
		atomic_fetch_add(&stress->late, 1);
	sem_post(&waker->poller->woken);
	if (!waker->alive)
		atomic_fetch_add(&stress->late, 1);
}

static void
wake_even(void *data)
{
	wake_from(data, wake_even);
}

static void
wake_odd(void *data)
{
	wake_from(data, wake_odd);
}

/* The item's next waker, or NULL: it has had them all. */
static struct waker *
next_waker(struct poller *poller, struct item *item)
{
	struct waker *waker =
		item->waker != NULL ? item->waker + 1 : item->wakers;

	if (waker == item->wakers + 16)
		return NULL;
	waker->poller = poller;
	waker->wake = test_random(&poller->seed) % 2 ? wake_odd : wake_even;
	waker->alive = true;
	return waker;
}

static struct future_waker
future_waker_of(struct waker *waker)
{
	return (struct future_waker){waker, waker->wake};
}

static void
push_work(struct stress *stress, struct item *item)
{
	pthread_mutex_lock(&stress->lock);
	item->next = stress->work;
	stress->work = item;
	pthread_mutex_unlock(&stress->lock);
	sem_post(&stress->nwork);
}

/* NULL: the end. */
static struct item *
pop_work(struct stress *stress)
{
	if (!await(&stress->nwork))
		return NULL;
	pthread_mutex_lock(&stress->lock);
	struct item *item = stress->work;

	if (item != NULL)
		stress->work = item->next;
	pthread_mutex_unlock(&stress->lock);
	return item;
}

static void *
stress_finisher_run(void *arg)
{
	struct stress *stress = arg;
	struct item *item;

	while ((item = pop_work(stress)) != NULL) {
		item->dst = item->src;
		if (item->src % 3 == 0)
			mia_completion_fail(&item->c, VDM_ERROR_JOB_CORRUPTED);
		mia_completion_finish(&item->c);
	}
	return NULL;
}

/* A third begins without a waker, and gets one later. */
static void
item_begin(struct poller *poller, struct item *item)
{
	item->waker = NULL;
	item->src = test_random(&poller->seed);
	item->done = false;
	if (test_random(&poller->seed) % 3 != 0)
		item->waker = next_waker(poller, item);
	mia_completion_init(&item->c);
	mia_completion_begin(&item->c,
		item->waker != NULL ? future_waker_of(item->waker) : no_waker);
	push_work(poller->stress, item);
}

static void
item_replace_waker(struct poller *poller, struct item *item)
{
	struct waker *old = item->waker, *new = next_waker(poller, item);
	const uint64_t begin = test_clock_ns(CLOCK_MONOTONIC);

	if (new == NULL)
		return;
	item->waker = new;
	mia_completion_replace_waker(&item->c, future_waker_of(new));
	if (old != NULL &&
		test_clock_ns(CLOCK_MONOTONIC) - begin < REPLACED_WAIT_NS)
		old->alive = false;
}

static void
item_poll(struct poller *poller, struct item *item)
{
	const uint64_t dice = test_random(&poller->seed);

	if (item->waker == NULL || dice % 4 == 0)
		item_replace_waker(poller, item);
	else if (dice % 4 == 1) /* the same again */
		mia_completion_replace_waker(
			&item->c, future_waker_of(item->waker));
	if (mia_completion_poll(&item->c) == FUTURE_STATE_RUNNING)
		return;

	item->done = true;
	for (struct waker *w = item->wakers; w <= item->waker; w++)
		w->alive = false;
	if (mia_completion_retire(&item->c) !=
			(item->src % 3 == 0 ? VDM_ERROR_JOB_CORRUPTED
					    : VDM_SUCCESS) ||
		item->dst != item->src)
		atomic_fetch_add(&poller->stress->wrong, 1);
}

static void *
poller_run(void *arg)
{
	struct poller *poller = arg;
	struct item *items = calloc(BATCH, sizeof(*items));

	if (items == NULL)
		abort();
	while (poller->left > 0) {
		size_t n = 1 + test_random(&poller->seed) % BATCH, done = 0;

		n = n < poller->left ? n : poller->left;
		poller->left -= n;
		for (size_t i = 0; i < n; i++)
			item_begin(poller, &items[i]);
		for (;;) {
			for (size_t i = 0; i < n; i++) {
				if (items[i].done)
					continue;
				item_poll(poller, &items[i]);
				done += items[i].done;
			}
			if (done == n)
				break;
			if (!await(&poller->woken))
				atomic_fetch_add(&poller->stress->lost, 1);
		}
	}
	free(items);
	return NULL;
}

/* More threads than CPUs, so that each is interrupted anywhere. */
static void
no_wake_is_lost_and_no_waker_is_called_after_its_completion(void **state)
{
	const size_t cpus = mia_usable_cpus();
	const size_t n = cpus + 2 < MAX_THREADS ? cpus + 2 : MAX_THREADS;
	struct stress stress = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct poller pollers[MAX_THREADS];
	pthread_t finishers[MAX_THREADS];
	uint64_t seed = test_seed("completion");

	(void)state;
	sem_init(&stress.nwork, 0, 0);
	for (size_t i = 0; i < n; i++) {
		pollers[i] = (struct poller){.stress = &stress,
			.seed = test_random(&seed),
			.left = TEST_ROUNDS(200000) / n + 1};
		sem_init(&pollers[i].woken, 0, 0);
		pthread_create(
			&pollers[i].thread, NULL, poller_run, &pollers[i]);
		pthread_create(
			&finishers[i], NULL, stress_finisher_run, &stress);
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(pollers[i].thread, NULL);
	for (size_t i = 0; i < n; i++)
		sem_post(&stress.nwork);
	for (size_t i = 0; i < n; i++) {
		pthread_join(finishers[i], NULL);
		sem_destroy(&pollers[i].woken);
	}
	sem_destroy(&stress.nwork);
	assert_int_equal(stress.lost, 0);
	assert_int_equal(stress.late, 0);
	assert_int_equal(stress.wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			data_happens_before_the_poll_that_finds_it_done),
		cmocka_unit_test(
			waker_that_returned_happens_before_the_poll_that_waited_for_it),
		cmocka_unit_test(
			waker_that_returned_happens_before_the_end_of_replacing_it),
		cmocka_unit_test(
			what_a_poll_wrote_happens_before_the_call_of_its_waker),
		cmocka_unit_test(
			poll_happens_before_the_further_call_that_it_causes),
		cmocka_unit_test(
			failure_of_any_thread_is_the_result_and_all_parts_are_visible),
		cmocka_unit_test(
			no_wake_is_lost_and_no_waker_is_called_after_its_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
