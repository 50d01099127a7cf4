/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue_fd_system.c -- tests wait/completion_queue: descriptors
 * that the system closes or refuses, and canceled threads
 */

#include "queue_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "system.h"

static void
descriptors_are_closed_on_exec_and_by_the_end(void **state)
{
	(void)state;
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);

	const int before = dup(0);

	close(before);
	for (int round = 0; round < 3; round++) {
		struct completion_queue *other = completion_queue_new();

		assert_non_null(other);
		assert_int_equal(completion_queue_fd(other), before);
		completion_queue_delete(other);
	}
	assert_int_equal(dup(0), before);
	close(before);
}

static void
queue_works_without_descriptors_that_the_system_refuses(void **state)
{
	struct rlimit old, few;

	(void)state;
	tear_down(state);
	set_up(state);
	add(0, FUTURE_NOTIFIER_WAKER);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);

	const int next = dup(0);

	close(next);
	for (rlim_t left = 0; left < 3; left++) {
		few = old;
		few.rlim_cur = (rlim_t)next + left;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		errno = 0;
		assert_int_equal(completion_queue_fd(cq), -1);
		assert_int_equal(errno, EMFILE);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);

	const int again = dup(0);

	close(again);
	assert_int_equal(again, next);
	complete(0);
	ASSERT_OUT(reap(N), 0);

	fd = completion_queue_fd(cq);
	assert_int_equal(fd, next);
	add(0, FUTURE_NOTIFIER_WAKER);
	assert_false(is_readable());
	complete(0);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 0);
}

/* A wake that a canceled thread makes is a whole one. */
static void *
wake_and_be_canceled(void *arg)
{
	(void)arg;
	pthread_cancel(pthread_self());
	complete(0);
	pthread_testcancel();
	return NULL;
}

static void
canceled_thread_does_not_lose_its_wake(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	pthread_create(&thread, NULL, wake_and_be_canceled, NULL);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 0);
}

/* Neither is a call of a thread that is to be canceled cut in two. */
static void *
reap_and_be_canceled(void *arg)
{
	size_t *n = arg;

	pthread_cancel(pthread_self());
	for (int i = 0; i < 3; i++) {
		complete(i);
		*n += reap(1);
	}
	*n += completion_queue_wait(cq, out, N, 1, 1000000);
	pthread_testcancel();
	return NULL;
}

static void
canceled_thread_does_not_lose_completions(void **state)
{
	pthread_t thread;
	void *result;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	pthread_create(&thread, NULL, reap_and_be_canceled, &n);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(n, 3);
	assert_false(is_readable());
	complete(3);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_FD_TEST(descriptors_are_closed_on_exec_and_by_the_end),
		QUEUE_FD_TEST(
			queue_works_without_descriptors_that_the_system_refuses),
		QUEUE_FD_TEST(canceled_thread_does_not_lose_its_wake),
		QUEUE_FD_TEST(canceled_thread_does_not_lose_completions),
	};

	/* A lost wake is a loop that waits for ever. */
	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
