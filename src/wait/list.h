/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * list.h -- singly linked lists of links that lie in one array
 *
 * A link is a member of the object that it stands for. It is on one list at
 * most.
 *
 * Threads: one at a time.
 */

#ifndef LIBMINIASYNC_LIST_H
#define LIBMINIASYNC_LIST_H 1

#include <stdbool.h>
#include <stddef.h>

struct mia_link {
	struct mia_link *next; /* valid while listed */
	bool listed;
};

struct mia_list {
	struct mia_link *first; /* NULL: empty */
	struct mia_link **end;  /* the last link's next, or &first */
};

static inline void
mia_list_init(struct mia_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

/* Does nothing if the link is on a list already. */
static inline void
mia_list_append(struct mia_list *list, struct mia_link *link)
{
	if (link->listed)
		return;

	link->listed = true;
	link->next = NULL;
	*list->end = link;
	list->end = &link->next;
}

/* Takes the first link off the list. NULL: the list is empty. */
static inline struct mia_link *
mia_list_take(struct mia_list *list)
{
	struct mia_link *link = list->first;

	if (link == NULL)
		return NULL;

	list->first = link->next;
	if (list->first == NULL)
		list->end = &list->first;
	link->listed = false;
	return link;
}

/* By address, in ascending order. A sorted list takes one look at each link. */
void mia_list_sort(struct mia_list *list);

#endif /* LIBMINIASYNC_LIST_H */
