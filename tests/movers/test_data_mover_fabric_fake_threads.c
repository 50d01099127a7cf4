/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_fake_threads.c -- tests the mover over libfabric with
 * a fake libfabric: many threads on one mover, wakers, and a child process
 */

#include "fake_pair.h"

#include <pthread.h>
#include <stdatomic.h>

#include "child.h"
#include "movers/fabric_operation.h"

/* Threads with slices of the region, and the same slices in local memory. */
struct worker {
	struct pair *pair;
	uint64_t seed;
	char *shadow;
	char *slice; /* in the window */
	size_t n;
	bool sleeps;
	pthread_t thread;
	unsigned wrong;
};

static struct vdm_operation_future
random_operation(struct worker *w, char *local)
{
	const size_t n = test_random(&w->seed) % (w->n / 2);
	const size_t to = test_random(&w->seed) % (w->n - n);
	const size_t from = test_random(&w->seed) % (w->n - n);
	const int c = (int)(test_random(&w->seed) & 255);

	switch (test_random(&w->seed) % 4) {
	case 0:
		for (size_t i = 0; i < n; i++)
			local[i] = (char)((size_t)c + i * 7);
		memcpy(w->shadow + to, local, n);
		return vdm_memcpy(w->pair->vdm, w->slice + to, local, n, 0);
	case 1:
		memset(w->shadow + to, c, n);
		return vdm_memset(w->pair->vdm, w->slice + to, c, n, 0);
	case 2:
		memmove(w->shadow + to, w->shadow + from, n);
		return vdm_memmove(
			w->pair->vdm, w->slice + to, w->slice + from, n, 0);
	default:
		memset(local, 0, w->n);
		return vdm_memcpy(w->pair->vdm, local, w->slice, w->n,
			VDM_F_NO_CACHE_HINT);
	}
}

static void *
do_random_operations(void *arg)
{
	struct worker *w = arg;
	char *local = malloc(w->n);

	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		memset(local, 1, w->n);

		struct vdm_operation_future f = random_operation(w, local);
		const bool is_read = f.data.operation.data.memcpy.dest == local;

		if ((w->sleeps ? wait_for(&f) : poll_for(&f)) != VDM_SUCCESS ||
			(is_read && memcmp(local, w->shadow, w->n) != 0))
			w->wrong++;
	}
	free(local);
	return NULL;
}

static void
run_workers(unsigned no_thread)
{
	enum { N = 8 };
	const struct data_mover_fabric_options options =
		options_of(0, 0, no_thread);
	struct worker workers[N];
	struct pair pair;

	fake_fabric_set_full(5);
	assert_true(pair_init(&pair, &options));
	for (int i = 0; i < N; i++) {
		workers[i] = (struct worker){.pair = &pair,
			.seed = test_random(&seed),
			.shadow = calloc(1, REGION / N),
			.slice = pair.window + (size_t)i * (REGION / N),
			.n = REGION / N - (size_t)i,
			.sleeps = i % 2 == 0};
		assert_int_equal(pthread_create(&workers[i].thread, NULL,
					 do_random_operations, &workers[i]),
			0);
	}
	for (int i = 0; i < N; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].wrong, 0);
		assert_memory_equal(workers[i].shadow,
			exposed + (size_t)i * (REGION / N), workers[i].n);
		free(workers[i].shadow);
	}
	assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
	pair_fini(&pair);
}

static void
many_threads_use_one_mover(void **state)
{
	(void)state;
	run_workers(0);
}

static void
many_threads_use_a_mover_without_thread(void **state)
{
	(void)state;
	run_workers(1);
}

/* A waker that starts and polls another future of the mover. */
struct nested {
	struct pair *pair;
	struct vdm_operation_future next;
	atomic_uint has_begun; /* a waker may be called more than once */
	sem_t begun;
};

static void
start_next(void *arg)
{
	struct nested *nested = arg;

	if (atomic_exchange(&nested->has_begun, 1))
		return;
	nested->next = vdm_memset(
		nested->pair->vdm, nested->pair->window + 64, 3, 64, 0);
	(void)future_poll(FUTURE_AS_RUNNABLE(&nested->next), NULL);
	sem_post(&nested->begun);
}

static void
a_waker_may_start_the_next_operation(void **state)
{
	struct nested nested;
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, NULL));
	nested.pair = &pair;
	sem_init(&nested.begun, 0, 0);
	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		struct future_notifier n = {.waker = {&nested, start_next}};
		struct vdm_operation_future f =
			vdm_memset(pair.vdm, pair.window, i, 64, 0);

		memset(exposed, 0, 128);
		atomic_store(&nested.has_begun, 0);
		fake_fabric_stall(true);
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_RUNNING);
		fake_fabric_stall(false);
		assert_true(await(&nested.begun));
		assert_int_equal(poll_for(&f), VDM_SUCCESS);
		assert_int_equal(wait_for(&nested.next), VDM_SUCCESS);
		assert_int_equal(exposed[127], 3);
	}
	sem_destroy(&nested.begun);
	pair_fini(&pair);
}

/* Whoever polls may hold the lock that wakers take. */
static pthread_mutex_t executor = PTHREAD_MUTEX_INITIALIZER;

static void
wake_under_the_lock(void *arg)
{
	pthread_mutex_lock(&executor);
	wake_counter(arg);
	pthread_mutex_unlock(&executor);
}

static void
polls_call_no_wakers(void **state)
{
	struct counter counter;
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, NULL));
	counter_init(&counter);
	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		struct future_notifier n = {
			.waker = {&counter, wake_under_the_lock}};
		struct vdm_operation_future f[COPIES];
		int left = COPIES;

		for (int k = 0; k < COPIES; k++)
			f[k] = vdm_memset(
				pair.vdm, pair.window + 64 * k, i, 64, 0);
		while (left > 0) {
			left = 0;
			pthread_mutex_lock(&executor);
			for (int k = 0; k < COPIES; k++)
				left += future_poll(FUTURE_AS_RUNNABLE(&f[k]),
						&n) != FUTURE_STATE_COMPLETE;
			pthread_mutex_unlock(&executor);
		}
	}
	pair_fini(&pair);
	counter_fini(&counter);
}

/* When the process forked the mover's thread was reading the waker. */
static struct vdm_operation_future begun;
static struct counter other;

static void
poll_with_another_waker(void)
{
	struct future_notifier n = {.waker = {&other, wake_counter}};
	struct mia_fabric_operation *op = begun.data.data;

	atomic_store(&op->completion.state, MIA_COMPLETION_LOCKED);
	CHILD_CHECK(future_poll(FUTURE_AS_RUNNABLE(&begun), &n) ==
		FUTURE_STATE_COMPLETE);
	CHILD_CHECK(FUTURE_OUTPUT(&begun)->result == VDM_ERROR_JOB_CORRUPTED);
}

static void
a_child_waits_for_no_thread_of_its_parent(void **state)
{
	struct counter counter;
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, NULL));
	counter_init(&counter);
	fake_fabric_stall(true);
	start(&pair, &begun, 1, &counter);
	assert_int_equal(child_status(child_start(poll_with_another_waker)), 0);
	fake_fabric_stall(false);
	assert_int_equal(wait_for(&begun), VDM_SUCCESS);
	pair_fini(&pair);
	counter_fini(&counter);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(many_threads_use_one_mover),
		FAKE_TEST(many_threads_use_a_mover_without_thread),
		FAKE_TEST(a_waker_may_start_the_next_operation),
		FAKE_TEST(polls_call_no_wakers),
		FAKE_TEST(a_child_waits_for_no_thread_of_its_parent),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
