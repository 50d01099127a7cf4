/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_own_wakers.c -- tests movers/data_mover_threads:
 * wakers that poll their own future, or start operations
 */

#include "test.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "threads_mover.h"
#include "wakers.h"

/* A waker that polls its future when another thread has given up waiting. */
struct given_up {
	sem_t begun, go, done;
	struct future *fut;
	atomic_int state;
};

static void
given_up_wake(void *data)
{
	struct given_up *g = data;

	sem_post(&g->begun);
	await(&g->go);
	atomic_store(&g->state, (int)future_poll(g->fut, NULL));
	sem_post(&g->done);
}

static void
waker_that_another_poll_gave_up_may_poll_its_own_future(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct given_up g = {.state = FUTURE_STATE_IDLE};
	struct future_notifier n = {.waker = {&g, given_up_wake}};

	(void)state;
	sem_init(&g.begun, 0, 0);
	sem_init(&g.go, 0, 0);
	sem_init(&g.done, 0, 0);
	for (int i = 0; i < 3; i++) {
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);

		g.fut = FUTURE_AS_RUNNABLE(&f);
		assert_int_equal(future_poll(g.fut, &n), FUTURE_STATE_RUNNING);
		assert_true(await(&g.begun));
		assert_int_equal(
			future_poll(g.fut, NULL), FUTURE_STATE_RUNNING);
		sem_post(&g.go);
		assert_true(await(&g.done));
		assert_int_equal(g.state, FUTURE_STATE_COMPLETE);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	}
	data_mover_threads_delete(dmt);
	sem_destroy(&g.begun);
	sem_destroy(&g.go);
	sem_destroy(&g.done);
}

/* A waker that polls its own future, on the heap, and frees it. */
struct own {
	struct vdm_operation_future f;
	uint64_t src, dst;
	struct own_test *test;
	bool renotifies;
	bool again;
};

struct own_test {
	sem_t done;
	atomic_int not_complete, wrong;
};

static void
own_last_wake(void *data)
{
	struct own *own = data;
	struct own_test *test = own->test;

	if (future_poll(FUTURE_AS_RUNNABLE(&own->f), NULL) ==
		FUTURE_STATE_RUNNING)
		atomic_fetch_add(&test->not_complete, 1);
	memset(own, 0xee, sizeof(*own));
	free(own);
	sem_post(&test->done);
}

/*
 * The next operation gets the slot of the last one. The mover has one worker,
 * which is inside the waker. So no other wake comes before the end of the poll.
 */
static void
own_start_again(struct own *own)
{
	struct future_notifier n = {.waker = {own, own_last_wake}};
	void *slot = own->f.data.data;

	own->src++;
	own->f = vdm_memcpy(own->f.data.vdm, &own->dst, &own->src, 8, 0);
	if (own->f.data.data != slot ||
		future_poll(FUTURE_AS_RUNNABLE(&own->f), &n) !=
			FUTURE_STATE_RUNNING)
		atomic_fetch_add(&own->test->wrong, 1);
}

static void
own_wake(void *data)
{
	struct own *own = data;
	struct own_test *test = own->test;
	/* A new waker, so that the poll does not wait for the running one. */
	struct future_notifier n = {.waker = {own, own_last_wake}};

	if (future_poll(FUTURE_AS_RUNNABLE(&own->f),
		    own->renotifies ? &n : NULL) != FUTURE_STATE_COMPLETE)
		atomic_fetch_add(&test->not_complete, 1);
	if (own->dst != own->src)
		atomic_fetch_add(&test->wrong, 1);
	if (own->again) {
		own_start_again(own);
		return;
	}
	memset(own, 0xee, sizeof(*own));
	free(own);
	sem_post(&test->done);
}

/*
 * The polls of two threads must not overlap. So the first poll ends before the
 * gate opens for the worker.
 */
static void
waker_may_poll_its_own_future_and_free_it(void **state)
{
	enum { N = 16 };
	struct own_test test;

	(void)state;
	sem_init(&gate, 0, 0);
	memset(&test, 0, sizeof(test));
	sem_init(&test.done, 0, 0);
	for (int i = 0; i < TEST_ROUNDS(2000); i++) {
		const size_t workers = 1 + (size_t)i % 3;
		struct data_mover_threads *dmt = mover_new(workers, 128);

		data_mover_threads_set_memcpy_fn(dmt, memcpy_at_gate);
		for (int k = 0; k < N; k++) {
			struct own *own = malloc(sizeof(*own));

			assert_non_null(own);
			*own = (struct own){.test = &test,
				.renotifies = k % 2,
				.again = workers == 1,
				.src = (uint64_t)i};
			own->f = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				&own->dst, &own->src, 8, 0);
			struct future_notifier n = {.waker = {own, own_wake}};

			assert_int_equal(
				future_poll(FUTURE_AS_RUNNABLE(&own->f), &n),
				FUTURE_STATE_RUNNING);
		}
		for (int k = 0; k < (workers == 1 ? 2 : 1) * N; k++)
			open_gate(1);
		for (int k = 0; k < N; k++)
			assert_true(await(&test.done));
		data_mover_threads_delete(dmt);
	}
	assert_int_equal(test.not_complete, 0);
	assert_int_equal(test.wrong, 0);
	sem_destroy(&test.done);
}

/* A waker that starts the next operation, which has the same waker. */
struct step {
	struct starter *starter;
	atomic_uint wakes;
	struct vdm_operation_future f;
};

struct starter {
	struct vdm *vdm;
	sem_t done;
	size_t left;
	atomic_uint idle;
	uint64_t src, dst;
	struct step *steps; /* one for each left */
};

static void start_next(struct starter *s);

/* Is called again if the poll in start_next() waits too long for its return. */
static void
step_wake(void *data)
{
	struct step *step = data;

	if (atomic_fetch_add(&step->wakes, 1) == 0)
		start_next(step->starter);
}

static void
start_next(struct starter *s)
{
	if (s->left == 0) {
		sem_post(&s->done);
		return;
	}
	struct step *step = &s->steps[--s->left];
	struct future_notifier n = {.waker = {step, step_wake}};

	step->starter = s;
	s->src++;
	step->f = vdm_memcpy(s->vdm, &s->dst, &s->src, 8, 0);
	/* After this poll the next waker may run. */
	if (future_poll(FUTURE_AS_RUNNABLE(&step->f), &n) == FUTURE_STATE_IDLE)
		atomic_fetch_add(&s->idle, 1);
}

static void
waker_may_start_further_operations(void **state)
{
	const size_t n = TEST_ROUNDS(20000);

	(void)state;
	for (size_t workers = 1; workers <= 4; workers++) {
		struct data_mover_threads *dmt = mover_new(workers, 8);
		struct starter s = {
			.vdm = data_mover_threads_get_vdm(dmt), .left = n};

		s.steps = calloc(n, sizeof(*s.steps));
		assert_non_null(s.steps);
		sem_init(&s.done, 0, 0);
		start_next(&s);
		assert_true(await(&s.done));
		/* After the last poll, which may still be inside of a waker. */
		data_mover_threads_delete(dmt);
		assert_int_equal(s.idle, 0);
		assert_int_equal(s.dst, n);
		sem_destroy(&s.done);
		free(s.steps);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			waker_that_another_poll_gave_up_may_poll_its_own_future),
		cmocka_unit_test(waker_may_poll_its_own_future_and_free_it),
		cmocka_unit_test(waker_may_start_further_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
