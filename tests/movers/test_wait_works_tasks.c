/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait_works_tasks.c -- tests waits whose thread works, with tasks of the
 * program between the runtime and the mover, and with waits inside of waits
 *
 * A task may pass the notifier that it got to its own futures, or a copy of it,
 * or another one. Whatever it does, no wait stalls without the safety net.
 */

#include "works.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "wakers.h"

#define MANY 8
#define SUBS 2

static const enum future_notifier_type kinds[] = {
	FUTURE_NOTIFIER_WAKER, FUTURE_NOTIFIER_POLLER, FUTURE_NOTIFIER_NONE};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define MAX_SIZE (2 * 1024 * KIB)

static const size_t sizes[] = {1, 20 * KIB, 64 * KIB, 300 * KIB, MAX_SIZE};

/* Under drd a wait for 16 copies of the last ones takes minutes. */
#define SIZES (sizeof(sizes) / sizeof(sizes[0]) - (TEST_SLOWDOWN > 10 ? 2 : 0))

static unsigned char *src, *dst[2 * SUBS * MANY];

static struct vdm_operation_future
copy_to(struct vdm *vdm, size_t place, size_t size)
{
	memset(dst[place], 0, size);
	return vdm_memcpy(vdm, dst[place], src + place, size, 0);
}

static void
check_copy(size_t place, size_t size)
{
	WORKS_CHECK(memcmp(dst[place], src + place, size) == 0);
}

/* What a join passes to its two futures. */
enum passes {
	PASSES_GIVEN,    /* the notifier that it got */
	PASSES_COPY,     /* a copy of that */
	PASSES_OWN,      /* one with a waker of its own */
	PASSES_OWN_COPY, /* a copy, with a waker of its own */
	PASSES_BORROWED, /* the one it got, with a waker of its own meanwhile */
	PASSES_NULL,
	PASSES_FIRST, /* the notifier that it got, but only in the first poll */
};

#define PASSES (PASSES_FIRST + 1)

/* A future of a join, and the waker of the join's own for it. */
struct sub {
	struct vdm_operation_future f;
	struct future_waker outer;
	atomic_uint woken;
	bool announced; /* polled again only after a wake */
	void (*before_wake)(void);
};

struct join {
	struct sub subs[SUBS];
	enum passes passes;
	unsigned polls;
};

struct join_data {
	struct join *join;
};

FUTURE(join_future, struct join_data, char);

static void
sub_wake(void *data)
{
	struct sub *sub = data;
	const struct future_waker outer = sub->outer;

	if (sub->before_wake != NULL)
		sub->before_wake();
	atomic_store(&sub->woken, 1);
	FUTURE_WAKER_WAKE(&outer);
}

/* Returns how the end will be announced. */
static enum future_notifier_type
sub_poll(struct join *join, struct sub *sub, struct future_notifier *n)
{
	const struct future_waker own = {sub, sub_wake};
	struct future *fut = FUTURE_AS_RUNNABLE(&sub->f);
	struct future_notifier other = {.notifier_used = FUTURE_NOTIFIER_NONE};
	struct future_notifier *passed = &other;

	if (join->polls == 1)
		sub->outer = n->waker; /* the wait's, in all polls */
	switch (join->passes) {
	case PASSES_GIVEN:
	case PASSES_BORROWED:
		passed = n;
		break;
	case PASSES_COPY:
	case PASSES_OWN_COPY:
		other = *n;
		break;
	case PASSES_OWN:
		break;
	case PASSES_NULL:
		passed = NULL;
		break;
	case PASSES_FIRST:
		passed = join->polls == 1 ? n : NULL;
		break;
	}

	const bool has_own = join->passes == PASSES_OWN ||
		join->passes == PASSES_OWN_COPY ||
		join->passes == PASSES_BORROWED;

	/* The program need not poll before its waker has been called. */
	if (has_own && sub->announced && !atomic_exchange(&sub->woken, 0))
		return FUTURE_NOTIFIER_WAKER;
	if (passed == NULL) {
		future_poll(fut, NULL);
		return FUTURE_NOTIFIER_NONE;
	}

	if (has_own)
		passed->waker = own;
	passed->notifier_used = FUTURE_NOTIFIER_NONE;
	future_poll(fut, passed);
	passed->waker = sub->outer;
	sub->announced =
		has_own && passed->notifier_used == FUTURE_NOTIFIER_WAKER;
	return passed->notifier_used;
}

static enum future_state
join_task(struct future_context *context, struct future_notifier *n)
{
	struct join_data *data = future_context_get_data(context);
	struct join *join = data->join;
	enum future_notifier_type answer = FUTURE_NOTIFIER_WAKER;
	bool complete = true;

	join->polls++;
	for (int i = 0; i < SUBS; i++) {
		struct sub *sub = &join->subs[i];

		if (sub->f.base.context.state == FUTURE_STATE_COMPLETE)
			continue;

		const enum future_notifier_type sub_answer =
			sub_poll(join, sub, n);

		if (sub->f.base.context.state == FUTURE_STATE_COMPLETE)
			continue;
		complete = false;
		if (sub_answer != FUTURE_NOTIFIER_WAKER)
			answer = FUTURE_NOTIFIER_NONE;
	}
	if (join->passes != PASSES_GIVEN)
		n->notifier_used = answer;
	return complete ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

static struct join_future
join_init(struct join *join, struct vdm *vdm, enum passes passes, size_t place,
	size_t size)
{
	struct join_future f;

	join->passes = passes;
	join->polls = 0;
	for (size_t i = 0; i < SUBS; i++) {
		struct sub *sub = &join->subs[i];

		sub->f = copy_to(vdm, place + i, size);
		sub->announced = false;
		sub->before_wake = NULL;
		atomic_store(&sub->woken, 0);
	}
	f.data.join = join;
	FUTURE_INIT(&f, join_task);
	return f;
}

/* So many joins, and before each a copy of the wait's own. */
static void
wait_for_joins(struct vdm *vdm, enum passes passes, size_t n, size_t size)
{
	static struct join joins[MANY];
	static struct join_future join_futures[MANY];
	static struct vdm_operation_future copies[MANY];
	struct future *futs[2 * MANY];
	const size_t place = SUBS * MANY;

	for (size_t i = 0; i < n; i++) {
		copies[i] = copy_to(vdm, place + i, size);
		futs[2 * i] = FUTURE_AS_RUNNABLE(&copies[i]);
		join_futures[i] =
			join_init(&joins[i], vdm, passes, SUBS * i, size);
		futs[2 * i + 1] = FUTURE_AS_RUNNABLE(&join_futures[i]);
	}
	if (n == 1)
		works_wait(runtime, &futs[1], 1);
	else
		works_wait(runtime, futs, 2 * n);
	for (size_t i = 0; i < SUBS * n; i++)
		check_copy(i, size);
	for (size_t i = 0; i < n && n > 1; i++)
		check_copy(place + i, size);
}

static void
joins_finish(enum passes passes)
{
	for (size_t k = 0; k < KINDS; k++)
		for (size_t workers = 1; workers <= 4; workers += 3) {
			struct data_mover_threads *dmt =
				works_mover(workers, kinds[k]);
			struct vdm *vdm = data_mover_threads_get_vdm(dmt);

			for (size_t r = 0; r < works_rounds(5); r++)
				for (size_t i = 0; i < SIZES; i++) {
					wait_for_joins(
						vdm, passes, 1, sizes[i]);
					wait_for_joins(
						vdm, passes, MANY, sizes[i]);
				}
			data_mover_threads_delete(dmt);
		}
}

#define JOIN_TEST(name, passes) \
	static void name(void **state) \
	{ \
		(void)state; \
		joins_finish(passes); \
	}

JOIN_TEST(join_passes_the_notifier_on, PASSES_GIVEN)
JOIN_TEST(join_passes_a_copy_on, PASSES_COPY)
JOIN_TEST(join_passes_its_own_waker, PASSES_OWN)
JOIN_TEST(join_passes_a_copy_with_its_own_waker, PASSES_OWN_COPY)
JOIN_TEST(join_lends_the_notifier_its_own_waker, PASSES_BORROWED)
JOIN_TEST(join_passes_no_notifier, PASSES_NULL)
JOIN_TEST(join_passes_the_notifier_on_once, PASSES_FIRST)

/* Waits inside of waits */

static struct vdm *inner_vdm;
static size_t inner_size;
static atomic_uint ninner;

/* Waits for copies, on the mover and the runtime that the caller is inside. */
static void
wait_for_inner_copies(void)
{
	enum { INNER = 4 };
	static _Thread_local struct vdm_operation_future f[INNER];
	struct future *futs[INNER];
	unsigned char *to = works_filled(INNER * inner_size, 0);

	for (size_t i = 0; i < INNER; i++) {
		f[i] = vdm_memcpy(
			inner_vdm, to + i * inner_size, src + i, inner_size, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	works_wait(runtime, futs, INNER);
	for (size_t i = 0; i < INNER; i++)
		WORKS_CHECK(
			memcmp(to + i * inner_size, src + i, inner_size) == 0);
	free(to);
	atomic_fetch_add(&ninner, 1);
}

static void
waker_of_a_join_waits(void **state)
{
	static struct join joins[MANY];
	static struct join_future f[MANY];
	struct future *futs[MANY];

	(void)state;
	for (size_t r = 0; r < works_rounds(10); r++)
		for (size_t i = 1; i < SIZES; i++) {
			struct data_mover_threads *dmt =
				works_mover(1 + r % 3, FUTURE_NOTIFIER_WAKER);

			inner_vdm = data_mover_threads_get_vdm(dmt);
			inner_size = sizes[(r + i) % SIZES];
			atomic_store(&ninner, 0);
			for (size_t k = 0; k < MANY; k++) {
				f[k] = join_init(&joins[k], inner_vdm,
					PASSES_OWN, SUBS * k, sizes[i]);
				for (size_t s = 0; s < SUBS; s++)
					joins[k].subs[s].before_wake =
						wait_for_inner_copies;
				futs[k] = FUTURE_AS_RUNNABLE(&f[k]);
			}
			works_wait(runtime, futs, MANY);
			for (size_t k = 0; k < SUBS * MANY; k++)
				check_copy(k, sizes[i]);
			assert_true(atomic_load(&ninner) >= SUBS * MANY);
			data_mover_threads_delete(dmt);
		}
}

static void
wait_and_post(void *data)
{
	wait_for_inner_copies();
	sem_post(data);
}

/* The same on a worker, without a wait around it. */
static void
waker_on_a_worker_waits(void **state)
{
	sem_t woken;

	(void)state;
	sem_init(&woken, 0, 0);
	for (size_t r = 0; r < works_rounds(10); r++)
		for (size_t i = 1; i < SIZES; i++) {
			struct data_mover_threads *dmt =
				works_mover(1 + r % 2, FUTURE_NOTIFIER_WAKER);
			struct future_notifier n = {
				.waker = {&woken, wait_and_post}};

			inner_vdm = data_mover_threads_get_vdm(dmt);
			inner_size = sizes[(r + i) % SIZES];

			struct vdm_operation_future f =
				copy_to(inner_vdm, 0, sizes[i]);

			future_poll(FUTURE_AS_RUNNABLE(&f), &n);
			assert_true(await(&woken));
			FUTURE_BUSY_POLL(&f);
			check_copy(0, sizes[i]);
			data_mover_threads_delete(dmt);
		}
	sem_destroy(&woken);
}

static enum future_state
nested_task(struct future_context *context, struct future_notifier *n)
{
	unsigned *left = future_context_get_data(context);

	(void)n;
	wait_for_inner_copies();
	return --*left == 0 ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

FUTURE(nested_future, unsigned, char);

static void
task_waits_inside_of_its_poll(void **state)
{
	static struct vdm_operation_future copies[MANY];
	static struct nested_future nested[MANY];
	struct future *futs[2 * MANY];

	(void)state;
	for (size_t r = 0; r < works_rounds(6); r++)
		for (size_t i = 0; i < SIZES; i++) {
			struct data_mover_threads *dmt =
				works_mover(1 + r % 3, kinds[r % KINDS]);

			inner_vdm = data_mover_threads_get_vdm(dmt);
			inner_size = sizes[(r + i) % SIZES];
			for (size_t k = 0; k < MANY; k++) {
				copies[k] = copy_to(inner_vdm, k, sizes[i]);
				futs[2 * k] = FUTURE_AS_RUNNABLE(&copies[k]);
				nested[k].data = 2;
				FUTURE_INIT(&nested[k], nested_task);
				futs[2 * k + 1] =
					FUTURE_AS_RUNNABLE(&nested[k]);
			}
			works_wait(runtime, futs, 2 * MANY);
			for (size_t k = 0; k < MANY; k++)
				check_copy(k, sizes[i]);
			data_mover_threads_delete(dmt);
		}
}

static int
set_up(void **state)
{
	src = works_filled(MAX_SIZE + 2 * SUBS * MANY, 1);
	for (int i = 0; i < 2 * SUBS * MANY; i++)
		dst[i] = works_memory(MAX_SIZE);
	return works_set_up(state);
}

static int
tear_down(void **state)
{
	for (int i = 0; i < 2 * SUBS * MANY; i++)
		free(dst[i]);
	free(src);
	return works_tear_down(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(join_passes_the_notifier_on),
		cmocka_unit_test(join_passes_a_copy_on),
		cmocka_unit_test(join_passes_its_own_waker),
		cmocka_unit_test(join_passes_a_copy_with_its_own_waker),
		cmocka_unit_test(join_lends_the_notifier_its_own_waker),
		cmocka_unit_test(join_passes_no_notifier),
		cmocka_unit_test(join_passes_the_notifier_on_once),
		cmocka_unit_test(waker_of_a_join_waits),
		cmocka_unit_test(waker_on_a_worker_waits),
		cmocka_unit_test(task_waits_inside_of_its_poll),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
