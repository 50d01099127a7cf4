/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * list.h -- lists of links that are in one array
 *
 * A link is a member of the object that it represents. A link is on one list at
 * most. The head of a list is in the ring of its links. So a link can be
 * removed without access to its list.
 *
 * Threads: one at a time.
 */

#ifndef LIBMINIASYNC_LIST_H
#define LIBMINIASYNC_LIST_H 1

#include <stdbool.h>
#include <stddef.h>

struct mia_link {
	struct mia_link *next; /* valid while on a list */
	struct mia_link *prev; /* NULL: on no list */
};

struct mia_list {
	struct mia_link head; /* next: the first link. prev: the last link */
};

static inline void
mia_list_init(struct mia_list *list)
{
	list->head.next = &list->head;
	list->head.prev = &list->head;
}

static inline bool
mia_list_is_empty(const struct mia_list *list)
{
	return list->head.next == &list->head;
}

static inline void
mia_list_insert_before(struct mia_link *next, struct mia_link *link)
{
	link->next = next;
	link->prev = next->prev;
	next->prev->next = link;
	next->prev = link;
}

/* Appends the link, unless it is on a list already. */
static inline void
mia_list_append(struct mia_list *list, struct mia_link *link)
{
	if (link->prev == NULL)
		mia_list_insert_before(&list->head, link);
}

/* Inserts the link at the front, unless it is on a list already. */
static inline void
mia_list_prepend(struct mia_list *list, struct mia_link *link)
{
	if (link->prev == NULL)
		mia_list_insert_before(list->head.next, link);
}

/* Removes a link from its list. */
static inline void
mia_list_remove(struct mia_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->prev = NULL;
}

/* Removes and returns the first link. NULL: the list is empty. */
static inline struct mia_link *
mia_list_take(struct mia_list *list)
{
	struct mia_link *link = list->head.next;

	if (link == &list->head)
		return NULL;

	list->head.next = link->next;
	link->next->prev = &list->head;
	link->prev = NULL;
	return link;
}

/* Sorts by address, in ascending order. A sorted list is only read once. */
void mia_list_sort(struct mia_list *list);

/*
 * Call this after the array was copied, and before the old array is freed. The
 * list then has the links in the new array, in the same order.
 */
void mia_list_move(struct mia_list *list, const void *from, void *to);

#endif /* LIBMINIASYNC_LIST_H */
