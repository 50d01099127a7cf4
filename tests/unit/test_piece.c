/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_piece.c -- tests operation/piece: the parser, and a piece and its parts
 * against plain libc
 */

#include "test.h"

#include <limits.h>
#include <stdbool.h>

#include "libminiasync/vdm.h"
#include "operation/piece.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static const enum vdm_operation_type types[] = {VDM_OPERATION_MEMCPY,
	VDM_OPERATION_MEMMOVE, VDM_OPERATION_MEMSET, VDM_OPERATION_FLUSH};

static const enum vdm_operation_type unknown_types[] = {
	(enum vdm_operation_type)5, (enum vdm_operation_type)6,
	(enum vdm_operation_type)255, (enum vdm_operation_type)INT_MAX,
	(enum vdm_operation_type)((unsigned)INT_MAX + 1u),
	(enum vdm_operation_type)(UINT_MAX - 1u),
	(enum vdm_operation_type)UINT_MAX};

/* dest and src for the members that the type has. */
static struct vdm_operation
operation(enum vdm_operation_type type, void *dest, const void *src, size_t n,
	uint64_t flags)
{
	struct vdm_operation op = {.type = type};

	switch (type) {
	case VDM_OPERATION_MEMCPY:
	case VDM_OPERATION_MEMMOVE: /* of the same layout */
		op.data.memmove = (struct vdm_operation_data_memmove){
			dest, (void *)(uintptr_t)src, n, flags};
		break;
	case VDM_OPERATION_MEMSET:
		op.data.memset =
			(struct vdm_operation_data_memset){dest, 'c', n, flags};
		break;
	case VDM_OPERATION_FLUSH:
		op.data.flush =
			(struct vdm_operation_data_flush){dest, n, flags};
		break;
	case VDM_OPERATION_MEMCPYV: /* test_piece_moves.c */
		break;
	}
	return op;
}

/* Parses into a piece that holds anything: all members must be written. */
static struct mia_piece
parsed(const struct vdm_operation *op, uint32_t known_flags)
{
	struct mia_piece piece;

	memset(&piece, 0xee, sizeof(piece));
	mia_piece_parse(&piece, op, known_flags);
	return piece;
}

static struct mia_piece
piece_of(const struct vdm_operation *op)
{
	struct mia_piece piece;

	memset(&piece, 0xee, sizeof(piece));
	mia_piece_of(&piece, op);
	return piece;
}

static bool
has_src(enum vdm_operation_type type)
{
	return type == VDM_OPERATION_MEMCPY || type == VDM_OPERATION_MEMMOVE;
}

/* The result of a flush on this CPU, which may lack the instruction. */
static enum vdm_operation_result
flush_result(void)
{
	char byte = 0;
	struct mia_piece piece = {
		.dest = &byte, .n = 1, .kind = MIA_PIECE_FLUSH};

	return mia_piece_run(&piece);
}

/* Pieces and their parts, against libc */

/* Line ends, and the 16 KiB that streaming stores copy side by side. */
static const size_t sizes[] = {0, 1, 2, 3, 7, 31, 63, 64, 65, 127, 128, 129,
	1000, 4095, 4096, 4097, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1,
	64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 64 * KIB + 129};

#define MAX_SIZE (64 * KIB + 129)

/* Room for a destination that lies far below or above the source. */
#define ARENA (3 * MAX_SIZE + 8 * KIB)

static unsigned char pattern[ARENA], memory[ARENA], expected[ARENA];

enum order { ORDER_UP, ORDER_DOWN };

#define MAX_CUTS 5

/* Ascending places in a piece, between which its parts lie. */
struct cuts {
	size_t at[MAX_CUTS];
	size_t n;
};

enum { CUT_NOWHERE, CUT_ENDS, CUT_MIDDLE, CUT_LINES, CUT_ANYWHERE, CUT_KINDS };

static struct cuts
cuts_of(int kind, size_t n, uint64_t *seed)
{
	const size_t line = n / 64 * 64;
	const size_t first = n > 0, last = n > 1 ? n - 1 : n;
	struct cuts cuts = {.n = 0};

	switch (kind) {
	case CUT_ENDS:
		return (struct cuts){{first, last}, 2};
	case CUT_MIDDLE:
		return (struct cuts){{n / 2}, 1};
	case CUT_LINES: /* with a part of 0 bytes */
		return (struct cuts){{n / 128 * 64, line, line}, 3};
	case CUT_ANYWHERE:
		for (size_t at = 0; cuts.n < MAX_CUTS; cuts.n++) {
			at += test_random(seed) % (n - at + 1);
			cuts.at[cuts.n] = at;
		}
		break;
	}
	return cuts;
}

static void
run_part(const struct mia_piece *piece, const struct cuts *cuts, size_t i)
{
	const size_t from = i == 0 ? 0 : cuts->at[i - 1];
	const size_t to = i == cuts->n ? piece->n : cuts->at[i];
	const struct mia_piece part = mia_piece_part(piece, from, to - from);
	const bool is_flush = part.kind == MIA_PIECE_FLUSH && part.n > 0;

	assert_int_equal(
		mia_piece_run(&part), is_flush ? flush_result() : VDM_SUCCESS);
}

static void
run_by_libc(enum vdm_operation_type type, unsigned char *dest,
	const unsigned char *src, size_t n)
{
	if (has_src(type))
		memmove(dest, src, n);
	else if (type == VDM_OPERATION_MEMSET)
		memset(dest, 'c', n);
}

static void
parts_are_equal_to_libc(enum vdm_operation_type type, size_t n,
	ptrdiff_t distance, uint64_t flags, const struct cuts *cuts,
	enum order order)
{
	/* Room on both sides of the source. */
	const size_t src = n + 2 * KIB, used = src + n + src;
	const size_t dest = (size_t)((ptrdiff_t)src + distance);
	const struct vdm_operation op =
		operation(type, memory + dest, memory + src, n, flags);
	const struct mia_piece piece = piece_of(&op);

	assert_int_equal(piece.n, n);
	memcpy(memory, pattern, used);
	memcpy(expected, pattern, used);
	for (size_t i = 0; i <= cuts->n; i++)
		run_part(&piece, cuts, order == ORDER_UP ? i : cuts->n - i);
	run_by_libc(type, expected + dest, expected + src, n);
	if (memcmp(memory, expected, used) != 0)
		fail_msg("type %d, %zu bytes, distance %lld, flags %llu: wrong",
			(int)type, n, (long long)distance,
			(unsigned long long)flags);
}

/* Both orders, unless the parts depend on each other. */
static void
every_cut_is_equal_to_libc(enum vdm_operation_type type, size_t n,
	ptrdiff_t distance, uint64_t flags, uint64_t *seed)
{
	const bool overlaps = has_src(type) && distance != 0 &&
		(size_t)(distance < 0 ? -distance : distance) < n;

	for (int kind = 0; kind < CUT_KINDS; kind++) {
		const struct cuts cuts = cuts_of(kind, n, seed);

		if (!overlaps || distance < 0)
			parts_are_equal_to_libc(
				type, n, distance, flags, &cuts, ORDER_UP);
		if (!overlaps || distance > 0)
			parts_are_equal_to_libc(
				type, n, distance, flags, &cuts, ORDER_DOWN);
	}
}

static void
all_parts_in_any_order_do_what_libc_does(void **state)
{
	uint64_t seed = test_seed("piece");

	(void)state;
	for (size_t i = 0; i < ARENA; i++)
		pattern[i] = (unsigned char)test_random(&seed);

	for (size_t i = 0; i < ELEMENTS(sizes); i++) {
		const ptrdiff_t n = (ptrdiff_t)sizes[i];
		const ptrdiff_t distances[] = {0, 1, 7, 63, 64, 65, 1000, n / 3,
			n / 2, n - 1, n, n + 1, n + 1000};

		for (size_t k = 0; k < ELEMENTS(distances); k++)
			for (size_t t = 0; t < ELEMENTS(types); t++) {
				const uint64_t flags =
					(i + k + t) % (VDM_F_VALID_FLAGS + 1u);

				every_cut_is_equal_to_libc(types[t], sizes[i],
					distances[k], flags, &seed);
				every_cut_is_equal_to_libc(types[t], sizes[i],
					-distances[k], flags, &seed);
			}
	}
}

static void
set_of_a_value_outside_of_a_byte_keeps_the_value(void **state)
{
	static const int values[] = {
		-1, -128, 256, 257, 0x1234, INT_MAX, INT_MIN};
	unsigned char byte, same;

	(void)state;
	for (size_t i = 0; i < ELEMENTS(values); i++) {
		struct vdm_operation op =
			operation(VDM_OPERATION_MEMSET, &byte, NULL, 1, 0);

		op.data.memset.c = values[i];
		const struct mia_piece piece = piece_of(&op);

		assert_int_equal(piece.c, values[i]);
		assert_int_equal(mia_piece_part(&piece, 1, 0).c, values[i]);
		assert_int_equal(mia_piece_run(&piece), VDM_SUCCESS);
		memset(&same, values[i], 1);
		assert_int_equal(byte, same);
	}
}

/* The parser */

static void
assert_invalid(struct mia_piece piece)
{
	assert_int_equal(piece.kind, MIA_PIECE_INVALID);
	assert_int_equal(piece.n, 0);
	assert_int_equal(mia_piece_run(&piece), VDM_ERROR_JOB_CORRUPTED);
}

static void
valid_operation_becomes_the_piece_of_its_members(void **state)
{
	static const enum mia_piece_kind kinds[] = {
		MIA_PIECE_MOVE, MIA_PIECE_MOVE, MIA_PIECE_SET, MIA_PIECE_FLUSH};
	char dest[1], src[1];

	(void)state;
	for (size_t t = 0; t < ELEMENTS(types); t++) {
		const struct vdm_operation op =
			operation(types[t], dest, src, SIZE_MAX, 3);
		const struct mia_piece piece = piece_of(&op);

		assert_int_equal(piece.kind, kinds[t]);
		assert_ptr_equal(piece.dest, dest);
		assert_true(piece.n == SIZE_MAX);
		assert_int_equal(piece.flags, 3);
		if (has_src(types[t]))
			assert_ptr_equal(piece.src, src);
		if (types[t] == VDM_OPERATION_MEMSET)
			assert_int_equal(piece.c, 'c');
	}
}

/* On the heap, so that valgrind reports reads of uninitialised members. */
static void
unknown_type_is_invalid_whatever_the_other_members_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < ELEMENTS(unknown_types); i++) {
		struct vdm_operation *op = malloc(sizeof(*op));

		assert_non_null(op);
		op->type = unknown_types[i];
		assert_invalid(piece_of(op));
		assert_invalid(parsed(op, 0));
		assert_invalid(parsed(op, UINT32_MAX));
		assert_null(mia_piece_plain_copy(op));
		free(op);
	}
}

static void
flag_is_valid_only_if_the_parser_was_told_so(void **state)
{
	static const uint32_t masks[] = {0, 1, 2, VDM_F_VALID_FLAGS, 1u << 31,
		0x55555555u, UINT32_MAX - 1, UINT32_MAX};
	char dest[8], src[8];

	(void)state;
	for (size_t t = 0; t < ELEMENTS(types); t++)
		for (size_t m = 0; m < ELEMENTS(masks); m++)
			for (unsigned bit = 0; bit < 64; bit++) {
				const uint64_t flag = UINT64_C(1) << bit;
				const struct vdm_operation op =
					operation(types[t], dest, src, 8, flag);
				const struct mia_piece piece =
					parsed(&op, masks[m]);

				if ((flag & masks[m]) == 0) {
					assert_invalid(piece);
					continue;
				}
				assert_int_not_equal(
					piece.kind, MIA_PIECE_INVALID);
				assert_int_equal(piece.flags, flag);
			}
}

static void
unknown_flag_beside_known_ones_is_invalid_also_without_bytes(void **state)
{
	char byte;

	(void)state;
	for (size_t t = 0; t < ELEMENTS(types); t++)
		for (unsigned bit = 2; bit < 64; bit++) {
			const uint64_t flags = UINT64_C(1) << bit | 3;
			const struct vdm_operation some =
				operation(types[t], &byte, &byte, 1, flags);
			const struct vdm_operation none =
				operation(types[t], NULL, NULL, 0, flags);

			assert_invalid(piece_of(&some));
			assert_invalid(piece_of(&none));
		}
}

static void
null_with_bytes_is_invalid_and_without_bytes_succeeds(void **state)
{
	static const size_t counts[] = {1, 64, SIZE_MAX};
	char byte = 'b';

	(void)state;
	for (size_t t = 0; t < ELEMENTS(types); t++) {
		for (size_t i = 0; i < ELEMENTS(counts); i++) {
			const struct vdm_operation no_dest =
				operation(types[t], NULL, &byte, counts[i], 0);
			const struct vdm_operation no_src =
				operation(types[t], &byte, NULL, counts[i], 0);

			assert_invalid(piece_of(&no_dest));
			assert_invalid(parsed(&no_dest, UINT32_MAX));
			if (has_src(types[t]))
				assert_invalid(piece_of(&no_src));
			else
				assert_true(piece_of(&no_src).n == counts[i]);
		}
		for (uint64_t flags = 0; flags <= VDM_F_VALID_FLAGS; flags++) {
			const struct vdm_operation op =
				operation(types[t], NULL, NULL, 0, flags);
			const struct mia_piece piece = piece_of(&op);

			assert_int_not_equal(piece.kind, MIA_PIECE_INVALID);
			assert_int_equal(mia_piece_run(&piece), VDM_SUCCESS);
		}
	}
	assert_int_equal(byte, 'b');
}

/* The short way */

static void
copy_is_plain_with_pointers_and_without_flags(void **state)
{
	char dest[8], src[8];

	(void)state;
	for (size_t t = 0; t < ELEMENTS(types); t++) {
		struct vdm_operation op = operation(types[t], dest, src, 8, 0);

		assert_ptr_equal(mia_piece_plain_copy(&op),
			has_src(types[t]) ? &op.data.memmove : NULL);
		op = operation(types[t], dest, src, 0, 0);
		assert_ptr_equal(mia_piece_plain_copy(&op),
			has_src(types[t]) ? &op.data.memmove : NULL);
		op = operation(types[t], NULL, src, 8, 0);
		assert_null(mia_piece_plain_copy(&op));
		op = operation(types[t], dest, NULL, 8, 0);
		assert_null(mia_piece_plain_copy(&op));
		for (unsigned bit = 0; bit < 64; bit++) {
			op = operation(
				types[t], dest, src, 8, UINT64_C(1) << bit);
			assert_null(mia_piece_plain_copy(&op));
		}
	}
}

/* Distances */

static size_t
distance_of(uintptr_t dest, uintptr_t src, size_t n)
{
	const struct mia_piece piece = {.dest = (char *)dest,
		.src = (const char *)src,
		.n = n,
		.kind = MIA_PIECE_MOVE};

	return mia_piece_distance(&piece);
}

static void
ranges_that_overlap_have_the_distance_of_their_starts(void **state)
{
	(void)state;
	assert_true(distance_of(1000, 1000, 1) == 0);
	assert_true(distance_of(1000, 1001, 2) == 1);
	assert_true(distance_of(1001, 1000, 2) == 1);
	assert_true(distance_of(1000, 1099, 100) == 99);
	assert_true(distance_of(1099, 1000, 100) == 99);
	assert_true(
		distance_of(UINTPTR_MAX - 99, UINTPTR_MAX - 199, 200) == 100);
	assert_true(distance_of(1, UINTPTR_MAX, SIZE_MAX) == SIZE_MAX - 1);
	assert_true(distance_of(UINTPTR_MAX, 1, SIZE_MAX) == SIZE_MAX - 1);
}

static void
ranges_that_do_not_overlap_have_no_distance(void **state)
{
	(void)state;
	/* Adjacent. */
	assert_true(distance_of(1000, 1100, 100) == SIZE_MAX);
	assert_true(distance_of(1100, 1000, 100) == SIZE_MAX);
	/* Without bytes. */
	assert_true(distance_of(1000, 1000, 0) == SIZE_MAX);
	assert_true(distance_of(0, 0, 0) == SIZE_MAX);
	/* At both ends of the address space. */
	assert_true(distance_of(1, UINTPTR_MAX - 9, 10) == SIZE_MAX);
	assert_true(distance_of(UINTPTR_MAX - 9, 1, 10) == SIZE_MAX);
}

static void
piece_with_one_range_has_no_distance(void **state)
{
	struct mia_piece piece = {.dest = (char *)1000, .n = 100};

	(void)state;
	piece.src = piece.dest + 1; /* which only a MOVE has */
	piece.kind = MIA_PIECE_SET;
	assert_true(mia_piece_distance(&piece) == SIZE_MAX);
	piece.kind = MIA_PIECE_FLUSH;
	assert_true(mia_piece_distance(&piece) == SIZE_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_parts_in_any_order_do_what_libc_does),
		cmocka_unit_test(
			set_of_a_value_outside_of_a_byte_keeps_the_value),
		cmocka_unit_test(
			valid_operation_becomes_the_piece_of_its_members),
		cmocka_unit_test(
			unknown_type_is_invalid_whatever_the_other_members_hold),
		cmocka_unit_test(flag_is_valid_only_if_the_parser_was_told_so),
		cmocka_unit_test(
			unknown_flag_beside_known_ones_is_invalid_also_without_bytes),
		cmocka_unit_test(
			null_with_bytes_is_invalid_and_without_bytes_succeeds),
		cmocka_unit_test(copy_is_plain_with_pointers_and_without_flags),
		cmocka_unit_test(
			ranges_that_overlap_have_the_distance_of_their_starts),
		cmocka_unit_test(ranges_that_do_not_overlap_have_no_distance),
		cmocka_unit_test(piece_with_one_range_has_no_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
