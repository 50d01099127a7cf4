/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation_pool.c -- see operation_pool.h
 *
 * Nouns, from the bottom:
 *   slot    memory for one operation; free in a slab, it holds a link to the
 *           next
 *   slab    16 KiB, aligned to that, so that a slot finds its slab by masking
 *           its address; a header, then slots. All pools' slabs come from
 *           slabs.c
 *   pool    the slabs of one mover: those with free slots (partial), and full
 *   cache   a few free slots of one pool, for one thread alone
 *   thread  the caches of one thread, in which each pool has its place; two
 *           pools of one place evict each other
 * This is the slab allocator with per-thread magazines of Bonwick and Adams,
 * "Magazines and Vmem", USENIX 2001.
 *
 * The common path, get and put, works on the thread's cache and nothing else.
 * An empty cache takes CACHE_BATCH slots from the pool; a full one gives as
 * many back. A slab that is free altogether goes back to slabs.c, except a
 * pool's last.
 *
 * Everything but the caches' content is under one lock for all pools. It is
 * entered once in CACHE_BATCH operations, and is never held while memory is
 * allocated or freed. It is held over a fork(), so that the child finds all of
 * it consistent.
 *
 * A cache belongs to its thread. Others only
 *   - clear its pool, when that is deleted, under the lock. The owner may be
 *     comparing just then, but to another pool, and finds a difference before
 *     and after. If a new pool has the same address, the owner got that from
 *     somebody who made it later, and sees the cleared pointer;
 *   - read its count, to tell whether a pool at its bound has free slots lying
 *     in other threads' caches.
 */

#include "operation/operation_pool.h"

#include "system/fork_lock.h"
#include "operation/slabs.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* 1 in shared libraries of ours, which stay loaded. */
#ifndef MIA_NEVER_UNLOADED
#define MIA_NEVER_UNLOADED 0
#endif

/* Slots that go between a cache and the pool at once: half a cache. */
#define CACHE_BATCH (MIA_OPERATION_CACHE_SLOTS / 2)

/* Where the slots begin, in a slab. */
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

static pthread_once_t once = PTHREAD_ONCE_INIT;
static mia_exit_key thread_key;

/*
 * Written before main() and when the library ends. Release: the key, to the
 * acquire in thread_get().
 */
static atomic_bool have_thread_key;

/*
 * How the library ends: with the process, while other threads may be inside; or
 * alone, as part of a plug-in that is unloaded, and then no thread is or will
 * be inside. The first to leave RUNNING decides. Relaxed: this word alone.
 */
enum end { RUNNING, EXITING, UNLOADING };
static _Atomic enum end ending;

struct mia_operation_thread mia_operation_no_caches;

MIA_THREAD_POINTER(struct mia_operation_thread, mia_operation_thread,
	&mia_operation_no_caches);

static void
before_fork(void)
{
	mia_fork_lock_before_fork(&lock);
}

/*
 * Also in the child. The threads that are not there keep their caches: these
 * are memory that nobody frees, so it is safe to look at. Free slots in them
 * are lost to their pools until those are deleted, and do not count against the
 * bound.
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

/* What has become free under the lock, for garbage_free(). */
struct garbage {
	struct mia_operation_slab *slabs; /* of pools that end slots */
	struct mia_span *spans;
};

/* Slabs that go back before other threads may enter the lock. */
#define SLABS_AT_ONCE 64

/* Not under the lock. A slab's pool may be gone. */
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
 * Under the lock, which is left meanwhile, because the system is asked for
 * memory and memory is touched for the first time.
 */
static void
pool_grow(struct mia_operation_pool *pool, struct garbage *garbage)
{
	bool used = false;
	struct mia_operation_slab *slab =
		mia_slabs_take(&slabs, &used, &garbage->spans);

	if (slab == NULL) {
		const bool is_first = slabs.nspans == 0;

		mia_fork_lock_leave(&lock);
		struct mia_span *span = mia_span_new(is_first);
		mia_fork_lock_enter(&lock);

		mia_slabs_add_all(&slabs, span);
		slab = mia_slabs_take(&slabs, &used, &garbage->spans);
		if (slab == NULL)
			return;
	}
	mia_fork_lock_leave(&lock);

	if (pool->end != NULL && used)
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

/* Under the lock: one free slot of a slab of the partial list. */
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

/* Under the lock: a slot comes back, and maybe an empty slab with it. */
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
	if (slab->nfree == pool->slots_per_slab &&
		(slab->prev != NULL || slab->next != NULL)) {
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

/* Under the lock: the n slots that a cache of this thread took first. */
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

/* Under the lock: makes this thread's cache that of a pool, or NULL: of none.
 */
static void
cache_assign(struct mia_operation_cache *cache, struct mia_operation_pool *pool,
	struct garbage *garbage)
{
	struct mia_operation_pool *old = mia_operation_cache_pool(cache);

	if (old == pool)
		return;
	if (old != NULL)
		cache_return(cache, mia_operation_cache_count(cache), garbage);

	/* Of a deleted pool there may be some, which went with it. */
	mia_operation_cache_set_count(cache, 0);
	atomic_store_explicit(&cache->pool, pool, memory_order_relaxed);
}

/* Under the lock: what the caches hold goes back. */
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

	/* Later destructors of this thread may use movers: they start anew. */
	(void)MIA_THREAD_SET(mia_operation_thread, &mia_operation_no_caches);
	garbage_free(&garbage);
	free(thread);
}

static void
end_by(enum end how)
{
	enum end running = RUNNING;

	(void)atomic_compare_exchange_strong_explicit(&ending, &running, how,
		memory_order_relaxed, memory_order_relaxed);
}

static void
at_exit(void)
{
	end_by(EXITING);
}

static void
init_once(void)
{
	/* Each for itself: without caches forks need the lock all the more. */
	(void)mia_at_fork(before_fork, after_fork, after_fork);
	/* Pairs with the acquire in thread_get(): the key. */
	atomic_store_explicit(&have_thread_key,
		mia_exit_key_init(&thread_key, thread_exit) == 0,
		memory_order_release);
}

/*
 * With the first mover, and not before main(): what a library that is loaded at
 * the start registers in its constructor, exit() calls after its destructors.
 * What cannot be told from the end of the process is taken for it. No
 * pthread_once(), which allocates memory on some systems.
 */
static void
register_at_exit(void)
{
	static atomic_bool registered;

	/* Relaxed: nobody waits for it. */
	if (!atomic_exchange_explicit(
		    &registered, true, memory_order_relaxed) &&
		(MIA_NEVER_UNLOADED || mia_at_exit(at_exit) != 0))
		end_by(EXITING);
}

/* Before main(), so that threads find everything initialised. */
__attribute__((constructor)) static void
init_early(void)
{
	pthread_once(&once, init_once);
}

/*
 * exit() has called at_exit() before any destructor. When a plug-in is
 * unloaded this comes first: at_exit() then comes with the destructors of C++,
 * which are called by the first entry of .fini_array, so after this one.
 */
__attribute__((destructor)) static void
fini_early(void)
{
	end_by(UNLOADING);
}

/* The plug-in will be unmapped, and no thread comes here again. */
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
 * Other threads are still running. Some may have been ended inside, where exit
 * works so; therefore this does not wait for the lock.
 */
static void
free_this_thread(void)
{
	struct mia_operation_thread *thread = mia_operation_thread_get();
	struct garbage garbage = {NULL, NULL};

	if (thread == &mia_operation_no_caches ||
		!mia_fork_lock_try_enter(&lock))
		return;
	thread_remove(thread, &garbage);
	mia_fork_lock_leave(&lock);

	(void)MIA_THREAD_SET(mia_operation_thread, &mia_operation_no_caches);
	garbage_free(&garbage);
	free(thread);
}

/*
 * The last of all destructors: earlier ones delete movers, whose workers then
 * free their caches by the key. What comes later goes by the lock. The key is
 * deleted in both cases, as also an exiting process may unload a plug-in.
 */
__attribute__((destructor(101))) static void
fini_late(void)
{
	/* Relaxed: nothing is published. */
	if (atomic_exchange_explicit(
		    &have_thread_key, false, memory_order_relaxed))
		mia_exit_key_fini(thread_key);

	if (atomic_load_explicit(&ending, memory_order_relaxed) == UNLOADING)
		free_everything();
	else
		free_this_thread();
}

/* The caches of this thread, or NULL: then every slot goes by the lock. */
static struct mia_operation_thread *
thread_get(void)
{
	if (mia_operation_thread_get() != &mia_operation_no_caches)
		return mia_operation_thread_get();
	/* Acquire: pairs with the release in init_once(), the key. */
	if (!atomic_load_explicit(&have_thread_key, memory_order_acquire))
		return NULL;

	const int saved_errno = errno;
	struct mia_operation_thread *thread = calloc(1, sizeof(*thread));

	if (thread != NULL &&
		(!MIA_THREAD_SET(
			 mia_operation_thread, &mia_operation_no_caches) ||
			mia_exit_key_set(thread_key, thread) != 0)) {
		free(thread);
		thread = NULL;
	}
	mia_restore_errno(saved_errno);
	if (thread == NULL)
		return NULL;

	mia_fork_lock_enter(&lock);
	thread->next = threads;
	if (threads != NULL)
		threads->prev = thread;
	threads = thread;
	mia_fork_lock_leave(&lock);

	(void)MIA_THREAD_SET(mia_operation_thread, thread); /* not the first */
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

	for (struct mia_operation_thread *t = threads; t != NULL; t = t->next) {
		const struct mia_operation_cache *cache =
			mia_operation_cache_at(t, pool->place);

		if (mia_operation_cache_pool(cache) == pool)
			max += mia_operation_cache_count(cache);
	}

	return pool->ntaken < max ? max - pool->ntaken : 0;
}

/* The cache of this thread is empty, or another pool's, or there is none. */
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
	return slot;
}

/* The cache of this thread is full, or another pool's, or there is none. */
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

		/* Those put last stay: they are in the CPU's cache. */
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
	pthread_once(&once, init_once);
	register_at_exit();

	if (slot_size < sizeof(struct slot))
		slot_size = sizeof(struct slot);
	slot_size += -slot_size % sizeof(struct slot);

	memset(pool, 0, sizeof(*pool));
	pool->slot_size = slot_size;
	pool->end = end;
	pool->slots_per_slab =
		(uint32_t)((MIA_OPERATION_SLAB_SIZE - SLAB_HEADER) / slot_size);

	/* The place that the fewest have: movers in use should not share one.
	 */
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
