/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_fork_kept_movers.c -- tests movers/data_mover_threads: movers that were
 * made before a fork, in the child
 *
 * test_fork_kept_states.c has the states of other threads at the fork, and
 * test_fork_kept_stress.c forks at any moment.
 */

#include "test.h"

#include <pthread.h>
#include <stdbool.h>

#include "kept_child.h"
#include "libminiasync.h"

static void
child_works_in_its_polls(void **state)
{
	static const enum future_notifier_type types[] = {FUTURE_NOTIFIER_NONE,
		FUTURE_NOTIFIER_WAKER, FUTURE_NOTIFIER_POLLER};

	(void)state;
	for (int i = 0; i < 3; i++) {
		dmt = data_mover_threads_new(2, 4, types[i]);
		assert_non_null(dmt);
		ASSERT_CHILD(use_and_delete);
		/* The parent goes on. */
		f[0] = vdm_memcpy(vdm(), dst[0], src, N, 0);
		FUTURE_BUSY_POLL(&f[0]);
		data_mover_threads_delete(dmt);
	}
	dmt = data_mover_threads_default();
	ASSERT_CHILD(use_and_delete);
	data_mover_threads_delete(dmt);
}

/* The thread that called the function. */
static pthread_t caller;
static int ncalls;

static void *
memcpy_that_notes(void *to, const void *from, size_t n, unsigned flags)
{
	(void)flags;
	caller = pthread_self();
	ncalls++;
	return memcpy(to, from, n);
}

static void *
memset_that_notes(void *to, int c, size_t n, unsigned flags)
{
	(void)flags;
	caller = pthread_self();
	ncalls++;
	return memset(to, c, n);
}

static void
use_functions(void)
{
	struct vdm_operation_future new;

	check_copy(N, NULL);
	check_copy(1, NULL);
	CHILD_CHECK(ncalls == 2 && pthread_equal(caller, pthread_self()));
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	data_mover_threads_set_memmove_fn(dmt, memcpy_that_notes);
	data_mover_threads_set_memset_fn(dmt, memset_that_notes);
	check_copy(N, NULL);
	CHILD_CHECK(ncalls == 2);
	new = vdm_memmove(vdm(), dst[0], src, N, 0);
	check_poll(&new, NULL);
	new = vdm_memset(vdm(), dst[0], 5, N, 1U << 9); /* a flag of its own */
	check_poll(&new, NULL);
	CHILD_CHECK(ncalls == 4 && dst[0][N - 1] == 5);
	CHILD_CHECK(data_mover_threads_set_capabilities(dmt, 0) == 0);
	data_mover_threads_delete(dmt);
}

static void
child_calls_functions_and_setters(void **state)
{
	(void)state;
	dmt = mover_new(2, 4);
	data_mover_threads_set_memcpy_fn(dmt, memcpy_that_notes);
	ASSERT_CHILD(use_functions);
	data_mover_threads_delete(dmt);
}

/* Polled with NULL, a notifier of the program, and by a runtime; dropped. */
static void
lose_all(void)
{
	struct future_notifier notifier = own_notifier();
	struct runtime *own = runtime_new();

	check_lost(0, NULL);
	check_lost(1, &notifier);
	runtime_wait(own, FUTURE_AS_RUNNABLE(&f[2]));
	CHILD_CHECK(FUTURE_OUTPUT(&f[2])->result == VDM_ERROR_JOB_CORRUPTED);
	runtime_delete(own);
	use_and_delete();
}

/* One is with a worker, one in the ring, the others in the overflow. */
static void
pending_operations_are_lost(void **state)
{
	struct future_notifier notifier = own_notifier();

	(void)state;
	dmt = gated_mover(1, 1);
	for (int i = 0; i < 6; i++)
		copy_begin(i, N, i % 2 == 0 ? NULL : &notifier);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	for (int i = 0; i < 2; i++)
		ASSERT_CHILD(lose_all);
	open_gate(6);
	for (int i = 0; i < 6; i++) {
		FUTURE_BUSY_POLL(&f[i]);
		assert_int_equal(FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
		assert_memory_equal(dst[i], src, N);
	}
	data_mover_threads_delete(dmt);
}

/* A chain goes on behind the entry that is lost. */
struct entries {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, second);
};
FUTURE(chain_fut, struct entries, struct vdm_operation_output);
static struct chain_fut chain;

static void
end_chain(void)
{
	struct entries *entries = FUTURE_DATA(&chain);

	FUTURE_BUSY_POLL(&chain);
	CHILD_CHECK(FUTURE_OUTPUT(&entries->first.fut)->result ==
		VDM_ERROR_JOB_CORRUPTED);
	CHILD_CHECK(FUTURE_OUTPUT(&entries->second.fut)->result == VDM_SUCCESS);
	CHILD_CHECK(memcmp(dst[1], src, N) == 0);
	data_mover_threads_delete(dmt);
}

static void
chain_goes_on(void **state)
{
	struct entries *entries = FUTURE_DATA(&chain);

	(void)state;
	dmt = gated_mover(1, 1);
	FUTURE_CHAIN_ENTRY_INIT(&entries->first,
		vdm_memcpy(vdm(), dst[0], src, N, 0), NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&entries->second,
		vdm_memcpy(vdm(), dst[1], src, N, 0), NULL, NULL);
	FUTURE_CHAIN_INIT(&chain);
	future_poll(FUTURE_AS_RUNNABLE(&chain), NULL);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	ASSERT_CHILD(end_chain);
	open_gate(1);
	FUTURE_BUSY_POLL(&chain);
	assert_int_equal(
		FUTURE_OUTPUT(&entries->first.fut)->result, VDM_SUCCESS);
	data_mover_threads_delete(dmt);
}

/* The result is there, the waker has returned, and no poll has seen it. */
static void
lose_done(void)
{
	check_lost(0, NULL);
	use_and_delete();
}

static void
complete_operation_without_a_poll_is_lost(void **state)
{
	sem_t sem;
	struct future_notifier notifier = {
		.waker = {.wake = wake_by_post, .data = &sem}};

	(void)state;
	sem_init(&sem, 0, 0);
	dmt = gated_mover(1, 4);
	copy_begin(0, N, &notifier);
	open_gate(1);
	assert_true(await(&sem));
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	data_mover_threads_set_memset_fn(dmt, memset_that_notes);
	struct vdm_operation_future next = vdm_memset(vdm(), dst[1], 1, 1, 0);

	/* The worker takes it after it has left the waker. */
	FUTURE_BUSY_POLL(&next);
	ASSERT_CHILD(lose_done);
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f[0]), NULL),
		FUTURE_STATE_COMPLETE);
	assert_int_equal(FUTURE_OUTPUT(&f[0])->result, VDM_SUCCESS);
	data_mover_threads_delete(dmt);
	sem_destroy(&sem);
}

/* A child of a child; both have movers of their own. */
static void
fork_again(void)
{
	struct data_mover_threads *first = dmt;

	dmt = mover_new(2, 4);
	CHILD_CHECK(child_status(child_start(use_and_delete)) == 0);
	f[0] = vdm_memcpy(vdm(), dst[0], src, N, 0); /* has workers */
	FUTURE_BUSY_POLL(&f[0]);
	data_mover_threads_delete(dmt);
	dmt = first;
	CHILD_CHECK(child_status(child_start(use_and_delete)) == 0);
	use_and_delete();
}

static void
children_of_children(void **state)
{
	(void)state;
	if (!CHILD_HAS_THREADS)
		TEST_LEFT_OUT("threads in a child");
	dmt = mover_new(2, 4);
	ASSERT_CHILD(fork_again);
	data_mover_threads_delete(dmt);
}

/* daemon() ends its caller. A pipe tells that the daemon came to its end. */
static int ends[2];

static void
become_a_daemon(void)
{
	CHILD_CHECK(daemon(1, 1) == 0);
	alarm(CHILD_SECONDS);
	use_and_delete();
	CHILD_CHECK(write(ends[1], "!", 1) == 1);
}

static void
daemon_uses_movers(void **state)
{
	char end = 0;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	dmt = data_mover_threads_default();
	ASSERT_CHILD(become_a_daemon);
	close(ends[1]);
	assert_int_equal(read(ends[0], &end, 1), 1);
	close(ends[0]);
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_works_in_its_polls),
		cmocka_unit_test(child_calls_functions_and_setters),
		cmocka_unit_test(pending_operations_are_lost),
		cmocka_unit_test(chain_goes_on),
		cmocka_unit_test(complete_operation_without_a_poll_is_lost),
		cmocka_unit_test(children_of_children),
		cmocka_unit_test(daemon_uses_movers),
	};

	kept_child_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
