/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * threads_mover.h -- helpers for tests of the threads mover: movers that wake,
 * sizes of the different plans, functions, a gate for the workers
 */

#ifndef LIBMINIASYNC_TEST_THREADS_MOVER_H
#define LIBMINIASYNC_TEST_THREADS_MOVER_H 1

#include <semaphore.h>

#include "libminiasync.h"
#include "test.h"

/* More than any threshold below which a poll does the work itself. */
#define HANDED_OVER (64 * KIB)
/* More than any threshold above which workers share. */
#define SHARED (4096 * KIB)

static inline struct data_mover_threads *
mover_new(size_t threads, size_t queue)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(threads, queue, FUTURE_NOTIFIER_WAKER);

	assert_non_null(dmt);
	return dmt;
}

/* Functions of the program: a worker calls them, never the poll. */

static inline void *
plain_memcpy(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	return memcpy(dst, src, n);
}

static inline void *
plain_memset(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	return memset(str, c, n);
}

/* A function that waits at a gate, and holds the worker. main() inits it. */
static sem_t gate;

static inline void
wait_at_gate(void)
{
	while (sem_wait(&gate) != 0)
		continue; /* EINTR */
}

static inline void *
memcpy_at_gate(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	wait_at_gate();
	return memcpy(dst, src, n);
}

static inline void
open_gate(size_t times)
{
	while (times-- > 0)
		sem_post(&gate);
}

/* The gate is closed, also after a test that left it open. */
static inline struct data_mover_threads *
gated_mover(size_t threads, size_t queue)
{
	struct data_mover_threads *dmt = mover_new(threads, queue);

	while (sem_trywait(&gate) == 0)
		continue;
	data_mover_threads_set_memcpy_fn(dmt, memcpy_at_gate);
	return dmt;
}

#endif /* LIBMINIASYNC_TEST_THREADS_MOVER_H */
