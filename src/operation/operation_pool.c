/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation_pool.c -- see operation_pool.h
 *
 * Terms, from the bottom:
 *   slot    memory for one operation. A free slot of a slab holds a link to the
 *           next free slot
 *   slab    16 KiB: a header, then slots. A slab is aligned to its size, so the
 *           masked address of a slot is its slab. slabs.c supplies the slabs of
 *           all pools
 *   pool    the slabs of one mover, in two lists: slabs in partial have free
 *           slots, slabs in full have none
 *   cache   a few free slots of one pool, for one thread only
 *   thread  the caches of one thread. Each pool has a place among them, and two
 *           pools with the same place evict each other
 * This is the slab allocator with per-thread magazines of Bonwick and Adams,
 * "Magazines and Vmem", USENIX 2001.
 *
 * Get and put use only the thread's cache if possible. An empty cache takes
 * CACHE_BATCH slots from the pool. A full cache returns CACHE_BATCH slots. A
 * slab whose slots are all free returns to slabs.c, except a pool's last slab.
 *
 * Invariants:
 *   - One lock protects all pools, and everything except the content of caches.
 *   - A thread enters the lock once in CACHE_BATCH operations. No thread holds
 *     the lock while it allocates or frees memory.
 *   - fork() holds the lock, so that the child finds everything consistent.
 *   - A cache belongs to its thread. Other threads do two things with it:
 *       - They set its pool to NULL when that pool is deleted, under the lock.
 *         The owner may compare the value at that time, but only with another
 *         pool. The old value and NULL both differ from that pool. A new pool
 *         may have the old address. The owner gets the address from the thread
 *         that made the new pool, and therefore reads NULL.
 *       - They read its count, under the lock. A pool at its bound counts the
 *         free slots in the caches of all threads.
 */

#include "operation/operation_pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "operation/slabs.h"
#include "system/fork_lock.h"
#include "system/probe.h"
#include "system/unload.h"

/* Slots that move between a cache and its pool at once: half a cache. */
#define CACHE_BATCH (MIA_OPERATION_CACHE_SLOTS / 2)

/* Bytes of a slab before its first slot. */
#define SLAB_HEADER \
	((sizeof(struct mia_operation_slab) + MIA_CACHE_LINE - 1) / \
		MIA_CACHE_LINE * MIA_CACHE_LINE)

_Static_assert(MIA_OPERATION_SLAB_SIZE == MIA_SLAB_SIZE, "slabs of slabs.h");

/* A free slot of a slab. */
struct slot {
	struct slot *next;
};

static struct mia_fork_lock lock;
static struct mia_slabs slabs;               /* under the lock */
static struct mia_operation_thread *threads; /* under the lock */
static size_t npools[MIA_OPERATION_CACHES];  /* by place; under the lock */

static mia_once once = MIA_ONCE_INITIALIZER;
static mia_exit_key thread_key;

/*
 * Whether thread_key is valid. Written before main() and when the library ends.
 * The release store in init_once() pairs with the acquire in thread_get(). Not
 * an atomic_bool: RISC-V exchanges bytes by a function of another library.
 */
static atomic_uint have_thread_key;

struct mia_operation_thread mia_operation_no_caches;

/* The same for a thread after thread_exit(): nothing frees new caches. */
static struct mia_operation_thread ended_caches;

MIA_THREAD_POINTER(struct mia_operation_thread, mia_operation_thread,
	&mia_operation_no_caches);

static void
before_fork(void)
{
	mia_fork_lock_before_fork(&lock);
}

/*
 * In the parent and in the child. The child lacks the other threads, but their
 * caches stay in the list. Nothing frees this memory, so it is safe to read.
 * The free slots in these caches are lost until their pools are deleted. They
 * do not count against the bound.
 */
static void
after_fork(void)
{
	mia_fork_lock_after_fork(&lock);
}

static void
list_push(struct mia_operation_slab **list, struct mia_operation_slab *slab)
{
	slab->prev = NULL;
	slab->next = *list;
	if (*list != NULL)
		(*list)->prev = slab;
	*list = slab;
}

static void
list_remove(struct mia_operation_slab **list, struct mia_operation_slab *slab)
{
	if (slab->prev != NULL)
		slab->prev->next = slab->next;
	else
		*list = slab->next;
	if (slab->next != NULL)
		slab->next->prev = slab->prev;
}

/* Memory that became free under the lock, for garbage_free(). */
struct garbage {
	struct mia_operation_slab *slabs; /* end(), if any, not yet called */
	struct mia_span *spans;
};

/* Slabs that return to slabs.c each time the lock is held. */
#define SLABS_AT_ONCE 64

/* Not under the lock. The pool of a slab may be deleted. */
static void
garbage_free(struct garbage *garbage)
{
	struct mia_operation_slab *slab;

	for (slab = garbage->slabs; slab != NULL; slab = slab->next)
		if (slab->end != NULL)
			for (char *slot = (char *)slab + SLAB_HEADER;
				slot < slab->fresh; slot += slab->slot_size)
				slab->end(slot);

	for (slab = garbage->slabs; slab != NULL;) {
		mia_fork_lock_enter(&lock);
		for (int i = 0; i < SLABS_AT_ONCE && slab != NULL; i++) {
			struct mia_operation_slab *next = slab->next;

			mia_slabs_put(&slabs, slab, &garbage->spans);
			slab = next;
		}
		mia_fork_lock_leave(&lock);
	}

	struct mia_span *left = mia_spans_free(garbage->spans);

	if (MIA_UNLIKELY(left != NULL)) {
		mia_fork_lock_enter(&lock);
		mia_slabs_add_all(&slabs, left);
		mia_fork_lock_leave(&lock);
	}
}

/*
 * Under the lock. Leaves the lock while it maps memory, and while it touches
 * new memory for the first time.
 */
static void
pool_grow(struct mia_operation_pool *pool, struct garbage *garbage)
{
	struct mia_slab taken = mia_slabs_take(&slabs, &garbage->spans);

	if (taken.memory == NULL) {
		const enum mia_pages pages = slabs.nspans == 0
			? MIA_PAGES_SMALL
			: MIA_PAGES_MAYBE_HUGE;

		mia_fork_lock_leave(&lock);
		struct mia_span *span = mia_span_new(pages);
		mia_fork_lock_enter(&lock);

		mia_slabs_add_all(&slabs, span);
		taken = mia_slabs_take(&slabs, &garbage->spans);
		if (taken.memory == NULL)
			return;
	}
	mia_fork_lock_leave(&lock);

	struct mia_operation_slab *slab = taken.memory;

	if (pool->end != NULL && taken.content == MIA_SLAB_USED)
		memset(slab, 0, MIA_OPERATION_SLAB_SIZE);
	slab->pool = pool;
	slab->place = pool->place;
	slab->slot_size = (uint32_t)pool->slot_size;
	slab->end = pool->end;
	slab->free = NULL;
	slab->fresh = (char *)slab + SLAB_HEADER;
	slab->nfree = pool->slots_per_slab;

	mia_fork_lock_enter(&lock);
	list_push(&pool->partial, slab);
	pool->nslabs++;
}

/* Under the lock: takes one slot from the first slab of the partial list. */
static struct slot *
take_slot(struct mia_operation_pool *pool)
{
	struct mia_operation_slab *slab = pool->partial;
	struct slot *slot = slab->free;

	if (slot != NULL) {
		slab->free = slot->next;
	} else {
		slot = (struct slot *)(void *)slab->fresh;
		slab->fresh += pool->slot_size;
	}

	if (--slab->nfree == 0) {
		list_remove(&pool->partial, slab);
		list_push(&pool->full, slab);
	}

	pool->ntaken++;
	return slot;
}

/* Under the lock: returns a slot to its slab, and an empty slab to slabs.c. */
static void
return_slot(struct slot *slot, struct garbage *garbage)
{
	struct mia_operation_slab *slab = mia_operation_slab_of(slot);
	struct mia_operation_pool *pool = slab->pool;

	slot->next = slab->free;
	slab->free = slot;
	pool->ntaken--;

	if (slab->nfree++ == 0) {
		list_remove(&pool->full, slab);
		list_push(&pool->partial, slab);
	}

	const bool is_empty = slab->nfree == pool->slots_per_slab;
	const bool is_alone = slab->prev == NULL && slab->next == NULL;

	if (is_empty && !is_alone) {
		list_remove(&pool->partial, slab);
		pool->nslabs--;
		if (slab->end == NULL) {
			mia_slabs_put(&slabs, slab, &garbage->spans);
		} else {
			slab->next = garbage->slabs;
			garbage->slabs = slab;
		}
	}
}

/* Under the lock: returns the n oldest slots of a cache of this thread. */
static void
cache_return(
	struct mia_operation_cache *cache, size_t n, struct garbage *garbage)
{
	const size_t count = mia_operation_cache_count(cache) - n;

	for (size_t i = 0; i < n; i++)
		return_slot(cache->slots[i], garbage);
	memmove(cache->slots, cache->slots + n, count * sizeof(*cache->slots));
	mia_operation_cache_set_count(cache, count);
}

/* Under the lock: assigns this thread's cache to a pool, or to none (NULL). */
static void
cache_assign(struct mia_operation_cache *cache, struct mia_operation_pool *pool,
	struct garbage *garbage)
{
	struct mia_operation_pool *old = mia_operation_cache_pool(cache);

	if (old == pool)
		return;
	if (old != NULL)
		cache_return(cache, mia_operation_cache_count(cache), garbage);

	/* The slots of a deleted pool were freed with the pool. */
	mia_operation_cache_set_count(cache, 0);
	atomic_store_explicit(&cache->pool, pool, memory_order_relaxed);
}

/* Under the lock: returns all slots of this thread's caches. */
static void
thread_remove(struct mia_operation_thread *thread, struct garbage *garbage)
{
	for (size_t i = 0; i < MIA_OPERATION_CACHES; i++)
		cache_assign(&thread->caches[i], NULL, garbage);
	if (thread->prev != NULL)
		thread->prev->next = thread->next;
	else
		threads = thread->next;
	if (thread->next != NULL)
		thread->next->prev = thread->prev;
}

static void
thread_exit(void *arg)
{
	struct mia_operation_thread *thread = arg;
	struct garbage garbage = {NULL, NULL};

	mia_fork_lock_enter(&lock);
	thread_remove(thread, &garbage);
	mia_fork_lock_leave(&lock);

	(void)MIA_THREAD_SET(mia_operation_thread, &ended_caches);
	garbage_free(&garbage);
	free(thread);
}

static void
init_once(void)
{
	/* Also needed without the key, as every slot then needs the lock. */
	(void)mia_at_fork(before_fork, after_fork, after_fork);
	/* Release: publishes the key to the acquire in thread_get(). */
	atomic_store_explicit(&have_thread_key,
		mia_exit_key_init(&thread_key, thread_exit) == 0,
		memory_order_release);
}

/* Before main(), so that every thread finds the lock and key initialised. */
__attribute__((constructor)) static void
init_early(void)
{
	mia_once_run(&once, init_once);
}

/* The plug-in is unloaded: no thread will enter the library again. */
static void
free_everything(void)
{
	struct mia_operation_thread *thread;
	struct mia_span *spans;

	if (!mia_fork_lock_try_enter(&lock))
		return;
	thread = threads;
	threads = NULL;
	spans = mia_slabs_take_all(&slabs);
	mia_fork_lock_leave(&lock);

	(void)mia_spans_free(spans);

	while (thread != NULL) {
		struct mia_operation_thread *next = thread->next;

		free(thread);
		thread = next;
	}
}

/*
 * The process ends, and other threads may be running. Some systems end them
 * first, maybe with the lock held. So this function never waits for the lock.
 */
static void
free_this_thread(void)
{
	struct mia_operation_thread *thread = mia_operation_thread_get();
	struct garbage garbage = {NULL, NULL};

	if (thread == &mia_operation_no_caches || thread == &ended_caches ||
		!mia_fork_lock_try_enter(&lock))
		return;
	thread_remove(thread, &garbage);
	mia_fork_lock_leave(&lock);

	(void)MIA_THREAD_SET(mia_operation_thread, &mia_operation_no_caches);
	garbage_free(&garbage);
	free(thread);
}

/*
 * The last destructor. Earlier destructors delete movers, whose workers free
 * their caches by the key. Later operations take every slot under the lock. An
 * exiting process may unload a plug-in, too, so the key is deleted in both
 * cases.
 */
__attribute__((destructor(101))) static void
fini_late(void)
{
	/* Relaxed: publishes nothing, and the key was set before main(). */
	if (atomic_exchange_explicit(&have_thread_key, 0, memory_order_relaxed))
		mia_exit_key_fini(thread_key);

	if (mia_is_unload())
		free_everything();
	else
		free_this_thread();
}

/* The caches of this thread, or NULL: each slot then needs the lock. */
static struct mia_operation_thread *
thread_get(void)
{
	struct mia_operation_thread *thread = mia_operation_thread_get();

	if (thread != &mia_operation_no_caches)
		return thread != &ended_caches ? thread : NULL;
	/* Acquire: the key. Pairs with the release in init_once(). */
	if (!atomic_load_explicit(&have_thread_key, memory_order_acquire))
		return NULL;

	const int saved_errno = errno;

	thread = calloc(1, sizeof(*thread));

	const bool is_ready = thread != NULL &&
		MIA_THREAD_SET(
			mia_operation_thread, &mia_operation_no_caches) &&
		mia_exit_key_set(thread_key, thread) == 0;

	if (!is_ready)
		free(thread);
	mia_restore_errno(saved_errno);
	if (!is_ready)
		return NULL;

	mia_fork_lock_enter(&lock);
	thread->next = threads;
	if (threads != NULL)
		threads->prev = thread;
	threads = thread;
	mia_fork_lock_leave(&lock);

	/* Cannot fail: this thread has set the variable before. */
	(void)MIA_THREAD_SET(mia_operation_thread, thread);
	return thread;
}

/*
 * Under the lock: the number of slots that may still be taken. Free slots in
 * the caches of threads do not count against the bound.
 */
static size_t
room(struct mia_operation_pool *pool)
{
	size_t max = MIA_OPERATION_POOL_MAX;

	if (pool->ntaken < max)
		return max - pool->ntaken;

	for (struct mia_operation_thread *t = threads; t != NULL; t = t->next) {
		const struct mia_operation_cache *cache =
			mia_operation_cache_at(t, pool->place);

		if (mia_operation_cache_pool(cache) == pool)
			max += mia_operation_cache_count(cache);
	}

	return pool->ntaken < max ? max - pool->ntaken : 0;
}

/* This thread has no cache, an empty cache, or that of another pool. */
void *
mia_operation_pool_get_slow(struct mia_operation_pool *pool)
{
	struct mia_operation_thread *thread = thread_get();
	struct garbage garbage = {NULL, NULL};
	struct slot *slot = NULL;

	mia_fork_lock_enter(&lock);
	if (room(pool) > 0 && pool->partial == NULL)
		pool_grow(pool, &garbage);

	size_t take = room(pool);

	if (take > 0 && pool->partial != NULL) {
		slot = take_slot(pool);
		take--;
	}

	if (thread != NULL) {
		struct mia_operation_cache *cache =
			mia_operation_cache_at(thread, pool->place);

		cache_assign(cache, pool, &garbage);
		size_t count = mia_operation_cache_count(cache);

		if (take > CACHE_BATCH - 1)
			take = CACHE_BATCH - 1;
		for (; take > 0 && pool->partial != NULL; take--)
			cache->slots[count++] = take_slot(pool);
		mia_operation_cache_set_count(cache, count);
	}
	mia_fork_lock_leave(&lock);

	garbage_free(&garbage);
	if (slot == NULL)
		MIA_PROBE2(refused, NULL, ENOMEM);
	return slot;
}

/* This thread has no cache, a full cache, or that of another pool. */
void
mia_operation_pool_put_slow(void *slot)
{
	struct mia_operation_thread *thread = thread_get();
	const struct mia_operation_slab *slab = mia_operation_slab_of(slot);
	struct garbage garbage = {NULL, NULL};

	mia_fork_lock_enter(&lock);
	if (thread == NULL) {
		return_slot(slot, &garbage);
	} else {
		struct mia_operation_cache *cache =
			mia_operation_cache_at(thread, slab->place);

		/* Keeps the newest slots, which are in the CPU's cache. */
		cache_assign(cache, slab->pool, &garbage);
		if (mia_operation_cache_count(cache) ==
			MIA_OPERATION_CACHE_SLOTS)
			cache_return(cache, CACHE_BATCH, &garbage);

		const size_t count = mia_operation_cache_count(cache);

		cache->slots[count] = slot;
		mia_operation_cache_set_count(cache, count + 1);
	}
	mia_fork_lock_leave(&lock);

	garbage_free(&garbage);
}

void
mia_operation_pool_init(struct mia_operation_pool *pool, size_t slot_size,
	void (*end)(void *slot))
{
	mia_once_run(&once, init_once);
	mia_unload_watch();

	if (slot_size < sizeof(struct slot))
		slot_size = sizeof(struct slot);
	slot_size += -slot_size % sizeof(struct slot);

	memset(pool, 0, sizeof(*pool));
	pool->slot_size = slot_size;
	pool->end = end;
	pool->slots_per_slab =
		(uint32_t)((MIA_OPERATION_SLAB_SIZE - SLAB_HEADER) / slot_size);

	/* The least used place: pools with the same place evict each other. */
	size_t place = 0;

	mia_fork_lock_enter(&lock);
	for (size_t i = 1; i < MIA_OPERATION_CACHES; i++)
		if (npools[i] < npools[place])
			place = i;
	npools[place]++;
	mia_fork_lock_leave(&lock);
	pool->place = place * sizeof(struct mia_operation_cache);
}

void
mia_operation_pool_fini(struct mia_operation_pool *pool)
{
	mia_fork_lock_enter(&lock);
	npools[pool->place / sizeof(struct mia_operation_cache)]--;
	for (struct mia_operation_thread *t = threads; t != NULL; t = t->next) {
		struct mia_operation_cache *cache =
			mia_operation_cache_at(t, pool->place);

		if (mia_operation_cache_pool(cache) == pool)
			atomic_store_explicit(
				&cache->pool, NULL, memory_order_relaxed);
	}
	mia_fork_lock_leave(&lock);

	struct garbage partial = {pool->partial, NULL};
	struct garbage full = {pool->full, NULL};

	garbage_free(&partial);
	garbage_free(&full);
}

size_t
mia_operation_pool_bytes(struct mia_operation_pool *pool)
{
	mia_fork_lock_enter(&lock);
	const size_t bytes = pool->nslabs * MIA_OPERATION_SLAB_SIZE;
	mia_fork_lock_leave(&lock);

	return bytes;
}
