/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * completion_run.h -- a completion whose finisher and waker are held by a test
 *
 * The two threads meet at flags that are relaxed and order nothing. So
 * ThreadSanitizer sees whether the completion orders their accesses.
 */

#ifndef LIBMINIASYNC_TEST_COMPLETION_RUN_H
#define LIBMINIASYNC_TEST_COMPLETION_RUN_H 1

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "operation/completion.h"

/* A poll waits so long for the waker that it replaces. */
#define REPLACED_WAIT_NS (200 * MS)

static const struct future_waker no_waker = {NULL, NULL};

static inline int
flag_get(atomic_int *flag)
{
	return atomic_load_explicit(flag, memory_order_relaxed);
}

static inline void
flag_set(atomic_int *flag, int value)
{
	atomic_store_explicit(flag, value, memory_order_relaxed);
}

static inline void
flag_await(atomic_int *flag, int value)
{
	while (flag_get(flag) < value)
		sched_yield();
}

static inline int
state_of(struct mia_completion *c)
{
	return (int)atomic_load_explicit(&c->state, memory_order_relaxed);
}

/* A completion, its finisher, and a waker that the poller holds. */
struct run {
	struct mia_completion c;
	pthread_t finisher;
	atomic_int go;      /* 1: the finisher may finish */
	atomic_int entered; /* calls of the waker */
	atomic_int leave;   /* number of calls that may return */
	atomic_int returned;
	atomic_int finished;
	int data;  /* plain: the finisher writes it */
	int note;  /* plain: the waker writes it */
	int other; /* plain: of a second waker */
};

static inline void
held_wake(void *data)
{
	struct run *run = data;
	const int call = flag_get(&run->entered) + 1;

	flag_set(&run->entered, call);
	flag_await(&run->leave, call);
	flag_set(&run->returned, call);
}

static inline void *
finisher_run(void *arg)
{
	struct run *run = arg;

	flag_await(&run->go, 1);
	run->data = 1;
	mia_completion_finish(&run->c);
	flag_set(&run->finished, 1);
	return NULL;
}

static inline struct future_waker
held_waker(struct run *run)
{
	return (struct future_waker){run, held_wake};
}

static inline void
start(struct run *run, struct future_waker waker)
{
	memset(run, 0, sizeof(*run));
	mia_completion_init(&run->c);
	mia_completion_begin(&run->c, waker);
	assert_int_equal(
		pthread_create(&run->finisher, NULL, finisher_run, run), 0);
}

/* Until the finisher is inside of the waker. */
static inline void
start_waking(struct run *run)
{
	start(run, held_waker(run));
	flag_set(&run->go, 1);
	flag_await(&run->entered, 1);
}

/* No poll happens meanwhile, so the finisher makes no extra call. */
static inline void
end(struct run *run)
{
	flag_set(&run->leave, 1000);
	pthread_join(run->finisher, NULL);
	assert_int_equal(state_of(&run->c), MIA_COMPLETION_DONE);
	assert_int_equal(mia_completion_poll(&run->c), FUTURE_STATE_COMPLETE);
	assert_int_equal(mia_completion_retire(&run->c), VDM_SUCCESS);
}

#endif /* LIBMINIASYNC_TEST_COMPLETION_RUN_H */
