/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation_pool.c -- see operation_pool.h
 *
 * Nouns, from the bottom:
 *   slot    memory for one operation; when free, it holds a link to the next
 *   slab    SLAB_SIZE bytes, aligned to that, so that a slot finds its slab
 *           by masking its address; a header, then slots
 *   pool    the slabs of one mover: those with free slots (partial), and full
 *   cache   a few free slots of one pool, for one thread alone
 *   thread  the caches of one thread, CACHES_PER_THREAD, in which a pool has
 *           its place by its id; two pools of one place evict each other
 * This is the slab allocator with per-thread magazines of Bonwick and Adams,
 * "Magazines and Vmem", USENIX 2001, with linked lists for magazines.
 *
 * The common path, get and put, works on the thread's cache and nothing else.
 * An empty cache takes CACHE_BATCH slots from the pool; a full one gives as
 * many back. A slab that is free altogether is freed, except a pool's last.
 *
 * Everything but the caches' content is under one lock for all pools. It is
 * entered once in CACHE_BATCH operations, is never held while memory is
 * allocated or freed, and being one, can be held over a fork() so that the
 * child finds all of it consistent.
 *
 * A cache belongs to its thread. Others only
 *   - clear its id, when its pool is deleted, under the lock; by then nobody
 *     uses that pool, and ids are never used twice, so whatever else the
 *     owner compares it to, it was and stays unequal;
 *   - read its count, to tell whether a pool at its bound has free slots lying
 *     in other threads' caches.
 */

#include "operation_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "platform.h"

#define SLAB_SIZE ((size_t)16384)
#define CACHE_CAPACITY 64
#define CACHE_BATCH 32
#define CACHES_PER_THREAD 16

struct slot {
	struct slot *next;
};

struct slab {
	uint64_t pool_id;
	struct mia_operation_pool *pool;
	struct slab *prev; /* in the pool's partial or full list */
	struct slab *next;
	struct slot *free; /* slots that were put back */
	char *fresh;	   /* slots from here on were never handed out */
	uint32_t nfresh;
	uint32_t nfree; /* slots of both kinds */
};

#define SLAB_HEADER \
	((sizeof(struct slab) + MIA_CACHE_LINE - 1) / MIA_CACHE_LINE * \
		MIA_CACHE_LINE)

struct mia_operation_pool {
	uint64_t id; /* from 1; never used twice */
	size_t slot_size;
	uint32_t slots_per_slab;

	/* Under the lock. */
	struct slab *partial;
	struct slab *full;
	size_t nslabs;
	size_t ntaken; /* slots handed out, or in a cache */
};

struct cache {
	_Atomic uint64_t id; /* of the pool; 0: of none */
	struct slot *first;
	atomic_uint count; /* written by its thread only */
};

struct thread {
	struct cache caches[CACHES_PER_THREAD];
	struct thread *prev; /* in the list of all threads; under the lock */
	struct thread *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread *threads; /* under the lock */
static uint64_t last_id;       /* under the lock */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key; /* for its destructor only */
static bool have_thread_key;

static MIA_THREAD_LOCAL struct thread *this_thread;

static void
before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void
after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/*
 * In the child only the forking thread is left. What the others' caches held
 * is lost to their pools until those are deleted.
 */
static void
after_fork_in_child(void)
{
	threads = this_thread;
	if (threads != NULL)
		threads->prev = threads->next = NULL;
	pthread_mutex_unlock(&lock);
}

static void
list_push(struct slab **list, struct slab *slab)
{
	slab->prev = NULL;
	slab->next = *list;
	if (*list != NULL)
		(*list)->prev = slab;
	*list = slab;
}

static void
list_remove(struct slab **list, struct slab *slab)
{
	if (slab->prev != NULL)
		slab->prev->next = slab->next;
	else
		*list = slab->next;
	if (slab->next != NULL)
		slab->next->prev = slab->prev;
}

static void
list_free(struct slab *list)
{
	while (list != NULL) {
		struct slab *next = list->next;

		free(list);
		list = next;
	}
}

static struct slab *
slab_of(void *slot)
{
	return (struct slab *)((uintptr_t)slot & ~(SLAB_SIZE - 1));
}

/*
 * Slabs are aligned, which malloc() does not promise; what it returns instead
 * for NULL is reported by the caller, so errno stays.
 */
static struct slab *
slab_new(struct mia_operation_pool *pool)
{
	const int saved_errno = errno;
	struct slab *slab = aligned_alloc(SLAB_SIZE, SLAB_SIZE);

	errno = saved_errno;
	if (slab == NULL)
		return NULL;

	slab->pool_id = pool->id;
	slab->pool = pool;
	slab->free = NULL;
	slab->fresh = (char *)slab + SLAB_HEADER;
	slab->nfresh = pool->slots_per_slab;
	slab->nfree = pool->slots_per_slab;
	return slab;
}

/* Under the lock: one free slot of a slab of the partial list. */
static struct slot *
take_slot(struct mia_operation_pool *pool)
{
	struct slab *slab = pool->partial;
	struct slot *slot = slab->free;

	if (slot != NULL) {
		slab->free = slot->next;
	} else {
		slot = (struct slot *)(void *)slab->fresh;
		slab->fresh += pool->slot_size;
		slab->nfresh--;
	}

	if (--slab->nfree == 0) {
		list_remove(&pool->partial, slab);
		list_push(&pool->full, slab);
	}

	pool->ntaken++;
	return slot;
}

/* Under the lock: a slot comes back. An empty slab goes to *garbage. */
static void
return_slot(struct slot *slot, struct slab **garbage)
{
	struct slab *slab = slab_of(slot);
	struct mia_operation_pool *pool = slab->pool;

	slot->next = slab->free;
	slab->free = slot;
	pool->ntaken--;

	if (slab->nfree++ == 0) {
		list_remove(&pool->full, slab);
		list_push(&pool->partial, slab);
	}
	if (slab->nfree == pool->slots_per_slab &&
		(slab->prev != NULL || slab->next != NULL)) {
		list_remove(&pool->partial, slab);
		pool->nslabs--;
		slab->next = *garbage;
		*garbage = slab;
	}
}

static void
return_slots(struct slot *slots, struct slab **garbage)
{
	while (slots != NULL) {
		struct slot *next = slots->next;

		return_slot(slots, garbage);
		slots = next;
	}
}

/* Relaxed: only the thread that owns the cache writes it. */
static unsigned
cache_count(const struct cache *cache)
{
	return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

static void
cache_set_count(struct cache *cache, unsigned count)
{
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
}

/* Relaxed: see the head of this file. */
static uint64_t
cache_id(const struct cache *cache)
{
	return atomic_load_explicit(&cache->id, memory_order_relaxed);
}

static struct cache *
cache_place(struct thread *thread, uint64_t id)
{
	return &thread->caches[id % CACHES_PER_THREAD];
}

/* Under the lock: gives back what a cache of this thread holds. */
static void
cache_evict(struct cache *cache, struct slab **garbage)
{
	if (cache_id(cache) != 0)
		return_slots(cache->first, garbage);

	atomic_store_explicit(&cache->id, 0, memory_order_relaxed);
	cache->first = NULL;
	cache_set_count(cache, 0);
}

static void
thread_exit(void *arg)
{
	struct thread *thread = arg;
	struct slab *garbage = NULL;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < CACHES_PER_THREAD; i++)
		cache_evict(&thread->caches[i], &garbage);
	if (thread->prev != NULL)
		thread->prev->next = thread->next;
	else
		threads = thread->next;
	if (thread->next != NULL)
		thread->next->prev = thread->prev;
	pthread_mutex_unlock(&lock);

	/* Later destructors of this thread may use movers: they start anew. */
	this_thread = NULL;
	list_free(garbage);
	free(thread);
}

static void
init_once(void)
{
	have_thread_key = pthread_key_create(&thread_key, thread_exit) == 0 &&
		pthread_atfork(before_fork, after_fork, after_fork_in_child) ==
			0;
}

/* The caches of this thread, or NULL: then every slot goes by the lock. */
static struct thread *
thread_get(void)
{
	if (this_thread != NULL || !have_thread_key)
		return this_thread;

	const int saved_errno = errno;
	struct thread *thread = calloc(1, sizeof(*thread));

	if (thread != NULL && pthread_setspecific(thread_key, thread) != 0) {
		free(thread);
		thread = NULL;
	}
	errno = saved_errno;
	if (thread == NULL)
		return NULL;

	pthread_mutex_lock(&lock);
	thread->next = threads;
	if (threads != NULL)
		threads->prev = thread;
	threads = thread;
	pthread_mutex_unlock(&lock);

	this_thread = thread;
	return thread;
}

/*
 * Under the lock: how many slots may still be taken. Free slots that lie in
 * other threads' caches do not count against the bound.
 */
static size_t
room(struct mia_operation_pool *pool)
{
	size_t max = MIA_OPERATION_POOL_MAX;

	if (pool->ntaken < max)
		return max - pool->ntaken;

	for (struct thread *t = threads; t != NULL; t = t->next) {
		const struct cache *cache = cache_place(t, pool->id);

		if (cache_id(cache) == pool->id)
			max += cache_count(cache);
	}

	return pool->ntaken < max ? max - pool->ntaken : 0;
}

/*
 * The cache of this thread is empty, or another pool's, or there is none. Not
 * inlined: the registers it needs would be saved on the common path too.
 */
__attribute__((noinline)) static void *
get_slow(struct mia_operation_pool *pool)
{
	struct thread *thread = thread_get();
	struct slab *fresh = NULL;
	struct slab *garbage = NULL;
	struct slot *slot = NULL;

	pthread_mutex_lock(&lock);
	if (room(pool) > 0 && pool->partial == NULL) {
		pthread_mutex_unlock(&lock);
		fresh = slab_new(pool);
		pthread_mutex_lock(&lock);
		if (fresh != NULL) {
			list_push(&pool->partial, fresh);
			pool->nslabs++;
		}
	}

	size_t take = room(pool);

	if (take > 0 && pool->partial != NULL) {
		slot = take_slot(pool);
		take--;
	}

	if (thread != NULL) {
		struct cache *cache = cache_place(thread, pool->id);

		if (cache_id(cache) != pool->id) {
			cache_evict(cache, &garbage);
			atomic_store_explicit(
				&cache->id, pool->id, memory_order_relaxed);
		}

		if (take > CACHE_BATCH - 1)
			take = CACHE_BATCH - 1;
		for (; take > 0 && pool->partial != NULL; take--) {
			struct slot *more = take_slot(pool);

			more->next = cache->first;
			cache->first = more;
			cache_set_count(cache, cache_count(cache) + 1);
		}
	}
	pthread_mutex_unlock(&lock);

	list_free(garbage);
	return slot;
}

void *
mia_operation_pool_get(struct mia_operation_pool *pool)
{
	if (this_thread != NULL) {
		struct cache *cache = cache_place(this_thread, pool->id);
		struct slot *slot = cache->first;

		if (cache_id(cache) == pool->id && slot != NULL) {
			cache->first = slot->next;
			cache_set_count(cache, cache_count(cache) - 1);
			return slot;
		}
	}

	return get_slow(pool);
}

/* The cache of this thread is full, or another pool's, or there is none. */
__attribute__((noinline)) static void
put_slow(struct slot *slot)
{
	struct thread *thread = thread_get();
	struct slab *slab = slab_of(slot);
	struct slab *garbage = NULL;

	pthread_mutex_lock(&lock);
	if (thread == NULL) {
		return_slot(slot, &garbage);
	} else {
		struct cache *cache = cache_place(thread, slab->pool_id);

		if (cache_id(cache) != slab->pool_id) {
			cache_evict(cache, &garbage);
			atomic_store_explicit(&cache->id, slab->pool_id,
				memory_order_relaxed);
		} else {
			/* Keep those put last, which are in the CPU's cache. */
			struct slot *keep = cache->first;

			for (unsigned i = 1;
				i < CACHE_CAPACITY - CACHE_BATCH; i++)
				keep = keep->next;
			return_slots(keep->next, &garbage);
			keep->next = NULL;
			cache_set_count(cache, CACHE_CAPACITY - CACHE_BATCH);
		}
		slot->next = cache->first;
		cache->first = slot;
		cache_set_count(cache, cache_count(cache) + 1);
	}
	pthread_mutex_unlock(&lock);

	list_free(garbage);
}

void
mia_operation_pool_put(void *data)
{
	struct slot *slot = data;
	const uint64_t id = slab_of(slot)->pool_id;

	if (this_thread != NULL) {
		struct cache *cache = cache_place(this_thread, id);
		const unsigned count = cache_count(cache);

		if (cache_id(cache) == id && count < CACHE_CAPACITY) {
			slot->next = cache->first;
			cache->first = slot;
			cache_set_count(cache, count + 1);
			return;
		}
	}

	put_slow(slot);
}

struct mia_operation_pool *
mia_operation_pool_new(size_t slot_size)
{
	struct mia_operation_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;

	pthread_once(&once, init_once);

	if (slot_size < sizeof(struct slot))
		slot_size = sizeof(struct slot);
	slot_size += -slot_size % sizeof(struct slot);
	pool->slot_size = slot_size;
	pool->slots_per_slab =
		(uint32_t)((SLAB_SIZE - SLAB_HEADER) / slot_size);

	pthread_mutex_lock(&lock);
	pool->id = ++last_id;
	pthread_mutex_unlock(&lock);
	return pool;
}

void
mia_operation_pool_delete(struct mia_operation_pool *pool)
{
	if (pool == NULL)
		return;

	pthread_mutex_lock(&lock);
	for (struct thread *t = threads; t != NULL; t = t->next) {
		struct cache *cache = cache_place(t, pool->id);

		if (cache_id(cache) == pool->id)
			atomic_store_explicit(
				&cache->id, 0, memory_order_relaxed);
	}
	pthread_mutex_unlock(&lock);

	list_free(pool->partial);
	list_free(pool->full);
	free(pool);
}

size_t
mia_operation_pool_bytes(struct mia_operation_pool *pool)
{
	pthread_mutex_lock(&lock);
	const size_t bytes = pool->nslabs * SLAB_SIZE;
	pthread_mutex_unlock(&lock);

	return bytes;
}
