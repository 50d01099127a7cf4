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
	assert_false(expected->listed);
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

		/* The end is right, too. */
		struct mia_link last = {.listed = false};
		struct mia_link *link, *before = NULL;

		mia_list_append(&list, &last);
		while ((link = mia_list_take(&list)) != &last) {
			assert_non_null(link);
			assert_true(before == NULL || before < link);
			before = link;
		}
		assert_null(mia_list_take(&list));
		for (size_t i = 0; i < N; i++)
			assert_false(links[i].listed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_come_in_the_order_of_appending),
		cmocka_unit_test(listed_link_stays_where_it_is),
		cmocka_unit_test(sorted_list_has_the_order_of_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
