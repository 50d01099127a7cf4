/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation_pool.h -- memory for pending operations, one pool for each mover
 *
 * Slots of one size, handed out and taken back by any thread in any order. What
 * is handed out is bounded; see MIA_OPERATION_POOL_MAX.
 *
 * A slot's content is undefined when it is handed out, unless the pool has a
 * function that ends slots. Then a new slot is zero, and from then on keeps
 * what its users leave in it, except for the first pointer, which is the
 * pool's; so something that is dear to make, inside of a slot, is made once.
 */

#ifndef LIBMINIASYNC_OPERATION_POOL_H
#define LIBMINIASYNC_OPERATION_POOL_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "system/platform.h"

/* Slots of one pool that can be handed out at once. */
#define MIA_OPERATION_POOL_MAX ((size_t)4194304)

struct mia_operation_slab;

/* Slots are at most this big, in bytes. */
#define MIA_OPERATION_SLOT_MAX ((size_t)4096)

/* Embedded in its mover, which saves a load on the common path. */
struct mia_operation_pool {
	size_t place; /* of its cache, in bytes */
	size_t slot_size;
	void (*end)(void *slot); /* may be NULL */
	uint32_t slots_per_slab;

	/* Under the lock. */
	struct mia_operation_slab *partial;
	struct mia_operation_slab *full;
	size_t nslabs;
	size_t ntaken; /* slots handed out, or in a cache */
};

/*
 * slot_size  bytes, 1 to MIA_OPERATION_SLOT_MAX. A multiple of MIA_CACHE_LINE
 *            gives each slot cache lines of its own.
 * end        called once for each slot before its memory is freed, by any
 *            thread; a slot that nobody used is zero then. For a slot that was
 *            put back it may be called after the pool is gone. NULL: there is
 *            nothing to end.
 */
void mia_operation_pool_init(struct mia_operation_pool *pool, size_t slot_size,
	void (*end)(void *slot));

/*
 * Frees all slots, also those that were not put back. Nobody may use this pool
 * any more; other threads may be inside of other pools, and may be exiting.
 */
void mia_operation_pool_fini(struct mia_operation_pool *pool);

/* Bytes of memory that the pool's slots take now, for tests. */
size_t mia_operation_pool_bytes(struct mia_operation_pool *pool);

/*
 * What follows is the common path of get and put, inline because a call costs
 * as much as its work. The nouns are explained in operation_pool.c.
 */

#define MIA_OPERATION_CACHES 8
#define MIA_OPERATION_CACHE_SLOTS 126

struct mia_operation_cache {
	_Atomic(struct mia_operation_pool *) pool; /* NULL: of none */
	atomic_size_t count; /* of slots; written by its thread only */
	void *slots[MIA_OPERATION_CACHE_SLOTS];
};

struct mia_operation_thread {
	struct mia_operation_cache caches[MIA_OPERATION_CACHES];
	struct mia_operation_thread *prev; /* under the lock */
	struct mia_operation_thread *next;
};

/* The caches of a thread that has none: no pool ever has them. */
extern struct mia_operation_thread mia_operation_no_caches;

MIA_THREAD_POINTER_EXTERN(struct mia_operation_thread, mia_operation_thread);

/* The caches of this thread; never NULL. */
static inline struct mia_operation_thread *
mia_operation_thread_get(void)
{
	return MIA_THREAD_GET(mia_operation_thread, &mia_operation_no_caches);
}

/* A slot finds its slab by masking its address. */
#define MIA_OPERATION_SLAB_SIZE ((size_t)16384)

struct mia_operation_slab {
	struct mia_operation_pool *pool;
	size_t place;            /* the pool's */
	void (*end)(void *slot); /* the pool's */

	/* Under the lock. */
	struct mia_operation_slab
		*prev; /* in the pool's partial or full list */
	struct mia_operation_slab *next;
	void *free;         /* slots that were put back */
	char *fresh;        /* slots from here on were never handed out */
	uint32_t nfree;     /* slots of both kinds */
	uint32_t slot_size; /* the pool's; never changes */
};

static inline struct mia_operation_slab *
mia_operation_slab_of(void *slot)
{
	return (struct mia_operation_slab *)((uintptr_t)slot &
		~(MIA_OPERATION_SLAB_SIZE - 1));
}

/* Where this thread caches the slots of pools with this place. */
static inline struct mia_operation_cache *
mia_operation_cache_at(struct mia_operation_thread *thread, size_t place)
{
	return (struct mia_operation_cache *)(void *)((char *)thread->caches +
		place);
}

/*
 * Relaxed, here and below: see operation_pool.c for who else looks at a cache,
 * and what they may see.
 */
static inline struct mia_operation_pool *
mia_operation_cache_pool(const struct mia_operation_cache *cache)
{
	return atomic_load_explicit(&cache->pool, memory_order_relaxed);
}

static inline size_t
mia_operation_cache_count(const struct mia_operation_cache *cache)
{
	return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

static inline void
mia_operation_cache_set_count(struct mia_operation_cache *cache, size_t count)
{
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
}

void *mia_operation_pool_get_slow(struct mia_operation_pool *pool);
void mia_operation_pool_put_slow(void *slot);

/* A slot, or NULL if the bound is reached or memory is short. Keeps errno. */
static inline void *
mia_operation_pool_get(struct mia_operation_pool *pool)
{
	struct mia_operation_cache *cache =
		mia_operation_cache_at(mia_operation_thread_get(), pool->place);
	const size_t count = mia_operation_cache_count(cache);

	if (MIA_UNLIKELY(mia_operation_cache_pool(cache) != pool || count == 0))
		return mia_operation_pool_get_slow(pool);

	mia_operation_cache_set_count(cache, count - 1);
	return cache->slots[count - 1];
}

/* Gives a slot back to the pool it came from. */
static inline void
mia_operation_pool_put(void *slot)
{
	const struct mia_operation_slab *slab = mia_operation_slab_of(slot);
	struct mia_operation_cache *cache =
		mia_operation_cache_at(mia_operation_thread_get(), slab->place);
	const size_t count = mia_operation_cache_count(cache);

	if (MIA_UNLIKELY(mia_operation_cache_pool(cache) != slab->pool ||
		    count == MIA_OPERATION_CACHE_SLOTS)) {
		mia_operation_pool_put_slow(slot);
		return;
	}

	cache->slots[count] = slot;
	mia_operation_cache_set_count(cache, count + 1);
}

#endif /* LIBMINIASYNC_OPERATION_POOL_H */
