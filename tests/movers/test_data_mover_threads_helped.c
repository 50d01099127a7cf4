/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_helped.c -- tests movers/data_mover_threads: kept
 * operations that workers help with, and many threads that wait
 */

#include "kept_forms.h"

static void
join_as_worker(struct data_mover_threads *dmt, struct mia_threads_operation *op)
{
	int cpu;

	assert_ptr_equal(
		mia_sharing_join(&dmt->crew.sharing, op->shared.stripe, &cpu),
		&op->shared);
}

/* A worker takes the part over in the end, even if nothing is left to do. */
static void
workers_help_with_what_is_in_the_backlog(void **state)
{
	(void)state;
	for (size_t helped = 0; helped <= PIECES; helped++) {
		struct data_mover_threads *dmt =
			held_mover(FUTURE_NOTIFIER_WAKER);
		struct vdm_operation_future f =
			operation_of(data_mover_threads_get_vdm(dmt), PLAIN);
		struct mia_threads_operation *op = f.data.data;

		counter_init(&runtime_wakes);
		poll_like_runtime(&f, OFFER);
		poll_like_runtime(&f, WORK);
		poll_without_offer(&f, BUSY_WAIT);
		count_pieces();
		for (size_t i = 0; i < helped; i++) {
			join_as_worker(dmt, op);
			forget_speed(&f);
			mia_threads_help(dmt, &op->shared);
		}
		assert_int_equal(here_pieces, helped);
		assert_int_equal(mia_sharing_has_work(&dmt->crew.sharing),
			helped < PIECES);
		assert_int_equal(
			poll_like_runtime(&f, OFFER), FUTURE_STATE_RUNNING);
		release(dmt);
		assert_true(await(&runtime_wakes.sem));
		FUTURE_BUSY_POLL(&f);
		assert_done(&f);
		assert_called(runtime_wakes.calls, 1);
		assert_int_equal(other_pieces == 0, helped == PIECES);
		data_mover_threads_delete(dmt);
		counter_fini(&runtime_wakes);
	}
}

/*
 * The sharer that claimed the last byte has lost its CPU before it took the
 * operation off the list. A helper that comes then does that.
 */
static void
helper_that_finds_nothing_closes(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	struct vdm_operation_future f =
		operation_of(data_mover_threads_get_vdm(dmt), SET);
	struct mia_threads_operation *op = f.data.data;

	(void)state;
	poll_like_runtime(&f, OFFER);
	join_as_worker(dmt, op);
	(void)mia_range_take(&op->shared.range, N, MIA_RANGE_FRONT);
	mia_threads_help(dmt, &op->shared);
	assert_false(mia_sharing_has_work(&dmt->crew.sharing));

	/* The test claimed it all, and has done nothing: once more. */
	mia_range_init(&op->shared.range, N);
	work_until_end(&f);
	assert_done(&f);
	release(dmt);
	data_mover_threads_delete(dmt);
}

/*
 * The waiting thread goes up, and a helper down. Work of another thread lets
 * the helper leave after one piece.
 */
static void
waiting_thread_and_helper_begin_at_different_ends(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	struct vdm_operation_future f =
		operation_of(data_mover_threads_get_vdm(dmt), SET);
	struct mia_threads_operation *op = f.data.data;
	struct mia_shared other;

	(void)state;
	poll_like_runtime(&f, OFFER);
	poll_like_runtime(&f, WORK);
	join_as_worker(dmt, op);
	mia_sharing_open(&dmt->crew.sharing, &other, 1, 0, MIA_OPENER_WORKER);
	forget_speed(&f);
	mia_threads_help(dmt, &op->shared);
	assert_int_equal(
		mia_range_take(&op->shared.range, 1, MIA_RANGE_FRONT).at,
		PIECE_BYTES);
	/* A range of this size counts in up to 128 bytes on 32-bit systems. */
	assert_in_range(mia_range_take(&op->shared.range, 1, MIA_RANGE_BACK).at,
		N - PIECE_BYTES - (sizeof(size_t) < 8 ? 128 : 1),
		N - PIECE_BYTES - 1);
	mia_sharing_close(&dmt->crew.sharing, &other);

	/* The test claimed two bytes, and has done nothing: all once more. */
	mia_range_init(&op->shared.range, N);
	work_until_end(&f);
	assert_done(&f);
	release(dmt);
	data_mover_threads_delete(dmt);
}

/*
 * Helpers may join an overlapping move when the waiting thread claims it. They
 * find nothing. ThreadSanitizer sees whether they read what that thread writes.
 */
static void
helpers_join_a_claimed_order(void **state)
{
	struct data_mover_threads *dmt = mover_new(2, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct runtime *runtime = runtime_new();
	enum { MOVES = 300 };

	(void)state;
	memcpy(dst, before, sizeof(dst));
	for (int i = 0; i < MOVES; i++) {
		struct vdm_operation_future f =
			vdm_memmove(vdm, dst, dst + 1, sizeof(dst) - 1, 0);

		/* So slow that each move is worth a wake. */
		atomic_store(&dmt->speed, 5000);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	}
	assert_true(memcmp(dst, before + MOVES, sizeof(dst) - MOVES) == 0);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
}

/*
 * Threads with runtimes of their own, more than CPUs, and polls without an
 * offer now and then. All share one mover.
 */
enum { WAITERS = 4, FLIGHTS = 5 };

static struct data_mover_threads *shared_mover;

struct waiter {
	pthread_t thread;
	uint64_t seed;
	size_t errors;
	unsigned char *bytes;
};

#define MOST_BYTES (1536 * KIB)

static void *
wait_for_random_operations(void *arg)
{
	struct waiter *w = arg;
	struct runtime *runtime = runtime_new();
	struct vdm *vdm = data_mover_threads_get_vdm(shared_mover);

	for (int round = 0; round < TEST_ROUNDS(150); round++) {
		struct vdm_operation_future f[FLIGHTS];
		struct future *futs[FLIGHTS];
		size_t sizes[FLIGHTS];

		for (size_t i = 0; i < FLIGHTS; i++) {
			sizes[i] = 1 +
				test_random(&w->seed) %
					(MOST_BYTES >>
						test_random(&w->seed) % 8);
			f[i] = vdm_memset(vdm, w->bytes + i * MOST_BYTES,
				round + (int)i, sizes[i], 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
			if (test_random(&w->seed) % 8 == 0)
				future_poll(futs[i], NULL);
		}
		runtime_wait_multiple(runtime, futs, FLIGHTS);
		for (size_t i = 0; i < FLIGHTS; i++)
			for (size_t at = 0; at < sizes[i]; at++)
				if (w->bytes[i * MOST_BYTES + at] !=
					(unsigned char)(round + (int)i))
					w->errors++;
	}
	runtime_delete(runtime);
	return NULL;
}

static void
threads_that_wait_beside_each_other_lose_nothing(void **state)
{
	struct waiter waiters[WAITERS];
	uint64_t seed = test_seed("waiters");

	(void)state;
	shared_mover = mover_new(3, 8);
	for (size_t i = 0; i < WAITERS; i++) {
		waiters[i].seed = test_random(&seed);
		waiters[i].errors = 0;
		waiters[i].bytes = malloc(FLIGHTS * MOST_BYTES);
		assert_non_null(waiters[i].bytes);
		pthread_create(&waiters[i].thread, NULL,
			wait_for_random_operations, &waiters[i]);
	}
	for (size_t i = 0; i < WAITERS; i++) {
		pthread_join(waiters[i].thread, NULL);
		assert_int_equal(waiters[i].errors, 0);
		free(waiters[i].bytes);
	}
	data_mover_threads_delete(shared_mover);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_help_with_what_is_in_the_backlog),
		KEPT_TEST(helper_that_finds_nothing_closes),
		KEPT_TEST(waiting_thread_and_helper_begin_at_different_ends),
		KEPT_TEST(helpers_join_a_claimed_order),
		KEPT_TEST(threads_that_wait_beside_each_other_lose_nothing),
	};

	sem_init(&gate, 0, 0);
	fill(before, sizeof(before), 3);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
