/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_piece_moves.c -- tests operation/piece: the parser of a MEMCPYV, the
 * parts of its segments against a plain loop, and which segments are streamed
 */

#include "test.h"

#include <stdbool.h>

#include "operation/memory_cpu.h"
#include "operation/operation.h"
#include "operation/piece.h"
#include "segments.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static struct vdm_operation
operation(const struct vdm_segment *list, size_t n, uint64_t flags)
{
	return (struct vdm_operation){.type = VDM_OPERATION_MEMCPYV,
		.data.memcpyv = {list, n, flags}};
}

static struct mia_piece
piece_of(const struct vdm_segment *list, size_t n, uint64_t flags)
{
	const struct vdm_operation op = operation(list, n, flags);
	struct mia_piece piece;

	memset(&piece, 0xee, sizeof(piece));
	mia_piece_of(&piece, &op);
	return piece;
}

/* Parser */

static void
valid_segments_become_their_cost(void **state)
{
	char a[8], b[8];
	const struct vdm_segment list[] = {
		{a, b, 8}, {NULL, NULL, 0}, {b, a, 1000}};

	(void)state;
	for (size_t n = 0; n <= 3; n++)
		for (uint64_t flags = 0; flags <= VDM_F_VALID_FLAGS; flags++) {
			const struct mia_piece piece = piece_of(list, n, flags);
			const size_t costs[] = {0, 72, 136, 1200};

			assert_int_equal(piece.kind, MIA_PIECE_MOVES);
			assert_int_equal(piece.n, costs[n]);
			assert_int_equal(piece.flags, flags);
			assert_ptr_equal(piece.segment, list);
			assert_int_equal(piece.skip, 0);
			assert_true(mia_piece_distance(&piece) == SIZE_MAX);
		}
	assert_int_equal(piece_of(NULL, 0, 0).kind, MIA_PIECE_MOVES);
}

/* With the bad segment first, in the middle and last. Nothing is written. */
static void
invalid_segment_makes_all_invalid(void **state)
{
	char to = 't', from = 'f';
	const struct vdm_segment bad[] = {{NULL, &from, 1}, {&to, NULL, 1},
		{NULL, NULL, SIZE_MAX}, {&to, &from, SIZE_MAX},
		{&to, &from, SIZE_MAX - 192}, {&to, &from, SIZE_MAX - 193}};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(bad); i++)
		for (size_t at = 0; at < 3; at++) {
			struct vdm_segment list[3] = {
				{&to, &from, 1}, {&to, &from, 1}, {0}};
			struct mia_piece piece;

			list[2] = list[at];
			list[at] = bad[i];
			piece = piece_of(list, 3, 0);
			assert_int_equal(piece.kind, MIA_PIECE_INVALID);
			assert_int_equal(piece.n, 0);
			assert_int_equal(
				mia_piece_run(&piece), VDM_ERROR_JOB_CORRUPTED);
		}
	assert_int_equal(to, 't');

	/* One byte less would do: the longest that can be counted. */
	struct vdm_segment longest = {&to, &from, SIZE_MAX - 65};

	assert_int_equal(piece_of(&longest, 1, 0).kind, MIA_PIECE_MOVES);
	longest.n++;
	assert_int_equal(piece_of(&longest, 1, 0).kind, MIA_PIECE_INVALID);
}

static void
null_list_and_unknown_flags_are_invalid(void **state)
{
	char to = 't', from = 'f';
	const struct vdm_segment list = {&to, &from, 1};
	const struct vdm_segment *nowhere =
		(const struct vdm_segment *)(uintptr_t)64;

	(void)state;
	assert_int_equal(piece_of(NULL, 1, 0).kind, MIA_PIECE_INVALID);
	assert_int_equal(piece_of(NULL, SIZE_MAX, 0).kind, MIA_PIECE_INVALID);
	/* Their cost alone is too large, so no segment is read. */
	assert_int_equal(
		piece_of(nowhere, SIZE_MAX / VDM_SEGMENT_COST_ + 1, 0).kind,
		MIA_PIECE_INVALID);
	for (unsigned bit = 2; bit < 64; bit++) {
		const uint64_t flags = UINT64_C(1) << bit | 3;

		assert_int_equal(
			piece_of(&list, 1, flags).kind, MIA_PIECE_INVALID);
		assert_int_equal(
			piece_of(NULL, 0, flags).kind, MIA_PIECE_INVALID);
	}
}

static void
output_counts_the_segments_of_a_success(void **state)
{
	const struct vdm_operation op = operation(NULL, 7, 0);
	struct vdm_operation_output output;

	(void)state;
	memset(&output, 0xee, sizeof(output));
	mia_operation_output(&op, VDM_SUCCESS, &output);
	assert_int_equal(output.type, VDM_OPERATION_MEMCPYV);
	assert_int_equal(output.result, VDM_SUCCESS);
	assert_int_equal(output.output.memcpyv.copied, 7);
	mia_operation_output(&op, VDM_ERROR_JOB_CORRUPTED, &output);
	assert_int_equal(output.result, VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(output.output.memcpyv.copied, 0);
}

/* Parts */

static void
whole_is_equal_to_a_loop(void **state)
{
	uint64_t seed = test_seed("piece_moves");

	(void)state;
	for (size_t i = 0; i < TEST_ROUNDS(1000); i++) {
		struct segments s = segments_random(
			(i + 7) % 50, i % 10 == 0 ? 20000 : 300, &seed);
		const struct vdm_operation op = operation(s.list, s.n, i % 4);

		assert_int_equal(mia_operation_run(&op, NULL), VDM_SUCCESS);
		segments_check(&s);
		segments_free(&s);
	}
}

/* A size for each piece: some of a byte, and some of several segments. */
static size_t
random_part(size_t left, uint64_t *seed)
{
	const size_t most = test_random(seed) % 2 ? 8 : 700;
	const size_t n = test_random(seed) % (most < left ? most : left) + 1;

	return n;
}

/* As the thread that opened an operation goes: forward, part by part. */
static void
parts_upwards_are_equal_to_a_loop(void **state)
{
	uint64_t seed = test_seed("piece_moves");

	(void)state;
	for (size_t i = 0; i < TEST_ROUNDS(1000); i++) {
		struct segments s = segments_random(1 + i % 30, 500, &seed);
		struct mia_piece place = piece_of(s.list, s.n, 0);
		size_t left = place.n;

		while (left > 0) {
			const size_t n = random_part(left, &seed);
			const struct mia_piece part =
				mia_piece_part(&place, 0, n);

			assert_int_equal(part.n, n);
			mia_piece_run(&part);
			mia_piece_forward(&place, n);
			left -= n;
		}
		assert_ptr_equal(place.segment, s.list + s.n);
		assert_int_equal(place.skip, 0);
		segments_check(&s);
		segments_free(&s);
	}
}

/* As a helper goes: back from the end, also over what others have. */
static void
parts_downwards_are_equal_to_a_loop(void **state)
{
	uint64_t seed = test_seed("piece_moves");

	(void)state;
	for (size_t i = 0; i < TEST_ROUNDS(1000); i++) {
		struct segments s = segments_random(1 + i % 30, 500, &seed);
		const struct mia_piece piece = piece_of(s.list, s.n, 0);
		struct mia_piece places[2] = {piece, piece};
		size_t at[2] = {piece.n, piece.n}, end = piece.n;

		places[0].segment = places[1].segment = s.list + s.n;
		while (end > 0) {
			const size_t n = random_part(end, &seed);
			const size_t who = test_random(&seed) % 2;

			mia_piece_back(&places[who], at[who] - (end - n));
			at[who] = end -= n;

			const struct mia_piece part =
				mia_piece_part(&places[who], 0, n);

			mia_piece_run(&part);
		}
		segments_check(&s);
		segments_free(&s);
	}
}

static void
any_part_is_found_from_the_front(void **state)
{
	uint64_t seed = test_seed("piece_moves");

	(void)state;
	for (size_t i = 0; i < TEST_ROUNDS(300); i++) {
		struct segments s = segments_random(1 + i % 30, 500, &seed);
		const struct mia_piece piece = piece_of(s.list, s.n, 0);

		for (size_t end = piece.n; end > 0;) {
			const size_t n = random_part(end, &seed);
			const struct mia_piece part =
				mia_piece_part(&piece, end - n, n);

			mia_piece_run(&part);
			end -= n;
		}
		segments_check(&s);
		segments_free(&s);
	}
}

static void
next_gives_the_bytes_of_each_segment_once(void **state)
{
	char to[30], from[30];
	const struct vdm_segment list[] = {{to, from, 10}, {to, from, 0},
		{to + 10, from + 10, 5}, {NULL, NULL, 0}};
	struct mia_piece moves = piece_of(list, 4, VDM_F_NO_CACHE_HINT), move;

	(void)state;
	mia_piece_forward(&moves, 3);
	moves.n -= 3;
	assert_true(mia_piece_next(&moves, &move));
	assert_int_equal(move.kind, MIA_PIECE_MOVE);
	assert_ptr_equal(move.dest, to + 3);
	assert_ptr_equal(move.src, from + 3);
	assert_int_equal(move.n, 7);
	assert_int_equal(move.flags, VDM_F_NO_CACHE_HINT);
	assert_true(mia_piece_next(&moves, &move));
	assert_ptr_equal(move.dest, to + 10);
	assert_int_equal(move.n, 5);
	assert_false(mia_piece_next(&moves, &move));
	assert_int_equal(moves.n, 0);

	/* A part that lies behind the bytes of its segment copies nothing. */
	moves = piece_of(list, 1, 0);
	moves = mia_piece_part(&moves, 10, VDM_SEGMENT_COST_);
	assert_false(mia_piece_next(&moves, &move));
}

/* Streaming and fences. The linker puts these before those of the CPU file. */

static size_t nstreamed, nfences;
static bool is_unfenced;

void __wrap_mia_cpu_fence(void);

void
__wrap_mia_cpu_fence(void)
{
	nfences++;
	is_unfenced = false;
}

struct mia_ragged __wrap_mia_cpu_stream_move(
	void *to, const void *from, size_t n);

/* As if the ends were whole lines, on every CPU. */
struct mia_ragged
__wrap_mia_cpu_stream_move(void *to, const void *from, size_t n)
{
	assert_true(n >= 512);
	memmove(to, from, n);
	nstreamed++;
	is_unfenced = true;
	return (struct mia_ragged){0, 0};
}

/* Of 30 segments, each kind in turn. */
static void
only_long_moves_are_streamed_and_all_share_a_fence(void **state)
{
	static const size_t kinds[] = {511, 512, 0, 16, 5000};
	uint64_t seed = test_seed("piece_moves");
	size_t sizes[30];

	(void)state;
	for (size_t i = 0; i < ELEMENTS(sizes); i++)
		sizes[i] = kinds[i % ELEMENTS(kinds)];
	for (uint64_t flags = 0; flags <= VDM_F_VALID_FLAGS; flags++) {
		struct segments s = segments_of(sizes, ELEMENTS(sizes), &seed);
		const bool is_hint = (flags & VDM_F_NO_CACHE_HINT) != 0;
		const struct mia_piece piece = piece_of(s.list, s.n, flags);

		nstreamed = nfences = 0;
		assert_int_equal(mia_piece_run(&piece), VDM_SUCCESS);
		assert_int_equal(nstreamed, is_hint ? 12 : 0);
		assert_false(is_unfenced);
		if (is_hint)
			assert_int_equal(nfences, 1);
		else if (flags == 0)
			assert_int_equal(nfences, 0);
		else /* unless the CPU cannot write lines back */
			assert_true(nfences <= 1);
		segments_check(&s);
		segments_free(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_segments_become_their_cost),
		cmocka_unit_test(invalid_segment_makes_all_invalid),
		cmocka_unit_test(null_list_and_unknown_flags_are_invalid),
		cmocka_unit_test(output_counts_the_segments_of_a_success),
		cmocka_unit_test(whole_is_equal_to_a_loop),
		cmocka_unit_test(parts_upwards_are_equal_to_a_loop),
		cmocka_unit_test(parts_downwards_are_equal_to_a_loop),
		cmocka_unit_test(any_part_is_found_from_the_front),
		cmocka_unit_test(next_gives_the_bytes_of_each_segment_once),
		cmocka_unit_test(
			only_long_moves_are_streamed_and_all_share_a_fence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
