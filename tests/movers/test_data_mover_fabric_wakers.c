/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_wakers.c -- tests movers/data_mover_fabric with the
 * installed libfabric: the threads that call wakers, and the end of the mover
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "fabric_pair.h"
#include "wakers.h"

#define MIB (1024 * KIB)

/* Polls and operations of a waker. */

static _Thread_local bool is_polling;
static atomic_int wakes_in_polls;
static sem_t woken;

static void
note_and_post(void *data)
{
	(void)data;
	if (is_polling)
		atomic_fetch_add(&wakes_in_polls, 1);
	sem_post(&woken);
}

/*
 * The poller may hold a lock that its wakers take, so wakers belong to the
 * threads of the mover. A poll finds much to finish here: of other futures, and
 * its own.
 */
static void
polls_call_no_waker(void **state)
{
	enum { N = 50 };
	struct pair p;

	(void)state;
	sem_init(&woken, 0, 0);
	atomic_store(&wakes_in_polls, 0);
	pair_init(&p, (struct pair_of){.size = N * 8});
	for (int round = 0; round < TEST_ROUNDS(300); round++) {
		struct vdm_operation_future f[N];
		int left = N;

		for (int i = 0; i < N; i++)
			f[i] = vdm_memset(p.vdm, p.window + i * 8, round, 8, 0);
		while (left > 0) {
			left = 0;
			for (int i = 0; i < N; i++) {
				struct future_notifier n = {
					.waker = {NULL, note_and_post}};

				is_polling = true;
				if (future_poll(FUTURE_AS_RUNNABLE(&f[i]),
					    &n) != FUTURE_STATE_COMPLETE)
					left++;
				is_polling = false;
			}
			/* As often by polls without end, as asleep. */
			if (left > 0 && round % 2 == 0)
				assert_true(await(&woken));
		}
		assert_int_equal(p.memory[N * 8 - 1], (char)round);
	}
	assert_int_equal(atomic_load(&wakes_in_polls), 0);

	/* The mover's thread sleeps again. */
	const uint64_t before_ns = test_clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	test_sleep_ns(300 * MS);
	assert_true(
		test_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before_ns < 100 * MS);
	pair_fini(&p);
	sem_destroy(&woken);
}

/*
 * The program polls the future of a queue, and does not bring the waker. The
 * queue still gets its wake, though such a poll may find that the operation is
 * complete. The notifier is NULL, or has no waker.
 */
static void
polls_without_a_waker_lose_no_wake(void **state)
{
	struct completion_queue *queue = completion_queue_new();
	struct pair p;
	int reaped_at_once = 0;

	(void)state;
	assert_non_null(queue);
	pair_init(&p, (struct pair_of){.size = 64 * KIB});
	for (int i = 0; i < TEST_ROUNDS(1000); i++) {
		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
		struct future_notifier none = {.waker = {NULL, NULL}};
		struct vdm_operation_future f =
			vdm_memset(p.vdm, p.window, i, 64 * KIB, 0);
		struct completion done = {0};

		assert_int_equal(
			completion_queue_add(queue, FUTURE_AS_RUNNABLE(&f), &f),
			0);
		while (future_poll(FUTURE_AS_RUNNABLE(&f),
			       i % 2 == 0 ? NULL : &none) !=
			FUTURE_STATE_COMPLETE)
			continue;
		/* The waker is called before the poll returns COMPLETE. */
		reaped_at_once += completion_queue_reap(queue, &done, 1) == 1;
		if (done.future == NULL)
			fail_msg("round %d: the queue has no wake", i);
		pair_check_time(start_ns);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	}
	assert_int_equal(reaped_at_once, TEST_ROUNDS(1000));
	pair_fini(&p);
	completion_queue_delete(queue);
}

/* Each operation that is under way fails, and its waker is called. */
static void
deleting_fails_what_is_under_way(void **state)
{
	enum { N = 300 };
	char *local = calloc(1, 2 * MIB);
	uint64_t seed = test_seed("delete");

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(40); round++) {
		struct pair p;
		struct vdm_operation_future f[N];
		struct counter c;
		int running = 0;

		counter_init(&c);
		pair_init(&p,
			(struct pair_of){.size = 2 * MIB,
				.no_mover_thread = round % 4 == 0,
				.no_region_thread = round % 3 == 0});
		for (size_t i = 0; i < N; i++) {
			const size_t n = 1 +
				test_random(&seed) %
					(i % 16 == 0 ? 2 * MIB : 100);
			struct future_notifier notifier = {
				.waker = {&c, wake_counter}};

			f[i] = i % 3 == 0
				? vdm_memcpy(p.vdm, local, p.window, n, 0)
				: i % 3 == 1
				? vdm_memcpy(p.vdm, p.window, p.window, n, 0)
				: vdm_memset(p.vdm, p.window, 0, n, 0);
			if (future_poll(FUTURE_AS_RUNNABLE(&f[i]), &notifier) !=
				FUTURE_STATE_COMPLETE)
				running++;
		}
		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

		data_mover_fabric_delete(p.dmf);
		pair_check_time(start_ns);
		p.dmf = NULL;
		if (round % 4 != 0)
			assert_in_range(atomic_load(&c.calls), running, N);
		pair_fini(&p);
		counter_fini(&c);
	}
	free(local);
}

static void
end_thread(void *data)
{
	wake_counter(data);
	pthread_exit(NULL);
}

/* Starts n sets; two wakers of three end the thread. Returns how many run. */
static int
start_sets(struct pair *p, struct vdm_operation_future *f, int n,
	struct counter *c)
{
	int running = 0;

	for (int i = 0; i < n; i++) {
		struct future_notifier notifier = {
			.waker = {c, i % 3 == 0 ? wake_counter : end_thread}};

		f[i] = vdm_memset(p->vdm, p->window + i * 64, i, 64, 0);
		if (future_poll(FUTURE_AS_RUNNABLE(&f[i]), &notifier) !=
			FUTURE_STATE_COMPLETE)
			running++;
	}
	return running;
}

/* Another one goes on, also when the mover is deleted. */
static void
wakers_may_end_the_thread(void **state)
{
	enum { N = 30 };
	struct vdm_operation_future f[N];
	int awaited = 0;

	(void)state;
	for (int mover = 0; mover < TEST_ROUNDS(20); mover++) {
		struct pair p;
		struct counter c;

		counter_init(&c);
		pair_init(&p, (struct pair_of){.size = N * 64});
		for (int round = 0; round < 50; round++) {
			const int running = start_sets(&p, f, N, &c);

			for (int i = 0; i < running; i++)
				if (!await(&c.sem))
					fail_msg("%d of %d wakers, round %d", i,
						running, round);
			for (int i = 0; i < N; i++)
				assert_int_equal(
					pair_finish(&p, f[i]), VDM_SUCCESS);
			/* Of wakers that their first poll has waited for. */
			while (sem_trywait(&c.sem) == 0)
				continue;
			awaited += running;
		}

		const int before = atomic_load(&c.calls);
		const int running = start_sets(&p, f, N, &c);

		data_mover_fabric_delete(p.dmf);
		p.dmf = NULL;
		assert_in_range(
			atomic_load(&c.calls), before + running, before + N);
		pair_fini(&p);
		counter_fini(&c);
	}
	printf("%d wakers\n", awaited);
	assert_true(awaited > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(polls_call_no_waker),
		cmocka_unit_test(polls_without_a_waker_lose_no_wake),
		cmocka_unit_test(deleting_fails_what_is_under_way),
		cmocka_unit_test(wakers_may_end_the_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
