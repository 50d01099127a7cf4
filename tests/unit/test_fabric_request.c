/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_fabric_request.c -- tests movers/fabric_request: peers ask, a region
 * writes back, and trusts nothing
 *
 * The linker puts __wrap_mia_memory_flush() before the library's own.
 */

#include "test.h"

#include "movers/fabric_request.h"

#define SIZE ((uint64_t)100000)
/* No region has this size, and no sum with an address overflows. */
#define HUGE_SIZE (UINT64_C(1) << 62)

static const char *const region = (const char *)((uintptr_t)1 << 30);

static unsigned nflushed;
static struct mia_fabric_range flushed[64];

int __wrap_mia_memory_flush(const void *address, size_t n);

int
__wrap_mia_memory_flush(const void *address, size_t n)
{
	assert_true(nflushed < sizeof(flushed) / sizeof(*flushed));
	flushed[nflushed++] = (struct mia_fabric_range){
		(uint64_t)((const char *)address - region), n};
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	nflushed = 0;
	return 0;
}

/* A slot as a mover leaves it. */
static struct mia_fabric_slot
asked(const struct mia_fabric_range *ranges, unsigned count, uint64_t nonce)
{
	struct mia_fabric_request request = {0};
	struct mia_fabric_slot slot = {0};

	for (unsigned i = 0; i < count; i++)
		mia_fabric_request_set(&request, i, ranges[i].at, ranges[i].n);
	assert_int_equal(mia_fabric_request_seal(&request, count, nonce),
		24 + 16 * count);
	memcpy((void *)slot.request, &request, sizeof(request));
	return slot;
}

/* What the mover gets from it. */
static struct mia_fabric_answer
answer_of(const struct mia_fabric_slot *slot)
{
	struct mia_fabric_answer answer;

	memcpy(&answer, slot, sizeof(answer));
	return answer;
}

static bool
is_done(const struct mia_fabric_slot *slot, uint64_t nonce)
{
	const struct mia_fabric_answer answer = answer_of(slot);

	return mia_fabric_answer_is_done(&answer, nonce);
}

static bool
is_lost(const struct mia_fabric_slot *slot, uint64_t nonce)
{
	const struct mia_fabric_answer answer = answer_of(slot);

	return mia_fabric_answer_is_lost(&answer, nonce);
}

static void
ranges_are_written_back_in_order(void **state)
{
	struct mia_fabric_range ranges[MIA_FABRIC_RANGES];

	(void)state;
	for (unsigned count = 0; count <= MIA_FABRIC_RANGES; count++) {
		nflushed = 0;
		for (unsigned i = 0; i < count; i++)
			ranges[i] = (struct mia_fabric_range){
				i * 1000 + 7, i * 10 + 1};

		struct mia_fabric_slot slot = asked(ranges, count, 5 + count);

		assert_false(is_done(&slot, 5 + count));
		mia_fabric_request_serve(&slot, region, SIZE);
		assert_true(is_done(&slot, 5 + count));
		assert_false(is_done(&slot, 6 + count));
		assert_int_equal(nflushed, count);
		assert_memory_equal(flushed, ranges, count * sizeof(*ranges));
	}
}

static void
the_words_are_where_they_are_documented(void **state)
{
	const struct mia_fabric_range range = {0x0102030405060708, 9};
	const struct mia_fabric_slot slot =
		asked(&range, 1, UINT64_C(0x1122334455667788));
	const unsigned char *bytes = (const unsigned char *)&slot;

	(void)state;
	assert_int_equal(sizeof(slot), 256);
	assert_int_equal(bytes[0], 0);    /* done */
	assert_int_equal(bytes[8], 0x88); /* nonce */
	assert_int_equal(bytes[15], 0x11);
	assert_int_equal(bytes[24], 1); /* count */
	assert_int_equal(bytes[32], 8); /* at */
	assert_int_equal(bytes[39], 1);
	assert_int_equal(bytes[40], 9); /* n */
}

static void
a_slot_that_another_mover_took_is_lost(void **state)
{
	const struct mia_fabric_range range = {0, 1};
	struct mia_fabric_slot slot = asked(&range, 1, 77);

	(void)state;
	assert_false(is_lost(&slot, 77));
	assert_true(is_lost(&slot, 78));
	mia_fabric_request_serve(&slot, region, SIZE);
	assert_false(is_lost(&slot, 77));
}

/* The edges of the region, and of what one request may ask for. */
static void
what_is_out_of_bounds_is_asked_for_again(void **state)
{
	static const struct {
		uint64_t size;
		struct mia_fabric_range ranges[2];
		bool is_good;
	} cases[] = {
		{SIZE, {{0, SIZE}, {SIZE, 0}}, true},
		{SIZE, {{SIZE - 1, 1}, {0, 0}}, true},
		{SIZE, {{SIZE - 1, 2}, {0, 1}}, false},
		{SIZE, {{0, 1}, {SIZE, 1}}, false},
		{SIZE, {{0, SIZE + 1}, {0, 1}}, false},
		{SIZE, {{SIZE + 1, 0}, {0, 1}}, false},
		{SIZE, {{UINT64_MAX, 2}, {0, 1}}, false},
		{HUGE_SIZE, {{UINT64_MAX, 2}, {0, 1}}, false},
		{SIZE, {{1, UINT64_MAX}, {0, 1}}, false},
		{UINT64_C(1) << 30, {{0, MIA_FABRIC_REQUEST_BYTES}, {0, 0}},
			true},
		{UINT64_C(1) << 30, {{0, MIA_FABRIC_REQUEST_BYTES}, {0, 1}},
			false},
		{UINT64_C(1) << 30, {{0, MIA_FABRIC_REQUEST_BYTES + 1}, {0, 0}},
			false},
		{HUGE_SIZE, {{HUGE_SIZE, 0}, {HUGE_SIZE - 5, 5}}, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mia_fabric_slot slot = asked(cases[i].ranges, 2, 9);

		nflushed = 0;
		mia_fabric_request_serve(&slot, region, cases[i].size);
		assert_int_equal(is_done(&slot, 9), cases[i].is_good);
		assert_int_equal(is_lost(&slot, 9), !cases[i].is_good);
		assert_int_equal(nflushed, cases[i].is_good ? 2 : 0);
	}
}

/* Each bit that differs, and each word that is another mover's. */
static void
a_request_that_was_changed_is_asked_for_again(void **state)
{
	const struct mia_fabric_range ranges[] = {{5, 100}, {4096, 77}};
	const struct mia_fabric_range others[] = {{6, 200}, {8192, 99}};
	const struct mia_fabric_slot good = asked(ranges, 2, 1234);
	const struct mia_fabric_slot other = asked(others, 2, 4321);
	const size_t end = 32 + 2 * sizeof(*ranges);

	(void)state;
	for (size_t bit = 8 * 8; bit < end * 8; bit++) {
		struct mia_fabric_slot slot = good;

		((unsigned char *)&slot)[bit / 8] ^=
			(unsigned char)(1 << bit % 8);
		mia_fabric_request_serve(&slot, region, SIZE);
		assert_int_equal(nflushed, 0);
		assert_int_equal(answer_of(&slot).done, 0);
	}
	/* All mixtures of the words of two requests. */
	for (unsigned mix = 1; mix < (1U << 7) - 1; mix++) {
		struct mia_fabric_slot slot = good;
		uint64_t words[sizeof(slot) / 8], from[sizeof(slot) / 8];

		memcpy(words, &good, sizeof(words));
		memcpy(from, &other, sizeof(from));
		for (unsigned i = 0; i < 7; i++)
			if ((mix >> i & 1) != 0)
				words[1 + i] = from[1 + i];
		if (memcmp(words, &good, sizeof(words)) == 0 ||
			memcmp(words, from, sizeof(words)) == 0)
			continue; /* both have the same count */
		memcpy((void *)&slot, words, sizeof(words));
		mia_fabric_request_serve(&slot, region, SIZE);
		assert_int_equal(nflushed, 0);
		assert_int_equal(answer_of(&slot).done, 0);
	}
}

/* Whatever is asked: nothing outside of the region is written back. */
static void
hostile_peers_reach_nothing_else(void **state)
{
	uint64_t seed = test_seed("hostile");

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(100000); round++) {
		const unsigned count = (unsigned)(test_random(&seed) %
			(MIA_FABRIC_RANGES + 1));
		struct mia_fabric_range ranges[MIA_FABRIC_RANGES];

		for (unsigned i = 0; i < count; i++) {
			const unsigned shift =
				(unsigned)test_random(&seed) % 64;

			ranges[i].at = test_random(&seed) >> shift;
			ranges[i].n = test_random(&seed) >>
				(unsigned)(test_random(&seed) % 64);
		}

		struct mia_fabric_slot slot =
			asked(ranges, count, test_random(&seed));

		if (round % 3 == 0) {
			uint64_t word = test_random(&seed) %
				(round % 2 == 0 ? 40 : UINT64_MAX);

			memcpy((char *)&slot + 24, &word, sizeof(word));
		}
		nflushed = 0;
		mia_fabric_request_serve(&slot, region, SIZE);
		for (unsigned i = 0; i < nflushed; i++) {
			assert_true(flushed[i].at <= SIZE);
			assert_true(flushed[i].n <= SIZE - flushed[i].at);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ranges_are_written_back_in_order, setup),
		cmocka_unit_test_setup(
			the_words_are_where_they_are_documented, setup),
		cmocka_unit_test_setup(
			a_slot_that_another_mover_took_is_lost, setup),
		cmocka_unit_test_setup(
			what_is_out_of_bounds_is_asked_for_again, setup),
		cmocka_unit_test_setup(
			a_request_that_was_changed_is_asked_for_again, setup),
		cmocka_unit_test_setup(hostile_peers_reach_nothing_else, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
