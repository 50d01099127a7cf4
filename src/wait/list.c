/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * list.c -- sorts a list by a merge sort without allocation, and moves a list
 */

#include "wait/list.h"

/* Merges two sorted chains of links. NULL ends each. */
static struct mia_link *
merge(struct mia_link *a, struct mia_link *b)
{
	struct mia_link *first = NULL;
	struct mia_link **end = &first;

	while (a != NULL && b != NULL) {
		struct mia_link **least = a < b ? &a : &b;

		*end = *least;
		end = &(*least)->next;
		*least = *end;
	}
	*end = a != NULL ? a : b;
	return first;
}

/* n is the length of the chain. */
static struct mia_link *
merge_sort(struct mia_link *first, size_t n)
{
	struct mia_link *middle = first;

	if (n < 2)
		return first;
	for (size_t i = 1; i < n / 2; i++)
		middle = middle->next;

	struct mia_link *second = middle->next;

	middle->next = NULL;
	return merge(merge_sort(first, n / 2), merge_sort(second, n - n / 2));
}

void
mia_list_sort(struct mia_list *list)
{
	struct mia_link *const head = &list->head;
	bool sorted = true;
	size_t n = 0;

	for (struct mia_link *link = head->next; link != head;
		link = link->next) {
		n++;
		if (link->next != head && link->next < link)
			sorted = false;
	}
	if (sorted)
		return;

	head->prev->next = NULL;

	struct mia_link *next = merge_sort(head->next, n);

	/* The sort sets only next. This sets prev again. */
	mia_list_init(list);
	while (next != NULL) {
		struct mia_link *link = next;

		next = link->next;
		mia_list_insert_before(head, link);
	}
}

void
mia_list_move(struct mia_list *list, const void *from, void *to)
{
	struct mia_link *const head = &list->head;
	struct mia_link *next = head->next;

	mia_list_init(list);
	while (next != head) {
		const ptrdiff_t at = (const char *)next - (const char *)from;

		next = next->next;
		mia_list_insert_before(
			head, (struct mia_link *)(void *)((char *)to + at));
	}
}
