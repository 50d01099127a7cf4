/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_kept.c -- tests movers/data_mover_threads:
 * operations that the waiting thread does, piece by piece
 */

#include "kept.h"

#include "operation/memory.h"

#define MOST (2048 * KIB + 1)
#define GUARD ((size_t)64)
#define ARENA (3 * (MOST + 2 * GUARD))

static unsigned char dst[ARENA], src[ARENA], expected[ARENA], before[ARENA];

static const size_t sizes[] = {1, HERE_BYTES - 1, HERE_BYTES, HERE_BYTES + 1,
	PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 1024 * KIB - 1,
	1024 * KIB, 1024 * KIB + 1, 2048 * KIB - 1, 2048 * KIB, MOST};

#define NSIZES (sizeof(sizes) / sizeof(*sizes))

static size_t
pieces_of(size_t n)
{
	return (n + PIECE_BYTES - 1) / PIECE_BYTES;
}

static void
poll_with_an_offer_keeps_what_is_not_small(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	for (size_t i = 0; i < NSIZES; i++) {
		const size_t n = sizes[i];
		struct vdm_operation_future f =
			vdm_memset(vdm, dst, (int)i, n, 0);
		const enum future_state first = poll_like_runtime(&f, OFFER);

		count_pieces();
		assert_int_equal(is_work_left(), n > HERE_BYTES);
		if (n <= HERE_BYTES) {
			assert_int_equal(first, FUTURE_STATE_COMPLETE);
			continue;
		}
		assert_int_equal(first, FUTURE_STATE_RUNNING);
		assert_int_equal(notifier.notifier_used, FUTURE_NOTIFIER_WAKER);

		/* Such polls do nothing, however often. */
		for (int j = 0; j < 3; j++) {
			assert_int_equal(poll_like_runtime(&f, OFFER),
				FUTURE_STATE_RUNNING);
			assert_true(is_work_left());
		}
		assert_int_equal(here_pieces, 0);
		assert_int_equal(work_until_end(&f), pieces_of(n));
		assert_int_equal(here_pieces, pieces_of(n));
		assert_true(longest_piece <= PIECE_BYTES);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	}
	assert_int_equal(other_pieces, 0);
	assert_int_equal(runtime_wakes.calls, 0);
	release(dmt);
	data_mover_threads_delete(dmt);
}

/* Up to one piece at once. A larger one waits for its turn. */
static void
first_poll_that_may_work_does_one_piece_at_most(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	for (size_t i = 0; i < NSIZES; i++) {
		const size_t n = sizes[i];
		struct vdm_operation_future f =
			vdm_memset(vdm, dst, (int)i, n, 0);

		count_pieces();

		const enum future_state first = poll_like_runtime(&f, WORK);

		assert_true(here_pieces <= 1);
		assert_true(longest_piece <= PIECE_BYTES);
		if (n <= HERE_BYTES)
			assert_false(is_offer_taken());
		if (n <= PIECE_BYTES) {
			assert_int_equal(first, FUTURE_STATE_COMPLETE);
			assert_int_equal(is_offer_taken(), n > HERE_BYTES);
			assert_int_equal(
				notifier.notifier_used, FUTURE_NOTIFIER_NONE);
			continue;
		}
		assert_true(is_work_left());

		/* Each poll that works says so. */
		while (poll_like_runtime(&f, WORK) != FUTURE_STATE_COMPLETE)
			assert_true(is_offer_taken());
		assert_true(is_offer_taken());
		assert_int_equal(here_pieces, pieces_of(n));
	}
	assert_int_equal(runtime_wakes.calls, 0);
	release(dmt);
	data_mover_threads_delete(dmt);
}

/* Compares more than the operation wrote: no other byte has changed. */
static void
assert_same(const char *what, size_t all, size_t n, size_t to, size_t from)
{
	if (memcmp(dst, expected, all) == 0)
		return;

	size_t at = 0;

	while (dst[at] == expected[at])
		at++;
	fail_msg("%s of %zu bytes from %zu to %zu: wrong at %zu", what, n, from,
		to, at);
}

/* The operation, done by polls that may work, and by libc. */
static void
check(struct vdm *vdm, enum vdm_operation_type type, size_t to, size_t from,
	size_t n, uint64_t flags)
{
	const bool moves = type == VDM_OPERATION_MEMMOVE;
	const unsigned char *source = moves ? &dst[from] : &src[from];

	const size_t all = (to > from ? to : from) + n + GUARD;

	memcpy(dst, before, all);
	memcpy(expected, before, all);

	struct vdm_operation_future f =
		operation_new(vdm, type, &dst[to], source, 0xa5, n, flags);
	enum vdm_operation_result result = VDM_SUCCESS;

	switch (type) {
	case VDM_OPERATION_MEMCPY:
		memcpy(&expected[to], source, n);
		break;
	case VDM_OPERATION_MEMMOVE:
		memmove(&expected[to], &expected[from], n);
		break;
	case VDM_OPERATION_MEMSET:
		memset(&expected[to], 0xa5, n);
		break;
	case VDM_OPERATION_FLUSH:
		if (mia_memory_capabilities() == 0)
			result = VDM_ERROR_JOB_CORRUPTED;
		break;
	case VDM_OPERATION_MEMCPYV: /* test_data_mover_threads_memcpyv.c */
		break;
	}

	while (poll_like_runtime(&f, WORK) != FUTURE_STATE_COMPLETE)
		if (!is_work_left())
			sched_yield();
	assert_int_equal(FUTURE_OUTPUT(&f)->result, result);
	assert_same(type == VDM_OPERATION_MEMCPY        ? "memcpy"
			: type == VDM_OPERATION_MEMMOVE ? "memmove"
			: type == VDM_OPERATION_MEMSET  ? "memset"
							: "flush",
		all, n, to, from);
}

static void
check_all(struct vdm *vdm, uint64_t flags)
{
	for (size_t i = 0; i<NSIZES; i += TEST_SLOWDOWN> 10 ? 4 : 1) {
		const size_t n = sizes[i];
		const size_t distances[] = {1, 63, 4096, PIECE_BYTES - 1,
			PIECE_BYTES, PIECE_BYTES + 1, n / 2, n - 1, n, n + 1};

		for (int type = 0; type < 4; type++)
			check(vdm, (enum vdm_operation_type)type, GUARD + i,
				GUARD + n + i, n, flags);
		for (size_t d = 0; d < 10; d++) {
			const size_t apart = GUARD + distances[d];

			if (distances[d] > n + 1 ||
				(TEST_SLOWDOWN > 1 && (i + d) % 4 != 0))
				continue;
			check(vdm, VDM_OPERATION_MEMMOVE, GUARD, apart, n,
				flags);
			check(vdm, VDM_OPERATION_MEMMOVE, apart, GUARD, n,
				flags);
		}
	}
}

static void
alone_does_what_libc_does(void **state)
{
	struct data_mover_threads *alone = held_mover(FUTURE_NOTIFIER_WAKER);

	(void)state;
	/* All copies here are built-in again; the workers are still held. */
	data_mover_threads_set_memcpy_fn(alone, NULL);
	count_pieces();
	check_all(data_mover_threads_get_vdm(alone), 0);
	assert_int_equal(other_pieces, 0);
	assert_int_equal(runtime_wakes.calls, 0);
	assert_true(longest_piece <= PIECE_BYTES);
	release(alone);
	data_mover_threads_delete(alone);
}

static void
together_with_workers_does_what_libc_does(void **state)
{
	(void)state;
	for (size_t workers = 1; workers <= 5; workers += 2) {
		struct data_mover_threads *dmt = mover_new(workers, 8);

		count_pieces();
		check_all(data_mover_threads_get_vdm(dmt), 0);
		printf("%zu workers did %zu of %zu pieces\n", workers,
			atomic_load(&other_pieces),
			atomic_load(&other_pieces) + atomic_load(&here_pieces));
		data_mover_threads_delete(dmt);
	}
}

static void
flags_reach_every_piece(void **state)
{
	struct data_mover_threads *dmt = mover_new(2, 8);

	(void)state;
	check_all(data_mover_threads_get_vdm(dmt), VDM_F_NO_CACHE_HINT);
	data_mover_threads_delete(dmt);
}

/* The first, the middle or the last piece fails, here or by a worker. */
static void
failure_of_a_piece_is_the_result(void **state)
{
	(void)state;
	for (size_t failing = 0; failing < 5; failing++) {
		for (int moved = 0; moved < 2; moved++) {
			struct data_mover_threads *dmt =
				held_mover(FUTURE_NOTIFIER_WAKER);
			struct vdm *vdm = data_mover_threads_get_vdm(dmt);
			const size_t n = 5 * PIECE_BYTES;
			struct vdm_operation_future f = moved
				? vdm_memmove(vdm, dst, dst + 5, n, 0)
				: vdm_memset(vdm, dst, 1, n, 0);

			assert_int_equal(poll_like_runtime(&f, OFFER),
				FUTURE_STATE_RUNNING);
			count_pieces();
			failing_piece = failing;
			assert_int_equal(work_until_end(&f), 5);
			assert_int_equal(FUTURE_OUTPUT(&f)->result,
				VDM_ERROR_JOB_CORRUPTED);
			release(dmt);

			/* The slot is used again, without its past. */
			f = vdm_memset(vdm, dst, 1, n, 0);
			count_pieces();
			while (poll_like_runtime(&f, WORK) !=
				FUTURE_STATE_COMPLETE)
				continue;
			assert_int_equal(
				FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
			data_mover_threads_delete(dmt);
		}
	}
}

static void *
memset_elsewhere(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	assert_false(pthread_equal(pthread_self(), test_thread));
	return memset(str, c, n);
}

static void
functions_of_the_program_are_called_by_workers_only(void **state)
{
	struct data_mover_threads *dmt = mover_new(2, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	data_mover_threads_set_memset_fn(dmt, memset_elsewhere);
	for (size_t i = 0; i < NSIZES; i++) {
		for (int offer = 0; offer < 3; offer++) {
			struct vdm_operation_future f =
				vdm_memset(vdm, dst, 3, sizes[i], 0);

			while (poll_like_runtime(&f, (enum offer)offer) !=
				FUTURE_STATE_COMPLETE)
				assert_false(is_work_left());
		}
	}
	data_mover_threads_delete(dmt);
}

static void
invalid_operations_are_refused_by_the_first_poll(void **state)
{
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct vdm_operation_future f =
		vdm_memset(vdm, NULL, 3, 10 * PIECE_BYTES, 0);

	(void)state;
	assert_int_equal(poll_like_runtime(&f, WORK), FUTURE_STATE_COMPLETE);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
	assert_false(is_work_left());
	data_mover_threads_delete(dmt);
}

/* A long one goes on in a worker while the waiting thread polls for long. */
static void
only_a_long_overlapping_move_is_shown_alone(void **state)
{
	static const size_t moves[] = {300 * KIB, 1024 * KIB, 4096 * KIB};
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_WAKER);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		unsigned char *bytes = calloc(1, moves[i] + 9);
		struct vdm_operation_future f =
			vdm_memmove(data_mover_threads_get_vdm(dmt), bytes,
				bytes + 9, moves[i], 0);

		assert_non_null(bytes);
		assert_int_equal(
			poll_like_runtime(&f, OFFER), FUTURE_STATE_RUNNING);
		assert_int_equal(
			mia_sharing_has_work(&dmt->crew.sharing), i == 2);
		work_until_end(&f);
		free(bytes);
	}
	release(dmt);
	data_mover_threads_delete(dmt);
}

/* The next entry of a chain needs it, also after an entry with a word. */
static void
end_of_a_kept_operation_leaves_the_offer(void **state)
{
	struct data_mover_threads *dmt = held_mover(FUTURE_NOTIFIER_POLLER);
	struct vdm_operation_future f = vdm_memset(
		data_mover_threads_get_vdm(dmt), dst, 1, 2 * PIECE_BYTES, 0);

	(void)state;
	assert_int_equal(poll_like_runtime(&f, OFFER), FUTURE_STATE_RUNNING);
	assert_false(is_offer_taken()); /* a word is there */
	assert_int_equal(poll_like_runtime(&f, WORK), FUTURE_STATE_RUNNING);
	assert_int_equal(poll_like_runtime(&f, WORK), FUTURE_STATE_COMPLETE);
	assert_true(is_offer_taken());
	release(dmt);
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KEPT_TEST(poll_with_an_offer_keeps_what_is_not_small),
		KEPT_TEST(first_poll_that_may_work_does_one_piece_at_most),
		KEPT_TEST(alone_does_what_libc_does),
		KEPT_TEST(together_with_workers_does_what_libc_does),
		KEPT_TEST(flags_reach_every_piece),
		KEPT_TEST(failure_of_a_piece_is_the_result),
		KEPT_TEST(functions_of_the_program_are_called_by_workers_only),
		KEPT_TEST(invalid_operations_are_refused_by_the_first_poll),
		KEPT_TEST(only_a_long_overlapping_move_is_shown_alone),
		KEPT_TEST(end_of_a_kept_operation_leaves_the_offer),
	};

	sem_init(&gate, 0, 0);
	fill(before, ARENA, 1);
	fill(src, ARENA, 99);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
