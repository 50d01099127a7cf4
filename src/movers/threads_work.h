/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * threads_work.h -- the plan of an operation of the threads mover: which
 * threads do it, and in which pieces
 *
 * The poll that starts an operation parses it and makes its plan. Then the
 * operation is done in one of three ways:
 *
 *   here         this poll does it, because it is small
 *   handed over  a worker does it, and other workers may help
 *   kept         later polls of a waiting thread do it piece by piece. Workers
 *                may help, or be faster
 *
 * The polling thread of a kept operation is the first of its sharers. A poll
 * without an offer submits the polling thread's part to a worker. The operation
 * stays open, so workers may join before and afterwards.
 *
 * Threads: one thread at a time polls a future. Only that thread calls the
 * functions for polls.
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
 * A poll does operations up to this size itself. Submitting an operation takes
 * longer, on fast and on slow machines.
 */
#define MIA_THREADS_HERE_MAX_BYTES ((size_t)16384)

/*
 * A memcpy_fn, memmove_fn or memset_fn, depending on the type of the operation.
 * A MEMCPYV uses the function of a MEMCPY.
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

	/* A: setters write, first polls read; NULL: built-in */
	_Atomic(mia_any_fn) functions[MIA_THREADS_TYPES];

	/* A: bytes per microsecond, measured on pieces larger than 16 KiB */
	atomic_uint speed;

	struct mia_crew crew;
};

enum mia_threads_plan {
	MIA_PLAN_REFUSE,  /* the operation is invalid */
	MIA_PLAN_HERE,    /* by the poll */
	MIA_PLAN_MOVE_BY, /* by a worker, with the program's function */
	MIA_PLAN_SET_BY,
	MIA_PLAN_ALONE, /* by a worker */
	MIA_PLAN_SHARE, /* by a worker, and idle workers help */
	MIA_PLAN_KEEP,  /* by the waiting thread and workers, in any order */
	MIA_PLAN_KEEP_ORDER, /* the same as one claim: an overlapping move */
	MIA_PLAN_GO_ON, /* done, but its waker has ended the worker's thread */
};

struct mia_threads_operation {
	struct mia_completion completion;
	struct data_mover_threads *dmt;

	/*
	 * I: by the poll that starts the operation. The thread that has the
	 * first sharer's part also advances MOVES.
	 */
	struct mia_piece piece;
	enum mia_threads_plan plan;

	/* Of the polling thread, later of the worker that takes over: */
	bool is_kept;    /* the polling thread is a sharer */
	bool is_asked;   /* this poll has brought a notifier */
	bool is_claimed; /* KEEP_ORDER: the polling thread has claimed it */
	union {
		mia_any_fn function; /* MOVE_BY, SET_BY */
		size_t done;         /* KEEP_ORDER, claimed: bytes done */
		/* MOVES, in SHARE and KEEP: the end of the segments. */
		const struct vdm_segment *end;
	};

	/* Both may be in use: kept work stays open when it is submitted. */
	struct mia_backlog_node node; /* on the way to a worker */
	struct mia_shared shared;     /* while the operation is open */
};

/* Whether later polls will do the work that this poll keeps. */
static inline bool
mia_threads_is_offer(struct future_notifier *n)
{
	return n != NULL && future_notifier_is_inline_impl(n) &&
		(n->poller.ptr_to_monitor == future_notifier_offer_impl(n) ||
			n->poller.ptr_to_monitor ==
				future_notifier_work_impl(n));
}

/*
 * Whether this poll may do work. Returns true once per poll, so that a chain
 * does not do all its entries in one poll.
 */
static inline bool
mia_threads_take_offer(struct future_notifier *n)
{
	if (n->poller.ptr_to_monitor != future_notifier_work_impl(n))
		return false;

	n->poller.ptr_to_monitor = future_notifier_offer_impl(n);
	return true;
}

/*
 * Whether this poll does an operation of more than MIA_THREADS_HERE_MAX_BYTES
 * itself. If so, it uses the offer of the poll.
 */
bool mia_threads_takes_larger(const struct data_mover_threads *dmt, size_t size,
	struct future_notifier *n);

/*
 * Whether this poll does a built-in operation itself. A runtime waits for the
 * operation anyway, so its polls do small operations.
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
 * The number of pieces that this thread has done since it last timed one. Small
 * pieces do not count. The number is stored as a pointer, because all systems
 * have thread-local pointers.
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
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): never dereferenced */
	(void)MIA_THREAD_SET(mia_threads_untimed, (char *)n);
}

static inline void
mia_threads_count_untimed(size_t n)
{
	if (n > MIA_THREADS_HERE_MAX_BYTES)
		mia_threads_set_untimed(mia_threads_get_untimed() + 1);
}

/*
 * Whether to time the next piece, to measure the mover's speed. Reading the
 * clock twice takes a tenth of the time of a copy of 64 KiB.
 */
static inline bool
mia_threads_is_sample(size_t n)
{
	return n > MIA_THREADS_HERE_MAX_BYTES && mia_threads_get_untimed() >= 6;
}

/* The speed before the first timed piece, for memory not in the cache. */
#define MIA_THREADS_FIRST_SPEED 22000

/* Called when the mover is created. Relaxed: tests call it beside workers. */
static inline void
mia_threads_init_speed(struct data_mover_threads *dmt)
{
	atomic_store_explicit(
		&dmt->speed, MIA_THREADS_FIRST_SPEED, memory_order_relaxed);
}

/* Sizes in bytes at the mover's present speed, for miniasync-info. */
struct mia_threads_sizes {
	size_t piece;     /* that a waiting thread does in one poll */
	size_t wake_each; /* and larger: wakes a worker per operation */
	size_t share;     /* and larger: idle workers help a worker */
};

/* Bytes per microsecond, which is MB/s. Relaxed: an estimate. */
static inline size_t
mia_threads_speed(const struct data_mover_threads *dmt)
{
	return atomic_load_explicit(&dmt->speed, memory_order_relaxed);
}

struct mia_threads_sizes mia_threads_sizes(
	const struct data_mover_threads *dmt);

/* The functions of struct mia_work_fns. */
void mia_threads_run(void *dmt, struct mia_backlog_node *node);
void mia_threads_help(void *dmt, struct mia_shared *shared);
void mia_threads_exited(void *dmt);

/* For the first poll: parses the operation, makes its plan. n may be NULL. */
void mia_threads_make_plan(struct mia_threads_operation *op,
	const struct vdm_operation *operation, struct future_notifier *n);

/* Does an operation with MIA_PLAN_HERE or MIA_PLAN_REFUSE. */
enum vdm_operation_result mia_threads_run_here(
	struct mia_threads_operation *op);

/*
 * Does a whole operation, whatever its plan. Calls the program's function if
 * one is set. No other thread may have the operation.
 */
enum vdm_operation_result mia_threads_run_whole(
	struct mia_threads_operation *op);

/*
 * Submits the operation to a worker, or keeps it for later polls. The
 * completion must have begun, because the operation may complete at once.
 */
void mia_threads_hand_over(struct mia_threads_operation *op);
void mia_threads_keep(struct mia_threads_operation *op);

/*
 * For a poll: does a piece of a kept operation. Afterwards the operation is
 * kept, or complete, or in progress in other threads.
 */
void mia_threads_work(struct mia_threads_operation *op);

/* Submits the polling thread's part of a kept operation to a worker. */
void mia_threads_stop_work(struct mia_threads_operation *op);

#endif /* LIBMINIASYNC_THREADS_WORK_H */
