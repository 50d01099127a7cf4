/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_ready.c -- tests wait/ready: any thread pushes numbers, one thread takes
 * them
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "system.h"
#include "system/cpus.h"
#include "system/platform.h"
#include "wait/ready.h"

#define BITS MIA_READY_BITS

struct taker {
	struct mia_ready ready;
	atomic_uint rouses;
	mia_sem sem;
};

static void
rouse(struct mia_ready *ready)
{
	struct taker *taker = (struct taker *)ready;

	atomic_fetch_add(&taker->rouses, 1);
	mia_sem_post(&taker->sem);
}

static void
begin_as(struct taker *taker, size_t n, enum mia_ready_taker kind)
{
	mia_ready_init(&taker->ready, rouse, kind);
	atomic_init(&taker->rouses, 0);
	assert_int_equal(mia_sem_init(&taker->sem), 0);
	assert_int_equal(mia_ready_reserve(&taker->ready, n), 0);
}

static void
begin(struct taker *taker, size_t n)
{
	begin_as(taker, n, MIA_READY_LISTENS);
}

static void
end(struct taker *taker)
{
	mia_sem_fini(&taker->sem);
	mia_ready_fini(&taker->ready);
}

static void
wake(struct taker *taker, size_t number)
{
	mia_ready_wake(mia_ready_data(&taker->ready, number));
}

/* Takes a batch that must have these numbers, in this order. */
static void
assert_taken(struct taker *taker, size_t n, const size_t numbers[])
{
	struct mia_ready_batch batch = mia_ready_take(&taker->ready);

	for (size_t i = 0; i < n; i++)
		assert_int_equal(mia_ready_pop(&batch), numbers[i]);
	assert_int_equal(mia_ready_pop(&batch), MIA_READY_NONE);
	assert_int_equal(mia_ready_pop(&batch), MIA_READY_NONE);
	assert_true(mia_ready_is_empty(&taker->ready));
}

static void
number_is_taken_once_after_many_wakes(void **state)
{
	struct taker taker;

	(void)state;
	begin(&taker, 8);
	assert_true(mia_ready_is_empty(&taker.ready));
	assert_taken(&taker, 0, NULL);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++)
			wake(&taker, 5);
		assert_false(mia_ready_is_empty(&taker.ready));
		assert_taken(&taker, 1, (size_t[]){5});
	}
	end(&taker);
}

static void
every_number_has_a_wake_of_its_own(void **state)
{
	struct taker taker;

	(void)state;
	begin(&taker, 3 * BITS + 1);
	for (size_t i = 0; i < 3 * BITS + 1; i++) {
		wake(&taker, i);
		assert_taken(&taker, 1, &i);
	}
	end(&taker);
}

static void
only_the_first_wake_into_an_empty_list_rouses(void **state)
{
	struct taker taker;

	(void)state;
	begin(&taker, 3 * BITS);
	for (unsigned round = 1; round < 4; round++) {
		wake(&taker, 2 * BITS);
		assert_int_equal(taker.rouses, round);
		wake(&taker, 2 * BITS);
		wake(&taker, 2 * BITS + 1);
		wake(&taker, 0);
		wake(&taker, BITS);
		assert_int_equal(taker.rouses, round);

		struct mia_ready_batch batch = mia_ready_take(&taker.ready);

		while (mia_ready_pop(&batch) != MIA_READY_NONE)
			continue;
		assert_int_equal(taker.rouses, round);
	}
	end(&taker);
}

/* Groups in the order of their first wake, numbers of a group in ascending. */
static void
earliest_group_comes_first(void **state)
{
	struct taker taker;

	(void)state;
	begin(&taker, 3 * BITS);
	wake(&taker, 2 * BITS + 7);
	wake(&taker, 3);
	wake(&taker, BITS);
	wake(&taker, 0);
	wake(&taker, 2 * BITS + 2);
	wake(&taker, 3 * BITS - 1);
	assert_taken(&taker, 6,
		(size_t[]){
			2 * BITS + 2, 2 * BITS + 7, 3 * BITS - 1, 0, 3, BITS});
	end(&taker);
}

/* A poll between two numbers may wake again. */
static void
wakes_while_a_batch_is_taken_are_not_lost(void **state)
{
	struct taker taker;

	(void)state;
	begin(&taker, 2 * BITS);
	wake(&taker, 1);
	wake(&taker, BITS);

	struct mia_ready_batch batch = mia_ready_take(&taker.ready);

	assert_int_equal(mia_ready_pop(&batch), 1);

	/* Of the open group: it is pushed again. Of the other: it comes yet. */
	wake(&taker, 1);
	assert_int_equal(taker.rouses, 2);
	wake(&taker, BITS + 3);
	assert_int_equal(taker.rouses, 2);
	assert_int_equal(mia_ready_pop(&batch), BITS);
	assert_int_equal(mia_ready_pop(&batch), BITS + 3);
	assert_int_equal(mia_ready_pop(&batch), MIA_READY_NONE);
	assert_taken(&taker, 1, (size_t[]){1});
	end(&taker);
}

/* Room grows while wakers have data from before. */
static void
data_stays_valid_when_the_room_grows(void **state)
{
	enum { SIZES = 12 };
	struct taker taker;
	void *data[SIZES];

	(void)state;
	begin(&taker, 1);
	for (size_t i = 0; i < SIZES; i++) {
		const size_t n = (size_t)1 << i;

		assert_int_equal(mia_ready_reserve(&taker.ready, n), 0);
		data[i] = mia_ready_data(&taker.ready, n - 1);
	}
	for (size_t i = 0; i < SIZES; i++) {
		const size_t number = ((size_t)1 << i) - 1;

		assert_ptr_equal(mia_ready_data(&taker.ready, number), data[i]);
		mia_ready_wake(data[i]);
		assert_taken(&taker, 1, &number);
	}
	end(&taker);
}

static void
room_that_is_there_is_kept(void **state)
{
	struct taker taker;

	(void)state;
	begin(&taker, BITS);

	void *const data = mia_ready_data(&taker.ready, 0);

	assert_int_equal(mia_ready_reserve(&taker.ready, BITS), 0);
	assert_int_equal(mia_ready_reserve(&taker.ready, 0), 0);
	assert_ptr_equal(mia_ready_data(&taker.ready, 0), data);
	assert_int_equal(mia_ready_reserve(&taker.ready, SIZE_MAX), -ENOMEM);
	assert_ptr_equal(mia_ready_data(&taker.ready, 0), data);
	assert_int_equal(mia_ready_reserve(&taker.ready, BITS + 1), 0);
	assert_ptr_equal(mia_ready_data(&taker.ready, 0), data);
	end(&taker);
}

/* Nobody rouses a taker that is awake. */
static void
quiet_taker_is_roused_only_while_it_listens(void **state)
{
	struct taker taker;

	(void)state;
	begin_as(&taker, 2 * BITS, MIA_READY_IS_QUIET);
	for (unsigned round = 0; round < 3; round++) {
		assert_true(mia_ready_is_empty(&taker.ready));
		wake(&taker, BITS);
		wake(&taker, 1);
		assert_int_equal(taker.rouses, round);
		assert_false(mia_ready_is_empty(&taker.ready));
		assert_false(mia_ready_listen(&taker.ready));

		struct mia_ready_batch batch = mia_ready_take(&taker.ready);

		assert_false(batch.roused);
		assert_int_equal(mia_ready_pop(&batch), BITS);
		assert_int_equal(mia_ready_pop(&batch), 1);
		assert_int_equal(mia_ready_pop(&batch), MIA_READY_NONE);
		assert_true(mia_ready_listen(&taker.ready));
		assert_true(mia_ready_is_empty(&taker.ready));
		wake(&taker, 3);
		wake(&taker, BITS);
		assert_int_equal(taker.rouses, round + 1);
		batch = mia_ready_take(&taker.ready);
		assert_true(batch.roused);
		assert_int_equal(mia_ready_pop(&batch), 3);
		wake(&taker, 3); /* it is awake */
		assert_int_equal(mia_ready_pop(&batch), BITS);
		assert_int_equal(mia_ready_pop(&batch), MIA_READY_NONE);
		assert_int_equal(taker.rouses, round + 1);
		assert_taken(&taker, 1, (size_t[]){3});
	}

	/* It listens, and looks without a wake. Then it is quiet. */
	assert_true(mia_ready_listen(&taker.ready));
	assert_taken(&taker, 0, NULL);
	assert_false(mia_ready_take(&taker.ready).roused);
	wake(&taker, 0);
	assert_int_equal(taker.rouses, 3);
	end(&taker);
}

/*
 * Many threads wake, and one sleeps on the semaphore that rouse() posts. Three
 * kinds of numbers lie in the same groups:
 *
 *   counted  any thread adds one, relaxed, and wakes
 *   handed   one thread writes plain data and wakes, and goes on once the taker
 *            has read the data. ThreadSanitizer sees if the wake orders it.
 *   late     any thread wakes, and nobody uses the number
 */
enum kind { COUNTED, HANDED, LATE, KINDS };
enum { NUMBERS = 300 };

static struct {
	atomic_uint counted;
	atomic_bool is_handed;
	unsigned handed;
} numbers[NUMBERS];

static enum kind
kind_of(size_t n)
{
	return (enum kind)(n % KINDS);
}

struct work {
	struct taker *taker;
	atomic_size_t *running;
	size_t me;
	size_t nthreads;
	uint64_t seed;
};

static void
work_on(struct work *work, size_t n)
{
	switch (kind_of(n)) {
	case COUNTED:
		atomic_fetch_add_explicit(
			&numbers[n].counted, 1, memory_order_relaxed);
		break;
	case HANDED:
		if (n / KINDS % work->nthreads != work->me ||
			atomic_load_explicit(
				&numbers[n].is_handed, memory_order_acquire))
			return;
		numbers[n].handed++;
		atomic_store_explicit(
			&numbers[n].is_handed, true, memory_order_relaxed);
		break;
	case LATE:
	case KINDS:
		break;
	}
	wake(work->taker, n);
}

static void *
work_run(void *arg)
{
	struct work *work = arg;

	for (int i = 0; i < TEST_ROUNDS(100000); i++) {
		const uint64_t random = test_random(&work->seed);

		work_on(work, (size_t)(random % NUMBERS));
		if ((random >> 32) % 64 == 0)
			mia_thread_yield();
	}
	if (atomic_fetch_sub(work->running, 1) == 1)
		mia_sem_post(&work->taker->sem);
	return NULL;
}

static struct {
	unsigned counted[NUMBERS];
	unsigned handed[NUMBERS];
	unsigned batches;
	unsigned roused; /* batches */
} seen;

static void
take_all(struct taker *taker)
{
	struct mia_ready_batch batch = mia_ready_take(&taker->ready);
	size_t n = mia_ready_pop(&batch);

	if (n != MIA_READY_NONE)
		seen.batches++;
	seen.roused += batch.roused;
	for (; n != MIA_READY_NONE; n = mia_ready_pop(&batch)) {
		switch (kind_of(n)) {
		case COUNTED:
			seen.counted[n] = atomic_load_explicit(
				&numbers[n].counted, memory_order_relaxed);
			break;
		case HANDED:
			seen.handed[n] = numbers[n].handed;
			atomic_store_explicit(&numbers[n].is_handed, false,
				memory_order_release);
			break;
		case LATE:
		case KINDS:
			break;
		}
	}
}

/* Sleeps until somebody rouses it. A quiet taker sleeps only if it listens. */
static void
sleep_until_roused(struct taker *taker)
{
	if (mia_ready_listen(&taker->ready))
		mia_sem_wait(&taker->sem);
}

static void
run_many_threads(enum mia_ready_taker kind)
{
	const size_t nthreads = 2 * mia_usable_cpus() + 2;
	pthread_t *threads = calloc(nthreads, sizeof(*threads));
	struct work *works = calloc(nthreads, sizeof(*works));
	atomic_size_t running = nthreads;
	uint64_t seed = test_seed("wakes of many threads");
	struct taker taker;

	memset(&seen, 0, sizeof(seen));
	memset(numbers, 0, sizeof(numbers));
	begin_as(&taker, NUMBERS, kind);
	for (size_t i = 0; i < nthreads; i++) {
		works[i] = (struct work){
			&taker, &running, i, nthreads, test_random(&seed)};
		pthread_create(&threads[i], NULL, work_run, &works[i]);
	}

	/* Only a rouse makes it look. */
	while (atomic_load(&running) > 0) {
		sleep_until_roused(&taker);
		take_all(&taker);
	}
	for (size_t i = 0; i < nthreads; i++)
		pthread_join(threads[i], NULL);
	take_all(&taker);

	printf("%zu threads, %u batches, %u roused\n", nthreads, seen.batches,
		seen.roused);
	for (size_t i = 0; i < NUMBERS; i++) {
		assert_int_equal(seen.counted[i], numbers[i].counted);
		assert_int_equal(seen.handed[i], numbers[i].handed);
	}

	/* Every batch that was not taken awake was announced, by one wake. */
	assert_int_equal(taker.rouses, seen.roused);
	if (kind == MIA_READY_LISTENS)
		assert_int_equal(taker.rouses, seen.batches);
	assert_true(mia_ready_is_empty(&taker.ready));
	free(threads);
	free(works);
	end(&taker);
}

static void
no_wake_of_many_threads_is_lost(void **state)
{
	(void)state;
	run_many_threads(MIA_READY_LISTENS);
}

static void
no_wake_is_lost_by_a_quiet_taker(void **state)
{
	(void)state;
	run_many_threads(MIA_READY_IS_QUIET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_is_taken_once_after_many_wakes),
		cmocka_unit_test(every_number_has_a_wake_of_its_own),
		cmocka_unit_test(only_the_first_wake_into_an_empty_list_rouses),
		cmocka_unit_test(earliest_group_comes_first),
		cmocka_unit_test(wakes_while_a_batch_is_taken_are_not_lost),
		cmocka_unit_test(data_stays_valid_when_the_room_grows),
		cmocka_unit_test(room_that_is_there_is_kept),
		cmocka_unit_test(quiet_taker_is_roused_only_while_it_listens),
		cmocka_unit_test(no_wake_of_many_threads_is_lost),
		cmocka_unit_test(no_wake_is_lost_by_a_quiet_taker),
	};

	/* A list that is not right may have no end. */
	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
