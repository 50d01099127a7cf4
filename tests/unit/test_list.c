/* SPDX-License-Identifier: BSD-3-Clause */

/* test_list.c -- tests wait/list: lists of links, and their order */

#include "test.h"

#include "wait/list.h"

enum { N = 300 };

static struct mia_link links[N];

static void
assert_next(struct mia_list *list, const struct mia_link *expected)
{
	assert_ptr_equal(mia_list_take(list), expected);
	assert_null(expected->prev);
}

static void
links_come_in_the_order_of_appending(void **state)
{
	struct mia_list list;

	(void)state;
	mia_list_init(&list);
	assert_null(mia_list_take(&list));
	for (int round = 0; round < 2; round++) {
		mia_list_append(&list, &links[2]);
		mia_list_append(&list, &links[0]);
		mia_list_append(&list, &links[1]);
		assert_next(&list, &links[2]);
		mia_list_append(&list, &links[2]);
		assert_next(&list, &links[0]);
		assert_next(&list, &links[1]);
		assert_next(&list, &links[2]);
		assert_null(mia_list_take(&list));
	}
}

static void
listed_link_stays_where_it_is(void **state)
{
	struct mia_list list, other;

	(void)state;
	mia_list_init(&list);
	mia_list_init(&other);
	mia_list_append(&list, &links[0]);
	mia_list_append(&list, &links[1]);
	mia_list_append(&list, &links[0]);
	mia_list_append(&other, &links[1]);
	assert_null(mia_list_take(&other));
	assert_next(&list, &links[0]);
	assert_next(&list, &links[1]);
	assert_null(mia_list_take(&list));
}

/* The list has these links, and takes another one at either end. */
static void
assert_list(struct mia_list *list, size_t n, const int *expected)
{
	struct mia_link *const front = &links[N - 1],
			       *const back = &links[N - 2];

	mia_list_prepend(list, front);
	mia_list_append(list, back);
	assert_next(list, front);
	for (size_t i = 0; i < n; i++)
		assert_next(list, &links[expected[i]]);
	assert_next(list, back);
	assert_null(mia_list_take(list));
}

#define assert_links(list, ...) \
	assert_list(list, sizeof((const int[]){__VA_ARGS__}) / sizeof(int), \
		(const int[]){__VA_ARGS__})

static void
prepended_links_come_first(void **state)
{
	struct mia_list list, other;

	(void)state;
	mia_list_init(&list);
	mia_list_init(&other);
	mia_list_prepend(&list, &links[1]);
	assert_links(&list, 1);

	mia_list_prepend(&list, &links[1]);
	mia_list_append(&list, &links[2]);
	mia_list_prepend(&list, &links[0]);

	/* It is on a list already. */
	mia_list_prepend(&list, &links[2]);
	mia_list_prepend(&other, &links[1]);
	assert_true(mia_list_is_empty(&other));
	assert_links(&list, 0, 1, 2);
}

static void
links_are_removed_anywhere(void **state)
{
	struct mia_list list;

	(void)state;
	mia_list_init(&list);
	mia_list_append(&list, &links[0]);
	mia_list_remove(&links[0]);
	assert_null(links[0].prev);
	assert_true(mia_list_is_empty(&list));

	for (int gone = 0; gone < 3; gone++) {
		const int left[2] = {gone == 0, gone == 2 ? 1 : 2};

		for (int i = 0; i < 3; i++)
			mia_list_append(&list, &links[i]);
		mia_list_remove(&links[gone]);
		assert_null(links[gone].prev);
		assert_list(&list, 2, left);

		/* And comes back at the end. */
		for (int i = 0; i < 3; i++)
			mia_list_append(&list, &links[i]);
		mia_list_remove(&links[gone]);
		mia_list_append(&list, &links[gone]);
		assert_links(&list, left[0], left[1], gone);
	}
}

static void
sorted_list_has_the_order_of_addresses(void **state)
{
	uint64_t seed = test_seed("orders");

	(void)state;
	for (int round = 0; round < 2000; round++) {
		const size_t n = (size_t)(test_random(&seed) % N);
		struct mia_list list;

		mia_list_init(&list);
		for (size_t i = 0; i < n; i++)
			mia_list_append(&list, &links[test_random(&seed) % N]);
		mia_list_sort(&list);

		/* Some of them go, from anywhere. */
		for (size_t i = 0; i < N; i++)
			if (links[i].prev != NULL &&
				test_random(&seed) % 4 == 0)
				mia_list_remove(&links[i]);

		/* The end is right, too. */
		struct mia_link last = {.prev = NULL};
		struct mia_link *link, *before = NULL;

		mia_list_append(&list, &last);
		while ((link = mia_list_take(&list)) != &last) {
			assert_non_null(link);
			assert_true(before == NULL || before < link);
			before = link;
		}
		assert_null(mia_list_take(&list));
		for (size_t i = 0; i < N; i++)
			assert_null(links[i].prev);
	}
}

static void
moved_list_is_in_the_new_array(void **state)
{
	static struct mia_link moved[N];
	const int order[] = {7, 0, 200};
	struct mia_list list;

	(void)state;
	for (size_t n = 0; n <= 3; n++) {
		mia_list_init(&list);
		for (size_t i = 0; i < n; i++)
			mia_list_append(&list, &links[order[i]]);
		memcpy(moved, links, sizeof(moved));
		mia_list_move(&list, links, moved);
		memset(links, 0, sizeof(links));
		for (size_t i = 0; i < n; i++)
			assert_next(&list, &moved[order[i]]);
		assert_null(mia_list_take(&list));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_come_in_the_order_of_appending),
		cmocka_unit_test(listed_link_stays_where_it_is),
		cmocka_unit_test(prepended_links_come_first),
		cmocka_unit_test(links_are_removed_anywhere),
		cmocka_unit_test(sorted_list_has_the_order_of_addresses),
		cmocka_unit_test(moved_list_is_in_the_new_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
