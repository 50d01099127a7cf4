/* SPDX-License-Identifier: BSD-3-Clause */

/* test_forks.c -- tests system/forks: what parents, children and threads see */

#include "test.h"

#include <stdbool.h>
#if !defined(_WIN32)
#include <pthread.h>
#include <stdatomic.h>

#include "child.h"
#endif
#include "system/forks.h"

#if defined(_WIN32)

static void
only_children_are_forked(void **state)
{
	(void)state;
	assert_false(mia_forked_since(mia_forks()));
}

static void
handlers_that_come_first(void **state)
{
	(void)state;
	TEST_LEFT_OUT("this system has no fork()");
}

static void
fork_of_a_fork_handler(void **state)
{
	(void)state;
	TEST_LEFT_OUT("this system has no fork()");
}

static void
other_threads_of_the_parent(void **state)
{
	(void)state;
	TEST_LEFT_OUT("this system has no fork()");
}

#else

static uint32_t first; /* of the parent */

static void
look_in_child(void)
{
	const uint32_t here = mia_forks();

	CHILD_CHECK(mia_forked_since(first));
	CHILD_CHECK(here != first && !mia_forked_since(here));

	const pid_t child = fork();

	if (child == 0) {
		CHILD_CHECK(mia_forked_since(first));
		CHILD_CHECK(mia_forked_since(here));
		CHILD_CHECK(!mia_forked_since(mia_forks()));
		_exit(0);
	}
	CHILD_CHECK(child_status(child) == 0);
	CHILD_CHECK(mia_forks() == here && !mia_forked_since(here));
}

static void
only_children_are_forked(void **state)
{
	(void)state;
	first = mia_forks();
	for (int i = 0; i < 3; i++) {
		ASSERT_CHILD(look_in_child);
		assert_false(mia_forked_since(first));
		assert_int_equal(mia_forks(), first);
	}
}

/*
 * Handlers that run last before the fork, and first after it: after those of
 * the library, and before them.
 */
static enum { IDLE, LOOK, LOOK_AND_FORK } handlers;
static int nlooks;
static uint32_t early; /* as an early handler sees it in the child */

static void
look_in_parent(void)
{
	if (handlers == IDLE)
		return;
	if (mia_forked_since(first) || mia_forks() != first)
		abort();
	nlooks++;
}

static void
look_before(void)
{
	look_in_parent();
	if (handlers != LOOK_AND_FORK)
		return;
	handlers = IDLE;
	if (child_status(child_start(look_in_child)) != 0)
		abort();
	handlers = LOOK_AND_FORK;
}

static void
look_first_in_child(void)
{
	if (handlers == IDLE)
		return;
	CHILD_CHECK(mia_forked_since(first));
	early = mia_forks();
	CHILD_CHECK(!mia_forked_since(early));
}

__attribute__((constructor(101))) static void
register_early(void)
{
	if (pthread_atfork(look_before, look_in_parent, look_first_in_child) !=
		0)
		abort();
}

/* What an early handler made is not forked afterwards. */
static void
look_as_the_handler_did(void)
{
	CHILD_CHECK(mia_forks() == early && !mia_forked_since(early));
	handlers = IDLE;
	look_in_child();
}

static void
handlers_that_come_first(void **state)
{
	(void)state;
	first = mia_forks();
	nlooks = 0;
	handlers = LOOK;
	ASSERT_CHILD(look_as_the_handler_did);
	handlers = IDLE;
	assert_int_equal(nlooks, 2);
}

static void
fork_of_a_fork_handler(void **state)
{
	(void)state;
	first = mia_forks();
	nlooks = 0;
	handlers = LOOK_AND_FORK;
	ASSERT_CHILD(look_as_the_handler_did);
	handlers = IDLE;
	assert_int_equal(nlooks, 2);
	assert_int_equal(mia_forks(), first);
	/* Nothing is under way. */
	assert_int_equal(atomic_load(&mia_forks_word), first);
}

static atomic_bool stop;

static void *
look_again_and_again(void *arg)
{
	while (!atomic_load(&stop))
		if (mia_forked_since(first))
			return arg;
	return NULL;
}

static void
end(void)
{
}

static void
other_threads_of_the_parent(void **state)
{
	pthread_t thread;
	void *seen;
	char any;

	(void)state;
	first = mia_forks();
	assert_int_equal(
		pthread_create(&thread, NULL, look_again_and_again, &any), 0);
	for (int i = 0; i < TEST_ROUNDS(200); i++)
		ASSERT_CHILD(end);
	atomic_store(&stop, true);
	pthread_join(thread, &seen);
	assert_null(seen);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_children_are_forked),
		cmocka_unit_test(handlers_that_come_first),
		cmocka_unit_test(fork_of_a_fork_handler),
		cmocka_unit_test(other_threads_of_the_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
