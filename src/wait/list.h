/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * list.h -- lists of links that lie in one array
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
	struct mia_link *next;  /* valid while listed */
	struct mia_link **prev; /* what points to this link. NULL: unlisted */
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
	if (link->prev != NULL)
		return;

	link->prev = list->end;
	link->next = NULL;
	*list->end = link;
	list->end = &link->next;
}

/* The same, in front of all others. */
static inline void
mia_list_prepend(struct mia_list *list, struct mia_link *link)
{
	if (link->prev != NULL)
		return;

	link->prev = &list->first;
	link->next = list->first;
	if (link->next != NULL)
		link->next->prev = &link->next;
	else
		list->end = &link->next;
	list->first = link;
}

/* Takes a link off the list that it is on. */
static inline void
mia_list_remove(struct mia_list *list, struct mia_link *link)
{
	*link->prev = link->next;
	if (link->next != NULL)
		link->next->prev = link->prev;
	else
		list->end = link->prev;
	link->prev = NULL;
}

/* Takes the first link off the list. NULL: the list is empty. */
static inline struct mia_link *
mia_list_take(struct mia_list *list)
{
	struct mia_link *link = list->first;

	if (link == NULL)
		return NULL;

	list->first = link->next;
	if (list->first != NULL)
		list->first->prev = &list->first;
	else
		list->end = &list->first;
	link->prev = NULL;
	return link;
}

/* By address, in ascending order. A sorted list takes one look at each link. */
void mia_list_sort(struct mia_list *list);

#endif /* LIBMINIASYNC_LIST_H */
