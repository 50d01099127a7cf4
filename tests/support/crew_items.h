/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * crew_items.h -- a crew, and items that count their runs and their bytes
 *
 * run() counts its calls, and does what the item asks for.
 */

#ifndef LIBMINIASYNC_TEST_CREW_ITEMS_H
#define LIBMINIASYNC_TEST_CREW_ITEMS_H 1

#include "test.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crew/crew.h"
#include "system/cpus.h"

enum { BYTES = 1000, MAX_WORKERS = 5 };

struct item {
	union {
		struct mia_backlog_node node; /* until a worker has it */
		struct mia_shared shared;     /* then, if it is shared */
	};
	void (*also)(struct item *item); /* may be NULL */
	struct item *next;
	unsigned runs;            /* not atomic: fini comes after all runs */
	atomic_size_t first_help; /* its number, from 1 */
	unsigned char bytes[BYTES];
	atomic_size_t done; /* bytes */
};

static struct mia_crew crew;

/* Counted by all items of a test. */
static atomic_size_t runs, helps, ends;

static inline void
run_item(void *arg, struct mia_backlog_node *node)
{
	struct item *item = (struct item *)(void *)node;

	assert_ptr_equal(arg, &crew);
	item->runs++;
	if (item->also != NULL)
		item->also(item);
	atomic_fetch_add(&runs, 1);
}

static inline bool
do_chunk(struct item *item, enum mia_range_end end)
{
	const struct mia_claim claim =
		mia_sharing_claim(&crew.sharing, &item->shared, 7, end);

	for (size_t i = 0; i < claim.n; i++)
		item->bytes[claim.at + i]++;
	atomic_fetch_add(&item->done, claim.n);
	return claim.n > 0;
}

static inline void
leave(struct item *item)
{
	if (mia_sharing_leave(&item->shared))
		atomic_fetch_add(&ends, 1);
}

static inline void
help_with_item(void *arg, struct mia_shared *shared)
{
	struct item *item = (struct item *)(void *)shared;

	assert_ptr_equal(arg, &crew);
	size_t none = 0;

	atomic_compare_exchange_strong(
		&item->first_help, &none, atomic_fetch_add(&helps, 1) + 1);
	if (!do_chunk(item, MIA_RANGE_BACK))
		mia_sharing_close(&crew.sharing, shared);
	else
		while (mia_backlog_is_empty(&crew.backlog) &&
			!mia_sharing_has_other(&crew.sharing, shared) &&
			do_chunk(item, MIA_RANGE_BACK))
			continue;
	leave(item);
}

/* No item ends its thread. */
static inline void
exited(void *arg)
{
	(void)arg;
	abort();
}

static inline int
init(size_t nworkers, size_t ring)
{
	const struct mia_work_fns fns = {.run = run_item,
		.help = help_with_item,
		.exited = exited,
		.arg = &crew};

	atomic_store(&runs, 0);
	atomic_store(&helps, 0);
	atomic_store(&ends, 0);
	return mia_crew_init(&crew, nworkers, mia_usable_cpus(), ring, fns);
}

static inline void
await(atomic_size_t *count, size_t n)
{
	while (atomic_load(count) < n)
		sched_yield();
}

static inline void
await_sleepers(size_t n)
{
	while (atomic_load(&crew.idle.counts) / (MIA_IDLE_MAX_WORKERS + 1) < n)
		sched_yield();
}

#endif /* LIBMINIASYNC_TEST_CREW_ITEMS_H */
