/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_slabs.c -- tests operation/slabs: spans and slabs, with a system that
 * may refuse
 */

#include "test.h"

#include <errno.h>
#include <stdbool.h>

#include "system/platform.h"
#include "operation/slabs.h"

static size_t nmaps, nmapped; /* spans */
static bool refuse_map, refuse_unmap;

void *__real_mia_pages_map(size_t size, enum mia_pages kind);
bool __real_mia_pages_unmap(void *pages, size_t size);
void *__wrap_mia_pages_map(size_t size, enum mia_pages kind);
bool __wrap_mia_pages_unmap(void *pages, size_t size);

void *
__wrap_mia_pages_map(size_t size, enum mia_pages kind)
{
	void *pages = refuse_map ? NULL : __real_mia_pages_map(size, kind);

	nmaps++;
	nmapped += pages != NULL;
	return pages;
}

bool
__wrap_mia_pages_unmap(void *pages, size_t size)
{
	const bool unmapped =
		!refuse_unmap && __real_mia_pages_unmap(pages, size);

	nmapped -= unmapped;
	return unmapped;
}

static struct mia_slabs slabs;

static void
drop(struct mia_span *garbage)
{
	mia_slabs_add_all(&slabs, mia_spans_free(garbage));
}

/* The content of the slab that was taken last. */
static enum mia_slab_content content;

static void *
take(void)
{
	struct mia_span *garbage = NULL;
	struct mia_slab slab = mia_slabs_take(&slabs, &garbage);

	if (slab.memory == NULL) {
		mia_slabs_add_all(&slabs, mia_span_new(MIA_PAGES_SMALL));
		slab = mia_slabs_take(&slabs, &garbage);
	}
	drop(garbage);
	content = slab.content;
	return slab.memory;
}

static void
put(void *slab)
{
	struct mia_span *garbage = NULL;

	mia_slabs_put(&slabs, slab, &garbage);
	drop(garbage);
}

enum { MANY = 1000, MANY_SPANS = 8 };

static void *taken[MANY];

static void
burst(void)
{
	for (int i = 0; i < MANY; i++) {
		taken[i] = take();
		assert_non_null(taken[i]);
	}
	assert_int_equal(nmapped, slabs.nspans);
	for (int i = 0; i < MANY; i++)
		put(taken[i]);
	assert_int_equal(nmapped, slabs.nspans);
	assert_int_equal(nmapped, slabs.nempty);
}

static int
end(void **state)
{
	(void)state;
	refuse_map = refuse_unmap = false;
	if (mia_spans_free(mia_slabs_take_all(&slabs)) != NULL || nmapped != 0)
		return -1;
	memset(&slabs, 0, sizeof(slabs));
	return 0;
}

static bool
is_filled(const unsigned char *slab, unsigned char c)
{
	return slab[0] == c && memcmp(slab, slab + 1, MIA_SLAB_SIZE - 1) == 0;
}

static void
pages_are_aligned_and_zero(void **state)
{
	(void)state;
	for (size_t size = 65536; size <= 4 * MIA_SPAN_SIZE; size *= 2) {
		unsigned char *pages[3];

		for (int i = 0; i < 3; i++) {
			errno = 4321;
			pages[i] = mia_pages_map(size, i == 0);
			assert_non_null(pages[i]);
			assert_int_equal((uintptr_t)pages[i] % size, 0);
			assert_int_equal(pages[i][0], 0);
			assert_memory_equal(pages[i], pages[i] + 1, size - 1);
			memset(pages[i], i + 1, size);
		}
		for (int i = 0; i < 3; i++) {
			assert_int_equal(pages[i][size - 1], i + 1);
			assert_true(mia_pages_unmap(pages[i], size));
			assert_int_equal(errno, 4321);
		}
	}
	nmapped = 0;
}

static void
slabs_are_apart_and_new_ones_are_zero(void **state)
{
	(void)state;
	for (int i = 0; i < MANY; i++) {
		taken[i] = take();
		assert_non_null(taken[i]);
		assert_int_equal((uintptr_t)taken[i] % MIA_SLAB_SIZE, 0);
		assert_int_equal(content, MIA_SLAB_ZERO);
		assert_true(is_filled(taken[i], 0));
		memset(taken[i], 1 + i % 255, MIA_SLAB_SIZE);
	}
	assert_int_equal(nmapped, MANY_SPANS);
	for (int i = 0; i < MANY; i++)
		assert_true(is_filled(taken[i], (unsigned char)(1 + i % 255)));
}

static void
slab_put_back_last_is_taken_first_and_is_used(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		taken[i] = take();
	put(taken[3]);
	put(taken[7]);
	assert_ptr_equal(take(), taken[7]);
	assert_int_equal(content, MIA_SLAB_USED);
	assert_ptr_equal(take(), taken[3]);
	assert_int_equal(content, MIA_SLAB_USED);
	assert_non_null(take());
	assert_int_equal(content, MIA_SLAB_ZERO);
}

static void
slab_comes_from_the_fullest_span(void **state)
{
	const int n = (int)MIA_SPAN_SLABS;

	(void)state;
	for (int i = 0; i < 3 * n; i++)
		taken[i] = take();
	for (int i = 0; i < 20; i++)
		put(taken[i]);
	for (int i = 0; i < 10; i++)
		put(taken[n + i]);
	for (int i = 0; i < 30; i++)
		put(taken[2 * n + i]);
	for (int i = 10; i-- > 0;)
		assert_ptr_equal(take(), taken[n + i]);
	for (int i = 20; i-- > 0;)
		assert_ptr_equal(take(), taken[i]);
	for (int i = 30; i-- > 0;)
		assert_ptr_equal(take(), taken[2 * n + i]);
	assert_int_equal(nmapped, 3);
}

static void
burst_that_comes_once_leaves_little(void **state)
{
	(void)state;
	burst();
	assert_int_equal(nmapped, MIA_SLABS_WARM);
}

static void
burst_that_comes_again_finds_its_memory(void **state)
{
	(void)state;
	burst();
	burst();
	nmaps = 0;
	for (int i = 0; i < 100; i++)
		burst();
	assert_int_equal(nmaps, 0);
}

static void
memory_that_is_not_needed_any_more_goes_back(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		burst();
	assert_int_equal(nmapped, MANY_SPANS);
	for (int i = 0; i < 200000; i++)
		put(take());
	assert_in_range(nmapped, 1, MIA_SLABS_WARM + 1);
	nmaps = 0;
	for (int i = 0; i < 200000; i++)
		put(take());
	assert_int_equal(nmaps, 0);
}

static void
refused_memory_is_null_and_later_there_is_some(void **state)
{
	(void)state;
	errno = 4321;
	refuse_map = true;
	assert_null(take());
	assert_null(mia_span_new(MIA_PAGES_MAYBE_HUGE));
	assert_int_equal(errno, 4321);
	refuse_map = false;
	for (size_t i = 0; i < MIA_SPAN_SLABS; i++)
		assert_non_null(take());
	refuse_map = true;
	assert_null(take());
}

static void
memory_that_the_system_does_not_take_is_used_again(void **state)
{
	(void)state;
	refuse_unmap = true;
	for (int i = 0; i < 10; i++) {
		burst();
		assert_int_equal(nmapped, MANY_SPANS);
	}
	refuse_unmap = false;
}

/* Compares with a list of the taken slabs. Each slab has its own mark. */
static void
random_use_loses_and_doubles_nothing(void **state)
{
	uint64_t seed = test_seed("slabs");
	size_t n = 0;

	(void)state;
	for (int i = 0; i < TEST_ROUNDS(200000); i++) {
		/* Now more, now fewer. */
		const bool grow = test_random(&seed) % 100 <
			(i / 4000 % 2 == 0 ? 60u : 40u);

		refuse_map = test_random(&seed) % 2 == 0;
		refuse_unmap = test_random(&seed) % 2 == 0;
		if (grow && n < MANY) {
			void **slab = take();

			assert_true(slab != NULL || refuse_map);
			if (slab == NULL)
				continue;
			assert_true(content == MIA_SLAB_USED || *slab == NULL);
			*slab = slab;
			taken[n++] = slab;
		} else if (n > 0) {
			const size_t k = test_random(&seed) % n;

			assert_ptr_equal(*(void **)taken[k], taken[k]);
			put(taken[k]);
			taken[k] = taken[--n];
		}
		assert_int_equal(nmapped, slabs.nspans);
		assert_true(n <= nmapped * MIA_SPAN_SLABS);
	}
	for (size_t k = 0; k < n; k++)
		assert_ptr_equal(*(void **)taken[k], taken[k]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(pages_are_aligned_and_zero, end),
		cmocka_unit_test_teardown(
			slabs_are_apart_and_new_ones_are_zero, end),
		cmocka_unit_test_teardown(
			slab_put_back_last_is_taken_first_and_is_used, end),
		cmocka_unit_test_teardown(
			slab_comes_from_the_fullest_span, end),
		cmocka_unit_test_teardown(
			burst_that_comes_once_leaves_little, end),
		cmocka_unit_test_teardown(
			burst_that_comes_again_finds_its_memory, end),
		cmocka_unit_test_teardown(
			memory_that_is_not_needed_any_more_goes_back, end),
		cmocka_unit_test_teardown(
			refused_memory_is_null_and_later_there_is_some, end),
		cmocka_unit_test_teardown(
			memory_that_the_system_does_not_take_is_used_again,
			end),
		cmocka_unit_test_teardown(
			random_use_loses_and_doubles_nothing, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
