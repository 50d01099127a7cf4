/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_backlog.c -- tests crew/backlog: order, no lost item, no false emptiness
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crew/backlog.h"
#include "crew/queue.h"
#include "system.h"

struct item {
	struct mia_backlog_node node; /* first: a node is its item */
	unsigned taken;               /* not atomic: one thread has the item */
};

static struct item *
pop(struct mia_backlog *backlog)
{
	struct item *item = (struct item *)(void *)mia_backlog_pop(backlog);

	/* A popped item may be freed, so its link is invalid. */
	if (item != NULL)
		memset(&item->node, 0xff, sizeof(item->node));
	return item;
}

static void
new_backlog_is_empty(void **state)
{
	struct mia_backlog backlog;

	(void)state;
	assert_int_equal(mia_backlog_init(&backlog, 1), 0);
	assert_true(mia_backlog_is_empty(&backlog));
	assert_int_equal(mia_backlog_length(&backlog), 0);
	assert_null(mia_backlog_pop(&backlog));
	mia_backlog_fini(&backlog);
}

static void
absurd_capacities_are_refused(void **state)
{
	struct mia_backlog backlog;

	(void)state;
	assert_int_equal(mia_backlog_init(&backlog, SIZE_MAX), -EINVAL);
	assert_int_equal(mia_backlog_init(&backlog, SIZE_MAX / 2), -EINVAL);
}

/* Far more than the ring holds, and than one pop takes from the overflow. */
static void
one_thread_gets_items_in_the_order_of_the_pushes(void **state)
{
	static struct item items[1000];
	uint64_t seed = test_seed("backlog");

	(void)state;
	for (size_t ring = 1; ring <= 9; ring++) {
		struct mia_backlog backlog;
		size_t pushed = 0, popped = 0;

		assert_int_equal(mia_backlog_init(&backlog, ring), 0);
		while (popped < 1000) {
			const size_t rises = test_random(&seed) % 250;
			const size_t falls = test_random(&seed) % 250;

			for (size_t i = 0; i < rises && pushed < 1000; i++)
				mia_backlog_push(
					&backlog, &items[pushed++].node);
			assert_int_equal(
				mia_backlog_length(&backlog), pushed - popped);
			assert_int_equal(mia_backlog_is_empty(&backlog),
				pushed == popped);
			for (size_t i = 0; i < falls && popped < pushed; i++) {
				assert_ptr_equal(
					pop(&backlog), &items[popped++]);
				assert_int_equal(mia_backlog_length(&backlog),
					pushed - popped);
			}
			if (popped == pushed)
				assert_null(pop(&backlog));
		}
		assert_true(mia_backlog_is_empty(&backlog));
		mia_backlog_fini(&backlog);
	}
}

/* Pushes for a pop that has found the ring empty. */
static struct mia_backlog *meanwhile;
static struct item late[10];

void *__real_mia_queue_pop(struct mia_queue *queue);
void *__wrap_mia_queue_pop(struct mia_queue *queue);

void *
__wrap_mia_queue_pop(struct mia_queue *queue)
{
	void *node = __real_mia_queue_pop(queue);
	struct mia_backlog *backlog = meanwhile;

	if (backlog != NULL) {
		meanwhile = NULL;
		for (size_t i = 0; i < 10; i++)
			mia_backlog_push(backlog, &late[i].node);
	}
	return node;
}

static void
pushes_during_a_pop_keep_their_order(void **state)
{
	struct mia_backlog backlog;

	(void)state;
	for (size_t ring = 1; ring <= 12; ring++) {
		assert_int_equal(mia_backlog_init(&backlog, ring), 0);
		meanwhile = &backlog;

		struct item *item = pop(&backlog);

		/* Where all fit into the ring it has found nothing. */
		if (item == NULL)
			item = pop(&backlog);
		for (size_t i = 0; i < 10; i++) {
			assert_ptr_equal(item, &late[i]);
			item = pop(&backlog);
		}
		assert_null(item);
		mia_backlog_fini(&backlog);
	}
}

/* Many producers and consumers; every consumer pushes some items once more. */
enum { PRODUCERS = 3, CONSUMERS = 3, ITEMS = 20000, AGAIN = 3 };

struct stress {
	struct mia_backlog backlog;
	size_t nitems; /* of each producer */
	atomic_size_t popped;
};

struct producer {
	struct stress *stress;
	struct item *items;
	uint64_t seed;
	pthread_t thread;
};

static void *
produce(void *arg)
{
	struct producer *p = arg;
	struct stress *s = p->stress;

	for (size_t i = 0; i < s->nitems; i++) {
		mia_backlog_push(&s->backlog, &p->items[i].node);
		/* The overflow has items for a time, and then has none. */
		if (test_random(&p->seed) % 16 == 0)
			while (mia_backlog_length(&s->backlog) > 40)
				sched_yield();
	}
	return NULL;
}

static void *
consume(void *arg)
{
	struct stress *s = arg;
	const size_t all = s->nitems * PRODUCERS * AGAIN;

	while (atomic_load(&s->popped) < all) {
		struct item *item = pop(&s->backlog);

		if (item == NULL) {
			sched_yield();
			continue;
		}
		if (++item->taken < AGAIN)
			mia_backlog_push(&s->backlog, &item->node);
		atomic_fetch_add(&s->popped, 1);
	}
	return NULL;
}

static void
many_threads_get_every_item_once(void **state)
{
	static const size_t rings[] = {1, 3, 64};
	static struct item items[PRODUCERS][ITEMS];
	uint64_t seed = test_seed("backlog");

	(void)state;
	for (size_t r = 0; r < 3; r++) {
		struct stress s = {.nitems = TEST_ROUNDS(ITEMS)};
		struct producer producers[PRODUCERS];
		pthread_t consumers[CONSUMERS];

		memset(items, 0, sizeof(items));
		assert_int_equal(mia_backlog_init(&s.backlog, rings[r]), 0);
		for (size_t i = 0; i < PRODUCERS; i++) {
			producers[i] = (struct producer){.stress = &s,
				.items = items[i],
				.seed = test_random(&seed)};
			pthread_create(&producers[i].thread, NULL, produce,
				&producers[i]);
		}
		for (size_t i = 0; i < CONSUMERS; i++)
			pthread_create(&consumers[i], NULL, consume, &s);
		for (size_t i = 0; i < PRODUCERS; i++)
			pthread_join(producers[i].thread, NULL);
		for (size_t i = 0; i < CONSUMERS; i++)
			pthread_join(consumers[i], NULL);

		for (size_t i = 0; i < PRODUCERS; i++)
			for (size_t j = 0; j < s.nitems; j++)
				assert_int_equal(items[i][j].taken, AGAIN);
		assert_int_equal(s.popped, s.nitems * PRODUCERS * AGAIN);
		assert_null(pop(&s.backlog));
		assert_true(mia_backlog_is_empty(&s.backlog));
		assert_int_equal(mia_backlog_length(&s.backlog), 0);
		mia_backlog_fini(&s.backlog);
	}
}

/*
 * A thread fills ring and overflow, and takes all items but the last, which
 * moves from the overflow to the ring meanwhile. A look that begins and ends
 * within this time must not find the backlog empty.
 */
struct move {
	struct mia_backlog backlog;
	atomic_size_t period; /* odd: the last item is there */
	atomic_bool stop;
	size_t missed;
};

static void *
move_items(void *arg)
{
	struct move *m = arg;
	struct item items[7];
	size_t period = 0;

	while (!atomic_load(&m->stop)) {
		/* Two items fit in the ring, two and more do not. */
		const size_t n = 4 + period / 2 % 4;

		for (size_t i = 0; i < n; i++)
			mia_backlog_push(&m->backlog, &items[i].node);
		atomic_store(&m->period, ++period);
		for (size_t i = 0; i + 1 < n; i++)
			m->missed += pop(&m->backlog) != &items[i];
		atomic_store(&m->period, ++period);
		m->missed += pop(&m->backlog) != &items[n - 1];
	}
	return NULL;
}

static void
backlog_is_not_empty_while_an_item_moves_to_the_ring(void **state)
{
	struct move m = {.stop = false};
	pthread_t thread;
	size_t empty = 0, looks = 0;

	(void)state;
	assert_int_equal(mia_backlog_init(&m.backlog, 2), 0);
	pthread_create(&thread, NULL, move_items, &m);
	for (int i = 0; i < TEST_ROUNDS(20000000); i++) {
		const size_t period = atomic_load(&m.period);
		const bool is_empty = mia_backlog_is_empty(&m.backlog);

		if (period % 2 == 1 && atomic_load(&m.period) == period) {
			empty += is_empty;
			looks++;
		}
	}
	atomic_store(&m.stop, true);
	pthread_join(thread, NULL);
	printf("%zu looks at a moving item\n", looks);
	assert_int_equal(empty, 0);
	assert_int_equal(m.missed, 0);
	assert_true(mia_backlog_is_empty(&m.backlog));
	mia_backlog_fini(&m.backlog);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_backlog_is_empty),
		cmocka_unit_test(absurd_capacities_are_refused),
		cmocka_unit_test(
			one_thread_gets_items_in_the_order_of_the_pushes),
		cmocka_unit_test(pushes_during_a_pop_keep_their_order),
		cmocka_unit_test(many_threads_get_every_item_once),
		cmocka_unit_test(
			backlog_is_not_empty_while_an_item_moves_to_the_ring),
	};

	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
