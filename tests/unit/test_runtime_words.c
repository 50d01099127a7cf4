/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_runtime_words.c -- the runtime and the words of POLLERs, and the answers
 * of chains that moved
 */

#include "event.h"
#include "net.h"
#include "steps.h"
#include "system.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#if !defined(_WIN32)
#include <sys/mman.h>
#endif

static void
a_word_that_never_changes_delays_and_no_more(void **state)
{
	(void)state;
	TEST_NEEDS_NET();

	struct runtime *runtime = test_runtime_new();
	struct event e;
	struct event_future f = event_future(&e, FUTURE_NOTIFIER_POLLER);
	struct finisher finisher = {&e, 20 * MS, NO_WAKE};
	pthread_t thread;

	e.stuck = true;
	pthread_create(&thread, NULL, finisher_run, &finisher);
	test_deadline(60);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	test_deadline(0);
	pthread_join(thread, NULL);
	assert_true(e.polls < 40);
	runtime_delete(runtime);
}

/* Answers POLLER without a word, so only polls show its progress. */
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
	/* The safety net alone takes 10 s. */
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < 5000 * MS);
	runtime_delete(runtime);
}

/* A thread changes a word again and again. Each poll waits for a change. */
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

/* The safety net alone takes 17 s. */
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

/* Changes its word during the poll, as if its work were done at once. */
static enum future_state
self_task(struct future_context *context, struct future_notifier *n)
{
	struct tick_data *data = future_context_get_data(context);

	n->poller.ptr_to_monitor = (uint64_t *)(uintptr_t)&data->ticker->word;
	n->notifier_used = FUTURE_NOTIFIER_POLLER;
	atomic_fetch_add(&data->ticker->word, 1);
	return data->left-- == 0 ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

/* With growing pauses it takes more than 3 s. */
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

/* Unmaps its word when it is complete. */
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

/* A task may poll a future for which the runtime waits. */
static void
word_of_a_future_that_another_completes_is_not_read(void **state)
{
	struct runtime *runtime = test_runtime_new();

	(void)state;
	/* The outer future comes second, and then first. */
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

/* Names another word by each poll, and waits for the future behind it. */
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

struct two_data {
	FUTURE_CHAIN_ENTRY(struct steps_future, first);
	FUTURE_CHAIN_ENTRY_LAST(struct steps_future, second);
};
FUTURE(two_chain, struct two_data, char);

/* The first entry answers WAKER. The second gives no answer: it is polled. */
static void
answer_of_an_entry_does_not_hold_for_the_next(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct two_chain c;
	struct steps_future first = steps(1, 1);
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	(void)state;
	first.data.answer = FUTURE_NOTIFIER_WAKER;
	FUTURE_CHAIN_ENTRY_INIT(&c.data.first, first, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&c.data.second, steps(400, 1), NULL, NULL);
	c.data.second.fut.data.answered = true;
	FUTURE_CHAIN_INIT(&c);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&c));
	/* The safety net takes 64 ms for each poll, or 30 s. */
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < 5000000000u);
	runtime_delete(runtime);
}

#if !defined(_WIN32)
/*
 * The word of a chain's entry. Another future's task completes the entry, and
 * then makes the word unreadable. The runtime must not read it.
 */
static struct {
	struct two_chain chain;
	char *page;
	int polls;
} other;

static enum future_state
word_task(struct future_context *context, struct future_notifier *n)
{
	(void)context;
	if (n == NULL)
		return FUTURE_STATE_COMPLETE;
	n->notifier_used = FUTURE_NOTIFIER_POLLER;
	n->poller.ptr_to_monitor = (uint64_t *)(void *)other.page;
	return FUTURE_STATE_RUNNING;
}

static enum future_state
move_on_task(struct future_context *context, struct future_notifier *n)
{
	(void)context;
	(void)n;
	if (++other.polls == 5) {
		future_poll(FUTURE_AS_RUNNABLE(&other.chain), NULL);
		mprotect(other.page, 4096, PROT_NONE);
	}
	return other.polls < 100 ? FUTURE_STATE_RUNNING : FUTURE_STATE_COMPLETE;
}

static void
word_of_an_entry_that_another_task_ended_is_not_read(void **state)
{
	struct runtime *runtime = test_runtime_new();
	struct steps_future word = steps(1, 1), mover = steps(1, 1);
	struct future *futs[] = {
		FUTURE_AS_RUNNABLE(&other.chain), FUTURE_AS_RUNNABLE(&mover)};

	(void)state;
	other.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(other.page, MAP_FAILED);
	FUTURE_INIT(&word, word_task);
	FUTURE_INIT(&mover, move_on_task);
	FUTURE_CHAIN_ENTRY_INIT(&other.chain.data.first, word, NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(
		&other.chain.data.second, steps(300, 1), NULL, NULL);
	FUTURE_CHAIN_INIT(&other.chain);
	runtime_wait_multiple(runtime, futs, 2);
	assert_true(other.polls >= 100);
	munmap(other.page, 4096);
	runtime_delete(runtime);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_that_never_changes_delays_and_no_more),
		cmocka_unit_test(poller_without_a_word_is_polled),
		cmocka_unit_test(changes_of_a_monitored_word_are_seen),
		cmocka_unit_test(change_of_a_word_makes_the_pauses_short_again),
#if !defined(_WIN32)
		cmocka_unit_test(
			word_of_a_future_that_another_completes_is_not_read),
#endif
		cmocka_unit_test(
			future_with_changing_words_keeps_no_other_from_its_poll),
		cmocka_unit_test(answer_of_an_entry_does_not_hold_for_the_next),
#if !defined(_WIN32)
		cmocka_unit_test(
			word_of_an_entry_that_another_task_ended_is_not_read),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
