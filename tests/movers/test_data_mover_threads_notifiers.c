/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_notifiers.c -- tests movers/data_mover_threads: the
 * three ways to notify that an operation is complete; polls, wakers and words
 */

#include "test.h"

#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>

#include "libminiasync.h"
#include "threads_mover.h"
#include "wakers.h"

/* Small: the poll does it; but a waker of ours is always called. */
static void
small_operations_are_done_by_the_poll(void **state)
{
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct counter waker;
	char a[64] = "a", b[64] = "b";

	(void)state;
	struct vdm_operation_future f = vdm_memcpy(vdm, a, b, 64, 0);

	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_COMPLETE);
	assert_string_equal(a, "b");

	f = vdm_memset(vdm, a, 'c', 64, 0);
	counter_init(&waker);
	struct future_notifier n = {.waker = {&waker, wake_counter}};

	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) !=
		FUTURE_STATE_COMPLETE) {
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_WAKER);
		assert_true(await(&waker.sem));
	}
	assert_true(waker.calls >= 1);
	assert_int_equal(a[0], 'c');

	/* A waker without a function is none. */
	n.waker.wake = NULL;
	f = vdm_memset(vdm, a, 'd', 64, 0);
	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
	data_mover_threads_delete(dmt);
	counter_fini(&waker);
}

static void
notifiers_of_the_other_kinds(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct counter waker;
	struct future_notifier n = {.waker = {&waker, wake_counter}};

	(void)state;
	counter_init(&waker);
	for (int kind = 0; kind < 2; kind++) {
		struct data_mover_threads *dmt = data_mover_threads_new(1, 4,
			kind ? FUTURE_NOTIFIER_POLLER : FUTURE_NOTIFIER_NONE);

		data_mover_threads_set_memcpy_fn(dmt, memcpy_at_gate);
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);

		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_RUNNING);
		assert_int_equal(n.notifier_used,
			kind ? FUTURE_NOTIFIER_POLLER : FUTURE_NOTIFIER_NONE);
		if (kind) {
			const uint64_t *word = n.poller.ptr_to_monitor;
			const uint64_t old =
				__atomic_load_n(word, __ATOMIC_RELAXED);

			open_gate(1);
			while (__atomic_load_n(word, __ATOMIC_RELAXED) == old)
				sched_yield();
		} else {
			open_gate(1);
		}
		FUTURE_BUSY_POLL(&f);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		data_mover_threads_delete(dmt);
	}
	assert_int_equal(waker.calls, 0);
	counter_fini(&waker);
}

/*
 * All operations of a chain have the same slot. A thread that watches the chain
 * sees the word change at each end, also if an operation ends before the next
 * look.
 */
static void
no_word_takes_a_value_that_it_had(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 4, FUTURE_NOTIFIER_POLLER);
	uint64_t last = 0;
	void *slot = NULL;

	(void)state;
	data_mover_threads_set_memcpy_fn(dmt, memcpy_at_gate);
	for (int i = 0; i < 4; i++) {
		struct future_notifier n = {.waker = {NULL, NULL}};
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);

		assert_true(slot == NULL || slot == f.data.data);
		slot = f.data.data;
		/* Also an operation that began without a notifier. */
		if (i % 2)
			future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_RUNNING);

		const uint64_t *word = n.poller.ptr_to_monitor;
		const uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED);

		assert_true(before >= last);
		open_gate(1);
		while (__atomic_load_n(word, __ATOMIC_RELAXED) == before)
			sched_yield();
		last = __atomic_load_n(word, __ATOMIC_RELAXED);
		assert_true(last > before);
		FUTURE_BUSY_POLL(&f);
	}
	data_mover_threads_delete(dmt);
}

/*
 * A thread that watches a chain may hold the word of an operation that another
 * poll has ended. Then the program may delete the mover. AddressSanitizer
 * checks that the word still exists.
 */
static void
words_outlive_their_mover(void **state)
{
	enum { N = TEST_SLOWDOWN > 10 ? 100 : 2000 };
	static char src[HANDED_OVER], dst[HANDED_OVER];
	static struct vdm_operation_future f[N];
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 4, FUTURE_NOTIFIER_POLLER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	uint64_t *words[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		struct future_notifier n = {.waker = {NULL, NULL}};

		f[i] = vdm_memcpy(vdm, dst, src, HANDED_OVER, 0);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), &n);
		words[i] = n.notifier_used == FUTURE_NOTIFIER_POLLER
			? n.poller.ptr_to_monitor
			: NULL;
	}
	for (int i = 0; i < N; i++)
		FUTURE_BUSY_POLL(&f[i]);
	data_mover_threads_delete(dmt);
	for (int i = 0; i < N; i++)
		if (words[i] != NULL)
			assert_true(__atomic_load_n(words[i],
					    __ATOMIC_RELAXED) != UINT64_MAX);
}

/* The last notifier counts. Polls without a notifier do not change it. */
static void
last_notifier_counts(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt = gated_mover(1, 4);
	struct counter wakers[2];
	struct future_notifier n[2];
	struct vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(dmt), dst, src, HANDED_OVER, 0);
	struct future *fut = FUTURE_AS_RUNNABLE(&f);

	(void)state;
	for (int i = 0; i < 2; i++) {
		counter_init(&wakers[i]);
		n[i] = (struct future_notifier){
			.waker = {&wakers[i], wake_counter}};
	}
	assert_int_equal(future_poll(fut, NULL), FUTURE_STATE_RUNNING);
	for (int i = 0; i < 2; i++) {
		n[i].notifier_used = FUTURE_NOTIFIER_NONE;
		assert_int_equal(future_poll(fut, &n[i]), FUTURE_STATE_RUNNING);
		assert_int_equal(n[i].notifier_used, FUTURE_NOTIFIER_WAKER);
	}
	assert_int_equal(future_poll(fut, NULL), FUTURE_STATE_RUNNING);
	open_gate(1);
	assert_true(await(&wakers[1].sem));
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(wakers[0].calls, 0);
	data_mover_threads_delete(dmt);
	counter_fini(&wakers[0]);
	counter_fini(&wakers[1]);
}

/* A caller may start it once more without a notifier. */
static void
start_once_more_without_a_notifier_leaves_the_last(void **state)
{
	struct data_mover_threads *dmt = gated_mover(1, 1);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct counter w;
	struct future_notifier n = {.waker = {&w, wake_counter}};
	char a = 0, b = 'b';
	struct vdm_operation_future f = vdm_memcpy(vdm, &a, &b, 1, 0);

	(void)state;
	counter_init(&w);
	assert_int_equal(
		future_poll(FUTURE_AS_RUNNABLE(&f), &n), FUTURE_STATE_RUNNING);
	assert_int_equal(
		vdm->op_start(f.data.data, &f.data.operation, NULL), 0);
	open_gate(1);
	assert_true(await(&w.sem));
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(a, 'b');
	assert_called(w.calls, 1);
	data_mover_threads_delete(dmt);
	counter_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_operations_are_done_by_the_poll),
		cmocka_unit_test(notifiers_of_the_other_kinds),
		cmocka_unit_test(no_word_takes_a_value_that_it_had),
		cmocka_unit_test(words_outlive_their_mover),
		cmocka_unit_test(last_notifier_counts),
		cmocka_unit_test(
			start_once_more_without_a_notifier_leaves_the_last),
	};

	sem_init(&gate, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
