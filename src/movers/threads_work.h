/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * threads_work.h -- how an operation of the threads mover gets done
 *
 * The poll that starts an operation parses it and makes its plan. Then the
 * operation is done in one of three ways:
 *
 *   here        in this poll, because it is small
 *   handed over to a worker, which others may help
 *   kept        for later polls of a waiting thread, which do it piece by
 *               piece. Workers may help, or be faster
 *
 * The polling thread of a kept operation is the first of its sharers. A poll
 * that may not work hands this part over to a worker. The operation stays open,
 * so workers may join before and afterwards.
 *
 * Threads: the functions for polls belong to the thread that polls the future,
 * one at a time.
 */

#ifndef LIBMINIASYNC_THREADS_WORK_H
#define LIBMINIASYNC_THREADS_WORK_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crew/crew.h"
#include "libminiasync/data_mover_threads.h"
#include "operation/completion.h"
#include "operation/operation_pool.h"
#include "operation/piece.h"

/*
 * A poll does operations of this size and smaller itself. To hand one over
 * takes longer, on fast and on slow machines.
 */
#define MIA_THREADS_HERE_MAX_BYTES ((size_t)16384)

/*
 * A memcpy_fn, memmove_fn or memset_fn, by the type of the operation. A MEMCPYV
 * has that of a MEMCPY.
 */
typedef void (*mia_any_fn)(void);

_Static_assert(_Generic((memcpy_fn)NULL, memmove_fn : 1, default : 0),
	"MIA_PLAN_MOVE_BY calls both by one type");

#define MIA_THREADS_TYPES (VDM_OPERATION_FLUSH + 1)

struct data_mover_threads {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;

	/* I: init only */
	enum future_notifier_type desired_notifier;
	size_t stream_min; /* bytes; mia_memory_stream_min() */

	/* A: the setters and every poll; NULL: built-in */
	_Atomic(mia_any_fn) functions[MIA_THREADS_TYPES];

	/* A: bytes in a microsecond, as chunks of large operations took it */
	atomic_uint speed;

	struct mia_crew crew;
};

enum mia_threads_plan {
	MIA_PLAN_REFUSE,  /* it is invalid */
	MIA_PLAN_HERE,    /* by the poll */
	MIA_PLAN_MOVE_BY, /* by a worker, with the program's function */
	MIA_PLAN_SET_BY,
	MIA_PLAN_ALONE, /* by a worker */
	MIA_PLAN_SHARE, /* by a worker, and the workers that are idle */
	MIA_PLAN_KEEP,  /* by the waiting thread, and workers, in any order */
	MIA_PLAN_KEEP_ORDER, /* the same as one claim: an overlapping move */
	MIA_PLAN_GO_ON, /* it is done, and its waker has ended the thread */
};

struct mia_threads_operation {
	struct mia_completion completion;
	struct data_mover_threads *dmt;

	/*
	 * I: the poll that starts the operation. But of MOVES the thread that
	 * has the part of the first sharer writes where it begins.
	 */
	struct mia_piece piece;
	enum mia_threads_plan plan;

	/* Of the polling thread, and of the worker to which it hands over: */
	bool is_kept;    /* the polling thread is a sharer */
	bool is_asked;   /* in this poll */
	bool is_claimed; /* KEEP_ORDER: by the polling thread */
	union {
		mia_any_fn function; /* MOVE_BY, SET_BY */
		size_t done;         /* KEEP_ORDER: bytes, once it is claimed */
		/* MOVES, of SHARE and KEEP: behind its last segment. */
		const struct vdm_segment *end;
	};

	/* May be in use at once: what is kept stays open when handed over. */
	struct mia_backlog_node node; /* on the way to a worker */
	struct mia_shared shared;     /* while it is open */
};

/* The polls that follow will do what this one keeps. */
static inline bool
mia_threads_is_offer(struct future_notifier *n)
{
	return n != NULL && future_notifier_is_inline_impl(n) &&
		(n->poller.ptr_to_monitor == future_notifier_offer_impl(n) ||
			n->poller.ptr_to_monitor ==
				future_notifier_work_impl(n));
}

/* This poll may work; not again, if it has taken the offer. */
static inline bool
mia_threads_take_offer(struct future_notifier *n)
{
	if (n->poller.ptr_to_monitor != future_notifier_work_impl(n))
		return false;

	n->poller.ptr_to_monitor = future_notifier_offer_impl(n);
	return true;
}

/* Whether this poll takes an offer, to do a larger operation at once. */
bool mia_threads_takes_larger(const struct data_mover_threads *dmt, size_t size,
	struct future_notifier *n);

/*
 * Whether this poll does a built-in operation itself. The polls of a runtime
 * wait for all operations, so they do small ones.
 */
static inline bool
mia_threads_is_here(const struct data_mover_threads *dmt, size_t size,
	struct future_notifier *n)
{
	if (MIA_LIKELY(size <= MIA_THREADS_HERE_MAX_BYTES))
		return n == NULL || future_notifier_is_inline_impl(n);
	return mia_threads_takes_larger(dmt, size, n);
}

/*
 * Pieces that this thread has done since it timed one, without small ones: a
 * number as a pointer, because all systems have pointers for each thread.
 */
MIA_THREAD_POINTER_EXTERN(char, mia_threads_untimed);

static inline uintptr_t
mia_threads_get_untimed(void)
{
	return (uintptr_t)MIA_THREAD_GET(mia_threads_untimed, NULL);
}

static inline void
mia_threads_set_untimed(uintptr_t n)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): nobody follows it */
	(void)MIA_THREAD_SET(mia_threads_untimed, (char *)n);
}

static inline void
mia_threads_count_untimed(size_t n)
{
	if (n > MIA_THREADS_HERE_MAX_BYTES)
		mia_threads_set_untimed(mia_threads_get_untimed() + 1);
}

/*
 * Whether the time of the next piece shall teach the mover its speed. Two looks
 * at the clock take a tenth of the time of a copy of 64 KiB.
 */
static inline bool
mia_threads_is_sample(size_t n)
{
	return n > MIA_THREADS_HERE_MAX_BYTES && mia_threads_get_untimed() >= 6;
}

/* Before the first chunk: memory is not in the cache. */
#define MIA_THREADS_FIRST_SPEED 22000

/* When the mover is made. Relaxed: tests call this beside workers. */
static inline void
mia_threads_init_speed(struct data_mover_threads *dmt)
{
	atomic_store_explicit(
		&dmt->speed, MIA_THREADS_FIRST_SPEED, memory_order_relaxed);
}

/* In bytes; by the speed that the mover has seen. For miniasync-info. */
struct mia_threads_sizes {
	size_t piece;     /* what a waiting thread does at once */
	size_t wake_each; /* and larger: wakes a worker for each that waits */
	size_t share;     /* and larger: workers help with what one has */
};

/* Bytes in a microsecond; the same number in MB/s. Relaxed: an estimate. */
static inline size_t
mia_threads_speed(const struct data_mover_threads *dmt)
{
	return atomic_load_explicit(&dmt->speed, memory_order_relaxed);
}

struct mia_threads_sizes mia_threads_sizes(
	const struct data_mover_threads *dmt);

/* The crew's functions. */
void mia_threads_run(void *dmt, struct mia_backlog_node *node);
void mia_threads_help(void *dmt, struct mia_shared *shared);
void mia_threads_exited(void *dmt);

/* A poll starts the operation: parses it and makes the plan. n may be NULL. */
void mia_threads_make_plan(struct mia_threads_operation *op,
	const struct vdm_operation *operation, struct future_notifier *n);

/* MIA_PLAN_HERE or MIA_PLAN_REFUSE. */
enum vdm_operation_result mia_threads_run_here(
	struct mia_threads_operation *op);

/*
 * The same for every plan: does all of it, by the function of the program if
 * there is one. No other thread may have the operation.
 */
enum vdm_operation_result mia_threads_run_whole(
	struct mia_threads_operation *op);

/* By the plan. The completion must have begun: it may end at once. */
void mia_threads_hand_over(struct mia_threads_operation *op);
void mia_threads_keep(struct mia_threads_operation *op);

/*
 * A poll does a piece of a kept operation. Afterwards the operation is either
 * kept, or complete, or at work in other threads.
 */
void mia_threads_work(struct mia_threads_operation *op);

/* A kept operation goes on without the polling thread. */
void mia_threads_stop_work(struct mia_threads_operation *op);

#endif /* LIBMINIASYNC_THREADS_WORK_H */
