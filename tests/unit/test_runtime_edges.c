/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_runtime_edges.c -- the runtime, with futures and threads that a program
 * of another time or another mind may bring: work done in polls, answers that
 * hold no longer, calls that never return
 */

#include "test.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdbool.h>
#if !defined(_WIN32)
#include <sys/mman.h>
#endif
#include <unistd.h>

#include "net.h"

/* A future that takes so many polls, each so many turns of a loop. */
struct steps_data {
	unsigned polls;
	unsigned turns;
	enum future_notifier_type answer; /* of the first poll */
	bool answered;
	void (*at_end)(void); /* called by the last poll */
	volatile uint64_t sum;
};

FUTURE(steps_future, struct steps_data, char);

static enum future_state
steps_task(struct future_context *context, struct future_notifier *n)
{
	struct steps_data *data = future_context_get_data(context);

	if (!data->answered && n != NULL)
		n->notifier_used = data->answer;
	data->answered = true;
	for (unsigned i = 0; i < data->turns; i++)
		data->sum = data->sum * 31 + i;
	if (data->polls > 0)
		data->polls--;
	if (data->polls > 0)
		return FUTURE_STATE_RUNNING;
	if (data->at_end != NULL)
		data->at_end();
	return FUTURE_STATE_COMPLETE;
}

static struct steps_future
steps(unsigned polls, unsigned turns)
{
	struct steps_future f;

	memset(&f, 0, sizeof(f));
	f.data.polls = polls;
	f.data.turns = turns;
	FUTURE_INIT(&f, steps_task);
	return f;
}

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * 20,000 polls of some microseconds each take as long as in a plain loop. With
 * a nap after each poll they take 1.5 s more.
 */
static void
work_done_in_polls_is_not_slowed_down(void **state)
{
	struct runtime *runtime = test_runtime_new();
	double ratios[5];
	uint64_t start, plain = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct steps_future f = steps(TEST_ROUNDS(20000), 1500);

		start = test_clock_ns(CLOCK_MONOTONIC);
		while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
			FUTURE_STATE_COMPLETE)
			continue;
		plain = test_clock_ns(CLOCK_MONOTONIC) - start;

		f = steps(TEST_ROUNDS(20000), 1500);
		start = test_clock_ns(CLOCK_MONOTONIC);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		ratios[i] = (double)(test_clock_ns(CLOCK_MONOTONIC) - start) /
			(double)plain;
	}
	qsort(ratios, 5, sizeof(*ratios), compare);
	printf("%.2f us per poll, runtime / plain loop %.2f (%.2f to %.2f)\n",
		(double)plain / TEST_ROUNDS(20000) / 1000, ratios[2], ratios[0],
		ratios[4]);
	assert_true(ratios[2] < (TEST_SLOWDOWN == 1 ? 1.4 : 3));
	runtime_delete(runtime);
}

/* One works among many that only look: it is found all the same. */
static void
work_among_futures_that_wait_is_found(void **state)
{
	enum { MANY = 100 };
	struct runtime *runtime = test_runtime_new();
	struct steps_future futures[MANY];
	struct future *futs[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		futures[i] = steps(TEST_ROUNDS(5000), i == 50 ? 3000 : 1);
		futs[i] = FUTURE_AS_RUNNABLE(&futures[i]);
	}

	const uint64_t cpu = test_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	runtime_wait_multiple(runtime, futs, MANY);

	const uint64_t wall = test_clock_ns(CLOCK_MONOTONIC) - start;
	const uint64_t used = test_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;

	printf("%llu ms, %llu of them on the CPU\n",
		(unsigned long long)wall / 1000000,
		(unsigned long long)used / 1000000);
	/* Naps of 60 us and more beside polls of some 10 us show here. */
	assert_true(used * 3 > wall);
	runtime_delete(runtime);
}

/* Complete when the clock says so. */
static enum future_state
until_task(struct future_context *context, struct future_notifier *n)
{
	struct steps_data *data = future_context_get_data(context);

	if (n != NULL && data->answer == FUTURE_NOTIFIER_POLLER) {
		static uint64_t word;

		n->notifier_used = FUTURE_NOTIFIER_POLLER;
		n->poller.ptr_to_monitor = &word;
	}
	return test_clock_ns(CLOCK_MONOTONIC) >= data->sum
		? FUTURE_STATE_COMPLETE
		: FUTURE_STATE_RUNNING;
}

/* Thousands of looks, with their lists, are no work: the thread naps. */
static void
many_futures_that_only_look_leave_the_cpu_alone(void **state)
{
	enum { MANY = 2000 };
	static struct steps_future futures[MANY];
	static struct future *futs[MANY];
	struct runtime *runtime = test_runtime_new();

	/* No word changes, so only the net ends the wait for these. */
	const int last_kind =
		test_has_net() ? FUTURE_NOTIFIER_POLLER : FUTURE_NOTIFIER_NONE;

	(void)state;
	for (int kind = FUTURE_NOTIFIER_NONE; kind <= last_kind;
		kind += FUTURE_NOTIFIER_POLLER) {
		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
		const uint64_t cpu = test_clock_ns(CLOCK_THREAD_CPUTIME_ID);

		for (int i = 0; i < MANY; i++) {
			futures[i] = steps(1, 0);
			futures[i].data.answer =
				(enum future_notifier_type)kind;
			futures[i].data.sum = start + 500000000;
			FUTURE_INIT(&futures[i], until_task);
			futs[i] = FUTURE_AS_RUNNABLE(&futures[i]);
		}
		runtime_wait_multiple(runtime, futs, MANY);

		const uint64_t used =
			test_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;

		printf("notifier %d: %llu of 500 ms on the CPU\n", kind,
			(unsigned long long)used / 1000000);
		if (TEST_SLOWDOWN == 1)
			assert_true(used < 350000000);
	}
	runtime_delete(runtime);
}

struct two_data {
	FUTURE_CHAIN_ENTRY(struct steps_future, first);
	FUTURE_CHAIN_ENTRY_LAST(struct steps_future, second);
};
FUTURE(two_chain, struct two_data, char);

/* The first entry announces its end; the second says nothing and is polled. */
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
	/* The safety net would take 64 ms for each poll, or 30 s. */
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < 5000000000u);
	runtime_delete(runtime);
}

#if !defined(_WIN32)
/*
 * The word of a chain's entry. Another future's task polls the chain on, and
 * then makes the word unreadable: the runtime must not look at it any more.
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

/* Bytes in use, of all that was allocated; 0 where that cannot be told. */
static size_t
allocated(void)
{
#if defined(__GLIBC__) && TEST_SLOWDOWN == 1
	const struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
#else
	return 0;
#endif
}

enum { THREADS = 8, BIG = 50000 };
static pthread_barrier_t barrier;

static void
meet(void)
{
	pthread_barrier_wait(&barrier);
}

/* Waits for many futures, while as many others are in a wait as there are. */
static void *
wait_for_many(void *arg)
{
	struct steps_future *futures = calloc(BIG, sizeof(*futures));
	struct future **futs = calloc(BIG, sizeof(struct future *));

	for (size_t i = 0; i < BIG; i++) {
		futures[i] = steps(1, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&futures[i]);
	}
	futures[0].data.at_end = meet;
	runtime_wait_multiple(arg, futs, BIG);
	free(futs);
	free(futures);
	return NULL;
}

/* 9 MiB for each thread were kept until the runtime was deleted. */
static void
unused_waits_keep_little(void **state)
{
	pthread_t threads[THREADS];
	const size_t before = allocated();

	(void)state;
	if (before == 0)
		TEST_LEFT_OUT("how much is allocated cannot be told");

	struct runtime *runtime = test_runtime_new();

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, wait_for_many, runtime);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);

	const size_t one = allocated() - before;

	/* The one that was used last goes too, if it is not needed. */
	for (int i = 0; i < 40; i++) {
		struct steps_future f = steps(2, 0);

		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}

	const size_t none = allocated() - before;

	printf("%zu KiB, and %zu after small waits\n", one / 1024, none / 1024);
	assert_true(one < (size_t)16 << 20);
	assert_true(none < (size_t)2 << 20);
	runtime_delete(runtime);
}

static jmp_buf out;

static void
jump(void)
{
	longjmp(out, 1);
}

#if !defined(_WIN32)
static void *
wait_until_cancelled(void *arg)
{
	struct steps_future f = steps(1, 0);

	f.data.at_end = pthread_testcancel;
	pthread_cancel(pthread_self());
	runtime_wait(arg, FUTURE_AS_RUNNABLE(&f));
	return NULL;
}
#endif

/* What a call leaves behind that never returns goes with the runtime. */
static void
waits_that_were_left_are_freed(void **state)
{
	const size_t before = allocated();
	struct runtime *runtime = test_runtime_new();

	(void)state;
	for (volatile int i = 0; i < 1000; i++) {
		struct steps_future f = steps(1, 0);

		f.data.at_end = jump;
		if (setjmp(out) == 0)
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}
#if !defined(_WIN32)
	for (int i = 0; i < 20; i++) {
		pthread_t thread;
		void *result;

		pthread_create(&thread, NULL, wait_until_cancelled, runtime);
		pthread_join(thread, &result);
		assert_ptr_equal(result, PTHREAD_CANCELED);
	}
#endif
	assert_true(allocated() >= before);
	runtime_delete(runtime);

	/* Some 2 KiB for each were lost. LeakSanitizer sees them as well. */
	if (before != 0)
		assert_true(allocated() < before + 100000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_done_in_polls_is_not_slowed_down),
		cmocka_unit_test(work_among_futures_that_wait_is_found),
		cmocka_unit_test(
			many_futures_that_only_look_leave_the_cpu_alone),
		cmocka_unit_test(answer_of_an_entry_does_not_hold_for_the_next),
#if !defined(_WIN32)
		cmocka_unit_test(
			word_of_an_entry_that_another_task_ended_is_not_read),
#endif
		cmocka_unit_test(unused_waits_keep_little),
		cmocka_unit_test(waits_that_were_left_are_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
