/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_memory.c -- tests operation/memory and a CPU file, against libc and the
 * kernel
 *
 * It runs with the CPU file of this target, and with memory_portable.c.
 */

#include "test.h"

#include <errno.h>
#include <stdbool.h>

#include "libminiasync/vdm.h"
#include "operation/memory.h"
#include "operation/memory_cpu.h"

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

/* Large copies handle several pages at once, if the lines of both agree. */
static void
large_streamed_moves_equal_libc(void **state)
{
	enum { GROUP = 4 * 4096, LARGE = 5 * GROUP };
	static unsigned char from[LARGE], to[LARGE], expected[LARGE];
	uint64_t seed = test_seed("memory_large");

	(void)state;
	for (size_t i = 0; i < LARGE; i++)
		from[i] = (unsigned char)test_random(&seed);

	for (int i = 0; i < TEST_ROUNDS(3000); i++) {
		const size_t at = test_random(&seed) % 200;
		const size_t beside =
			at / 64 * 64 + test_random(&seed) % 3 * 64;
		const size_t src = i % 2 == 0 ? beside + at % 64
					      : test_random(&seed) % 5000;
		const size_t n = test_random(&seed) % (LARGE - 5000);

		memset(to, i, LARGE);
		memset(expected, i, LARGE);
		mia_memory_move(to + at, from + src, n, VDM_F_NO_CACHE_HINT);
		memcpy(expected + at, from + src, n);
		if (memcmp(to, expected, LARGE) != 0)
			fail_msg("to %zu from %zu n %zu", at, src, n);
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

/* Each way that this CPU has, forced; memory keeps its content. */
static void
each_way_to_write_back_runs(void **state)
{
	static unsigned char buf[1000];
	const struct mia_line_way *way;

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)i;
	for (size_t number = 0; (way = mia_cpu_line_way(number)) != NULL;
		number++) {
		mia_memory_for_lines(buf + 1, sizeof(buf) - 2,
			mia_cpu_line_bytes(), way->write_back);
		mia_cpu_fence();
		printf("%s runs\n", way->name);
	}
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], (unsigned char)i);
}

static void
flush_and_capabilities_depend_on_a_way_to_write_back(void **state)
{
	char byte = 0;
	const bool has_way = mia_cpu_line_way(0) != NULL;

	(void)state;
	assert_int_equal(mia_memory_flush(&byte, 1), has_way ? 0 : -ENOTSUP);
	assert_int_equal(
		mia_memory_capabilities(), has_way ? VDM_F_VALID_FLAGS : 0);
}

/*
 * The ragged ends are less than a line, and the body is whole lines. Or all
 * is the head, on a CPU that cannot stream.
 */
static void
streaming_returns_the_ragged_ends(void **state)
{
	static _Alignas(64) char dst[512], src[512];
	const size_t line = 64;

	(void)state;
	for (size_t at = 0; at < line; at++)
		for (size_t n = 0; n < 300; n++) {
			const struct mia_ragged moved =
				mia_cpu_stream_move(dst + at, src, n);
			const struct mia_ragged set =
				mia_cpu_stream_set(dst + at, 1, n);
			const size_t ends = moved.head_bytes + moved.tail_bytes;

			assert_int_equal(set.head_bytes, moved.head_bytes);
			assert_int_equal(set.tail_bytes, moved.tail_bytes);
			assert_in_range(ends, 0, n);
			if (ends == n)
				continue;
			assert_int_equal((at + moved.head_bytes) % line, 0);
			assert_int_equal((n - ends) % line, 0);
			assert_in_range(moved.head_bytes, 0, line - 1);
			assert_in_range(moved.tail_bytes, 0, line - 1);
		}
	mia_cpu_fence();
}

/* The kernel lists the features of the CPU. valgrind emulates another CPU. */
static void
best_way_is_one_that_the_kernel_lists(void **state)
{
	static const char *const names[] = {"clwb", "clflushopt", "clflush"};
	static char line[8192];
	const char *emulated = getenv("MIA_TEST_EMULATED");
	const bool is_real =
		emulated == NULL && strcmp(TEST_CPU, "x86_64") == 0;
	FILE *f = is_real ? fopen("/proc/cpuinfo", "r") : NULL;
	const char *expected = NULL;

	(void)state;
	if (f == NULL)
		skip();
	while (fgets(line, sizeof(line), f) != NULL &&
		strncmp(line, "flags", 5) != 0)
		;
	fclose(f);
	for (size_t i = 0; i < 3 && expected == NULL; i++) {
		char word[16];

		snprintf(word, sizeof(word), " %s ", names[i]);
		if (strstr(line, word) != NULL)
			expected = names[i];
	}
	if (expected == NULL)
		assert_null(mia_cpu_line_way(0));
	else
		assert_string_equal(mia_cpu_line_way(0)->name, expected);
}

/* Linux reads it from the CPU, too. */
static void
last_cache_is_as_large_as_the_kernel_reports(void **state)
{
	const bool is_real = strcmp(TEST_CPU, "x86_64") == 0 &&
		getenv("MIA_TEST_EMULATED") == NULL;
	FILE *f = is_real ? fopen("/sys/devices/system/cpu/cpu0/cache/index3/"
				  "size",
				    "r")
			  : NULL;
	size_t kib = 0;

	(void)state;
	if (f == NULL)
		skip();
	assert_int_equal(fscanf(f, "%zuK", &kib), 1);
	fclose(f);
	/* An older CPU of AMD, whose cache the kernel reads in another way. */
	if (mia_cpu_last_cache_bytes() == 0)
		TEST_LEFT_OUT("this CPU does not report its caches");
	assert_int_equal(mia_cpu_last_cache_bytes(), kib * KIB);
	assert_int_equal(mia_memory_stream_min(), kib * KIB / 4 * 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_and_sets_equal_libc_for_all_flags),
		cmocka_unit_test(large_streamed_moves_equal_libc),
		cmocka_unit_test(every_line_of_a_range_is_written_back_once),
		cmocka_unit_test(each_way_to_write_back_runs),
		cmocka_unit_test(
			flush_and_capabilities_depend_on_a_way_to_write_back),
		cmocka_unit_test(streaming_returns_the_ragged_ends),
		cmocka_unit_test(best_way_is_one_that_the_kernel_lists),
		cmocka_unit_test(last_cache_is_as_large_as_the_kernel_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
