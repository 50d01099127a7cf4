/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_runtime_work.c -- how often the runtime polls futures that do their work
 * in polls, and futures that only look
 */

#include "net.h"
#include "steps.h"
#include "test.h"

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * 20,000 polls of a few microseconds take as long as in a plain loop. With a
 * nap after each poll they take 1.5 s more.
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
	/* The smallest: beside load, time slices of others are in most. */
	assert_true(ratios[0] < (TEST_IS_FAST ? 1.4 : 3));
	runtime_delete(runtime);
}

/* One future works, among many that only look. */
static uint64_t
work_among_many(struct runtime *runtime)
{
	enum { MANY = 100 };
	struct steps_future futures[MANY];
	struct future *futs[MANY];
	const unsigned polls = TEST_ROUNDS(2000);

	for (int i = 0; i < MANY; i++) {
		futures[i] = steps(polls, i == 50 ? 3000 : 1);
		futs[i] = FUTURE_AS_RUNNABLE(&futures[i]);
	}

	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	if (runtime != NULL)
		runtime_wait_multiple(runtime, futs, MANY);
	for (unsigned k = 0; k < polls; k++)
		for (int i = 0; i < MANY; i++)
			future_poll(futs[i], NULL);
	return test_clock_ns(CLOCK_MONOTONIC) - start;
}

/*
 * The runtime reads the clock after each poll, so a pass takes about twice as
 * long as in a plain loop. With naps it takes more than 200 times as long.
 */
static void
work_among_futures_that_wait_is_found(void **state)
{
	struct runtime *runtime = test_runtime_new();
	double ratios[5];

	(void)state;
	for (int i = 0; i < 5; i++) {
		const uint64_t plain = work_among_many(NULL);

		ratios[i] = (double)work_among_many(runtime) / (double)plain;
	}
	qsort(ratios, 5, sizeof(*ratios), compare);
	printf("runtime / plain loop %.2f (%.2f to %.2f)\n", ratios[2],
		ratios[0], ratios[4]);
	assert_true(ratios[2] < (TEST_IS_FAST ? 10 : 100));
	runtime_delete(runtime);
}

/* Complete from a time on, which is in sum. */
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

/* Waits for half a second, and returns how much of it the thread has used. */
static uint64_t
cpu_of_looks(struct runtime *runtime, int kind)
{
	enum { MANY = 2000 };
	static struct steps_future futures[MANY];
	static struct future *futs[MANY];
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	const uint64_t cpu = test_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (int i = 0; i < MANY; i++) {
		futures[i] = steps(1, 0);
		futures[i].data.answer = (enum future_notifier_type)kind;
		futures[i].data.sum = start + 500000000;
		FUTURE_INIT(&futures[i], until_task);
		futs[i] = FUTURE_AS_RUNNABLE(&futures[i]);
	}
	runtime_wait_multiple(runtime, futs, MANY);

	const uint64_t used = test_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;

	printf("notifier %d: %llu of 500 ms on the CPU\n", kind,
		(unsigned long long)used / 1000000);
	return used;
}

/*
 * Thousands of looks and their lists are no work, so the thread naps. Beside
 * other programs all is slower: the best of three counts.
 */
static void
many_futures_that_only_look_leave_the_cpu_alone(void **state)
{
	struct runtime *runtime = test_runtime_new();

	/* No word changes, so only the net ends the wait for these. */
	const int last_kind =
		test_has_net() ? FUTURE_NOTIFIER_POLLER : FUTURE_NOTIFIER_NONE;

	(void)state;
	for (int kind = FUTURE_NOTIFIER_NONE; kind <= last_kind;
		kind += FUTURE_NOTIFIER_POLLER) {
		uint64_t used = UINT64_MAX;

		for (int i = 0; i < 3 && used >= 350000000; i++)
			used = cpu_of_looks(runtime, kind);
		if (TEST_IS_FAST)
			assert_true(used < 350000000);
	}
	runtime_delete(runtime);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_done_in_polls_is_not_slowed_down),
		cmocka_unit_test(work_among_futures_that_wait_is_found),
		cmocka_unit_test(
			many_futures_that_only_look_leave_the_cpu_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
