/* SPDX-License-Identifier: BSD-3-Clause */

/* list.c -- the order of a list, by a merge sort that allocates nothing */

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
	bool sorted = true;
	size_t n = 0;

	for (struct mia_link *link = list->first; link != NULL;
		link = link->next) {
		n++;
		if (link->next != NULL && link->next < link)
			sorted = false;
	}
	if (sorted)
		return;

	list->first = merge_sort(list->first, n);

	/* The sort keeps no other pointers. */
	list->end = &list->first;
	for (struct mia_link *link = list->first; link != NULL;
		link = link->next) {
		link->prev = list->end;
		list->end = &link->next;
	}
}
