/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wakes.c -- tests movers/data_mover_threads: how many searchers a poll
 * asks for, by the sizes of the operations that wait
 *
 * A gate holds all workers, so the operations stay in the backlog. The linker
 * puts __wrap_mia_idle_notify in the place of the function that wakes workers.
 * Which of the searchers are woken is a matter of test_idle.
 */

#include <sched.h>
#include <stdatomic.h>

#include "crew/idle.h"
#include "threads_mover.h"

#define WORKERS 2
#define MAX_OPERATIONS 8

static _Thread_local size_t asked; /* by this thread, the last time */

void __real_mia_idle_notify(struct mia_idle *idle, size_t searchers);
void __wrap_mia_idle_notify(struct mia_idle *idle, size_t searchers);

void
__wrap_mia_idle_notify(struct mia_idle *idle, size_t searchers)
{
	asked = searchers;
	__real_mia_idle_notify(idle, searchers);
}

static char dst[MAX_OPERATIONS][SHARED];

/* A function of the program that holds its worker. */
static atomic_uint nheld;

static void *
hold(void *to, const void *from, size_t n, unsigned flags)
{
	atomic_fetch_add_explicit(&nheld, 1, memory_order_relaxed);
	return memcpy_at_gate(to, from, n, flags);
}

/* The second: its first poll offers to work, and another one does not. */
enum poller { PROGRAM, WAIT_THAT_GIVES_UP };

static void
offer_to_work(struct future *fut)
{
	struct future_notifier n = {.padding = FUTURE_NOTIFIER_INLINE_};

	n.poller.ptr_to_monitor = future_notifier_offer_impl(&n);
	future_poll(fut, &n);
	assert_int_equal(n.padding, FUTURE_NOTIFIER_WORK_);
}

/*
 * Starts operations of these sizes, in turn, while no worker is free. Returns
 * in searchers[] what each of them asked for.
 */
static void
start(enum poller poller, const size_t sizes[], size_t searchers[], size_t n)
{
	static struct vdm_operation_future held[WORKERS], f[MAX_OPERATIONS];
	static char to[WORKERS][64], from[64];
	struct data_mover_threads *dmt = gated_mover(WORKERS, 64);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	data_mover_threads_set_memcpy_fn(dmt, hold);
	atomic_store_explicit(&nheld, 0, memory_order_relaxed);
	for (int i = 0; i < WORKERS; i++) {
		held[i] = vdm_memcpy(vdm, to[i], from, sizeof(from), 0);
		future_poll(FUTURE_AS_RUNNABLE(&held[i]), NULL);
	}
	while (atomic_load_explicit(&nheld, memory_order_relaxed) < WORKERS)
		sched_yield();

	for (size_t i = 0; i < n; i++) {
		asked = 0;
		f[i] = vdm_memset(vdm, dst[i], 1, sizes[i], 0);
		if (poller == WAIT_THAT_GIVES_UP)
			offer_to_work(FUTURE_AS_RUNNABLE(&f[i]));
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		searchers[i] = asked;
	}

	open_gate(WORKERS);
	for (int i = 0; i < WORKERS; i++)
		FUTURE_BUSY_POLL(&held[i]);
	for (size_t i = 0; i < n; i++)
		FUTURE_BUSY_POLL(&f[i]);
	data_mover_threads_delete(dmt);
}

static void
smaller_operations_ask_for_one_searcher(void **state)
{
	const size_t sizes[] = {64 * KIB, 192 * KIB, 64 * KIB, 20 * KIB};
	size_t searchers[4];

	(void)state;
	start(PROGRAM, sizes, searchers, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(searchers[i], 1);
}

static void
big_operations_ask_for_a_searcher_for_each_that_waits(void **state)
{
	const size_t sizes[] = {
		256 * KIB, 256 * KIB, 64 * KIB, 64 * KIB, 1024 * KIB};
	size_t searchers[5];

	(void)state;
	start(PROGRAM, sizes, searchers, 5);
	assert_int_equal(searchers[0], 1);
	assert_int_equal(searchers[1], 2);
	assert_int_equal(searchers[2], 1);
	assert_int_equal(searchers[3], 1);
	assert_int_equal(searchers[4], 5);
}

static void
shared_operations_ask_for_a_helper_too(void **state)
{
	const size_t sizes[] = {1024 * KIB, 2048 * KIB, SHARED};
	size_t searchers[3];

	(void)state;
	start(PROGRAM, sizes, searchers, 3);
	assert_int_equal(searchers[0], 1);
	assert_int_equal(searchers[1], 3);
	assert_int_equal(searchers[2], 4);
}

/* Work that is handed over remains open, so a helper may begin with it. */
static void
larger_operations_that_are_given_up_ask_for_a_helper_too(void **state)
{
	const size_t sizes[] = {64 * KIB, 1024 * KIB, 2048 * KIB, SHARED};
	size_t searchers[4];

	(void)state;
	start(WAIT_THAT_GIVES_UP, sizes, searchers, 4);
	assert_int_equal(searchers[0], 1);
	assert_int_equal(searchers[1], 2);
	assert_int_equal(searchers[2], 4);
	assert_int_equal(searchers[3], 5);
}

static void
operations_of_the_poll_ask_for_nobody(void **state)
{
	const size_t sizes[] = {1, 16 * KIB, 16 * KIB + 1};
	size_t searchers[3];

	(void)state;
	start(PROGRAM, sizes, searchers, 3);
	assert_int_equal(searchers[0], 0);
	assert_int_equal(searchers[1], 0);
	assert_int_equal(searchers[2], 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smaller_operations_ask_for_one_searcher),
		cmocka_unit_test(
			big_operations_ask_for_a_searcher_for_each_that_waits),
		cmocka_unit_test(shared_operations_ask_for_a_helper_too),
		cmocka_unit_test(
			larger_operations_that_are_given_up_ask_for_a_helper_too),
		cmocka_unit_test(operations_of_the_poll_ask_for_nobody),
	};

	sem_init(&gate, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
