/* SPDX-License-Identifier: BSD-3-Clause */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#if !defined(_WIN32)
#include <sys/mman.h>
#endif

#include "net.h"
#include "system.h"

/* Without the safety net (net.h), only the tests of lost wakes run. */

#define MS UINT64_C(1000000)

/*
 * A future whose end others decide: it is complete once *done is set. How it
 * announces that is its kind; its poller is the address of done.
 */
struct event {
	_Atomic uint64_t done;
	enum future_notifier_type kind;
	struct future_waker waker; /* under the lock */
	pthread_mutex_t lock;
	atomic_uint polls;
	bool async;
	bool stuck; /* its poller is a word that never changes */
	uint64_t stuck_word;
};

struct event_data {
	struct event *event;
};

FUTURE(event_future, struct event_data, char);

static enum future_state
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

static int
event_has_property(void *future, enum future_property property)
{
	return property == FUTURE_PROPERTY_ASYNC &&
		((struct event_future *)future)->data.event->async;
}

static struct event_future
event_future(struct event *e, enum future_notifier_type kind)
{
	struct event_future f;

	memset(e, 0, sizeof(*e));
	pthread_mutex_init(&e->lock, NULL);
	e->kind = kind;
	f.data.event = e;
	FUTURE_INIT_EXT(&f, event_task, event_has_property);
	return f;
}

static void
event_wake(struct event *e)
{
	pthread_mutex_lock(&e->lock);
	if (e->waker.wake != NULL)
		FUTURE_WAKER_WAKE(&e->waker);
	pthread_mutex_unlock(&e->lock);
}

/* Sets done after delay, and wakes if told to; from its own thread. */
struct finisher {
	struct event *event;
	uint64_t delay_ns;
	bool wakes;
	bool wakes_first; /* before it sets done, like some foreign movers */
};

static void *
finisher_run(void *arg)
{
	struct finisher *f = arg;
	const struct timespec delay = {
		.tv_sec = (time_t)(f->delay_ns / 1000000000u),
		.tv_nsec = (long)(f->delay_ns % 1000000000u)};

	nanosleep(&delay, NULL);
	if (f->wakes_first)
		event_wake(f->event);
	atomic_store(&f->event->done, 1);
	if (f->wakes)
		event_wake(f->event);
	return NULL;
}

/* Waits for one event that another thread ends. Returns the wait in ns. */
static uint64_t
wait_for(enum future_notifier_type kind, uint64_t delay_ns, bool wakes,
	bool wakes_first, uint64_t *cpu_ns, unsigned *polls)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, kind);
	struct finisher finisher = {&e, delay_ns, wakes, wakes_first};
	pthread_t thread;

	assert_non_null(runtime);
	pthread_create(&thread, NULL, finisher_run, &finisher);

	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	const uint64_t cpu_start = test_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	*cpu_ns = test_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_start;

	const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	*polls = e.polls;
	pthread_join(thread, NULL);
	runtime_delete(runtime);
	pthread_mutex_destroy(&e.lock);
	return ns;
}

static void
waker_ends_the_sleep_and_sleeping_costs_no_cpu(void **state)
{
	uint64_t cpu = 0;
	unsigned polls = 0;

	(void)state;
	wait_for(FUTURE_NOTIFIER_WAKER, 50 * MS, true, false, &cpu, &polls);
	printf("50 ms: %u polls, %llu us of CPU\n", polls,
		(unsigned long long)cpu / 1000);
	/* The safety net polls after 1, 2, 4, ... ms; linger adds a few. */
	assert_true(polls < 40);
	assert_true(cpu < 5 * MS * TEST_SLOWDOWN);
}

static void
futures_that_never_wake_are_found(void **state)
{
	uint64_t cpu = 0;
	unsigned polls = 0;

	(void)state;
	/* It promises to wake, and does not: the safety net. */
	assert_true(wait_for(FUTURE_NOTIFIER_WAKER, 20 * MS, false, false, &cpu,
			    &polls) < 1000 * MS);
	/*
	 * It promises nothing: polled with growing pauses. ThreadSanitizer
	 * makes a poll so slow that it may pass for work.
	 */
	assert_true(wait_for(FUTURE_NOTIFIER_NONE, 20 * MS, false, false, &cpu,
			    &polls) < 1000 * MS);
	assert_true(polls < 2000 * TEST_SLOWDOWN * TEST_SLOWDOWN);
	assert_true(wait_for(FUTURE_NOTIFIER_POLLER, 20 * MS, false, false,
			    &cpu, &polls) < 1000 * MS);
	assert_true(polls < 40);
	/* It wakes too early. */
	assert_true(wait_for(FUTURE_NOTIFIER_WAKER, 5 * MS, false, true, &cpu,
			    &polls) < 1000 * MS);
	/* However long it takes: the net is cast every 64 ms. */
	assert_true(wait_for(FUTURE_NOTIFIER_WAKER, 1100 * MS, false, false,
			    &cpu, &polls) < 1800 * MS);
}

static void
a_word_that_never_changes_delays_and_no_more(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_POLLER);
	struct finisher finisher = {&e, 20 * MS, false, false};
	pthread_t thread;

	(void)state;
	e.stuck = true;
	pthread_create(&thread, NULL, finisher_run, &finisher);
	test_deadline(60);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	test_deadline(0);
	pthread_join(thread, NULL);
	assert_true(e.polls < 40);
	runtime_delete(runtime);
	pthread_mutex_destroy(&e.lock);
}

/* It promises a word, and names none: nothing tells, so it is polled. */
static enum future_state
wordless_task(struct future_context *context, struct future_notifier *n)
{
	int *left = future_context_get_data(context);

	if (n != NULL) {
		n->notifier_used = FUTURE_NOTIFIER_POLLER;
		n->poller.ptr_to_monitor = NULL;
	}
	return --*left > 0 ? FUTURE_STATE_RUNNING : FUTURE_STATE_COMPLETE;
}

FUTURE(wordless_future, int, char);

static void
poller_without_a_word_is_polled(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct wordless_future f = {.data = 200};
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	(void)state;
	FUTURE_INIT(&f, wordless_task);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	/* By the safety net alone, it would be ten seconds. */
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < 5000 * MS);
	runtime_delete(runtime);
}

/* Order. */

static char order[64];
static size_t norder;

struct order_data {
	char name;
	bool async;
	int left;
};

FUTURE(order_future, struct order_data, char);

static enum future_state
order_task(struct future_context *context, struct future_notifier *n)
{
	struct order_data *data = future_context_get_data(context);

	(void)n;
	order[norder++] = data->name;
	data->async = data->name == 'd'; /* d turns async after its poll */
	return data->left-- > 0 ? FUTURE_STATE_RUNNING : FUTURE_STATE_COMPLETE;
}

static int
order_has_property(void *future, enum future_property property)
{
	return property == FUTURE_PROPERTY_ASYNC &&
		((struct order_future *)future)->data.async;
}

static void
asynchronous_futures_first_else_the_callers_order(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct order_future f[5];
	struct future *futs[5], *copy[5];
	const bool async[] = {false, true, false, false, true};

	(void)state;
	memset(order, 0, sizeof(order));
	norder = 0;
	for (int i = 0; i < 5; i++) {
		f[i].data = (struct order_data){(char)('a' + i), async[i], 1};
		FUTURE_INIT_EXT(&f[i], order_task, order_has_property);
		copy[i] = futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	runtime_wait_multiple(runtime, futs, 5);
	/* First pass b e, then a c d; in the second only d is async. */
	assert_string_equal(order, "beacddabce");
	assert_memory_equal(copy, futs, sizeof(futs));
	runtime_delete(runtime);
}

/* Futures that move on by polls alone, whatever they promised. */
struct steps_data {
	int left;
	bool wakes; /* once, by the first poll, and too early */
};

FUTURE(steps_future, struct steps_data, char);

static enum future_state
steps_task(struct future_context *context, struct future_notifier *n)
{
	struct steps_data *data = future_context_get_data(context);

	if (data->left-- == 0)
		return FUTURE_STATE_COMPLETE;
	if (data->wakes) {
		data->wakes = false;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		FUTURE_WAKER_WAKE(&n->waker);
	}
	return FUTURE_STATE_RUNNING;
}

static uint64_t
wait_for_steps(struct runtime *runtime, int steps, bool wakes)
{
	struct steps_future f = {.data = {steps, wakes}};
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	FUTURE_INIT(&f, steps_task);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	return test_clock_ns(CLOCK_MONOTONIC) - start;
}

/* The safety net alone would take 17 s for the first, 4 s for the others. */
static void
futures_that_need_more_polls_get_them_soon(void **state)
{
	struct runtime *runtime = test_runtime_new();
	uint64_t ns = 0;

	(void)state;
	assert_true(wait_for_steps(runtime, 300, false) < 5000 * MS);
	for (int i = 0; i < 10; i++)
		ns += wait_for_steps(runtime, 12, true);
	assert_true(ns < 2000 * MS);
	runtime_delete(runtime);
}

/* Each poll waits for the next change of a word that another thread makes. */
struct ticker {
	_Atomic uint64_t word;
	atomic_bool stop;
};

struct tick_data {
	struct ticker *ticker;
	int left;
};

FUTURE(tick_future, struct tick_data, char);

static enum future_state
tick_task(struct future_context *context, struct future_notifier *n)
{
	struct tick_data *data = future_context_get_data(context);

	n->poller.ptr_to_monitor = (uint64_t *)(uintptr_t)&data->ticker->word;
	n->notifier_used = FUTURE_NOTIFIER_POLLER;
	return data->left-- == 0 ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

static void *
ticker_run(void *arg)
{
	struct ticker *ticker = arg;
	const struct timespec pause = {0, 100000};

	while (!atomic_load(&ticker->stop)) {
		atomic_fetch_add(&ticker->word, 1);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* By the safety net alone it would take 17 s. */
static void
changes_of_a_monitored_word_are_seen(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct ticker ticker = {0};
	struct tick_future f = {.data = {&ticker, 300}};
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, ticker_run, &ticker);
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	FUTURE_INIT(&f, tick_task);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < 5000 * MS);
	atomic_store(&ticker.stop, true);
	pthread_join(thread, NULL);
	runtime_delete(runtime);
}

FUTURE(self_future, struct tick_data, char);

/* Changes the word that it has named, as if its work were done at once. */
static enum future_state
self_task(struct future_context *context, struct future_notifier *n)
{
	struct tick_data *data = future_context_get_data(context);

	n->poller.ptr_to_monitor = (uint64_t *)(uintptr_t)&data->ticker->word;
	n->notifier_used = FUTURE_NOTIFIER_POLLER;
	atomic_fetch_add(&data->ticker->word, 1);
	return data->left-- == 0 ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

/* With pauses that grow up to their 1 ms it would take more than 3 s. */
static void
change_of_a_word_makes_the_pauses_short_again(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct ticker ticker = {0};
	struct self_future f = {.data = {&ticker, 3000}};
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	(void)state;
	FUTURE_INIT(&f, self_task);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < 2000 * MS);
	runtime_delete(runtime);
}

#if !defined(_WIN32)
struct mapped {
	uint64_t *word;
	atomic_bool done;
};

FUTURE(mapped_future, struct mapped *, char);

/* Its word is gone when it is complete. */
static enum future_state
mapped_task(struct future_context *context, struct future_notifier *n)
{
	struct mapped *mapped =
		*(struct mapped **)future_context_get_data(context);

	if (n != NULL) {
		n->poller.ptr_to_monitor = mapped->word;
		n->notifier_used = FUTURE_NOTIFIER_POLLER;
	}
	if (!atomic_load(&mapped->done))
		return FUTURE_STATE_RUNNING;
	munmap(mapped->word, 4096);
	return FUTURE_STATE_COMPLETE;
}

struct outer_data {
	struct future *inner;
	struct mapped *mapped;
	int left; /* polls until the inner one can be complete */
};

FUTURE(outer_future, struct outer_data, char);

static enum future_state
outer_task(struct future_context *context, struct future_notifier *n)
{
	struct outer_data *data = future_context_get_data(context);

	(void)n;
	if (data->left-- == 0)
		atomic_store(&data->mapped->done, true);
	return future_poll(data->inner, NULL);
}

/* A task may poll a future that is waited for, too. */
static void
word_of_a_future_that_another_completes_is_not_read(void **state)
{
	struct runtime *runtime = test_runtime_new();

	(void)state;
	/* The one that completes it is behind it, then in front of it. */
	for (int i = 0; i < 6; i++) {
		struct mapped mapped = {
			mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
			false};
		struct mapped_future f = {.data = &mapped};
		struct outer_future outer = {
			.data = {FUTURE_AS_RUNNABLE(&f), &mapped, i / 2}};
		struct future *futs[] = {
			FUTURE_AS_RUNNABLE(&f), FUTURE_AS_RUNNABLE(&outer)};
		struct future *turned[] = {futs[1], futs[0]};

		FUTURE_INIT(&f, mapped_task);
		FUTURE_INIT(&outer, outer_task);
		runtime_wait_multiple(runtime, i % 2 ? turned : futs, 2);
	}
	runtime_delete(runtime);
}
#endif

struct fickle_data {
	uint64_t words[2];
	unsigned polls;
	const atomic_int *released; /* by the other future's first poll */
};

FUTURE(fickle_future, struct fickle_data, char);

/* Names another word by each poll, and waits for a future behind it. */
static enum future_state
fickle_task(struct future_context *context, struct future_notifier *n)
{
	struct fickle_data *data = future_context_get_data(context);

	n->poller.ptr_to_monitor = &data->words[data->polls++ % 2];
	n->notifier_used = FUTURE_NOTIFIER_POLLER;
	return atomic_load(data->released) ? FUTURE_STATE_COMPLETE
					   : FUTURE_STATE_RUNNING;
}

FUTURE(release_future, atomic_int *, char);

static enum future_state
release_task(struct future_context *context, struct future_notifier *n)
{
	(void)n;
	atomic_store(*(atomic_int **)future_context_get_data(context), 1);
	return FUTURE_STATE_COMPLETE;
}

static void
future_with_changing_words_keeps_no_other_from_its_poll(void **state)
{
	struct runtime *runtime = test_runtime_new();
	atomic_int released = 0;
	struct fickle_future f = {.data = {.released = &released}};
	struct release_future r = {.data = &released};
	struct future *futs[] = {
		FUTURE_AS_RUNNABLE(&f), FUTURE_AS_RUNNABLE(&r)};

	(void)state;
	FUTURE_INIT(&f, fickle_task);
	FUTURE_INIT(&r, release_task);
	runtime_wait_multiple(runtime, futs, 2);
	assert_in_range(f.data.polls, 2, 100);
	runtime_delete(runtime);
}

struct room {
	bool is_taken;
	size_t npolls;
};

FUTURE(room_future, struct room *, char);

struct room_chain_data {
	FUTURE_CHAIN_ENTRY_LAST(struct room_future, only);
};

FUTURE(room_chain, struct room_chain_data, char);

/* Starts when there is room for it, and leaves by its next poll. */
static enum future_state
room_task(struct future_context *context, struct future_notifier *n)
{
	struct room *room = *(struct room **)future_context_get_data(context);

	n->notifier_used = FUTURE_NOTIFIER_NONE;
	room->npolls++;
	if (context->state == FUTURE_STATE_RUNNING) {
		room->is_taken = false;
		return FUTURE_STATE_COMPLETE;
	}
	if (room->is_taken)
		return FUTURE_STATE_IDLE;
	room->is_taken = true;
	return FUTURE_STATE_RUNNING;
}

/*
 * Cost goes with completions, not with futures times passes: also that of
 * chains, which are RUNNING when their entry could not start.
 */
static void
refused_futures_are_tried_a_few_at_a_time(void **state)
{
	enum { N = 4000 };
	struct runtime *runtime = test_runtime_new();
	static struct room_future f[N];
	static struct room_chain chains[N];
	static struct future *futs[N];

	(void)state;
	for (int chained = 0; chained < 2; chained++) {
		struct room room = {0};

		for (size_t i = 0; i < N; i++) {
			f[i].data = &room;
			FUTURE_INIT(&f[i], room_task);
			FUTURE_CHAIN_ENTRY_INIT(
				&chains[i].data.only, f[i], NULL, NULL);
			FUTURE_CHAIN_INIT(&chains[i]);
			futs[i] = chained ? FUTURE_AS_RUNNABLE(&chains[i])
					  : FUTURE_AS_RUNNABLE(&f[i]);
		}
		runtime_wait_multiple(runtime, futs, N);
		printf("%.1f polls per future\n", (double)room.npolls / N);
		assert_in_range(room.npolls, 2 * N, 100 * N);
	}
	runtime_delete(runtime);
}

/* A waker may come late, also when a bigger wait has taken its place. */
static void
late_wakes_touch_no_freed_memory(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_WAKER);
	struct steps_future many[1000];
	struct future *futs[1000];
	struct finisher finisher = {&e, MS, true, false};
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, finisher_run, &finisher);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	pthread_join(thread, NULL);
	for (int i = 0; i < 1000; i++) {
		many[i].data = (struct steps_data){2, false};
		FUTURE_INIT(&many[i], steps_task);
		futs[i] = FUTURE_AS_RUNNABLE(&many[i]);
	}
	runtime_wait_multiple(runtime, futs, 1000);
	event_wake(&e);
	event_wake(&e);
	assert_int_equal(wait_for_steps(runtime, 2, false) < 5000 * MS, 1);
	event_wake(&e);
	runtime_delete(runtime);
	pthread_mutex_destroy(&e.lock);
}

/* Gives its waker away once, to a thread that then wakes as it likes. */
struct storm {
	struct future_waker waker;
	atomic_bool has_waker;
	atomic_bool done;
	sem_t start;
};

FUTURE(storm_future, struct storm *, char);

static enum future_state
storm_task(struct future_context *context, struct future_notifier *n)
{
	struct storm *storm =
		*(struct storm **)future_context_get_data(context);

	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	if (!atomic_load(&storm->has_waker)) {
		storm->waker = n->waker;
		atomic_store(&storm->has_waker, true);
		sem_post(&storm->start);
		sem_post(&storm->start);
	}
	/* Relaxed: nothing but the wake itself brings the threads together. */
	return atomic_load_explicit(&storm->done, memory_order_relaxed)
		? FUTURE_STATE_COMPLETE
		: FUTURE_STATE_RUNNING;
}

static void *
storm_run(void *arg)
{
	struct storm *storm = arg;

	while (sem_wait(&storm->start) != 0)
		continue;
	for (int i = 0; i < TEST_ROUNDS(100000); i++)
		FUTURE_WAKER_WAKE(&storm->waker);
	atomic_store_explicit(&storm->done, true, memory_order_relaxed);
	FUTURE_WAKER_WAKE(&storm->waker);
	return NULL;
}

/* The sanitizer for threads sees whether a waiter is handed over and back. */
static void
wakes_need_nothing_of_their_callers(void **state)
{
	struct runtime *runtime = test_runtime_new();

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct storm storm = {.done = false};
		struct storm_future f = {.data = &storm};
		pthread_t threads[2];

		sem_init(&storm.start, 0, 0);
		for (int k = 0; k < 2; k++)
			pthread_create(&threads[k], NULL, storm_run, &storm);
		FUTURE_INIT(&f, storm_task);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		for (int k = 0; k < 2; k++)
			pthread_join(threads[k], NULL);
		sem_destroy(&storm.start);
	}
	runtime_delete(runtime);
}

/* Wakes itself in every poll, until another future is complete. */
struct noisy_data {
	struct future *other;
	uint64_t words[2]; /* not NULL: names them in turn, and does not wake */
	bool names_words;
	unsigned polls;
};

FUTURE(noisy_future, struct noisy_data, char);

static enum future_state
noisy_task(struct future_context *context, struct future_notifier *n)
{
	struct noisy_data *data = future_context_get_data(context);

	if (data->other->context.state == FUTURE_STATE_COMPLETE)
		return FUTURE_STATE_COMPLETE;
	data->polls++;
	if (data->names_words) {
		n->notifier_used = FUTURE_NOTIFIER_POLLER;
		n->poller.ptr_to_monitor = &data->words[data->polls % 2];
	} else {
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		FUTURE_WAKER_WAKE(&n->waker);
	}
	return FUTURE_STATE_RUNNING;
}

/* The other one forgets to wake: the safety net is there for it all the same. */
static void
a_noisy_future_starves_nobody(void **state)
{
	struct runtime *runtime = test_runtime_new();

	(void)state;
	for (int names_words = 0; names_words < 2; names_words++) {
		struct event e;
		struct event_future f = event_future(&e, FUTURE_NOTIFIER_WAKER);
		struct finisher finisher = {&e, 10 * MS, false, false};
		struct noisy_future noisy = {.data = {FUTURE_AS_RUNNABLE(&f),
						     {0, 0}, names_words, 0}};
		struct future *futs[] = {
			FUTURE_AS_RUNNABLE(&noisy), FUTURE_AS_RUNNABLE(&f)};
		pthread_t thread;

		FUTURE_INIT(&noisy, noisy_task);
		pthread_create(&thread, NULL, finisher_run, &finisher);
		test_deadline(60);
		runtime_wait_multiple(runtime, futs, 2);
		test_deadline(0);
		pthread_join(thread, NULL);
		pthread_mutex_destroy(&e.lock);
	}
	runtime_delete(runtime);
}

/* The last of three wakes all, itself first: polled in the caller's order. */
static struct future_waker wakers[3];

static enum future_state
reverse_task(struct future_context *context, struct future_notifier *n)
{
	struct order_data *data = future_context_get_data(context);

	order[norder++] = data->name;
	if (data->left-- == 0)
		return FUTURE_STATE_COMPLETE;
	wakers[data->name - 'a'] = n->waker;
	n->notifier_used = FUTURE_NOTIFIER_WAKER;
	for (int i = 2; i >= 0 && data->name == 'c'; i--)
		FUTURE_WAKER_WAKE(&wakers[i]);
	return FUTURE_STATE_RUNNING;
}

static void
woken_futures_are_polled_in_the_callers_order(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct order_future f[3];
	struct future *futs[3];

	(void)state;
	norder = 0;
	for (int i = 0; i < 3; i++) {
		f[i].data = (struct order_data){(char)('a' + i), false, 1};
		FUTURE_INIT(&f[i], reverse_task);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	runtime_wait_multiple(runtime, futs, 3);
	assert_int_equal(norder, 6);
	assert_memory_equal(order, "abcabc", 6);
	runtime_delete(runtime);
}

static void
complete_none_twice_and_null_property_are_fine(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_NONE);
	struct event_future complete;
	struct future *futs[] = {FUTURE_AS_RUNNABLE(&complete),
		FUTURE_AS_RUNNABLE(&f), FUTURE_AS_RUNNABLE(&f),
		FUTURE_AS_RUNNABLE(&complete)};

	(void)state;
	memset(&complete, 0, sizeof(complete));
	FUTURE_INIT_COMPLETE(&complete);
	f.base.has_property = NULL;
	e.done = 1;
	runtime_wait_multiple(runtime, NULL, 0);
	runtime_wait_multiple(runtime, futs, 4);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	assert_int_equal(e.polls, 1);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&complete));
	runtime_delete(runtime);
	runtime_delete(NULL);
	pthread_mutex_destroy(&e.lock);
}

/* The same sleeping future more than once: it is polled as if it were one. */
static void
duplicates_finish_with_the_first_wake(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_WAKER);
	struct future *futs[] = {FUTURE_AS_RUNNABLE(&f), FUTURE_AS_RUNNABLE(&f),
		FUTURE_AS_RUNNABLE(&f)};
	struct finisher finisher = {&e, 40 * MS, true, false};
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, finisher_run, &finisher);

	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	runtime_wait_multiple(runtime, futs, 3);

	const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

	/* The first, after 4, 12 and 28 ms, and a few after the wake. */
	assert_true(e.polls < 10 + ns / (64 * MS));
	pthread_join(thread, NULL);
	runtime_delete(runtime);
	pthread_mutex_destroy(&e.lock);
}

/* Started with a NULL notifier before: nobody has the runtime's waker. */
static enum future_state
first_notifier_task(struct future_context *context, struct future_notifier *n)
{
	struct event_data *data = future_context_get_data(context);

	if (context->state == FUTURE_STATE_IDLE)
		return event_task(context, n);
	return atomic_load(&data->event->done) ? FUTURE_STATE_COMPLETE
					       : FUTURE_STATE_RUNNING;
}

static void
future_started_before_finishes(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_WAKER);
	struct finisher finisher = {&e, 10 * MS, true, false};
	pthread_t thread;

	(void)state;
	f.base.task = first_notifier_task;
	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_RUNNING);
	pthread_create(&thread, NULL, finisher_run, &finisher);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
	pthread_join(thread, NULL);
	runtime_delete(runtime);
	pthread_mutex_destroy(&e.lock);
}

/*
 * Stress: threads on one runtime wait for batches that a few finishers end in
 * random order, waking before, after, twice, or late. A lost wake is seen where
 * the safety net comes late.
 */
#define LOST_NS (10000 * MS)
#define WAITERS 4
#define BATCH 50

struct batch {
	struct runtime *runtime;
	uint64_t seed;
	uint64_t slowest_ns;
};

struct ender {
	struct event *events;
	uint64_t seed;
};

static void *
ender_run(void *arg)
{
	struct ender *ender = arg;

	for (int i = 0; i < BATCH; i++) {
		struct event *e = &ender->events[i];

		if (test_random(&ender->seed) % 8 == 0)
			event_wake(e);
		if (test_random(&ender->seed) % 4 == 0)
			sched_yield();
		atomic_store(&e->done, 1);
		event_wake(e);
		if (test_random(&ender->seed) % 8 == 0)
			event_wake(e);
	}
	return NULL;
}

static void *
batch_run(void *arg)
{
	struct batch *batch = arg;
	struct event *events = malloc(BATCH * sizeof(*events));
	struct event_future f[BATCH];
	struct future *futs[BATCH];

	for (int round = 0; round < TEST_ROUNDS(400); round++) {
		struct ender ender = {events, test_random(&batch->seed)};
		pthread_t thread;

		for (int i = 0; i < BATCH; i++) {
			f[i] = event_future(&events[i],
				(enum future_notifier_type)(
					test_random(&batch->seed) % 3));
			futs[BATCH - 1 - i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		pthread_create(&thread, NULL, ender_run, &ender);

		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		runtime_wait_multiple(batch->runtime, futs, BATCH);

		const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

		if (ns > batch->slowest_ns)
			batch->slowest_ns = ns;
		/* Late wakes are allowed until the runtime is deleted. */
		pthread_join(thread, NULL);
		for (int i = 0; i < BATCH; i++)
			pthread_mutex_destroy(&events[i].lock);
	}
	free(events);
	return NULL;
}

static void
no_wake_is_lost_by_several_threads(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct batch batches[WAITERS];
	pthread_t threads[WAITERS];
	uint64_t seed = test_seed("runtime stress");

	(void)state;
	for (int i = 0; i < WAITERS; i++) {
		batches[i] = (struct batch){runtime, test_random(&seed), 0};
		pthread_create(&threads[i], NULL, batch_run, &batches[i]);
	}
	for (int i = 0; i < WAITERS; i++) {
		pthread_join(threads[i], NULL);
		printf("slowest batch: %llu us\n",
			(unsigned long long)batches[i].slowest_ns / 1000);
		assert_true(batches[i].slowest_ns < LOST_NS);
	}
	runtime_delete(runtime);
}

/*
 * Two threads hand a token back and forth, each waiting in the runtime for
 * the other's wake.
 */
struct pong {
	struct event events[2];
	struct runtime *runtime;
	int rounds;
	uint64_t slowest_ns;
};

static void
pong_round(struct pong *p, int me, bool starts)
{
	struct event_future f;

	if (starts) {
		atomic_store(&p->events[1 - me].done, 1);
		event_wake(&p->events[1 - me]);
	}
	f.data.event = &p->events[me];
	FUTURE_INIT(&f, event_task);
	runtime_wait(p->runtime, FUTURE_AS_RUNNABLE(&f));
	atomic_store(&p->events[me].done, 0);
	if (!starts) {
		atomic_store(&p->events[1 - me].done, 1);
		event_wake(&p->events[1 - me]);
	}
}

static void *
pong_run(void *arg)
{
	struct pong *p = arg;

	for (int i = 0; i < p->rounds; i++)
		pong_round(p, 1, false);
	return NULL;
}

static void
no_wake_is_lost_between_two_sleepers(void **state)
{
	struct pong p = {
		.runtime = test_runtime_new(), .rounds = TEST_ROUNDS(20000)};
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 2; i++)
		(void)event_future(&p.events[i], FUTURE_NOTIFIER_WAKER);

	pthread_create(&thread, NULL, pong_run, &p);

	const uint64_t begin = test_clock_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < p.rounds && p.slowest_ns < LOST_NS; i++) {
		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		pong_round(&p, 0, true);

		const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

		if (ns > p.slowest_ns)
			p.slowest_ns = ns;
	}
	printf("round trip: %llu ns, the slowest %llu us\n",
		(unsigned long long)(test_clock_ns(CLOCK_MONOTONIC) - begin) /
			(unsigned long long)p.rounds,
		(unsigned long long)p.slowest_ns / 1000);
	assert_true(p.slowest_ns < LOST_NS);
	pthread_join(thread, NULL);
	runtime_delete(p.runtime);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			waker_ends_the_sleep_and_sleeping_costs_no_cpu),
		cmocka_unit_test(futures_that_never_wake_are_found),
		cmocka_unit_test(a_word_that_never_changes_delays_and_no_more),
		cmocka_unit_test(poller_without_a_word_is_polled),
		cmocka_unit_test(
			asynchronous_futures_first_else_the_callers_order),
		cmocka_unit_test(futures_that_need_more_polls_get_them_soon),
		cmocka_unit_test(wakes_need_nothing_of_their_callers),
		cmocka_unit_test(a_noisy_future_starves_nobody),
		cmocka_unit_test(changes_of_a_monitored_word_are_seen),
		cmocka_unit_test(change_of_a_word_makes_the_pauses_short_again),
		cmocka_unit_test(refused_futures_are_tried_a_few_at_a_time),
#if !defined(_WIN32)
		cmocka_unit_test(
			word_of_a_future_that_another_completes_is_not_read),
#endif
		cmocka_unit_test(
			future_with_changing_words_keeps_no_other_from_its_poll),
		cmocka_unit_test(late_wakes_touch_no_freed_memory),
		cmocka_unit_test(woken_futures_are_polled_in_the_callers_order),
		cmocka_unit_test(
			complete_none_twice_and_null_property_are_fine),
		cmocka_unit_test(duplicates_finish_with_the_first_wake),
		cmocka_unit_test(future_started_before_finishes),
		cmocka_unit_test(no_wake_is_lost_by_several_threads),
		cmocka_unit_test(no_wake_is_lost_between_two_sleepers),
	};

	if (!test_has_net())
		cmocka_set_test_filter("no_wake_is_lost_*");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
