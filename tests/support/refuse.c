/* SPDX-License-Identifier: BSD-3-Clause */

/* refuse.c -- see refuse.h: the counters, and memory and threads */

#include "refuse.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "operation/slabs.h"

static const int errors[REFUSALS] = {
	[MALLOC] = ENOMEM,
	[CALLOC] = ENOMEM,
	[REALLOC] = ENOMEM,
	[SLAB] = ENOMEM,
	[ALIGNED_ALLOC] = ENOMEM,
	[THREAD_CREATE] = EAGAIN,
	[MUTEX_INIT] = EAGAIN,
	[SEM_INIT] = ENOSPC,
	[SET_SPECIFIC] = ENOMEM,
	[GET_AFFINITY] = ENOSYS,
	[CONDATTR_INIT] = ENOMEM,
	[CONDATTR_SETCLOCK] = EINVAL,
	[COND_INIT] = EAGAIN,
};

const char *const refusal_names[REFUSALS] = {
	[MALLOC] = "malloc",
	[CALLOC] = "calloc",
	[REALLOC] = "realloc",
	[SLAB] = "slab",
	[ALIGNED_ALLOC] = "aligned_alloc",
	[THREAD_CREATE] = "pthread_create",
	[MUTEX_INIT] = "pthread_mutex_init",
	[SEM_INIT] = "sem_init",
	[SET_SPECIFIC] = "pthread_setspecific",
	[GET_AFFINITY] = "sched_getaffinity",
	[CONDATTR_INIT] = "pthread_condattr_init",
	[CONDATTR_SETCLOCK] = "pthread_condattr_setclock",
	[COND_INIT] = "pthread_cond_init",
};

atomic_long refuse_live;

static atomic_uint refused_kinds;
static atomic_long allowed = -1; /* calls until one fails; -1: all succeed */
static atomic_bool all_after;    /* and those after it too */
static atomic_long nfailed[REFUSALS];
static atomic_int last_error;

int
refusal_error(enum refusal kind)
{
	return errors[kind];
}

bool
refuse_fails(enum refusal kind)
{
	if ((atomic_load(&refused_kinds) & REFUSE(kind)) == 0)
		return false;

	long left = atomic_load(&allowed);

	do {
		if (left < 0)
			return false;
	} while (!atomic_compare_exchange_weak(&allowed, &left,
		left > 0 || atomic_load(&all_after) ? left - (left > 0) : -1));
	if (left > 0)
		return false;

	atomic_fetch_add(&nfailed[kind], 1);
	atomic_store(&last_error, errors[kind]);
	errno = errors[kind];
	return true;
}

void
refuse_after(unsigned kinds, long calls, enum refuse_extent extent)
{
	atomic_store(&all_after, extent == REFUSE_ALL_AFTER);
	atomic_store(&refused_kinds, kinds);
	atomic_store(&allowed, calls);
}

void
refuse_nothing(void)
{
	atomic_store(&allowed, -1);
}

long
refused(unsigned kinds)
{
	long n = 0;

	for (int i = 0; i < REFUSALS; i++)
		if (kinds & REFUSE(i))
			n += atomic_load(&nfailed[i]);
	return n;
}

void
refuse_reset(void)
{
	for (int i = 0; i < REFUSALS; i++)
		atomic_store(&nfailed[i], 0);
}

int
refuse_last_error(void)
{
	return atomic_load(&last_error);
}

static void *
counted(void *memory)
{
	if (memory != NULL)
		atomic_fetch_add(&refuse_live, 1);
	return memory;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *
__wrap_malloc(size_t n)
{
	return refuse_fails(MALLOC) ? NULL : counted(__real_malloc(n));
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *
__wrap_calloc(size_t n, size_t size)
{
	return refuse_fails(CALLOC) ? NULL : counted(__real_calloc(n, size));
}

void *__real_realloc(void *memory, size_t n);
void *__wrap_realloc(void *memory, size_t n);

void *
__wrap_realloc(void *memory, size_t n)
{
	if (refuse_fails(REALLOC))
		return NULL;

	void *moved = __real_realloc(memory, n);

	return memory == NULL ? counted(moved) : moved;
}

void *__real_mia_aligned_alloc(size_t align, size_t n);
void *__wrap_mia_aligned_alloc(size_t align, size_t n);

void *
__wrap_mia_aligned_alloc(size_t align, size_t n)
{
	return refuse_fails(ALIGNED_ALLOC)
		? NULL
		: counted(__real_mia_aligned_alloc(align, n));
}

/*
 * One refusal of a slab includes its new pages: no span has a free slab, the
 * system refuses pages, and no other thread puts a slab back in between.
 */
static _Thread_local enum {
	WILLING,
	NO_SLAB,
	NO_PAGES,
	NEW_PAGES, /* their first slab counts once */
} slab_refusal;

/* On Windows a thread's first access needs memory, or aborts. */
void
refuse_init(void)
{
	slab_refusal = WILLING;
}

struct mia_slab __real_mia_slabs_take(
	struct mia_slabs *slabs, struct mia_span **garbage);
struct mia_slab __wrap_mia_slabs_take(
	struct mia_slabs *slabs, struct mia_span **garbage);

struct mia_slab
__wrap_mia_slabs_take(struct mia_slabs *slabs, struct mia_span **garbage)
{
	const int saved_errno = errno;

	if (slab_refusal == NEW_PAGES) {
		slab_refusal = WILLING;
		return __real_mia_slabs_take(slabs, garbage);
	}
	if (slab_refusal == NO_PAGES)
		slab_refusal = WILLING;
	else if (refuse_fails(SLAB))
		slab_refusal = NO_SLAB;
	else
		return __real_mia_slabs_take(slabs, garbage);
	errno = saved_errno;
	return (struct mia_slab){.memory = NULL};
}

void *__real_mia_pages_map(size_t size, enum mia_pages kind);
void *__wrap_mia_pages_map(size_t size, enum mia_pages kind);

void *
__wrap_mia_pages_map(size_t size, enum mia_pages kind)
{
	const bool refuse = slab_refusal == NO_SLAB;

	slab_refusal = refuse ? NO_PAGES : NEW_PAGES;
	return refuse ? NULL : __real_mia_pages_map(size, kind);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg)
{
	return refuse_fails(THREAD_CREATE)
		? refusal_error(THREAD_CREATE)
		: __real_pthread_create(thread, attr, run, arg);
}
