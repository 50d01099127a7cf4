/* SPDX-License-Identifier: BSD-3-Clause */

/* some.h -- events for tests of runtime_wait_some(), and a timed wait */

#ifndef LIBMINIASYNC_TEST_SOME_H
#define LIBMINIASYNC_TEST_SOME_H 1

#include "event.h"
#include "net.h"
#include "test.h"

/* A wait may be late by that, on a busy machine. */
#define LATE_NS (2000 * MS)

static struct runtime *runtime;

static inline int
set_up(void **state)
{
	(void)state;
	runtime = test_runtime_new();
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	runtime_delete(runtime);
	return 0;
}

enum { N = 6 };

static struct event events[N];
static struct event_future f[N];
static struct future *futs[N];

/* N events of all kinds, some of them asynchronous. */
static inline void
make_events(void)
{
	for (int i = 0; i < N; i++) {
		f[i] = event_future(
			&events[i], (enum future_notifier_type)(i % 3));
		events[i].async = i % 2 == 0;
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
}

static inline void
complete(int i)
{
	atomic_store(&events[i].done, 1);
	event_wake(&events[i]);
}

static inline size_t
timed_wait(size_t n, size_t nwanted, int64_t timeout_ns, uint64_t *ns)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	const size_t ncomplete =
		runtime_wait_some(runtime, futs, n, nwanted, timeout_ns);

	*ns = test_clock_ns(CLOCK_MONOTONIC) - start;
	return ncomplete;
}

#endif /* LIBMINIASYNC_TEST_SOME_H */
