/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_abandoned_kept.c -- tests copies whose work was kept for a thread that
 * does not wait any more: its pieces, and that the copy goes on
 */

#include "kept.h"

#include "event.h"
#include "libminiasync.h"
#include "old_headers.h"

enum { PIECES = 12 };

#define BYTES (PIECES * PIECE_BYTES + 1000)

static unsigned char dst[2 * BYTES], expected[2 * BYTES], before[2 * BYTES];

enum form { PLAIN, UPWARDS, DOWNWARDS, OLD, CHAIN };

#define FORMS (CHAIN + 1)

/* A copy, and a chain of one. */
struct chain_data {
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, copy);
};

FUTURE(chain, struct chain_data, char);

struct copy {
	enum form form;
	struct data_mover_threads *dmt;
	struct vdm_operation_future plain;
	struct chain chain;
};

static struct future *
future_of(struct copy *c)
{
	return c->form == CHAIN ? FUTURE_AS_RUNNABLE(&c->chain)
				: FUTURE_AS_RUNNABLE(&c->plain);
}

static void
copy_init(struct copy *c, enum form form)
{
	const bool overlaps = form == UPWARDS || form == DOWNWARDS;
	const size_t apart = overlaps ? 12345 : BYTES;
	const size_t to = form == DOWNWARDS ? apart : 0;
	const size_t from = form == DOWNWARDS ? 0 : apart;

	memcpy(dst, before, sizeof(dst));
	memcpy(expected, before, sizeof(dst));
	memmove(&expected[to], &expected[from], BYTES);
	c->form = form;
	c->dmt = held_mover(FUTURE_NOTIFIER_WAKER);

	/* The holders were started with the program's function. */
	data_mover_threads_set_memcpy_fn(c->dmt, NULL);
	mia_threads_init_speed(c->dmt);
	c->plain = vdm_memmove(data_mover_threads_get_vdm(c->dmt), &dst[to],
		&dst[from], BYTES, 0);
	if (form == OLD)
		c->plain.base.task = old_operation_poll;
	if (form == CHAIN) {
		FUTURE_CHAIN_ENTRY_INIT(
			&c->chain.data.copy, c->plain, NULL, NULL);
		FUTURE_CHAIN_INIT(&c->chain);
	}
	count_pieces();
}

static void
copy_fini(struct copy *c)
{
	assert_int_equal(future_of(c)->context.state, FUTURE_STATE_COMPLETE);
	assert_true(memcmp(dst, expected, sizeof(dst)) == 0);
	data_mover_threads_delete(c->dmt);
}

/* Without the help of a poll. */
static void
await_worker(void)
{
	for (int i = 0; i < 60000 && atomic_load(&other_pieces) == 0; i++)
		test_sleep_ns(MS);
	assert_true(atomic_load(&other_pieces) > 0);
}

/* The clock is read after each piece, so one piece is done after the time. */
static void
copy_goes_on_without_the_wait(void **state)
{
	struct runtime *runtime = runtime_new();

	(void)state;
	for (int form = 0; form < FORMS; form++) {
		struct copy c;
		struct future *fut;

		copy_init(&c, (enum form)form);
		fut = future_of(&c);
		assert_int_equal(runtime_wait_some(runtime, &fut, 1, 1, 1), 0);
		if (form == OLD) /* its second poll brings no offer */
			assert_int_equal(here_pieces, 0);
		else
			assert_int_equal(here_pieces, 1);

		/* A worker will get it, and nobody polls. */
		assert_false(mia_backlog_is_empty(&c.dmt->crew.backlog));
		release(c.dmt);
		await_worker();
		while (future_poll(fut, NULL) != FUTURE_STATE_COMPLETE)
			sched_yield();
		copy_fini(&c);
	}
	runtime_delete(runtime);
}

/* No time at all: handed over in the first poll, and no piece is done. */
static void
single_poll_hands_over(void **state)
{
	struct runtime *runtime = runtime_new();

	(void)state;
	for (int form = 0; form < FORMS; form++) {
		struct copy c;
		struct future *fut;

		copy_init(&c, (enum form)form);
		fut = future_of(&c);
		assert_int_equal(runtime_wait_some(runtime, &fut, 1, 1, 0), 0);
		assert_int_equal(here_pieces, 0);
		assert_false(mia_backlog_is_empty(&c.dmt->crew.backlog));
		release(c.dmt);
		runtime_wait(runtime, fut);
		copy_fini(&c);
	}
	runtime_delete(runtime);
}

/* Enough others are complete: the copy is handed over, too. */
static void
copy_goes_on_when_enough_are_complete(void **state)
{
	struct runtime *runtime = runtime_new();
	char a = 'a', b = 'b';

	(void)state;
	for (int form = 0; form < FORMS; form++) {
		struct copy c;
		struct data_mover_sync *dms = data_mover_sync_new();
		struct vdm_operation_future tiny;
		struct future *futs[2];

		copy_init(&c, (enum form)form);
		assert_non_null(dms);
		tiny = vdm_memcpy(data_mover_sync_get_vdm(dms), &a, &b, 1, 0);
		futs[0] = future_of(&c);
		futs[1] = FUTURE_AS_RUNNABLE(&tiny);
		assert_int_equal(runtime_wait_some(runtime, futs, 2, 1, -1), 1);
		assert_false(mia_backlog_is_empty(&c.dmt->crew.backlog));
		release(c.dmt);
		runtime_wait_multiple(runtime, futs, 2);
		copy_fini(&c);
		data_mover_sync_delete(dms);
	}
	runtime_delete(runtime);
}

/* The same copy is waited for again and again, while no worker is free. */
static void
copy_is_handed_over_once(void **state)
{
	struct runtime *runtime = runtime_new();

	(void)state;
	for (int form = 0; form < FORMS; form++) {
		struct copy c;
		struct future *fut;

		copy_init(&c, (enum form)form);
		fut = future_of(&c);
		for (int i = 0; i < 5; i++)
			assert_int_equal(
				runtime_wait_some(runtime, &fut, 1, 1, 1000),
				0);
		release(c.dmt);
		assert_int_equal(runtime_wait_some(runtime, &fut, 1, 1, -1), 1);
		copy_fini(&c);
	}
	runtime_delete(runtime);
}

/* The first copy takes a few pieces. None of the second is done after them. */
static void
no_piece_is_done_when_enough_are_complete(void **state)
{
	static unsigned char other[BYTES];
	static const unsigned char untouched[BYTES];
	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct vdm_operation_future f[2];
	struct future *futs[2];

	(void)state;
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	f[0] = vdm_memcpy(vdm, dst, before, PIECE_BYTES + 50 * KIB, 0);
	f[1] = vdm_memcpy(vdm, other, before, BYTES, 0);
	for (int i = 0; i < 2; i++)
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	assert_int_equal(runtime_wait_some(runtime, futs, 2, 1, -1), 1);
	assert_int_equal(futs[0]->context.state, FUTURE_STATE_COMPLETE);
	assert_memory_equal(other, untouched, BYTES);
	release(dmt);
	runtime_wait(runtime, futs[1]);
	assert_memory_equal(other, before, BYTES);
	data_mover_threads_delete(dmt);
	runtime_delete(runtime);
}

enum { MANY = 101 };

static struct event events[MANY + 1];

/* Calls the wakers of two events, whose waits have given up. */
static enum future_state
wake_two_events(struct future_context *context, struct future_notifier *n)
{
	if (context->state != FUTURE_STATE_IDLE)
		return FUTURE_STATE_COMPLETE;
	event_wake(&events[0]);
	event_wake(&events[1]);
	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	return FUTURE_STATE_RUNNING;
}

FUTURE(task_future, char, char);

/*
 * Both late wakes are for the number that the copy has now. Between the two
 * waits that gave up, the wait has got room for more futures.
 */
static void
late_wakes_of_several_waits_do_not_lose_a_copy(void **state)
{
	struct runtime *runtime = runtime_new();
	struct event_future f[MANY + 1];
	struct task_future waking;
	struct future *futs[MANY];
	struct copy c;

	(void)state;
	for (int i = 0; i <= MANY; i++)
		f[i] = event_future(&events[i], FUTURE_NOTIFIER_WAKER);
	futs[0] = FUTURE_AS_RUNNABLE(&f[0]);
	assert_int_equal(runtime_wait_some(runtime, futs, 1, 1, 1), 0);
	for (int i = 0; i < MANY; i++)
		futs[i] = FUTURE_AS_RUNNABLE(&f[i + 1]);
	assert_int_equal(runtime_wait_some(runtime, futs, MANY, 1, 1), 0);

	copy_init(&c, PLAIN);
	release(c.dmt);
	FUTURE_INIT(&waking, wake_two_events);
	futs[0] = future_of(&c);
	futs[1] = FUTURE_AS_RUNNABLE(&waking);
	runtime_wait_multiple(runtime, futs, 2);
	copy_fini(&c);
	runtime_delete(runtime);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KEPT_TEST(copy_goes_on_without_the_wait),
		KEPT_TEST(single_poll_hands_over),
		KEPT_TEST(copy_goes_on_when_enough_are_complete),
		KEPT_TEST(copy_is_handed_over_once),
		KEPT_TEST(no_piece_is_done_when_enough_are_complete),
		KEPT_TEST(late_wakes_of_several_waits_do_not_lose_a_copy),
	};

	sem_init(&gate, 0, 0);
	fill(before, sizeof(before), 3);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
