/* SPDX-License-Identifier: BSD-3-Clause */

/* queue.h -- a completion queue of events */

#ifndef LIBMINIASYNC_TEST_QUEUE_H
#define LIBMINIASYNC_TEST_QUEUE_H 1

#include "event.h"
#include "test.h"

#include "libminiasync/completion_queue.h"

/* A call may be late by that, on a busy machine. */
#define LATE_NS (2000 * MS)

enum { N = 9 };

static struct completion_queue *cq;
static struct event events[N];
static struct event_future f[N];
static struct completion out[N + 1];

static inline int
set_up(void **state)
{
	(void)state;
	cq = completion_queue_new();
	return cq == NULL;
}

static inline void
complete(int i)
{
	atomic_store(&events[i].done, 1);
	event_wake(&events[i]);
}

/* A test that failed has left futures, for which the queue would wait. */
static inline int
tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++)
		if (FUTURE_STATE(&f[i]) != FUTURE_STATE_COMPLETE)
			complete(i);
	completion_queue_delete(cq);
	return 0;
}

/* The user data of the future i is &events[i]. */
static inline void
add(int i, enum future_notifier_type kind)
{
	f[i] = event_future(&events[i], kind);
	assert_int_equal(
		completion_queue_add(cq, FUTURE_AS_RUNNABLE(&f[i]), &events[i]),
		0);
}

/* The next that come out. */
static inline void
assert_out(size_t n, size_t nexpected, const int expected[])
{
	assert_int_equal(n, nexpected);
	for (size_t i = 0; i < n; i++) {
		const int e = expected[i];

		assert_ptr_equal(out[i].future, FUTURE_AS_RUNNABLE(&f[e]));
		assert_ptr_equal(out[i].user_data, &events[e]);
		assert_int_equal(FUTURE_STATE(&f[e]), FUTURE_STATE_COMPLETE);
	}
}

static inline size_t
reap(size_t max)
{
	return completion_queue_reap(cq, out, max);
}

/* Nothing comes, however often one looks. */
static inline void
assert_nothing(void)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(reap(N), 0);
}

#define ASSERT_OUT(n, ...) \
	assert_out(n, sizeof((const int[]){__VA_ARGS__}) / sizeof(int), \
		(const int[]){__VA_ARGS__})

#define QUEUE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif /* LIBMINIASYNC_TEST_QUEUE_H */
