/* SPDX-License-Identifier: BSD-3-Clause */

/* event.h -- futures that another thread completes */

#ifndef LIBMINIASYNC_TEST_EVENT_H
#define LIBMINIASYNC_TEST_EVENT_H 1

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libminiasync/future.h"

/*
 * A future that is complete once done is set. kind is its answer to a poll. The
 * word of a POLLER is done.
 */
struct event {
	_Atomic uint64_t done;
	enum future_notifier_type kind;
	struct future_waker waker; /* under the lock */
	pthread_mutex_t lock;
	atomic_uint polls;
	bool async;
	bool stuck; /* its word is stuck_word, which never changes */
	uint64_t stuck_word;
};

struct event_data {
	struct event *event;
};

FUTURE(event_future, struct event_data, char);

static inline enum future_state
event_task(struct future_context *context, struct future_notifier *n)
{
	struct event_data *data = future_context_get_data(context);
	struct event *e = data->event;

	atomic_fetch_add(&e->polls, 1);
	if (n != NULL && e->kind == FUTURE_NOTIFIER_WAKER) {
		pthread_mutex_lock(&e->lock);
		e->waker = n->waker;
		pthread_mutex_unlock(&e->lock);
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	} else if (n != NULL && e->kind == FUTURE_NOTIFIER_POLLER) {
		n->poller.ptr_to_monitor =
			e->stuck ? &e->stuck_word : (uint64_t *)&e->done;
		n->notifier_used = FUTURE_NOTIFIER_POLLER;
	}
	return atomic_load(&e->done) ? FUTURE_STATE_COMPLETE
				     : FUTURE_STATE_RUNNING;
}

static inline int
event_has_property(void *future, enum future_property property)
{
	return property == FUTURE_PROPERTY_ASYNC &&
		((struct event_future *)future)->data.event->async;
}

/* drd reports a mutex that is initialised again, as that of e may be. */
static inline struct event_future
event_future(struct event *e, enum future_notifier_type kind)
{
	struct event_future f = {.data.event = e};

	memset(e, 0, sizeof(*e));
	e->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	e->kind = kind;
	FUTURE_INIT_EXT(&f, event_task, event_has_property);
	return f;
}

static inline void
event_wake(struct event *e)
{
	pthread_mutex_lock(&e->lock);
	if (e->waker.wake != NULL)
		FUTURE_WAKER_WAKE(&e->waker);
	pthread_mutex_unlock(&e->lock);
}

/* A thread that sets done after a time, and may call the waker. */
enum finisher_wake {
	NO_WAKE,
	WAKE,
	EARLY_WAKE, /* only before it sets done */
};

struct finisher {
	struct event *event;
	uint64_t delay_ns;
	enum finisher_wake wake;
};

static inline void *
finisher_run(void *arg)
{
	struct finisher *f = arg;

	test_sleep_ns(f->delay_ns);
	if (f->wake == EARLY_WAKE)
		event_wake(f->event);
	atomic_store(&f->event->done, 1);
	if (f->wake == WAKE)
		event_wake(f->event);
	return NULL;
}

#endif /* LIBMINIASYNC_TEST_EVENT_H */
