/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue_memory.c -- tests wait/completion_queue: calls that get
 * no memory
 *
 * The linker puts __wrap_malloc(), __wrap_realloc() and
 * __wrap_mia_aligned_alloc() before the functions.
 */

#include "queue.h"

#include <errno.h>

/* The next allocations that succeed. Negative: all. */
static int allocations_left = -1;

static bool
may_allocate(void)
{
	if (allocations_left == 0) {
		errno = ENOMEM;
		return false;
	}
	if (allocations_left > 0)
		allocations_left--;
	return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_mia_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mia_aligned_alloc(size_t alignment, size_t size);

void *
__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *
__wrap_realloc(void *memory, size_t size)
{
	return may_allocate() ? __real_realloc(memory, size) : NULL;
}

void *
__wrap_mia_aligned_alloc(size_t alignment, size_t size)
{
	return may_allocate() ? __real_mia_aligned_alloc(alignment, size)
			      : NULL;
}

static void
future_is_as_it_was_without_memory(void **state)
{
	int nallocations = 0;

	(void)state;
	for (int left = 0;; left++) {
		f[0] = event_future(&events[0], FUTURE_NOTIFIER_WAKER);
		errno = 0;
		allocations_left = left;
		const int result = completion_queue_add(
			cq, FUTURE_AS_RUNNABLE(&f[0]), &events[0]);
		const int error = errno;

		allocations_left = -1;
		if (result == 0) {
			assert_int_equal(error, 0);
			nallocations = left;
			break;
		}
		assert_int_equal(result, -1);
		assert_int_equal(error, ENOMEM);
		assert_int_equal(events[0].polls, 0);
		assert_int_equal(FUTURE_STATE(&f[0]), FUTURE_STATE_IDLE);
		assert_int_equal(completion_queue_pending(cq), 0);
		assert_nothing();
	}
	assert_in_range(nallocations, 2, 4);

	/* Seven more need no memory. The ninth does, and those before stay. */
	allocations_left = 0;
	for (int i = 1; i < 8; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	f[8] = event_future(&events[8], FUTURE_NOTIFIER_WAKER);
	assert_int_equal(
		completion_queue_add(cq, FUTURE_AS_RUNNABLE(&f[8]), NULL), -1);
	allocations_left = 1;
	assert_int_equal(
		completion_queue_add(cq, FUTURE_AS_RUNNABLE(&f[8]), NULL), -1);
	allocations_left = 0;
	for (int i = 0; i < 8; i++)
		complete(i);
	ASSERT_OUT(reap(N), 0, 1, 2, 3, 4, 5, 6, 7);

	/* They are used again. */
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 8; i++)
			add(i, FUTURE_NOTIFIER_WAKER);
		for (int i = 0; i < 8; i++)
			complete(i);
		assert_int_equal(completion_queue_wait(cq, out, N, 8, MS), 8);
	}
	allocations_left = -1;
	add(8, FUTURE_NOTIFIER_WAKER);
	complete(8);
	ASSERT_OUT(reap(N), 8);
}

/* Where the queue needs another group of ready.h, too. */
static void
queue_that_cannot_grow_is_as_it_was(void **state)
{
	enum { FULL = 64 };
	static struct event all[FULL + 1];
	static struct event_future futures[FULL + 1];
	struct completion done[FULL + 1];
	int result = -1;
	int left;

	(void)state;
	for (int i = 0; i < FULL; i++) {
		futures[i] = event_future(&all[i], FUTURE_NOTIFIER_WAKER);
		assert_int_equal(
			completion_queue_add(
				cq, FUTURE_AS_RUNNABLE(&futures[i]), &all[i]),
			0);
	}
	futures[FULL] = event_future(&all[FULL], FUTURE_NOTIFIER_WAKER);

	/* A wake is on its way, and one comes while there is no memory. */
	event_wake(&all[5]);
	for (left = 0; result != 0; left++) {
		event_wake(&all[left]);
		allocations_left = left;
		result = completion_queue_add(
			cq, FUTURE_AS_RUNNABLE(&futures[FULL]), &all[FULL]);
		allocations_left = -1;
		assert_int_equal(
			completion_queue_pending(cq), FULL + (result == 0));
	}
	assert_in_range(left, 4, 5);
	assert_nothing();
	for (int i = FULL; i >= 0; i--) {
		atomic_store(&all[i].done, 1);
		event_wake(&all[i]);
	}
	assert_int_equal(completion_queue_reap(cq, done, FULL + 1), FULL + 1);
	for (int i = 0; i <= FULL; i++)
		assert_int_equal(
			FUTURE_STATE(&futures[i]), FUTURE_STATE_COMPLETE);
	assert_int_equal(completion_queue_pending(cq), 0);
}

static void
queue_is_not_made_without_memory(void **state)
{
	(void)state;
	allocations_left = 0;
	errno = 0;
	struct completion_queue *none = completion_queue_new();
	const int error = errno;

	allocations_left = -1;
	assert_null(none);
	assert_int_equal(error, ENOMEM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(future_is_as_it_was_without_memory),
		QUEUE_TEST(queue_that_cannot_grow_is_as_it_was),
		QUEUE_TEST(queue_is_not_made_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
