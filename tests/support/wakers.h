/* SPDX-License-Identifier: BSD-3-Clause */

/* wakers.h -- wakers of tests, and how a test waits for one */

#ifndef LIBMINIASYNC_TEST_WAKERS_H
#define LIBMINIASYNC_TEST_WAKERS_H 1

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/* Returns false if nothing came in a minute. */
static inline bool
await(sem_t *sem)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 60;
	while (sem_timedwait(sem, &deadline) != 0)
		if (errno != EINTR)
			return false;
	return true;
}

/* For a poll that needs a waker. */
static inline void
wake_nobody(void *data)
{
	(void)data;
}

/* data is a semaphore. */
static inline void
wake_by_post(void *data)
{
	sem_post(data);
}

/* A waker that counts its calls, and lets a thread wait for each. */
struct counter {
	sem_t sem;
	atomic_int calls;
};

static inline void
counter_init(struct counter *counter)
{
	sem_init(&counter->sem, 0, 0);
	atomic_init(&counter->calls, 0);
}

static inline void
counter_fini(struct counter *counter)
{
	sem_destroy(&counter->sem);
}

/* data is a struct counter. */
static inline void
wake_counter(void *data)
{
	struct counter *counter = data;

	atomic_fetch_add(&counter->calls, 1);
	sem_post(&counter->sem);
}

/*
 * Called n times, and up to 8 times more: a poll that finds the waker running
 * for more than 10 us, as beside load, asks for one more call.
 */
#define assert_called(calls, n) assert_in_range(calls, n, (n) + 8)

#endif /* LIBMINIASYNC_TEST_WAKERS_H */
