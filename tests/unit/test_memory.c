/* SPDX-License-Identifier: BSD-3-Clause */

#include "test.h"

#include "libminiasync/vdm.h"
#include "operation/memory.h"

#define ARENA 8192

static void
moves_and_sets_equal_libc_for_all_flags(void **state)
{
	static unsigned char ours[ARENA], libcs[ARENA];
	uint64_t seed = test_seed("memory");

	(void)state;
	for (size_t i = 0; i < ARENA; i++)
		ours[i] = libcs[i] = (unsigned char)test_random(&seed);

	for (int i = 0; i < TEST_ROUNDS(100000); i++) {
		const size_t n = test_random(&seed) %
			(test_random(&seed) % 8 == 0 ? ARENA / 2 : 300);
		const size_t to = test_random(&seed) % (ARENA - n);
		size_t from = test_random(&seed) % (ARENA - n);
		const unsigned flags = (unsigned)(test_random(&seed) % 4);
		const int c = (int)test_random(&seed);

		if (test_random(&seed) % 2 == 0) /* near: overlaps */
			from = (to + test_random(&seed) % 130) % (ARENA - n);
		if (test_random(&seed) % 3 == 0) {
			mia_memory_set(ours + to, c, n, flags);
			memset(libcs + to, c, n);
		} else {
			mia_memory_move(ours + to, ours + from, n, flags);
			memmove(libcs + to, libcs + from, n);
		}
		if (memcmp(ours, libcs, ARENA) != 0)
			fail_msg("step %d: to %zu from %zu n %zu flags %u", i,
				to, from, n, flags);
	}
}

static uintptr_t touched[64];
static size_t ntouched;

static void
record(const void *address)
{
	assert_true(ntouched < 64);
	touched[ntouched++] = (uintptr_t)address;
}

/* Against a count byte by byte: each line once, none outside. */
static void
every_line_of_a_range_is_written_back_once(void **state)
{
	uint64_t seed = test_seed("lines");

	(void)state;
	for (int i = 0; i < 20000; i++) {
		const size_t line = (size_t)16 << (test_random(&seed) % 4);
		const uintptr_t base = i % 5 == 0
			? UINTPTR_MAX - 1023 /* up to the last byte */
			: (uintptr_t)0x10000;
		const uintptr_t first = base + test_random(&seed) % 512;
		const size_t n = i % 5 == 0 && i % 2 == 0
			? UINTPTR_MAX - first + 1
			: test_random(&seed) % 512;
		size_t expected = 0;

		ntouched = 0;
		if (n / line > 60)
			continue;
		mia_memory_for_lines((const void *)first, n, line, record);
		for (size_t b = 0; b < n; b++) {
			const uintptr_t at = (first + b) & ~(line - 1);

			if (b == 0 || at != ((first + b - 1) & ~(line - 1)))
				assert_int_equal(touched[expected++], at);
		}
		assert_int_equal(ntouched, expected);
	}
}

/* Each instruction that this CPU has, forced; memory keeps its content. */
static void
each_instruction_runs_and_the_best_is_chosen(void **state)
{
	static unsigned char buf[1000];
	int best = MIA_WRITEBACK_NONE;

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)i;
	for (int kind = 0; kind < MIA_WRITEBACK_MAX; kind++) {
		mia_line_fn line = mia_memory_line_fn((enum mia_writeback)kind);

		if (line == NULL)
			continue;
		best = kind;
		mia_memory_for_lines(buf + 1, sizeof(buf) - 2, 64, line);
		printf("instruction %d runs\n", kind);
	}
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], (unsigned char)i);

	assert_int_equal(mia_memory_writeback(), best);
	assert_int_equal(
		mia_memory_flush(buf, sizeof(buf)), best != MIA_WRITEBACK_NONE);
	assert_int_equal(mia_memory_capabilities(),
		best != MIA_WRITEBACK_NONE ? VDM_F_VALID_FLAGS : 0);
}

#if defined(__x86_64__) && defined(__linux__)
/* The kernel's opinion of the CPU, against ours; valgrind emulates another. */
static void
choice_agrees_with_the_kernel(void **state)
{
	static char line[8192];
	FILE *f = getenv("MIA_TEST_EMULATED") == NULL
		? fopen("/proc/cpuinfo", "r")
		: NULL;
	enum mia_writeback expected = MIA_WRITEBACK_NONE;

	(void)state;
	if (f == NULL)
		skip();
	while (fgets(line, sizeof(line), f) != NULL &&
		strncmp(line, "flags", 5) != 0)
		;
	fclose(f);
	if (strstr(line, " clflush ") != NULL)
		expected = MIA_WRITEBACK_CLFLUSH;
	if (strstr(line, " clflushopt ") != NULL)
		expected = MIA_WRITEBACK_CLFLUSHOPT;
	if (strstr(line, " clwb ") != NULL)
		expected = MIA_WRITEBACK_CLWB;
	assert_int_equal(mia_memory_writeback(), expected);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_and_sets_equal_libc_for_all_flags),
		cmocka_unit_test(every_line_of_a_range_is_written_back_once),
		cmocka_unit_test(each_instruction_runs_and_the_best_is_chosen),
#if defined(__x86_64__) && defined(__linux__)
		cmocka_unit_test(choice_agrees_with_the_kernel),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
