/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_fork_kept_states.c -- tests movers/data_mover_threads: a fork while
 * other threads are inside of the mover, or while the library calls the program
 *
 * The other threads hold still at the fork, in the state that the test names.
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "kept_child.h"
#include "libminiasync.h"

/* A waker that holds its worker. */
static sem_t in_waker, leave_waker;

static void
wake_at_gate(void *data)
{
	(void)data;
	sem_post(&in_waker);
	await(&leave_waker);
	sem_post(&leave_waker); /* for a further call */
}

static void
lose_in_waker(void)
{
	struct future_notifier other = own_notifier();
	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

	check_lost(0, NULL);
	check_lost(1, &other); /* replaces the waker that is running */
	/* In the parent polls wait for a running waker, for 20 ms and more. */
	CHILD_CHECK(test_clock_ns(CLOCK_MONOTONIC) - start_ns < 20 * MS ||
		!TEST_IS_FAST);
	use_and_delete();
}

static void
running_wakers_are_not_waited_for(void **state)
{
	struct future_notifier notifier = {.waker = {.wake = wake_at_gate}};

	(void)state;
	sem_init(&in_waker, 0, 0);
	sem_init(&leave_waker, 0, 0);
	dmt = gated_mover(2, 4);
	for (int i = 0; i < 2; i++)
		copy_begin(i, N, &notifier);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	open_gate(2);
	for (int i = 0; i < 2; i++)
		assert_true(await(&in_waker));
	ASSERT_CHILD(lose_in_waker);
	sem_post(&leave_waker);
	for (int i = 0; i < 2; i++)
		FUTURE_BUSY_POLL(&f[i]);
	data_mover_threads_delete(dmt);
	sem_destroy(&in_waker);
	sem_destroy(&leave_waker);
}

/* Another thread is inside of all locks at the fork. */
static sem_t locked, unlock;

static void *
hold_locks(void *arg)
{
	const struct mia_sharing *sharing = &dmt->crew.sharing;

	mia_mutex_lock(&dmt->crew.backlog.lock);
	for (unsigned i = 0; i < sharing->nstripes; i++)
		mia_mutex_lock(&sharing->stripes[i].lock);
	sem_post(&locked);
	await(&unlock);
	for (unsigned i = 0; i < sharing->nstripes; i++)
		mia_mutex_unlock(&sharing->stripes[i].lock);
	mia_mutex_unlock(&dmt->crew.backlog.lock);
	return arg;
}

static void
locks_of_others_are_not_entered(void **state)
{
	pthread_t thread;

	(void)state;
	sem_init(&locked, 0, 0);
	sem_init(&unlock, 0, 0);
	dmt = mover_new(2, 1);
	assert_int_equal(pthread_create(&thread, NULL, hold_locks, NULL), 0);
	assert_true(await(&locked));
	ASSERT_CHILD(use_and_delete);
	sem_post(&unlock);
	pthread_join(thread, NULL);
	data_mover_threads_delete(dmt);
	sem_destroy(&locked);
	sem_destroy(&unlock);
}

/* A completion that the worker has locked: see operation/completion.c. */
static void
locked_completion_is_lost(void **state)
{
	struct mia_threads_operation *op;
	struct future_notifier notifier = own_notifier();

	(void)state;
	dmt = gated_mover(1, 1);
	for (int i = 0; i < 2; i++)
		copy_begin(i, N, &notifier);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	for (int i = 0; i < 2; i++) {
		op = f[i].data.data;
		atomic_store(&op->completion.state, MIA_COMPLETION_LOCKED);
	}
	ASSERT_CHILD(lose_in_waker);
	for (int i = 0; i < 2; i++) {
		op = f[i].data.data;
		atomic_store(&op->completion.state, MIA_COMPLETION_PENDING);
	}
	open_gate(2);
	for (int i = 0; i < 2; i++)
		FUTURE_BUSY_POLL(&f[i]);
	data_mover_threads_delete(dmt);
}

/* A task forks while its thread has kept a copy, in the same wait. */
FUTURE(task_fut, int, pid_t);

static enum future_state
fork_task(struct future_context *context, struct future_notifier *notifier)
{
	pid_t *child = future_context_get_output(context);

	if (notifier != NULL)
		notifier->notifier_used = FUTURE_NOTIFIER_NONE;
	*child = fork();
	if (*child == 0)
		alarm(CHILD_SECONDS);
	return FUTURE_STATE_COMPLETE;
}

static void
wait_goes_on_in_the_child(void **state)
{
	struct runtime *runtime = runtime_new();
	struct task_fut task;
	struct future *futs[3];

	(void)state;
	dmt = mover_new(2, 4);
	for (int i = 0; i < 2; i++) {
		f[i] = vdm_memcpy(vdm(), dst[i], src, SHARED, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	FUTURE_INIT(&task, fork_task);
	futs[2] = FUTURE_AS_RUNNABLE(&task);
	runtime_wait_multiple(runtime, futs, 3);

	const pid_t child = *FUTURE_OUTPUT(&task);

	if (child == 0) {
		for (int i = 0; i < 2; i++)
			CHILD_CHECK(FUTURE_OUTPUT(&f[i])->result ==
				VDM_ERROR_JOB_CORRUPTED);
		use_and_delete();
		_exit(0);
	}
	assert_int_equal(child_status(child), 0);
	for (int i = 0; i < 2; i++)
		assert_memory_equal(dst[i], src, SHARED);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
}

/* A function and a waker fork, and return in the child. */
static pid_t forked;

/* As if the thread that polls were inside of the completion at the fork. */
static void
fork_here(void)
{
	struct mia_threads_operation *op = f[0].data.data;

	forked = fork();
	if (forked == 0) {
		alarm(CHILD_SECONDS);
		atomic_store(&op->completion.state, MIA_COMPLETION_LOCKED);
	}
}

static void
wake_by_fork(void *data)
{
	fork_here();
	if (forked != 0)
		sem_post(data);
}

static void *
memset_by_fork(void *to, int c, size_t n, unsigned flags)
{
	(void)flags;
	fork_here();
	return memset(to, c, n);
}

/* The worker is the only thread of the child, and ends. */
static void
worker_that_has_forked_ends(void **state)
{
	sem_t sem;
	struct future_notifier notifier = {
		.waker = {.wake = wake_by_fork, .data = &sem}};

	(void)state;
	/* They take what the main thread owned for a leak, or crash. */
	if (TEST_SLOWDOWN > 1)
		TEST_LEFT_OUT("sanitizers do not support the end of a worker");
	sem_init(&sem, 0, 0);
	dmt = gated_mover(1, 4);
	copy_begin(0, N, &notifier);
	open_gate(1);
	assert_true(await(&sem));
	assert_int_equal(child_status(forked), 0);
	FUTURE_BUSY_POLL(&f[0]);

	notifier.waker.wake = wake_by_post;
	data_mover_threads_set_memset_fn(dmt, memset_by_fork);
	f[0] = vdm_memset(vdm(), dst[0], 3, N, 0);
	future_poll(FUTURE_AS_RUNNABLE(&f[0]), &notifier);
	assert_true(await(&sem));
	assert_int_equal(child_status(forked), 0);
	FUTURE_BUSY_POLL(&f[0]);
	data_mover_threads_delete(dmt);
	sem_destroy(&sem);
}

/*
 * Fork handlers of the program. In the child they run before the library's, if
 * they were registered before.
 */
static bool handlers_are_on;

static void
handle_before(void)
{
	if (handlers_are_on) {
		f[1] = vdm_memcpy(vdm(), dst[1], src, N, 0);
		FUTURE_BUSY_POLL(&f[1]);
	}
}

static void
handle_in_child(void)
{
	if (!handlers_are_on)
		return;
	alarm(CHILD_SECONDS);
	check_lost(0, NULL);
	check_new_operations();
}

__attribute__((constructor(101))) static void
register_early(void)
{
	if (pthread_atfork(handle_before, handle_before, handle_in_child) != 0)
		abort();
}

static void
fork_handlers_that_come_first(void **state)
{
	(void)state;
	dmt = gated_mover(2, 4);
	copy_begin(0, N, NULL);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	handlers_are_on = true;
	const pid_t child = child_start(use_and_delete);

	handlers_are_on = false;
	assert_int_equal(child_status(child), 0);
	open_gate(1);
	FUTURE_BUSY_POLL(&f[0]);
	assert_int_equal(FUTURE_OUTPUT(&f[0])->result, VDM_SUCCESS);
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(running_wakers_are_not_waited_for),
		cmocka_unit_test(locks_of_others_are_not_entered),
		cmocka_unit_test(locked_completion_is_lost),
		cmocka_unit_test(wait_goes_on_in_the_child),
		cmocka_unit_test(worker_that_has_forked_ends),
		cmocka_unit_test(fork_handlers_that_come_first),
	};

	kept_child_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
