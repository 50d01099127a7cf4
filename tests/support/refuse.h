/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * refuse.h -- makes calls of the library fail, as the system would refuse them
 *
 * The linker replaces the functions by __wrap_*. refuse.c has memory and
 * threads, on every system. refuse_system.c has the other kinds. A program with
 * one of these files wraps all functions in it. Any thread may call them.
 */

#ifndef LIBMINIASYNC_TEST_REFUSE_H
#define LIBMINIASYNC_TEST_REFUSE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum refusal {
	MALLOC,
	CALLOC,
	REALLOC,
	SLAB,
	ALIGNED_ALLOC,
	THREAD_CREATE,
	MUTEX_INIT,
	SEM_INIT,
	SET_SPECIFIC,
	GET_AFFINITY,
	CONDATTR_INIT,
	CONDATTR_SETCLOCK,
	COND_INIT,
	REFUSALS
};

/* Sets of kinds. */
#define REFUSE(kind) (1u << (kind))
#define REFUSE_MEMORY \
	(REFUSE(MALLOC) | REFUSE(CALLOC) | REFUSE(REALLOC) | REFUSE(SLAB) | \
		REFUSE(ALIGNED_ALLOC))
#define REFUSE_CONDS \
	(REFUSE(CONDATTR_INIT) | REFUSE(CONDATTR_SETCLOCK) | REFUSE(COND_INIT))
#define REFUSE_ALL (REFUSE(REFUSALS) - 1)

extern const char *const refusal_names[REFUSALS];

enum refuse_extent {
	REFUSE_ONE,
	REFUSE_ALL_AFTER, /* it, too */
};

/* Call this first, on a thread that shall see refusals. */
void refuse_init(void);

/* The first calls of these kinds succeed. Then one call fails, or all fail. */
void refuse_after(unsigned kinds, long calls, enum refuse_extent extent);
void refuse_nothing(void);

/* Calls of these kinds that failed since refuse_reset(). */
long refused(unsigned kinds);
void refuse_reset(void);

/* The error of the last call that failed. */
int refuse_last_error(void);

/* Allocations that live; frees count where refuse_system.c is. */
extern atomic_long refuse_live;

/* Bytes; a mask of CPUs that is smaller is EINVAL. */
extern atomic_size_t refuse_cpu_masks_below;

/* For __wrap_*: returns whether this call fails. If so, errno is set. */
bool refuse_fails(enum refusal kind);
int refusal_error(enum refusal kind);

#endif /* LIBMINIASYNC_TEST_REFUSE_H */
