/* SPDX-License-Identifier: BSD-3-Clause */

/* waiters.c -- see waiters.h */

#include "wait/waiters.h"

#include <stdlib.h>
#include <string.h>

#define MIN_CAPACITY 8

/* Bytes for each waiter. */
#define WAITER_SIZE (sizeof(struct mia_waiter) + 3 * sizeof(uint32_t))

/* Returns a power of two. 0: n exceeds every address space. */
static size_t
capacity_for(size_t n)
{
	const size_t max = SIZE_MAX / 4 / WAITER_SIZE;
	size_t capacity = MIN_CAPACITY;

	while (capacity < n && capacity <= SIZE_MAX / 2)
		capacity *= 2;

	const bool fits =
		capacity >= n && capacity <= max && capacity <= UINT32_MAX / 2;

	return fits ? capacity : 0;
}

struct mia_waiters *
mia_waiters_new(size_t n)
{
	const size_t capacity = capacity_for(n);
	struct mia_waiters *waiters = capacity > 0
		? malloc(sizeof(*waiters) + capacity * WAITER_SIZE)
		: NULL;

	if (waiters == NULL)
		return NULL;

	waiters->next = NULL;
	waiters->capacity = capacity;
	waiters->has_twins = false;
	waiters->table = (uint32_t *)(void *)(waiters->waiters + capacity);
	waiters->ntwins = waiters->table + 2 * capacity;
	return waiters;
}

void
mia_waiters_free(struct mia_waiters *list)
{
	while (list != NULL) {
		struct mia_waiters *next = list->next;

		free(list);
		list = next;
	}
}

/* Uses as much of the table as n waiters need. Half of this part stays free. */
void
mia_waiters_clear(struct mia_waiters *waiters, size_t n)
{
	size_t size = 2;

	while (size < 2 * n)
		size *= 2;
	waiters->has_twins = false;
	waiters->mask = size - 1;
	memset(waiters->table, 0, size * sizeof(uint32_t));
}

static void
count_twin(struct mia_waiters *waiters, size_t number)
{
	if (!waiters->has_twins)
		memset(waiters->ntwins, 0,
			waiters->capacity * sizeof(uint32_t));
	waiters->has_twins = true;
	waiters->ntwins[number]++;
}

/*
 * Open addressing. The multiplier is 2^64 divided by the golden ratio (Knuth,
 * "Sorting and Searching", 6.4).
 */
bool
mia_waiters_is_twin(
	struct mia_waiters *waiters, const struct future *fut, size_t number)
{
	uint64_t at = (uintptr_t)fut * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	for (;; at++) {
		uint32_t *entry = &waiters->table[at & waiters->mask];

		if (*entry == 0) {
			*entry = (uint32_t)number + 1;
			return false;
		}
		if (waiters->waiters[*entry - 1].fut == fut) {
			count_twin(waiters, *entry - 1);
			return true;
		}
	}
}
