/* SPDX-License-Identifier: BSD-3-Clause */

/* test_queue.c -- tests crew/queue: order, limits, and many threads at once */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crew/queue.h"

static void
first_in_first_out_and_no_more_than_fit(void **state)
{
	static const size_t capacities[] = {1, 2, 3, 8, 100};
	char items[200];

	(void)state;
	for (size_t c = 0; c < 5; c++) {
		struct mia_queue queue;
		size_t pushed = 0, popped = 0, fit = 0;

		assert_int_equal(mia_queue_init(&queue, capacities[c]), 0);
		assert_true(mia_queue_is_empty(&queue));
		assert_null(mia_queue_pop(&queue));
		/* Many laps, each a little further. */
		for (size_t lap = 0; lap < 1000; lap++) {
			while (mia_queue_push(&queue, &items[pushed % 200]))
				pushed++;
			assert_false(mia_queue_is_empty(&queue));
			fit = pushed - popped;
			assert_int_equal(mia_queue_length(&queue), fit);
			assert_true(fit >= capacities[c]);
			assert_true(fit < 2 * capacities[c] + 2);
			for (size_t i = 0; i < 1 + lap % fit; i++)
				assert_ptr_equal(mia_queue_pop(&queue),
					&items[popped++ % 200]);
		}
		while (popped < pushed) {
			assert_int_equal(
				mia_queue_length(&queue), pushed - popped);
			assert_ptr_equal(
				mia_queue_pop(&queue), &items[popped++ % 200]);
		}
		assert_int_equal(mia_queue_length(&queue), 0);
		assert_true(mia_queue_is_empty(&queue));
		mia_queue_fini(&queue);
	}
}

static void
absurd_capacities_are_refused(void **state)
{
	struct mia_queue queue;

	(void)state;
	assert_int_equal(mia_queue_init(&queue, SIZE_MAX), -EINVAL);
	assert_int_equal(mia_queue_init(&queue, SIZE_MAX / 2), -EINVAL);
	/* A cell is a pointer and a number at least. */
	assert_int_equal(
		mia_queue_init(&queue, PTRDIFF_MAX / 2 / sizeof(void *) + 1),
		-EINVAL);
}

/* Positions wrap around, on 32-bit systems after 2^32 items. */
static void
positions_may_wrap(void **state)
{
	struct mia_queue queue;
	char item;

	(void)state;
	assert_int_equal(mia_queue_init(&queue, 2), 0);
	/* One lap before the end, where every turn is that of its lap. */
	const size_t last = (size_t)0 - 2;

	for (int i = 0; i < 2; i++) {
		assert_true(mia_queue_push(&queue, &item));
		assert_ptr_equal(mia_queue_pop(&queue), &item);
	}
	/* The cells' first word is the turn. */
	for (int i = 0; i < 2; i++)
		*(size_t *)(void *)((char *)queue.cells +
			(size_t)i * 2 * sizeof(void *)) = last;
	atomic_store(&queue.head, last);
	atomic_store(&queue.tail, last);
	for (int i = 0; i < 9; i++) {
		assert_true(mia_queue_push(&queue, &item));
		assert_true(i % 2 || mia_queue_push(&queue, &item));
		assert_ptr_equal(mia_queue_pop(&queue), &item);
		if (i % 2 == 0)
			assert_ptr_equal(mia_queue_pop(&queue), &item);
		assert_null(mia_queue_pop(&queue));
	}
	mia_queue_fini(&queue);
}

/* Every item arrives once, those of one producer at one consumer in order. */
#define PRODUCERS 3
#define CONSUMERS 3

struct stress {
	struct mia_queue queue;
	uintptr_t per_producer;
	atomic_size_t popped;
	_Atomic uint64_t sum;
	atomic_int errors;
};

struct producer {
	struct stress *stress;
	uintptr_t number;
};

static void *
produce(void *arg)
{
	struct producer *p = arg;
	struct stress *s = p->stress;

	for (uintptr_t i = 1; i <= s->per_producer; i++)
		while (!mia_queue_push(
			&s->queue, (void *)(i * PRODUCERS + p->number)))
			sched_yield();
	return NULL;
}

static void *
consume(void *arg)
{
	struct stress *s = arg;
	uintptr_t last[PRODUCERS] = {0};

	while (atomic_load(&s->popped) < s->per_producer * PRODUCERS) {
		const uintptr_t item = (uintptr_t)mia_queue_pop(&s->queue);

		if (item == 0) {
			sched_yield();
			continue;
		}
		if (item / PRODUCERS <= last[item % PRODUCERS])
			atomic_fetch_add(&s->errors, 1);
		last[item % PRODUCERS] = item / PRODUCERS;
		atomic_fetch_add(&s->sum, item / PRODUCERS);
		atomic_fetch_add(&s->popped, 1);
	}
	return NULL;
}

static void
every_item_arrives_once(void **state)
{
	static const size_t capacities[] = {1, 7, 128};

	(void)state;
	for (size_t c = 0; c < 3; c++) {
		struct stress s = {.per_producer = TEST_ROUNDS(30000)};
		struct producer producers[PRODUCERS];
		pthread_t threads[PRODUCERS + CONSUMERS];

		assert_int_equal(mia_queue_init(&s.queue, capacities[c]), 0);
		for (size_t i = 0; i < PRODUCERS; i++) {
			producers[i] = (struct producer){&s, i};
			pthread_create(
				&threads[i], NULL, produce, &producers[i]);
		}
		for (size_t i = 0; i < CONSUMERS; i++)
			pthread_create(
				&threads[PRODUCERS + i], NULL, consume, &s);
		for (size_t i = 0; i < PRODUCERS + CONSUMERS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(s.errors, 0);
		assert_int_equal(s.sum,
			PRODUCERS *
				((uint64_t)s.per_producer *
					(s.per_producer + 1) / 2));
		mia_queue_fini(&s.queue);
	}
}

/*
 * The two sides of a sleep. One thread pushes an item and then looks for a
 * sleeper. The other announces its sleep and then looks for an item. These few
 * instructions overlap again and again on two CPUs, and never on one CPU.
 */
#define LAST_ROUND 300000u

struct duel {
	struct mia_queue queue;
	atomic_uint round, answered; /* the last is LAST_ROUND */
	atomic_bool sleeps;
	bool is_empty; /* published by answered */
};

/* Yields when it takes long: the other may need this CPU. */
static void
await_round(atomic_uint *round, unsigned number)
{
	for (unsigned i = 0; atomic_load(round) < number; i++)
		if (i > 300)
			sched_yield();
}

static void
jitter(uint64_t *seed)
{
	for (volatile uint64_t i = test_random(seed) % 32; i > 0; i--)
		continue;
}

static void *
fall_asleep(void *arg)
{
	struct duel *d = arg;
	uint64_t seed = 1;

	for (unsigned round = 0; round < LAST_ROUND;) {
		await_round(&d->round, round + 1);
		round = atomic_load(&d->round);
		jitter(&seed);
		atomic_store(&d->sleeps, true);
		d->is_empty = mia_queue_is_empty(&d->queue);
		atomic_store(&d->answered, round);
	}
	return NULL;
}

static void
pusher_or_sleeper_sees_the_other(void **state)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	struct duel d = {.sleeps = false};
	uint64_t seed = 2;
	unsigned missed = 0, overlaps = 0, rounds = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(mia_queue_init(&d.queue, 4), 0);
	pthread_create(&thread, NULL, fall_asleep, &d);
	while (rounds < LAST_ROUND) {
		/* An emulated CPU does not get through all of them. */
		if (++rounds % 64 == 0 &&
			test_clock_ns(CLOCK_MONOTONIC) - start > 3000 * MS)
			rounds = LAST_ROUND;
		atomic_store(&d.sleeps, false);
		atomic_store(&d.round, rounds);
		jitter(&seed);
		mia_queue_push(&d.queue, &d);
		/* As notify() of the threads mover does. */
		const bool sleeps = atomic_load(&d.sleeps);

		await_round(&d.answered, rounds);
		missed += !sleeps && d.is_empty;
		overlaps += sleeps && !d.is_empty;
		assert_ptr_equal(mia_queue_pop(&d.queue), &d);
	}
	pthread_join(thread, NULL);
	mia_queue_fini(&d.queue);
	printf("%u rounds overlapped\n", overlaps);
	assert_int_equal(missed, 0);
}

/* Of two items, one is there always: a single thread moves them on. */
struct juggle {
	struct mia_queue queue;
	atomic_bool stop;
};

static void *
juggle_run(void *arg)
{
	struct juggle *j = arg;

	while (!atomic_load(&j->stop))
		mia_queue_push(&j->queue, mia_queue_pop(&j->queue));
	return NULL;
}

static void
queue_with_items_is_never_said_to_be_empty(void **state)
{
	struct juggle j = {.stop = false};
	pthread_t thread;
	char items[2];
	int empty = 0;

	(void)state;
	assert_int_equal(mia_queue_init(&j.queue, 2), 0);
	assert_true(mia_queue_push(&j.queue, &items[0]));
	assert_true(mia_queue_push(&j.queue, &items[1]));
	pthread_create(&thread, NULL, juggle_run, &j);
	for (int i = 0; i < TEST_ROUNDS(3000000); i++)
		empty += mia_queue_is_empty(&j.queue);
	atomic_store(&j.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(empty, 0);
	mia_queue_fini(&j.queue);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_in_first_out_and_no_more_than_fit),
		cmocka_unit_test(absurd_capacities_are_refused),
		cmocka_unit_test(positions_may_wrap),
		cmocka_unit_test(every_item_arrives_once),
		cmocka_unit_test(queue_with_items_is_never_said_to_be_empty),
		cmocka_unit_test(pusher_or_sleeper_sees_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
