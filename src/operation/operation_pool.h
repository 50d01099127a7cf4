/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation_pool.h -- memory for pending operations, one pool for each mover
 *
 * All slots of a pool have one size. MIA_OPERATION_POOL_MAX slots can be in use
 * at the same time, and up to 126 more for each further thread. Slots may be
 * put back in any order.
 *
 * Without an end() function, the content of a slot is undefined when a get
 * returns it. With an end() function, a new slot is zero, and a used slot keeps
 * the content that its users have left in it. The first pointer of a slot is an
 * exception: it belongs to the pool while the slot is free, so its value is
 * undefined. Users can therefore make an expensive member of a slot only once.
 *
 * Threads: get and put are safe from any thread. One thread may get a slot and
 * another put it. The owner of a pool calls init and fini, and no other thread
 * uses the pool at that time.
 */

#ifndef LIBMINIASYNC_OPERATION_POOL_H
#define LIBMINIASYNC_OPERATION_POOL_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "system/platform.h"

/* The bound of one pool, in slots. */
#define MIA_OPERATION_POOL_MAX ((size_t)4194304)

struct mia_operation_slab;

/* The largest slot, in bytes. */
#define MIA_OPERATION_SLOT_MAX ((size_t)4096)

/* A mover embeds its pool, which saves a load on the fast path. */
struct mia_operation_pool {
	size_t place; /* offset of its cache in mia_operation_thread.caches */
	size_t slot_size;
	void (*end)(void *slot); /* may be NULL */
	uint32_t slots_per_slab;

	/* Under the lock. */
	struct mia_operation_slab *partial;
	struct mia_operation_slab *full;
	size_t nslabs;
	size_t ntaken; /* slots in use or in a cache */
};

/*
 * slot_size  bytes, 1 to MIA_OPERATION_SLOT_MAX. A multiple of MIA_CACHE_LINE
 *            gives each slot cache lines of its own.
 * end        called once for each used slot before its memory is freed, on any
 *            thread. Also called for some unused slots. They are zero, except
 *            for the first pointer. For a slot that was put back, the call may
 *            come after mia_operation_pool_fini(). NULL: slots need no end.
 */
void mia_operation_pool_init(struct mia_operation_pool *pool, size_t slot_size,
	void (*end)(void *slot));

/*
 * Frees all slots, even if they were not put back. No thread may use this pool
 * at the same time. Other threads may use other pools, and may be exiting.
 */
void mia_operation_pool_fini(struct mia_operation_pool *pool);

/* The bytes of all slabs that the pool has now, for tests. */
size_t mia_operation_pool_bytes(struct mia_operation_pool *pool);

/*
 * The rest is the fast path of get and put. It is inline because a call would
 * cost as much as the work. operation_pool.c explains the terms.
 */

#define MIA_OPERATION_CACHES 8
#define MIA_OPERATION_CACHE_SLOTS 126

struct mia_operation_cache {
	_Atomic(struct mia_operation_pool *) pool; /* NULL: none */
	atomic_size_t count; /* slots; only its thread writes it */
	void *slots[MIA_OPERATION_CACHE_SLOTS];
};

struct mia_operation_thread {
	struct mia_operation_cache caches[MIA_OPERATION_CACHES];
	struct mia_operation_thread *prev; /* under the lock */
	struct mia_operation_thread *next;
};

/* Placeholder for the caches of a thread that has none. Has no pools. */
extern struct mia_operation_thread mia_operation_no_caches;

MIA_THREAD_POINTER_EXTERN(struct mia_operation_thread, mia_operation_thread);

/* The caches of this thread; never NULL. */
static inline struct mia_operation_thread *
mia_operation_thread_get(void)
{
	return MIA_THREAD_GET(mia_operation_thread, &mia_operation_no_caches);
}

/* The size and the alignment of a slab: see mia_operation_slab_of(). */
#define MIA_OPERATION_SLAB_SIZE ((size_t)16384)

struct mia_operation_slab {
	struct mia_operation_pool *pool;
	size_t place;            /* the pool's */
	void (*end)(void *slot); /* the pool's */

	/* Under the lock. prev and next: the partial or the full list. */
	struct mia_operation_slab *prev;
	struct mia_operation_slab *next;
	void *free;         /* the first of the slots that were put back */
	char *fresh;        /* this slot and later ones were never used */
	uint32_t nfree;     /* slots of both kinds */
	uint32_t slot_size; /* the pool's; never changes */
};

static inline struct mia_operation_slab *
mia_operation_slab_of(void *slot)
{
	return (struct mia_operation_slab *)((uintptr_t)slot &
		~(MIA_OPERATION_SLAB_SIZE - 1));
}

/* The cache of a thread for the pools with this place. */
static inline struct mia_operation_cache *
mia_operation_cache_at(struct mia_operation_thread *thread, size_t place)
{
	return (struct mia_operation_cache *)(void *)((char *)thread->caches +
		place);
}

/*
 * Relaxed, here and below: only the thread of the cache depends on pool and
 * count. For the accesses of other threads see the invariants in
 * operation_pool.c.
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

/* Returns NULL at the bound, or if memory is short. Keeps errno. */
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

/* Returns a slot to its pool. */
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
