/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_threads.c -- the mover with worker threads
 *
 *	op_start --> queue --> worker: run --> complete --> waker
 *	    |                    |                 |
 *	    | small: done here   | big: idle       | op_check sees DONE
 *	    v                    v workers help    v
 *
 * Four parts, each with its rules above it: the completion of one operation
 * (state), which worker sleeps (awake), the queue (ring and overflow), and the
 * sharing of a big operation (shared).
 */

#include "libminiasync/data_mover_threads.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "operation/memory.h"
#include "operation/operation.h"
#include "operation/operation_pool.h"
#include "system/backoff.h"
#include "system/platform.h"
#include "crew/queue.h"

/*
 * Bytes. Up to INLINE_MAX a poll does the work itself; from SHARE_MIN on idle
 * workers help, in chunks. How they were measured is in doc/design.md.
 */
#define INLINE_MAX ((size_t)16384)
#define SHARE_MIN ((size_t)2097152)
#define SHARE_CHUNK_MIN ((size_t)131072)
#define SHARE_CHUNK_MAX ((size_t)2097152)

/*
 * Bytes. From this size on who starts an operation wakes a worker for each that
 * waits, of whatever size, as long as there are CPUs for them, and does not leave
 * it to the first to wake the next: see notify().
 */
#define WAKE_MIN ((size_t)262144)

/*
 * How long a poll waits for a waker that is being called; twice as long each
 * further time for the same operation, so that a slow waker ends it.
 */
#define WAKER_WAIT_NS UINT64_C(20000000)
#define MAX_DOUBLINGS 5

/*
 * How long a poll waits that replaces a waker which is being called. Its owner
 * may free it afterwards, so this has to last also while the worker has lost
 * its CPU to others.
 */
#define REPLACED_WAIT_NS UINT64_C(200000000)

/* Operations that the ring of the default mover holds. */
#define DEFAULT_RING 128

/* Operations that a worker takes from the overflow at once. */
#define FILL_MAX 64

/*
 * Words that POLLERs monitor, each for several operations: one change too many
 * does no harm. They outlive every mover, because who watches the word of a
 * chain may not know that its operation is complete, nor that the mover is gone.
 */
#define WORDS 1024

struct threads_operation {
	_Atomic uint64_t state; /* enum state */
	struct data_mover_threads *dmt;
	struct future_waker waker; /* the last that a poll brought */
	_Atomic int result;        /* enum vdm_operation_result */
	unsigned waits;            /* of polls that found WAKING, in vain */

	/* In the overflow, under its lock; then among the shared, under theirs. */
	struct threads_operation *next;

	/* Of an operation that is shared. */
	atomic_uint sharers;   /* workers at it */
	atomic_size_t claimed; /* bytes */
	size_t chunk;          /* bytes */

	struct vdm_operation operation;
};

/* Whole cache lines, so that two operations share none. */
#define OPERATION_SIZE \
	((sizeof(struct threads_operation) + MIA_CACHE_LINE - 1) / \
		MIA_CACHE_LINE * MIA_CACHE_LINE)

typedef void (*any_fn)(void);

struct worker {
	struct data_mover_threads *dmt;
	size_t number;
	pthread_t thread;
	struct mia_yields yields;
};

/* Operations for which the ring has no room, the oldest first. */
struct overflow {
	mia_mutex lock;
	struct threads_operation *first; /* under the lock */
	struct threads_operation **end;  /* under the lock */
	atomic_size_t count;             /* written under the lock */
};

struct data_mover_threads {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;
	enum future_notifier_type desired_notifier;
	atomic_size_t inline_end[VDM_OPERATION_FLUSH + 1]; /* by type */
	_Atomic(memcpy_fn) memcpy_fn;                      /* NULL: built-in */
	_Atomic(memmove_fn) memmove_fn;
	_Atomic(memset_fn) memset_fn;

	struct mia_queue ring;
	struct overflow overflow;

	mia_mutex share_lock; /* that, and the setters of functions */
	struct threads_operation *shared; /* under share_lock */
	atomic_size_t nshared;

	_Alignas(MIA_CACHE_LINE) atomic_size_t awake;
	mia_sem tokens;
	atomic_bool stop;
	size_t ncpus;      /* that the workers may run on */
	size_t stream_min; /* mia_memory_stream_min() */

	size_t nworkers;
	struct worker *workers;
};

/*
 * Completion
 *
 *	NEW --> PENDING --> LOCKED --> WAKING --> DONE
 *	                       ^         |
 *	                       |         v
 *	                       +------ POLLED
 *
 *   NEW      not started
 *   PENDING  with a worker or on the way to one
 *   LOCKED   the polling thread writes the waker, or the worker reads it: a
 *            few instructions, for which the other waits
 *   WAKING   the result is there; the worker calls the waker that it has read
 *   POLLED   like WAKING, and a poll has said RUNNING since: the worker has
 *            to read the waker again and call it once more
 *   DONE     complete; the worker is gone
 *
 * The worker goes along these arrows. The polling thread goes from WAKING to
 * POLLED, and from anywhere but NEW and DONE to LOCKED and back.
 *
 * No wake is lost, because a poll that says RUNNING finds the waker still to
 * be read, or leaves POLLED. No waker is touched after a poll said COMPLETE,
 * because that takes DONE; or the poll is made by the very waker, on the
 * worker, which then finds its operation gone from this_wake. Nothing waits
 * for ever, because a poll that finds WAKING says RUNNING after a time.
 */
enum state { NEW, PENDING, LOCKED, WAKING, POLLED, DONE };

/* The operation whose waker this thread is inside of, or NULL. */
static MIA_THREAD_POINTER(struct threads_operation, this_wake, NULL);

static struct threads_operation *
get_this_wake(void)
{
	return MIA_THREAD_GET(this_wake, NULL);
}

/*
 * Takes the waker, to read or write. Returns the state before; DONE is not
 * left, and has no waker.
 */
static uint64_t
lock_waker(struct threads_operation *op)
{
	/* Relaxed: found out again by the compare-exchange. */
	uint64_t state = atomic_load_explicit(&op->state, memory_order_relaxed);
	struct mia_spin spin = MIA_SPIN_CALL;

	/* Acquire: pairs with unlock_waker(). */
	while (state == LOCKED ||
		(state != DONE &&
			!atomic_compare_exchange_weak_explicit(&op->state,
				&state, LOCKED, memory_order_acquire,
				memory_order_relaxed))) {
		(void)mia_spin(&spin);
		state = atomic_load_explicit(&op->state, memory_order_relaxed);
	}

	return state;
}

/*
 * Release: the waker, to the next lock_waker(); from the worker also the data
 * and the result, to the acquire in threads_operation_check().
 */
static void
unlock_waker(struct threads_operation *op, enum state state)
{
	atomic_store_explicit(&op->state, state, memory_order_release);
}

/*
 * From WAKING to DONE, when the waker has returned. False: it was polled. The
 * operation is not ours any more after true.
 */
static bool
finish_waking(struct threads_operation *op)
{
	uint64_t state = WAKING;
	struct mia_spin spin = MIA_SPIN_CALL;

	/*
	 * Release: what the waker did happens before the poll that says
	 * COMPLETE. Relaxed on failure: lock_waker() acquires.
	 */
	while (!atomic_compare_exchange_weak_explicit(&op->state, &state, DONE,
		memory_order_release, memory_order_relaxed)) {
		if (state == POLLED)
			return false;
		state = WAKING;
		(void)mia_spin(&spin);
	}

	return true;
}

/* On the worker: the result is there. The operation may be gone afterwards. */
static void
complete(struct threads_operation *op)
{
	do {
		lock_waker(op);
		const struct future_waker waker = op->waker;

		unlock_waker(op, WAKING);
		if (waker.wake != NULL) {
			(void)MIA_THREAD_SET(this_wake, op);
			FUTURE_WAKER_WAKE(&waker);
			if (get_this_wake() != op)
				return; /* completed by its own waker */
			(void)MIA_THREAD_SET(this_wake, NULL);
		}
	} while (!finish_waking(op));
}

/*
 * On the polling thread: from WAKING to POLLED, or again from there, so that
 * the waker is called once more. False: the worker was faster.
 *
 * Release: what happened before this poll happens before that call; pairs with
 * the acquire in lock_waker(). Relaxed on failure: the caller looks again.
 */
static bool
ask_for_a_wake(struct threads_operation *op, uint64_t state)
{
	return atomic_compare_exchange_strong_explicit(&op->state, &state,
		POLLED, memory_order_release, memory_order_relaxed);
}

/*
 * On the polling thread: a waker is being called. COMPLETE once it has
 * returned; RUNNING if that takes long, and then there will be one more call.
 */
static enum future_state
await_waker(struct threads_operation *op, uint64_t ns)
{
	uint64_t start = 0;
	struct mia_spin spin = MIA_SPIN_CALL;

	for (;;) {
		/* Acquire: pairs with the release of DONE. */
		const uint64_t state =
			atomic_load_explicit(&op->state, memory_order_acquire);

		if (state == DONE)
			return FUTURE_STATE_COMPLETE;

		if (!mia_spin(&spin))
			continue;
		if (start == 0)
			start = mia_clock_ns();
		if (mia_clock_ns() - start < ns)
			continue;

		if ((state == WAKING || state == POLLED) &&
			ask_for_a_wake(op, state)) {
			if (op->waits < MAX_DOUBLINGS)
				op->waits++;
			return FUTURE_STATE_RUNNING;
		}
	}
}

/*
 * On the polling thread: the waker of a started operation is now this. If the
 * old one is being called, the poll waits for that; it may be gone when the
 * poll returns.
 */
static void
replace_waker(struct threads_operation *op, const struct future_waker *waker)
{
	/* A waker that polls its own future: op_check will say COMPLETE. */
	if (op == get_this_wake())
		return;

	const enum state state = (enum state)lock_waker(op);

	if (state == DONE)
		return;

	const bool same =
		op->waker.wake == waker->wake && op->waker.data == waker->data;

	op->waker = *waker;
	unlock_waker(op, state);
	if ((state == WAKING || state == POLLED) && !same)
		await_waker(op, REPLACED_WAIT_NS);
}

static enum future_state
threads_operation_check(void *data, const struct vdm_operation *operation)
{
	struct threads_operation *op = data;

	(void)operation;
	for (;;) {
		/* Acquire: pairs with the release of DONE: the result. */
		switch (atomic_load_explicit(
			&op->state, memory_order_acquire)) {
		case DONE:
			return FUTURE_STATE_COMPLETE;
		case WAKING:
			if (op == get_this_wake())
				return FUTURE_STATE_COMPLETE;
			return await_waker(op, WAKER_WAIT_NS << op->waits);
		case POLLED:
			if (op == get_this_wake())
				return FUTURE_STATE_COMPLETE;
			if (ask_for_a_wake(op, POLLED))
				return FUTURE_STATE_RUNNING;
			break; /* the worker went on: look again */
		default:
			return FUTURE_STATE_RUNNING;
		}
	}
}

static void
threads_operation_delete(void *data, const struct vdm_operation *operation,
	struct vdm_operation_output *output)
{
	struct threads_operation *op = data;

	/* Relaxed, both: op_check has acquired. Not DONE: by its own waker. */
	if (MIA_UNLIKELY(atomic_load_explicit(
				 &op->state, memory_order_relaxed) != DONE))
		(void)MIA_THREAD_SET(this_wake, NULL);

	mia_operation_output(operation,
		(enum vdm_operation_result)atomic_load_explicit(
			&op->result, memory_order_relaxed),
		output);
	mia_operation_pool_put(op);
}

/*
 * Sleep
 *
 * awake counts, in two halves of a word, the workers that search for work and
 * those that sleep; the others are at work. Who has made work for one looks at
 * it: if nobody searches and somebody sleeps, one sleeper becomes a searcher
 * and gets a token. Who stops searching because it found work does the same
 * if it was the last and there is more. So there is a system call only when no
 * worker is awake that would find the work, or the work is big: see notify().
 *
 * No work is left lying: it is published (ring, overflow, shared list, stop)
 * before awake is read; a searcher becomes a sleeper before it looks for work a last
 * time; both in the order of sequentially consistent operations.
 */
#define SEARCHING ((size_t)1)
#define SLEEPING ((size_t)1 << (sizeof(size_t) * 4))
#define MAX_WORKERS (SLEEPING - 1)

/*
 * Whether operations wait for a worker. The overflow first: what goes from
 * there to the ring is in the ring before it is counted out.
 */
static bool
is_queued(struct data_mover_threads *dmt)
{
	return atomic_load_explicit(
		       &dmt->overflow.count, memory_order_seq_cst) > 0 ||
		!mia_queue_is_empty(&dmt->ring);
}

static bool
has_work(struct data_mover_threads *dmt)
{
	return is_queued(dmt) ||
		atomic_load_explicit(&dmt->nshared, memory_order_seq_cst) > 0;
}

/*
 * Work was published: one worker will search, or none is idle. That is enough
 * for the work to be done, as it wakes the next. But the kernel may put that on
 * the CPU of who woke it, which is about to work for long there, and leave it
 * waiting beside an idle CPU for milliseconds; while the thread that starts
 * operations mostly waits soon, and leaves its CPU to whom it woke. So up to so
 * many searchers are made here, but beside the one only while fewer workers are
 * awake than there are CPUs: they would take that of the caller.
 */
static void
notify(struct data_mover_threads *dmt, size_t searchers)
{
	size_t awake = atomic_load_explicit(&dmt->awake, memory_order_seq_cst);
	size_t made = 0; /* those made may find nothing and sleep again */

	while (made < searchers && awake >= SLEEPING &&
		((made == 0 && awake % SLEEPING == 0) ||
			(awake % SLEEPING < searchers &&
				dmt->nworkers - awake / SLEEPING <
					dmt->ncpus))) {
		const size_t next = awake - SLEEPING + SEARCHING;

		if (atomic_compare_exchange_weak_explicit(&dmt->awake, &awake,
			    next, memory_order_seq_cst, memory_order_seq_cst)) {
			mia_sem_post(&dmt->tokens);
			awake = next;
			made++;
		}
	}
}

/* From searching to work. */
static void
stop_searching(struct data_mover_threads *dmt)
{
	const size_t awake = atomic_fetch_sub_explicit(
		&dmt->awake, SEARCHING, memory_order_seq_cst);

	if (awake % SLEEPING == SEARCHING && awake >= SLEEPING && has_work(dmt))
		notify(dmt, 1);
}

/* From searching to sleep and back, or not at all if work has come. */
static void
sleep_until_notified(struct data_mover_threads *dmt)
{
	size_t awake = atomic_fetch_add_explicit(&dmt->awake,
			       SLEEPING - SEARCHING, memory_order_seq_cst) +
		SLEEPING - SEARCHING;

	if (has_work(dmt) ||
		atomic_load_explicit(&dmt->stop, memory_order_seq_cst)) {
		while (awake >= SLEEPING) {
			if (atomic_compare_exchange_weak_explicit(&dmt->awake,
				    &awake, awake - SLEEPING + SEARCHING,
				    memory_order_seq_cst, memory_order_seq_cst))
				return;
		}
		/* All sleepers have a token, so this one too. */
	}

	mia_sem_wait(&dmt->tokens);
}

/*
 * The queue
 *
 * A ring, and behind it the overflow, a list that takes whatever the ring has
 * no room for: no poll is refused. While there is an overflow new operations go
 * there too, so that none is overtaken by many. A worker that finds the ring
 * empty takes the oldest of the overflow, and fills the ring from it: the lock
 * is entered once for each operation that comes, and once for FILL_MAX of those
 * that go.
 */

static int
overflow_init(struct overflow *overflow)
{
	overflow->first = NULL;
	overflow->end = &overflow->first;
	atomic_init(&overflow->count, 0);
	return mia_mutex_init(&overflow->lock);
}

static void
enqueue(struct data_mover_threads *dmt, struct threads_operation *op)
{
	struct overflow *overflow = &dmt->overflow;

	/* Relaxed: who sees an old count goes before or behind a few others. */
	if (MIA_LIKELY(atomic_load_explicit(
			       &overflow->count, memory_order_relaxed) == 0 &&
		    mia_queue_push(&dmt->ring, op)))
		return;

	mia_mutex_lock(&overflow->lock);
	op->next = NULL;
	*overflow->end = op;
	overflow->end = &op->next;
	/* Seq_cst: published before awake is read, see has_work(). */
	atomic_fetch_add_explicit(&overflow->count, 1, memory_order_seq_cst);
	mia_mutex_unlock(&overflow->lock);
}

/* The oldest of the overflow, when the ring is empty; NULL: there is none. */
static struct threads_operation *
take_from_overflow(struct data_mover_threads *dmt)
{
	struct overflow *overflow = &dmt->overflow;
	size_t taken = 0;

	/* Relaxed: the lock decides; a worker that sleeps looks once more. */
	if (atomic_load_explicit(&overflow->count, memory_order_relaxed) == 0)
		return NULL;

	mia_mutex_lock(&overflow->lock);
	struct threads_operation *op = overflow->first;
	struct threads_operation *next = op;

	if (op != NULL) {
		next = op->next;
		taken = 1;
	}
	while (next != NULL && taken < FILL_MAX) {
		/* Once it is in the ring, a worker may have done it. */
		struct threads_operation *behind = next->next;

		if (!mia_queue_push(&dmt->ring, next))
			break;
		next = behind;
		taken++;
	}
	overflow->first = next;
	if (next == NULL)
		overflow->end = &overflow->first;
	/* Seq_cst: after the pushes, see is_queued(). */
	atomic_fetch_sub_explicit(
		&overflow->count, taken, memory_order_seq_cst);
	mia_mutex_unlock(&overflow->lock);
	return op;
}

/* Kinds of operations */

_Static_assert(offsetof(struct vdm_operation_data_memcpy, n) ==
			offsetof(struct vdm_operation_data_memmove, n) &&
		offsetof(struct vdm_operation_data_memcpy, n) ==
			offsetof(struct vdm_operation_data_memset, n),
	"size_of() relies on it");

static size_t
size_of(const struct vdm_operation *operation)
{
	return operation->type == VDM_OPERATION_FLUSH
		? operation->data.flush.n
		: operation->data.memcpy.n;
}

/* What the program has set for this kind of operation; NULL: built-in. */
struct custom {
	memcpy_fn move;
	memset_fn set;
};

/*
 * Acquire: pairs with the release of the setters; what a thread did before it
 * set a function happens before the function is called.
 */
static struct custom
custom_of(struct data_mover_threads *dmt, enum vdm_operation_type type)
{
	struct custom custom = {NULL, NULL};

	if (type == VDM_OPERATION_MEMCPY)
		custom.move = atomic_load_explicit(
			&dmt->memcpy_fn, memory_order_acquire);
	else if (type == VDM_OPERATION_MEMMOVE)
		custom.move = atomic_load_explicit(
			&dmt->memmove_fn, memory_order_acquire);
	else if (type == VDM_OPERATION_MEMSET)
		custom.set = atomic_load_explicit(
			&dmt->memset_fn, memory_order_acquire);

	return custom;
}

static bool
has_custom(struct data_mover_threads *dmt, enum vdm_operation_type type)
{
	const struct custom custom = custom_of(dmt, type);

	return custom.move != NULL || custom.set != NULL;
}

/*
 * Sharing
 *
 * The worker that takes a big operation from the queue puts it on the list of
 * shared ones. Workers without work join the first on it, the oldest. All claim
 * chunk after chunk; who finds nothing left to claim takes the operation off
 * the list, and then leaves; the last to leave completes it. Joining is under
 * the lock, and nobody leaves before the operation is off the list, so none
 * joins one that may be complete.
 */

/*
 * Several chunks for each worker, so that all end at about the same time.
 */
static size_t
chunk_of(const struct data_mover_threads *dmt, size_t n)
{
	const size_t chunk = n / dmt->nworkers / 8;

	if (chunk < SHARE_CHUNK_MIN)
		return SHARE_CHUNK_MIN;
	if (chunk > SHARE_CHUNK_MAX)
		return SHARE_CHUNK_MAX;
	return chunk - chunk % SHARE_CHUNK_MIN;
}

/* n bytes of the operation's range, from done on. */
static struct vdm_operation
part_of(const struct vdm_operation *whole, size_t done, size_t n)
{
	struct vdm_operation part = *whole;

	switch (whole->type) {
	case VDM_OPERATION_MEMSET:
		part.data.memset.str = (char *)whole->data.memset.str + done;
		part.data.memset.n = n;
		break;
	case VDM_OPERATION_FLUSH:
		part.data.flush.dest = (char *)whole->data.flush.dest + done;
		part.data.flush.n = n;
		break;
	default:
		part.data.memmove.dest =
			(char *)whole->data.memmove.dest + done;
		part.data.memmove.src = (char *)whole->data.memmove.src + done;
		part.data.memmove.n = n;
		break;
	}

	return part;
}

static bool
overlaps(const struct vdm_operation_data_memmove *move)
{
	const uintptr_t dest = (uintptr_t)move->dest;
	const uintptr_t src = (uintptr_t)move->src;

	return dest - src < move->n || src - dest < move->n;
}

static bool
is_shareable(
	struct data_mover_threads *dmt, const struct vdm_operation *operation)
{
	const size_t n = size_of(operation);

	/* The upper bound keeps the sum of all claims in range. */
	return n >= SHARE_MIN && n < SIZE_MAX / 2 && dmt->nworkers > 1 &&
		mia_operation_is_valid(operation) &&
		!has_custom(dmt, operation->type) &&
		(operation->type == VDM_OPERATION_MEMSET ||
			operation->type == VDM_OPERATION_FLUSH ||
			!overlaps(&operation->data.memmove));
}

/* Off the list, if it is still there. */
static void
take_off(struct data_mover_threads *dmt, struct threads_operation *op)
{
	struct threads_operation **link = &dmt->shared;

	mia_mutex_lock(&dmt->share_lock);
	while (*link != NULL && *link != op)
		link = &(*link)->next;
	if (*link == op) {
		*link = op->next;
		atomic_fetch_sub_explicit(
			&dmt->nshared, 1, memory_order_seq_cst);
	}
	mia_mutex_unlock(&dmt->share_lock);
}

/*
 * Does chunks of an operation until none is left, then leaves it. Who has come
 * to help leaves earlier if there is work that nobody is at.
 */
static void
do_share(struct data_mover_threads *dmt, struct threads_operation *op,
	bool helps)
{
	const size_t n = size_of(&op->operation);
	bool is_exhausted = false;

	while (!helps || !is_queued(dmt)) {
		/* Relaxed: a number that nobody else gets. */
		const size_t done = atomic_fetch_add_explicit(
			&op->claimed, op->chunk, memory_order_relaxed);

		if (done >= n) {
			is_exhausted = true;
			break;
		}

		const struct vdm_operation part = part_of(&op->operation, done,
			n - done < op->chunk ? n - done : op->chunk);
		const enum vdm_operation_result result =
			mia_operation_run(&part);

		/* Relaxed: published by leaving. */
		if (result != VDM_SUCCESS)
			atomic_store_explicit(
				&op->result, result, memory_order_relaxed);
	}

	if (is_exhausted)
		take_off(dmt, op);

	/*
	 * Release: our chunks, to the last; acquire: the chunks of the others,
	 * which complete() passes on.
	 */
	if (atomic_fetch_sub_explicit(&op->sharers, 1, memory_order_acq_rel) ==
		1)
		complete(op);
}

static void
share(struct data_mover_threads *dmt, struct threads_operation *op)
{
	struct vdm_operation *operation = &op->operation;

	/* A chunk would fit the cache that the whole does not. */
	if (size_of(operation) >= dmt->stream_min &&
		operation->type == VDM_OPERATION_MEMSET)
		operation->data.memset.flags |= VDM_F_NO_CACHE_HINT;
	else if (size_of(operation) >= dmt->stream_min &&
		operation->type != VDM_OPERATION_FLUSH)
		operation->data.memmove.flags |= VDM_F_NO_CACHE_HINT;
	op->chunk = chunk_of(dmt, size_of(operation));

	/* Relaxed, all three: published by the lock. */
	atomic_store_explicit(&op->result, VDM_SUCCESS, memory_order_relaxed);
	atomic_store_explicit(&op->claimed, 0, memory_order_relaxed);
	atomic_store_explicit(&op->sharers, 1, memory_order_relaxed);

	mia_mutex_lock(&dmt->share_lock);
	struct threads_operation **link = &dmt->shared;

	while (*link != NULL)
		link = &(*link)->next;
	op->next = NULL;
	*link = op;
	atomic_fetch_add_explicit(&dmt->nshared, 1, memory_order_seq_cst);
	mia_mutex_unlock(&dmt->share_lock);
	notify(dmt, 1);

	do_share(dmt, op, false);
}

/* An operation to help with, joined; or NULL. */
static struct threads_operation *
join_shared(struct data_mover_threads *dmt)
{
	/* Relaxed: the lock decides. */
	if (atomic_load_explicit(&dmt->nshared, memory_order_relaxed) == 0)
		return NULL;

	mia_mutex_lock(&dmt->share_lock);
	struct threads_operation *op = dmt->shared;

	/* Relaxed: under the lock the worker that shares it is still at it. */
	if (op != NULL)
		atomic_fetch_add_explicit(
			&op->sharers, 1, memory_order_relaxed);
	mia_mutex_unlock(&dmt->share_lock);
	return op;
}

static void
flush_if_durable(uint64_t flags, const void *dest, size_t n)
{
	if (flags & VDM_F_MEM_DURABLE)
		mia_memory_flush(dest, n);
}

/*
 * Flags that are not ours are the business of the program's function, as far as
 * it can be given them.
 */
static bool
is_valid_for_custom(uint64_t flags, const void *a, const void *b, size_t n)
{
	return flags <= UINT_MAX && ((a != NULL && b != NULL) || n == 0);
}

static enum vdm_operation_result
move_by(memcpy_fn fn, const struct vdm_operation_data_memmove *move)
{
	if (!is_valid_for_custom(move->flags, move->dest, move->src, move->n))
		return VDM_ERROR_JOB_CORRUPTED;
	if (move->n > 0) {
		fn(move->dest, move->src, move->n, (unsigned)move->flags);
		flush_if_durable(move->flags, move->dest, move->n);
	}
	return VDM_SUCCESS;
}

static enum vdm_operation_result
set_by(memset_fn fn, const struct vdm_operation_data_memset *set)
{
	if (!is_valid_for_custom(set->flags, set->str, set->str, set->n))
		return VDM_ERROR_JOB_CORRUPTED;
	if (set->n > 0) {
		fn(set->str, set->c, set->n, (unsigned)set->flags);
		flush_if_durable(set->flags, set->str, set->n);
	}
	return VDM_SUCCESS;
}

static enum vdm_operation_result
run_alone(struct data_mover_threads *dmt, const struct vdm_operation *operation)
{
	const struct custom custom = custom_of(dmt, operation->type);

	if (custom.move != NULL)
		return move_by(custom.move, &operation->data.memmove);
	if (custom.set != NULL)
		return set_by(custom.set, &operation->data.memset);
	return mia_operation_run(operation);
}

/* Workers */

static void
run(struct data_mover_threads *dmt, struct threads_operation *op)
{
	if (is_shareable(dmt, &op->operation)) {
		share(dmt, op);
		return;
	}

	/* Relaxed: complete() publishes it. */
	atomic_store_explicit(&op->result, run_alone(dmt, &op->operation),
		memory_order_relaxed);
	complete(op);
}

/* Work for a worker: an operation of the queue, or one to help with. */
static struct threads_operation *
take_work(struct data_mover_threads *dmt, bool *helps)
{
	struct threads_operation *op = mia_queue_pop(&dmt->ring);

	if (op == NULL)
		op = take_from_overflow(dmt);
	*helps = op == NULL;
	return op != NULL ? op : join_shared(dmt);
}

/* Relaxed: whether others search too is only a hint. */
static bool
is_only_searcher(struct data_mover_threads *dmt)
{
	return atomic_load_explicit(&dmt->awake, memory_order_relaxed) %
		SLEEPING ==
		SEARCHING;
}

/* Looks for work, for a time if nobody else does. NULL: there is none. */
static struct threads_operation *
search(struct worker *worker, bool *helps)
{
	struct data_mover_threads *dmt = worker->dmt;
	struct threads_operation *op;
	struct mia_linger linger;

	mia_linger_begin(&linger, &worker->yields,
		dmt->ncpus > 1 ? MIA_LINGER_BY_PAUSES : MIA_LINGER_BY_YIELDS);
	do
		op = take_work(dmt, helps);
	while (op == NULL && is_only_searcher(dmt) && mia_linger(&linger));
	return op;
}

static void *
worker_run(void *arg)
{
	struct worker *worker = arg;
	struct data_mover_threads *dmt = worker->dmt;
	bool helps;

	mia_thread_name(worker->number);

	/* It must not fail when a waker is to be called: see platform.h. */
	while (!MIA_THREAD_SET(this_wake, NULL))
		mia_thread_yield();

	/* A worker begins as a searcher. */
	for (;;) {
		/* Before the search: what was pushed before stop is found. */
		const bool stop =
			atomic_load_explicit(&dmt->stop, memory_order_seq_cst);
		struct threads_operation *op = search(worker, &helps);

		/* What another worker moved to the ring may have been missed. */
		if (op == NULL && stop && !is_queued(dmt))
			return NULL;
		if (op == NULL) {
			sleep_until_notified(dmt);
			continue;
		}

		stop_searching(dmt);
		do {
			if (helps)
				do_share(dmt, op, true);
			else
				run(dmt, op);
			op = take_work(dmt, &helps);
		} while (op != NULL);
		atomic_fetch_add_explicit(
			&dmt->awake, SEARCHING, memory_order_seq_cst);
	}
}

/* Ends the first n workers, when they have done what was started. */
static void
stop_workers(struct data_mover_threads *dmt, size_t n)
{
	atomic_store_explicit(&dmt->stop, true, memory_order_seq_cst);

	/* All sleepers become searchers. */
	size_t awake = atomic_load_explicit(&dmt->awake, memory_order_seq_cst);

	while (awake >= SLEEPING) {
		if (atomic_compare_exchange_weak_explicit(&dmt->awake, &awake,
			    awake - SLEEPING + SEARCHING, memory_order_seq_cst,
			    memory_order_seq_cst))
			mia_sem_post(&dmt->tokens);
	}

	/* Nobody else would end what a cancelled thread has left. */
	for (size_t i = 0; i < n; i++)
		mia_thread_join(dmt->workers[i].thread);
}

/* The mover's side of an operation */

static void *
threads_operation_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	struct data_mover_threads *dmt =
		(struct data_mover_threads *)(void *)vdm;
	struct threads_operation *op = mia_operation_pool_get(&dmt->pool);

	(void)type; /* an unknown one is refused when it is run */
	if (MIA_UNLIKELY(op == NULL))
		return NULL;

	op->dmt = dmt;
	/* Relaxed: who polls got the future from who created it. */
	atomic_store_explicit(&op->state, NEW, memory_order_relaxed);
	return op;
}

static _Atomic uint64_t *
word_of(const struct threads_operation *op)
{
	static _Atomic uint64_t words[WORDS];

	return &words[(uintptr_t)op / MIA_CACHE_LINE % WORDS];
}

/*
 * The waker of all operations, if the mover is to announce them by a POLLER.
 * A word never has a value twice: the next operation of a chain may have this
 * one's word, and who looks too late sees a change all the same.
 */
static void
change_word(void *data)
{
	struct threads_operation *op = data;

	/*
	 * Release: WAKING comes first, so that a poll finds it; pairs with the
	 * acquire of who watches, monitored_word() in the runtime.
	 */
	atomic_fetch_add_explicit(word_of(op), 1, memory_order_release);
}

/* Says in the notifier what will announce the end. */
static void
answer_notifier(struct threads_operation *op, struct future_notifier *n)
{
	n->notifier_used = op->dmt->desired_notifier;
	if (n->notifier_used == FUTURE_NOTIFIER_POLLER)
		n->poller.ptr_to_monitor = (uint64_t *)(uintptr_t)word_of(op);
	else if (n->waker.wake == NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
}

/* How many workers are to look for work, as this operation waits for one. */
static size_t
searchers_for(
	struct data_mover_threads *dmt, const struct vdm_operation *operation)
{
	if (operation->type > VDM_OPERATION_FLUSH ||
		size_of(operation) < WAKE_MIN)
		return 1;

	/* Relaxed: a hint. */
	const size_t waiting = mia_queue_length(&dmt->ring) +
		atomic_load_explicit(
			&dmt->overflow.count, memory_order_relaxed);

	return (waiting > 0 ? waiting : 1) + is_shareable(dmt, operation);
}

/* Not inlined: small operations would save its registers. */
MIA_NOINLINE static void
hand_over(struct threads_operation *op, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct data_mover_threads *dmt = op->dmt;

	op->operation = *operation;
	op->waits = 0;
	op->waker.wake = NULL;
	if (dmt->desired_notifier == FUTURE_NOTIFIER_POLLER) {
		op->waker = (struct future_waker){op, change_word};
	} else if (n != NULL &&
		dmt->desired_notifier == FUTURE_NOTIFIER_WAKER) {
		op->waker = n->waker;
	}

	/* Relaxed: published with the operation. */
	atomic_store_explicit(&op->state, PENDING, memory_order_relaxed);
	enqueue(dmt, op);
	notify(dmt, searchers_for(dmt, operation));
	if (n != NULL)
		answer_notifier(op, n);
}

/* A poll of a started operation brings another notifier. */
MIA_NOINLINE static void
renotify(struct threads_operation *op, struct future_notifier *n)
{
	if (n == NULL)
		return;
	if (op->dmt->desired_notifier == FUTURE_NOTIFIER_WAKER &&
		n->waker.wake != NULL)
		replace_waker(op, &n->waker);
	answer_notifier(op, n);
}

static int
threads_operation_start(void *data, const struct vdm_operation *operation,
	struct future_notifier *n)
{
	struct threads_operation *op = data;

	/* Relaxed: NEW was written by who had the future before. */
	if (MIA_UNLIKELY(atomic_load_explicit(
				 &op->state, memory_order_relaxed) != NEW)) {
		renotify(op, n);
		return 0;
	}

	/* Relaxed: see set_inline_end(). */
	if ((n != NULL && n->padding != FUTURE_NOTIFIER_INLINE_) ||
		operation->type > VDM_OPERATION_FLUSH ||
		size_of(operation) >=
			atomic_load_explicit(
				&op->dmt->inline_end[operation->type],
				memory_order_relaxed)) {
		hand_over(op, operation, n);
		return 0;
	}

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;

	/* Relaxed: read by this poll. */
	atomic_store_explicit(&op->result, mia_operation_run(operation),
		memory_order_relaxed);
	atomic_store_explicit(&op->state, DONE, memory_order_relaxed);
	return 0;
}

static int
threads_has_property(void *future, enum future_property property)
{
	(void)future;
	switch (property) {
	case FUTURE_PROPERTY_ASYNC:
		return 1;
	case FUTURE_PROPERTY_RENOTIFY:
		return FUTURE_PROPERTY_RENOTIFY;
	default:
		return 0;
	}
}

static const struct vdm threads_vdm = {
	.op_new = threads_operation_new,
	.op_start = threads_operation_start,
	.op_check = threads_operation_check,
	.op_delete = threads_operation_delete,
	.capabilities = 0,
	.has_property = threads_has_property,
};

/* All but the workers. Returns 0 or an error number, with nothing left. */
static int
init(struct data_mover_threads *dmt, size_t nthreads, size_t ringbuf_size)
{
	int error = mia_queue_init(&dmt->ring, ringbuf_size);

	if (error != 0)
		return error;

	error = overflow_init(&dmt->overflow);
	if (error != 0)
		goto fini_ring;

	error = mia_mutex_init(&dmt->share_lock);
	if (error != 0)
		goto fini_overflow;

	error = mia_sem_init(&dmt->tokens);
	if (error != 0)
		goto destroy_lock;

	dmt->workers = calloc(nthreads, sizeof(*dmt->workers));
	if (dmt->workers == NULL) {
		error = ENOMEM;
		goto destroy_tokens;
	}

	mia_operation_pool_init(&dmt->pool, OPERATION_SIZE, NULL);
	atomic_init(&dmt->awake, nthreads * SEARCHING);
	dmt->nworkers = nthreads;
	dmt->ncpus = mia_usable_cpus();
	dmt->stream_min = mia_memory_stream_min();
	return 0;

destroy_tokens:
	mia_sem_fini(&dmt->tokens);
destroy_lock:
	mia_mutex_fini(&dmt->share_lock);
fini_overflow:
	mia_mutex_fini(&dmt->overflow.lock);
fini_ring:
	mia_queue_fini(&dmt->ring);
	return error;
}

/* The workers are gone. */
static void
fini(struct data_mover_threads *dmt)
{
	mia_operation_pool_fini(&dmt->pool);
	free(dmt->workers);
	mia_sem_fini(&dmt->tokens);
	mia_mutex_fini(&dmt->share_lock);
	mia_mutex_fini(&dmt->overflow.lock);
	mia_queue_fini(&dmt->ring);
	mia_aligned_free(dmt);
}

/*
 * A poll does smaller operations itself, and none if there is a function for
 * them. Under share_lock, so that it goes with the function; or nobody else has
 * the mover yet. Relaxed: a worker looks at the function.
 */
static void
set_inline_end(struct data_mover_threads *dmt, enum vdm_operation_type type,
	bool built_in)
{
	atomic_store_explicit(&dmt->inline_end[type],
		built_in ? INLINE_MAX + 1 : 0, memory_order_relaxed);
}

MIA_PUBLIC struct data_mover_threads *
data_mover_threads_new(size_t nthreads, size_t ringbuf_size,
	enum future_notifier_type desired_notifier)
{
	if (nthreads == 0 || nthreads > MAX_WORKERS || ringbuf_size == 0 ||
		(desired_notifier != FUTURE_NOTIFIER_NONE &&
			desired_notifier != FUTURE_NOTIFIER_WAKER &&
			desired_notifier != FUTURE_NOTIFIER_POLLER)) {
		errno = EINVAL;
		return NULL;
	}

	struct data_mover_threads *dmt = mia_aligned_alloc(
		_Alignof(struct data_mover_threads), sizeof(*dmt));

	if (dmt == NULL)
		return NULL;

	memset(dmt, 0, sizeof(*dmt));
	dmt->vdm = threads_vdm;
	dmt->desired_notifier = desired_notifier;
	for (int type = 0; type <= VDM_OPERATION_FLUSH; type++)
		set_inline_end(dmt, (enum vdm_operation_type)type, true);

	int error = init(dmt, nthreads, ringbuf_size);

	if (error != 0) {
		mia_aligned_free(dmt);
		errno = error;
		return NULL;
	}

	for (size_t i = 0; i < nthreads; i++) {
		struct worker *worker = &dmt->workers[i];

		worker->dmt = dmt;
		worker->number = i;
		error = mia_thread_start(&worker->thread, worker_run, worker);
		if (error != 0) {
			stop_workers(dmt, i);
			fini(dmt);
			errno = error;
			return NULL;
		}
	}

	return dmt;
}

MIA_PUBLIC struct data_mover_threads *
data_mover_threads_default(void)
{
	return data_mover_threads_new(
		mia_usable_cpus(), DEFAULT_RING, FUTURE_NOTIFIER_WAKER);
}

MIA_PUBLIC struct vdm *
data_mover_threads_get_vdm(struct data_mover_threads *dmt)
{
	return &dmt->vdm;
}

MIA_PUBLIC void
data_mover_threads_set_memcpy_fn(
	struct data_mover_threads *dmt, memcpy_fn dmt_memcpy)
{
	mia_mutex_lock(&dmt->share_lock);
	/* Release: see custom_of(). */
	atomic_store_explicit(
		&dmt->memcpy_fn, dmt_memcpy, memory_order_release);
	set_inline_end(dmt, VDM_OPERATION_MEMCPY, dmt_memcpy == NULL);
	mia_mutex_unlock(&dmt->share_lock);
}

MIA_PUBLIC void
data_mover_threads_set_memmove_fn(
	struct data_mover_threads *dmt, memmove_fn dmt_memmove)
{
	mia_mutex_lock(&dmt->share_lock);
	/* Release: see custom_of(). */
	atomic_store_explicit(
		&dmt->memmove_fn, dmt_memmove, memory_order_release);
	set_inline_end(dmt, VDM_OPERATION_MEMMOVE, dmt_memmove == NULL);
	mia_mutex_unlock(&dmt->share_lock);
}

MIA_PUBLIC void
data_mover_threads_set_memset_fn(
	struct data_mover_threads *dmt, memset_fn dmt_memset)
{
	mia_mutex_lock(&dmt->share_lock);
	/* Release: see custom_of(). */
	atomic_store_explicit(
		&dmt->memset_fn, dmt_memset, memory_order_release);
	set_inline_end(dmt, VDM_OPERATION_MEMSET, dmt_memset == NULL);
	mia_mutex_unlock(&dmt->share_lock);
}

MIA_PUBLIC int
data_mover_threads_set_capabilities(
	struct data_mover_threads *dmt, unsigned flags)
{
	return mia_operation_set_capabilities(&dmt->vdm, flags);
}

MIA_PUBLIC void
data_mover_threads_delete(struct data_mover_threads *dmt)
{
	if (dmt == NULL)
		return;

	stop_workers(dmt, dmt->nworkers);
	fini(dmt);
}
