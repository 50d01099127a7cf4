/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * kept.h -- polls like those of a runtime, on a mover whose pieces are counted
 *
 * The linker puts __wrap_mia_piece_run() before mia_piece_run().
 */

#ifndef LIBMINIASYNC_TEST_KEPT_H
#define LIBMINIASYNC_TEST_KEPT_H 1

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "movers/threads_work.h"
#include "operation.h"
#include "operation/piece.h"
#include "threads_mover.h"
#include "wakers.h"

/* The sizes of threads_work.c: what a poll does at once, and what it asks. */
#define HERE_BYTES (16 * KIB)
#define PIECE_BYTES (256 * KIB)

/* Pieces that were run, by this thread and by others. */
static atomic_size_t here_pieces, other_pieces, longest_piece;

/*
 * The piece with this number (from 0) fails; SIZE_MAX: none does. On the clock
 * of the test 0 stands for all.
 */
static size_t failing_piece = SIZE_MAX;
static pthread_t test_thread;

/* Called before each piece, if it is not NULL. */
static void (*before_piece)(void);

/*
 * Bytes in a microsecond, on a clock of the test. 0: pieces are really run.
 * Then the mover does not learn.
 */
static unsigned fake_speed;
static uint64_t fake_ns;

enum vdm_operation_result __real_mia_piece_run(const struct mia_piece *piece);
enum vdm_operation_result __wrap_mia_piece_run(const struct mia_piece *piece);

enum vdm_operation_result
__wrap_mia_piece_run(const struct mia_piece *piece)
{
	const bool is_here = pthread_equal(pthread_self(), test_thread);

	if (is_here && fake_speed != 0) {
		fake_ns += piece->n * 1000 / fake_speed;
		return failing_piece == 0 ? VDM_ERROR_JOB_CORRUPTED
					  : VDM_SUCCESS;
	}

	if (before_piece != NULL)
		before_piece();

	const enum vdm_operation_result result = __real_mia_piece_run(piece);
	size_t longest = atomic_load(&longest_piece);

	while (piece->n > longest &&
		!atomic_compare_exchange_strong(
			&longest_piece, &longest, piece->n))
		continue;

	const size_t number =
		atomic_load(&here_pieces) + atomic_load(&other_pieces);

	atomic_fetch_add(is_here ? &here_pieces : &other_pieces, 1);
	return number == failing_piece ? VDM_ERROR_JOB_CORRUPTED : result;
}

static inline void
count_pieces(void)
{
	test_thread = pthread_self();
	atomic_store(&here_pieces, 0);
	atomic_store(&other_pieces, 0);
	atomic_store(&longest_piece, 0);
	failing_piece = SIZE_MAX;
}

/* The runtime's waker, and what it passes to a poll. */
static struct counter runtime_wakes;
static struct future_notifier notifier;

enum offer { NO_OFFER, OFFER, WORK };

/* So that pieces have PIECE_BYTES, whatever the mover has learnt. */
static inline void
forget_speed(const struct vdm_operation_future *f)
{
	mia_threads_init_speed(
		(struct data_mover_threads *)(void *)f->data.vdm);
}

#define NOT_USED ((enum future_notifier_type)77)

static inline enum future_state
poll_like_runtime(struct vdm_operation_future *f, enum offer offer)
{
	if (fake_speed == 0)
		forget_speed(f);
	notifier.waker.data = &runtime_wakes;
	notifier.waker.wake = wake_counter;
	notifier.poller.ptr_to_monitor = NULL;
	notifier.notifier_used = NOT_USED;
	notifier.padding = FUTURE_NOTIFIER_INLINE_;
	if (offer == OFFER)
		notifier.poller.ptr_to_monitor =
			future_notifier_offer_impl(&notifier);
	if (offer == WORK)
		notifier.poller.ptr_to_monitor =
			future_notifier_work_impl(&notifier);
	return future_poll(FUTURE_AS_RUNNABLE(f), &notifier);
}

static inline bool
is_work_left(void)
{
	return notifier.padding == FUTURE_NOTIFIER_WORK_;
}

static inline bool
is_offer_taken(void)
{
	return notifier.poller.ptr_to_monitor ==
		future_notifier_offer_impl(&notifier);
}

/* Polls that may work, until the future is complete or not kept any more. */
static inline size_t
work_until_end(struct vdm_operation_future *f)
{
	size_t polls = 1;

	while (poll_like_runtime(f, WORK) != FUTURE_STATE_COMPLETE) {
		assert_true(is_work_left());
		polls++;
	}
	return polls;
}

static inline int
kept_setup(void **state)
{
	(void)state;
	counter_init(&runtime_wakes);
	count_pieces();
	return 0;
}

static inline int
kept_teardown(void **state)
{
	(void)state;
	counter_fini(&runtime_wakes);
	return 0;
}

/* A mover whose workers are all held inside of the program's function. */
enum { HELD = 2 };

static struct vdm_operation_future holders[HELD];
static char held_bytes[2 * HELD];
static atomic_size_t held;

static inline void *
memcpy_that_holds(void *dst, const void *src, size_t n, unsigned flags)
{
	atomic_fetch_add(&held, 1);
	return memcpy_at_gate(dst, src, n, flags);
}

static inline struct data_mover_threads *
held_mover(enum future_notifier_type desired)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(HELD, 8, desired);

	assert_non_null(dmt);
	while (sem_trywait(&gate) == 0)
		continue;
	atomic_store(&held, 0);
	data_mover_threads_set_memcpy_fn(dmt, memcpy_that_holds);
	for (size_t i = 0; i < HELD; i++) {
		holders[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
			&held_bytes[2 * i], &held_bytes[2 * i + 1], 1, 0);
		future_poll(FUTURE_AS_RUNNABLE(&holders[i]), NULL);
	}
	while (atomic_load(&held) < HELD)
		sched_yield();
	return dmt;
}

/* Workers go on, and copies of the program are built-in again. */
static inline void
release(struct data_mover_threads *dmt)
{
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	open_gate(HELD);
	for (size_t i = 0; i < HELD; i++)
		FUTURE_BUSY_POLL(&holders[i]);
}

/* One pattern for all buffers. */
static inline void
fill(unsigned char *bytes, size_t n, unsigned salt)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)((i ^ i >> 8 ^ i >> 16) + salt);
}

#define KEPT_TEST(name) \
	cmocka_unit_test_setup_teardown(name, kept_setup, kept_teardown)

#endif /* LIBMINIASYNC_TEST_KEPT_H */
