/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * threads_work.c -- see threads_work.h
 *
 * The Spin model is tests/model/waiting.pml.
 *
 * The threads that may touch a kept operation: its polling thread, which is the
 * first sharer, and workers that have joined. The operation completes when the
 * last sharer leaves. If the polling thread is the last, its own poll completes
 * the future, and no waker is called. If a worker is the last, it calls the
 * waker. A waiting thread never works on operations of other threads, because
 * their wakers may take locks that it holds. It never calls program functions.
 */

#include "movers/threads_work.h"

#include <limits.h>

#include "movers/threads_functions.h"
#include "system/happens.h"
#include "system/probe.h"

/*
 * Sizes that depend on the machine are given as times. The mover's measured
 * speed converts them to bytes. doc/design.md has the measurements.
 */

/*
 * A thread does one piece, and then checks for other events. The maximum lets
 * the source and the destination of a piece stay in the cache of the CPU.
 */
#define PIECE_US 12
#define PIECE_MIN_BYTES ((size_t)65536)
#define PIECE_MAX_BYTES ((size_t)655360)

/* Operations of this size and larger wake a worker per waiting operation. */
#define WAKE_EACH_MIN_US 10

/* Idle workers help with submitted operations of this size and larger. */
#define SHARE_MIN_US 90

/* Speed */

MIA_THREAD_POINTER(char, mia_threads_untimed, NULL);

/* Relaxed, here and below: the speed is an estimate. */
static size_t
bytes_in(const struct data_mover_threads *dmt, unsigned us)
{
	return mia_threads_speed(dmt) * us;
}

static size_t
piece_bytes(const struct data_mover_threads *dmt)
{
	const size_t n = bytes_in(dmt, PIECE_US);

	if (n < PIECE_MIN_BYTES)
		return PIECE_MIN_BYTES;
	if (n > PIECE_MAX_BYTES)
		return PIECE_MAX_BYTES;
	return n - n % 4096;
}

struct mia_threads_sizes
mia_threads_sizes(const struct data_mover_threads *dmt)
{
	return (struct mia_threads_sizes){.piece = piece_bytes(dmt),
		.wake_each = bytes_in(dmt, WAKE_EACH_MIN_US),
		.share = bytes_in(dmt, SHARE_MIN_US)};
}

/*
 * A waiting thread with this many bytes left shows its work to awake workers.
 * It wakes a worker for eight times as much, or if it shows work again soon. A
 * woken worker comes after 20 us or more. Its first chunk takes 30 us, because
 * the data is in the cache of another CPU.
 *
 * Pieces are the unit, not time: with help a copy of 1 MiB stays in the caches
 * of both CPUs, and becomes so fast that it would seem to need no help.
 */
static size_t
help_bytes(const struct data_mover_threads *dmt)
{
	return piece_bytes(dmt) / 2 * 3;
}

/*
 * Updates the speed after a piece. The speed changes slowly, because some
 * pieces lose their CPU, and some come from the cache.
 */
static void
learn(struct data_mover_threads *dmt, size_t n, uint64_t ns)
{
	const uint64_t old =
		atomic_load_explicit(&dmt->speed, memory_order_relaxed);
	uint64_t seen = (uint64_t)n * 1000 / (ns + 1);

	if (seen > 2 * old)
		seen = 2 * old;
	if (seen < old / 2)
		seen = old / 2;

	const uint64_t speed = (3 * old + seen) / 4;
	const uint64_t change = speed > old ? speed - old : old - speed;

	/*
	 * The bounds keep the speed from sticking at 0, and bytes_in() from
	 * wrapping around. All polls read this line: skip small changes.
	 */
	if (speed >= 64 && speed <= (1U << 24) && change > old / 16)
		atomic_store_explicit(
			&dmt->speed, (unsigned)speed, memory_order_relaxed);
}

/* The plan */

/* Returns the program's function, or NULL. The type may be unknown. */
static mia_any_fn
function_of(const struct data_mover_threads *dmt, enum vdm_operation_type type)
{
	if (type == VDM_OPERATION_MEMCPYV)
		type = VDM_OPERATION_MEMCPY;

	/* Acquire: pairs with set_function(): the program's earlier writes. */
	return (unsigned)type < MIA_THREADS_TYPES
		? atomic_load_explicit(
			  &dmt->functions[type], memory_order_acquire)
		: NULL;
}

bool
mia_threads_takes_larger(const struct data_mover_threads *dmt, size_t size,
	struct future_notifier *n)
{
	return mia_threads_is_offer(n) && size <= piece_bytes(dmt) &&
		mia_threads_take_offer(n);
}

static enum mia_threads_plan
plan_of(const struct data_mover_threads *dmt, const struct mia_piece *piece,
	struct future_notifier *n)
{
	if (piece->kind == MIA_PIECE_INVALID)
		return MIA_PLAN_REFUSE;
	if (mia_threads_is_here(dmt, piece->n, n))
		return MIA_PLAN_HERE;
	/* mia_sharing_open() accepts at most SIZE_MAX / 2 bytes. */
	if (piece->n >= SIZE_MAX / 2)
		return MIA_PLAN_ALONE;

	const bool overlaps = mia_piece_distance(piece) != SIZE_MAX;

	if (mia_threads_is_offer(n))
		return overlaps ? MIA_PLAN_KEEP_ORDER : MIA_PLAN_KEEP;
	if (!overlaps && piece->n >= bytes_in(dmt, SHARE_MIN_US) &&
		dmt->crew.nworkers > 1)
		return MIA_PLAN_SHARE;
	return MIA_PLAN_ALONE;
}

/* The plan if the program has set a function for the type. */
static enum mia_threads_plan
plan_of_function(enum mia_piece_kind kind)
{
	switch (kind) {
	case MIA_PIECE_MOVE:
	case MIA_PIECE_MOVES:
		return MIA_PLAN_MOVE_BY;
	case MIA_PIECE_SET:
		return MIA_PLAN_SET_BY;
	case MIA_PIECE_FLUSH:
	case MIA_PIECE_INVALID:
		break;
	}

	return MIA_PLAN_REFUSE;
}

void
mia_threads_make_plan(struct mia_threads_operation *op,
	const struct vdm_operation *operation, struct future_notifier *n)
{
	op->is_kept = false;
	op->function = function_of(op->dmt, operation->type);
	if (op->function != NULL) {
		mia_happens_after(op->dmt->functions);

		/* The function gets all flags that fit its argument. */
		mia_piece_parse(&op->piece, operation, UINT_MAX);
		op->plan = plan_of_function(op->piece.kind);
		return;
	}

	mia_piece_of(&op->piece, operation);
	op->plan = plan_of(op->dmt, &op->piece, n);
	/* An empty list may be NULL. */
	if (op->piece.kind == MIA_PIECE_MOVES && op->piece.n > 0)
		op->end = op->piece.segment + operation->data.memcpyv.nsegments;
}

/* Pieces */

/* Such a piece is not timed: short copies have another speed than long ones. */
static bool
has_many_segments(const struct mia_piece *piece)
{
	return piece->kind == MIA_PIECE_MOVES &&
		piece->segment->n < piece->skip + piece->n;
}

/* Does a piece. Times some pieces to measure the speed. */
static enum vdm_operation_result
run_piece(struct data_mover_threads *dmt, const struct mia_piece *piece)
{
	if (!mia_threads_is_sample(piece->n) || has_many_segments(piece)) {
		mia_threads_count_untimed(piece->n);
		return mia_piece_run(piece);
	}

	mia_threads_set_untimed(0);

	const uint64_t start_ns = mia_clock_ns();
	const enum vdm_operation_result result = mia_piece_run(piece);

	if (result == VDM_SUCCESS)
		learn(dmt, piece->n, mia_clock_ns() - start_ns);
	return result;
}

enum vdm_operation_result
mia_threads_run_here(struct mia_threads_operation *op)
{
	return run_piece(op->dmt, &op->piece);
}

enum vdm_operation_result
mia_threads_run_whole(struct mia_threads_operation *op)
{
	if (op->plan == MIA_PLAN_MOVE_BY)
		mia_function_move((memcpy_fn)op->function, &op->piece, op);
	else if (op->plan == MIA_PLAN_SET_BY)
		mia_function_set((memset_fn)op->function, &op->piece, op);
	else
		return mia_piece_run(&op->piece);
	return VDM_SUCCESS;
}

static void
run_part(struct mia_threads_operation *op, const struct mia_piece *piece,
	size_t at, size_t n)
{
	const struct mia_piece part = mia_piece_part(piece, at, n);
	const enum vdm_operation_result result = run_piece(op->dmt, &part);

	/* Published when this thread leaves. */
	if (result != VDM_SUCCESS)
		mia_completion_fail(&op->completion, result);
}

/* The next n bytes, from the end where no unread source is overwritten. */
static void
run_in_order(struct mia_threads_operation *op, size_t n)
{
	const struct mia_piece *piece = &op->piece;
	const bool upwards = (uintptr_t)piece->dest < (uintptr_t)piece->src;

	run_part(op, piece, upwards ? op->done : piece->n - op->done - n, n);
	op->done += n;
}

/*
 * The first sharer goes up from the front without gaps. So MOVES begin at its
 * current place. No other sharer reads their beginning.
 */
static void
run_front(struct mia_threads_operation *op, const struct mia_claim *claim)
{
	if (op->piece.kind != MIA_PIECE_MOVES) {
		run_part(op, &op->piece, claim->at, claim->n);
		return;
	}
	run_part(op, &op->piece, 0, claim->n);
	mia_piece_forward(&op->piece, claim->n);
}

/*
 * A helper's place in the segments of MOVES. The helper begins at their end,
 * and goes down over all claims. Until it leaves, it steps over each segment
 * once. A step takes about a nanosecond.
 */
struct place {
	struct mia_piece piece;
	size_t at;
};

static struct place
place_at_end(const struct mia_threads_operation *op)
{
	/* Other kinds have no end, and KEEP_ORDER overwrites the union. */
	if (op->piece.kind != MIA_PIECE_MOVES)
		return (struct place){.at = 0};
	return (struct place){.piece = {.segment = op->end,
				      .flags = op->piece.flags,
				      .kind = MIA_PIECE_MOVES},
		.at = op->piece.n};
}

static void
run_back(struct mia_threads_operation *op, const struct mia_claim *claim,
	struct place *place)
{
	if (op->piece.kind != MIA_PIECE_MOVES) {
		run_part(op, &op->piece, claim->at, claim->n);
		return;
	}
	mia_piece_back(&place->piece, place->at - claim->at);
	place->at = claim->at;
	run_part(op, &place->piece, 0, claim->n);
}

/* Makes a large operation stream, although its pieces would fit the cache. */
static void
stream_if_large(struct mia_threads_operation *op)
{
	if (op->piece.n >= op->dmt->stream_min &&
		op->piece.kind != MIA_PIECE_FLUSH)
		op->piece.flags |= VDM_F_NO_CACHE_HINT;
}

/* Claims a chunk: up to a piece, or the whole of an overlapping move. */
static struct mia_claim
claim_chunk(struct mia_threads_operation *op, enum mia_range_end end)
{
	return mia_sharing_claim(&op->dmt->crew.sharing, &op->shared,
		op->plan == MIA_PLAN_KEEP_ORDER ? op->piece.n
						: piece_bytes(op->dmt),
		end);
}

/* The workers' side */

static void
finish(struct mia_threads_operation *op, enum vdm_operation_result result)
{
	/* The program's function has forked, and returned in the child. */
	if (mia_crew_is_lost(&op->dmt->crew))
		return;
	if (result != VDM_SUCCESS)
		mia_completion_fail(&op->completion, result);
	mia_completion_finish(&op->completion);
}

/* Does a chunk of a shared operation. Returns false if none is left. */
static bool
run_front_chunk(struct mia_threads_operation *op)
{
	const struct mia_claim claim = claim_chunk(op, MIA_RANGE_FRONT);

	if (claim.n == 0)
		return false;

	run_front(op, &claim);
	return true;
}

/* The same for a helper. */
static bool
run_back_chunk(struct mia_threads_operation *op, struct place *place)
{
	const struct mia_claim claim = claim_chunk(op, MIA_RANGE_BACK);

	if (claim.n == 0)
		return false;

	run_back(op, &claim, place);
	return true;
}

static void
leave(struct mia_threads_operation *op)
{
	if (mia_sharing_leave(&op->shared))
		mia_completion_finish(&op->completion);
}

/*
 * Helps with a shared operation. After a chunk, the helper leaves if operations
 * wait for a worker, or if other threads have work for helpers too.
 */
void
mia_threads_help(void *arg, struct mia_shared *shared)
{
	struct data_mover_threads *dmt = arg;
	struct mia_threads_operation *op =
		(struct mia_threads_operation *)(void *)((char *)shared -
			offsetof(struct mia_threads_operation, shared));
	struct place place = place_at_end(op);

	MIA_PROBE1(shared, op);
	if (!run_back_chunk(op, &place))
		mia_sharing_close(&dmt->crew.sharing, shared);
	else
		while (mia_backlog_is_empty(&dmt->crew.backlog) &&
			!mia_sharing_has_other(&dmt->crew.sharing, shared) &&
			run_back_chunk(op, &place))
			continue;
	leave(op);
}

/*
 * A worker takes over the part of the thread that opened the operation. Other
 * sharers may have done the rest, or may help.
 */
static void
run_rest(struct mia_threads_operation *op)
{
	mia_sharing_take_over(&op->dmt->crew.sharing, &op->shared);
	if (op->is_claimed)
		run_in_order(op, op->piece.n - op->done);
	while (run_front_chunk(op))
		continue;
	leave(op);
}

static void
run_shared(struct mia_threads_operation *op)
{
	stream_if_large(op);
	mia_crew_share(
		&op->dmt->crew, &op->shared, op->piece.n, 0, MIA_OPENER_WORKER);
	while (run_front_chunk(op))
		continue;
	leave(op);
}

void
mia_threads_run(void *arg, struct mia_backlog_node *node)
{
	struct mia_threads_operation *op =
		(struct mia_threads_operation *)(void *)((char *)node -
			offsetof(struct mia_threads_operation, node));

	(void)arg;
	MIA_PROBE2(run, op, MIA_PROBE_WORKER);
	switch (op->plan) {
	case MIA_PLAN_SHARE:
		run_shared(op);
		return;
	case MIA_PLAN_KEEP:
	case MIA_PLAN_KEEP_ORDER:
		run_rest(op);
		return;
	case MIA_PLAN_GO_ON:
		mia_completion_go_on(&op->completion);
		return;
	case MIA_PLAN_MOVE_BY:
	case MIA_PLAN_SET_BY:
	case MIA_PLAN_ALONE:
	case MIA_PLAN_HERE:
		finish(op, mia_threads_run_whole(op));
		return;
	case MIA_PLAN_REFUSE:
		finish(op, VDM_ERROR_JOB_CORRUPTED);
		return;
	}
}

/*
 * Submits the unfinished part like a new operation. Only this thread has the
 * part, so it may write the plan.
 */
void
mia_threads_exited(void *arg)
{
	struct data_mover_threads *dmt = arg;
	struct mia_threads_operation *op = mia_function_leave_thread();

	if (op != NULL) {
		op->plan = MIA_PLAN_REFUSE;
	} else {
		/* The completion is the first member. */
		op = (struct mia_threads_operation *)(void *)
			mia_completion_leave_thread();
		if (op == NULL)
			return; /* its own waker has completed it */
		op->plan = MIA_PLAN_GO_ON;
	}
	mia_crew_submit(&dmt->crew, &op->node, MIA_CREW_WAKE_ONE);
}

static enum mia_crew_wake
wake_for(const struct mia_threads_operation *op)
{
	if (op->piece.n < bytes_in(op->dmt, WAKE_EACH_MIN_US))
		return MIA_CREW_WAKE_ONE;

	const bool is_shared = op->plan == MIA_PLAN_SHARE ||
		(op->plan == MIA_PLAN_KEEP &&
			op->piece.n >= bytes_in(op->dmt, SHARE_MIN_US));

	return is_shared ? MIA_CREW_WAKE_EACH_SHARED : MIA_CREW_WAKE_EACH;
}

void
mia_threads_hand_over(struct mia_threads_operation *op)
{
	mia_crew_submit(&op->dmt->crew, &op->node, wake_for(op));
}

/* The waiting thread's side */

void
mia_threads_keep(struct mia_threads_operation *op)
{
	op->is_kept = true;
	op->is_claimed = false;

	size_t show_min = help_bytes(op->dmt);

	/*
	 * Two threads cannot do one overlapping move together, so a short one
	 * does not count for help. A worker does a long one if this thread is
	 * busy with polls.
	 */
	if (op->plan == MIA_PLAN_KEEP)
		stream_if_large(op);
	else if (op->piece.n < bytes_in(op->dmt, SHARE_MIN_US))
		show_min += op->piece.n;
	mia_crew_share(&op->dmt->crew, &op->shared, op->piece.n, show_min,
		MIA_OPENER_OTHER);
}

/* Nothing is left to claim, and the claims of this thread are done. */
static void
leave_here(struct mia_threads_operation *op)
{
	op->is_kept = false;
	if (mia_sharing_leave(&op->shared))
		mia_completion_end_here(&op->completion);
}

/* Does a piece of an overlapping move that this thread has claimed. */
static void
work_in_order(struct mia_threads_operation *op)
{
	const size_t left = op->piece.n - op->done;
	const size_t piece = piece_bytes(op->dmt);

	run_in_order(op, left < piece ? left : piece);
	if (op->done == op->piece.n)
		leave_here(op);
}

void
mia_threads_work(struct mia_threads_operation *op)
{
	struct mia_crew *crew = &op->dmt->crew;

	if (op->is_claimed) {
		work_in_order(op);
		return;
	}

	const struct mia_claim claim = claim_chunk(op, MIA_RANGE_FRONT);

	if (claim.for_help / MIA_SHARING_WAKE_FACTOR >= help_bytes(op->dmt))
		mia_crew_want_help(crew);
	if (claim.n == 0) {
		leave_here(op);
		return;
	}
	if (claim.at == 0)
		MIA_PROBE2(run, op, MIA_PROBE_WAIT);

	if (op->plan == MIA_PLAN_KEEP_ORDER) {
		op->is_claimed = true;
		op->done = 0;
		work_in_order(op);
		return;
	}

	run_front(op, &claim);
	if (claim.is_last)
		leave_here(op);
}

void
mia_threads_stop_work(struct mia_threads_operation *op)
{
	op->is_kept = false;
	mia_threads_hand_over(op);
}
