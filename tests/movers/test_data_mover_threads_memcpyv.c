/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_memcpyv.c -- tests movers/data_mover_threads: how
 * vdm_memcpyv() is cut into pieces, by whom, and what a failure does
 */

#include "kept.h"

#include "segments.h"

static uint64_t seed;

static size_t
cost_of(const struct segments *s)
{
	return vdm_segments_cost_impl(s->list, s->n);
}

static size_t
pieces_of(const struct segments *s)
{
	return (cost_of(s) + PIECE_BYTES - 1) / PIECE_BYTES;
}

/* Lists whose segments lie across the borders of pieces, at many places. */
static struct segments
list_of_kind(size_t kind)
{
	size_t sizes[40];

	switch (kind) {
	case 0: /* one, longer than pieces */
		return segments_of(&(size_t){3 * PIECE_BYTES + 7}, 1, &seed);
	case 1: /* a border in the cost behind the bytes of the first */
		sizes[0] = PIECE_BYTES - 30;
		sizes[1] = 2 * PIECE_BYTES;
		sizes[2] = 1;
		return segments_of(sizes, 3, &seed);
	case 2: /* a segment is a piece, with its cost */
		for (size_t i = 0; i < 4; i++)
			sizes[i] = PIECE_BYTES - VDM_SEGMENT_COST_;
		return segments_of(sizes, 4, &seed);
	case 3: /* several in a piece, and empty ones */
		for (size_t i = 0; i < 40; i++)
			sizes[i] = i % 5 == 0 ? 0 : 31000 + i;
		return segments_of(sizes, 40, &seed);
	case 4: /* no bytes at all in many pieces */
		return segments_random(20000, 0, &seed);
	default: /* some 7 pieces: less than 1.5 are not shown to helpers */
		return segments_random(300 + kind, 30000, &seed);
	}
}

#define KINDS 9

/* The workers are held, and all operations are built-in. */
static struct data_mover_threads *
held_mover_of_memcpyv(void)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);

	data_mover_threads_set_memcpy_fn(dmt, NULL);
	return dmt;
}

static struct vdm_operation_future
start(struct data_mover_threads *dmt, struct segments *s)
{
	segments_reset(s);
	count_pieces();
	return vdm_memcpyv(data_mover_threads_get_vdm(dmt), s->list, s->n, 0);
}

static void
poll_does_small_lists_at_once_and_keeps_others(void **state)
{
	struct data_mover_threads *dmt = held_mover_of_memcpyv();

	(void)state;
	for (size_t n = 1; n <= 2000; n *= 2) {
		/* 1000 segments of 16 bytes take as long as a big one. */
		struct segments s = segments_random(n, 16, &seed);
		struct vdm_operation_future f = start(dmt, &s);
		const enum future_state first = poll_like_runtime(&f, OFFER);

		assert_int_equal(first == FUTURE_STATE_COMPLETE,
			cost_of(&s) <= HERE_BYTES);
		assert_int_equal(is_work_left(), cost_of(&s) > HERE_BYTES);
		if (first != FUTURE_STATE_COMPLETE)
			work_until_end(&f);
		segments_check(&s);
		segments_free(&s);
	}
	assert_int_equal(runtime_wakes.calls, 0);
	release(dmt);
	data_mover_threads_delete(dmt);
}

static void
waiting_thread_does_it_piece_by_piece(void **state)
{
	struct data_mover_threads *dmt = held_mover_of_memcpyv();

	(void)state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct segments s = list_of_kind(kind);
		struct vdm_operation_future f = start(dmt, &s);

		assert_int_equal(
			poll_like_runtime(&f, OFFER), FUTURE_STATE_RUNNING);
		assert_int_equal(here_pieces, 0);
		assert_int_equal(work_until_end(&f), pieces_of(&s));
		assert_int_equal(here_pieces, pieces_of(&s));
		assert_true(longest_piece <= PIECE_BYTES);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, s.n);
		segments_check(&s);
		segments_free(&s);
	}
	assert_int_equal(other_pieces, 0);
	release(dmt);
	data_mover_threads_delete(dmt);
}

/* Runs as a worker that helps: pieces of the back, until none is left. */
static void
help_all(struct data_mover_threads *dmt)
{
	struct mia_shared *shared;
	int cpu;

	while ((shared = mia_sharing_join(&dmt->crew.sharing, 0, &cpu)) != NULL)
		mia_threads_help(dmt, shared);
}

/* The waiting thread has done some pieces, and the helper does the others. */
static void
helper_does_the_back_while_the_front_is_done(void **state)
{
	(void)state;
	for (size_t kind = 0; kind < KINDS; kind++)
		for (size_t done = 0; done < 4; done++) {
			struct data_mover_threads *dmt =
				held_mover_of_memcpyv();
			struct segments s = list_of_kind(kind);
			struct vdm_operation_future f = start(dmt, &s);

			for (size_t i = 0; i <= done; i++)
				poll_like_runtime(&f, i == 0 ? OFFER : WORK);
			help_all(dmt);
			while (poll_like_runtime(&f, WORK) !=
				FUTURE_STATE_COMPLETE)
				continue;
			assert_int_equal(other_pieces, 0);
			segments_check(&s);
			segments_free(&s);
			release(dmt);
			data_mover_threads_delete(dmt);
		}
}

/* Helpers 1 and 2 run a piece each in turn, until one finds no more. */
static atomic_int turn;
static atomic_bool is_alone;
static _Thread_local int helper; /* 0: none */

static void
wait_for_turn(void)
{
	if (helper == 0)
		return;
	while (atomic_load(&turn) != helper && !atomic_load(&is_alone))
		sched_yield();
	atomic_store(&turn, 3 - helper);
}

static struct data_mover_threads *helped;

static void *
help_by_turns(void *number)
{
	helper = *(int *)number;
	help_all(helped);
	atomic_store(&is_alone, true);
	return NULL;
}

static void
helper_steps_over_what_another_helper_does(void **state)
{
	int numbers[] = {1, 2};

	(void)state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		helped = held_mover_of_memcpyv();
		struct segments s = list_of_kind(kind);
		struct vdm_operation_future f = start(helped, &s);
		pthread_t threads[2];

		poll_like_runtime(&f, OFFER);
		atomic_store(&turn, 1);
		atomic_store(&is_alone, false);
		before_piece = wait_for_turn;
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(pthread_create(&threads[i], NULL,
						 help_by_turns, &numbers[i]),
				0);
		for (size_t i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		before_piece = NULL;
		while (poll_like_runtime(&f, WORK) != FUTURE_STATE_COMPLETE)
			continue;
		assert_int_equal(other_pieces, pieces_of(&s));
		segments_check(&s);
		segments_free(&s);
		release(helped);
		data_mover_threads_delete(helped);
	}
}

/* A poll without an offer: a worker goes on where the thread has come to. */
static void
worker_takes_over_where_the_waiting_thread_stops(void **state)
{
	(void)state;
	for (size_t kind = 0; kind < KINDS; kind++)
		for (size_t done = 0; done < 3; done++) {
			struct data_mover_threads *dmt =
				held_mover_of_memcpyv();
			struct segments s = list_of_kind(kind);
			struct vdm_operation_future f = start(dmt, &s);

			for (size_t i = 0; i <= done; i++)
				poll_like_runtime(&f, i == 0 ? OFFER : WORK);
			release(dmt);
			FUTURE_BUSY_POLL(&f);
			assert_int_equal(
				FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
			assert_int_equal(
				FUTURE_OUTPUT(&f)->output.memcpyv.copied, s.n);
			segments_check(&s);
			segments_free(&s);
			data_mover_threads_delete(dmt);
		}
}

/* Polls by hand, from 90 us on: workers from both ends. */
static void
workers_share_a_large_list(void **state)
{
	struct data_mover_threads *dmt = mover_new(3, 8);

	(void)state;
	for (size_t i = 0; i < TEST_ROUNDS(30); i++) {
		struct segments s =
			segments_random(2000, i % 2 ? 12000 : 8000, &seed);
		struct vdm_operation_future f = start(dmt, &s);

		while (poll_like_runtime(&f, NO_OFFER) != FUTURE_STATE_COMPLETE)
			sched_yield();
		assert_int_equal(here_pieces, 0);
		assert_true(other_pieces > 1);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		segments_check(&s);
		segments_free(&s);
	}
	data_mover_threads_delete(dmt);
}

/* With helpers that come, leave, and come again. */
static void
waiting_thread_and_workers_are_right_together(void **state)
{
	struct data_mover_threads *dmt = mover_new(3, 8);

	(void)state;
	for (size_t i = 0; i < TEST_ROUNDS(50); i++) {
		struct segments s[2] = {
			segments_random(2000, i % 2 ? 12000 : 100, &seed),
			list_of_kind(i % KINDS)};
		struct vdm_operation_future f[2] = {
			start(dmt, &s[0]), start(dmt, &s[1])};
		bool is_left = true;

		while (is_left) {
			is_left = false;
			for (size_t j = 0; j < 2; j++)
				if (poll_like_runtime(&f[j], WORK) !=
					FUTURE_STATE_COMPLETE)
					is_left = true;
			sched_yield();
		}
		for (size_t j = 0; j < 2; j++) {
			assert_int_equal(
				FUTURE_OUTPUT(&f[j])->result, VDM_SUCCESS);
			segments_check(&s[j]);
			segments_free(&s[j]);
		}
	}
	data_mover_threads_delete(dmt);
}

/* The first, the middle or the last piece fails; the others are done. */
static void
failure_of_a_piece_is_the_result(void **state)
{
	(void)state;
	for (size_t failing = 0; failing < 4; failing++) {
		struct data_mover_threads *dmt = held_mover_of_memcpyv();
		struct segments s = list_of_kind(2);
		struct vdm_operation_future f = start(dmt, &s);

		poll_like_runtime(&f, OFFER);
		failing_piece = failing;
		assert_int_equal(work_until_end(&f), 4);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(FUTURE_OUTPUT(&f)->output.memcpyv.copied, 0);
		segments_check(&s);
		release(dmt);

		/* By workers. */
		f = start(dmt, &s);
		failing_piece = failing;
		FUTURE_BUSY_POLL(&f);
		assert_int_equal(FUTURE_OUTPUT(&f)->result,
			failing < other_pieces ? VDM_ERROR_JOB_CORRUPTED
					       : VDM_SUCCESS);
		segments_check(&s);

		/* The slot is used again, without its past. */
		f = start(dmt, &s);
		while (poll_like_runtime(&f, WORK) != FUTURE_STATE_COMPLETE)
			continue;
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		segments_check(&s);
		segments_free(&s);
		data_mover_threads_delete(dmt);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KEPT_TEST(poll_does_small_lists_at_once_and_keeps_others),
		KEPT_TEST(waiting_thread_does_it_piece_by_piece),
		KEPT_TEST(helper_does_the_back_while_the_front_is_done),
		KEPT_TEST(helper_steps_over_what_another_helper_does),
		KEPT_TEST(worker_takes_over_where_the_waiting_thread_stops),
		KEPT_TEST(workers_share_a_large_list),
		KEPT_TEST(waiting_thread_and_workers_are_right_together),
		KEPT_TEST(failure_of_a_piece_is_the_result),
	};

	sem_init(&gate, 0, 0);
	seed = test_seed("data_mover_threads_memcpyv");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
