/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_work.c -- see fabric_work.h */

#include "movers/fabric_work.h"

#include <errno.h>

#include <rdma/fi_eq.h>

#include "movers/fabric_buffers.h"
#include "movers/fabric_flush.h"
#include "movers/fabric_parts.h"
#include "operation/memory.h"
#include "system/backoff.h"

/* Entries of the queue that one read takes, and rounds of one poll. */
#define ENTRIES 64
#define ROUNDS 4

/* Reads of the queue before a mover breaks because nothing has come. */
#define LAST_READS 8

/* Checks for a silent peer in idle_ns; the mover's thread makes as many. */
#define LOOKS 4

/*
 * The mover breaks after so many refusals of a part while none is in progress.
 * Refusals count at these intervals, in which a lost connection may come back.
 * All intervals take 1 s, or half of idle_ms if that is shorter.
 */
#define REFUSALS 50
#define REFUSED_NS (20 * UINT64_C(1000000))

/*
 * The mover's thread checks this often, with pauses and yields, whether a poll
 * is still busy. Then it sleeps, and the poll has to wake it.
 */
#define TURNS_BUSY 64

void
mia_fabric_init_lists(struct data_mover_fabric *dmf)
{
	mia_fabric_list_init(&dmf->incoming);
	mia_fabric_list_init(&dmf->over);
	mia_fabric_list_init(&dmf->posting);
	mia_fabric_list_init(&dmf->unbuffered);
	mia_fabric_flush_init(dmf);
}

/* Operations, by the busy thread */

static bool
may_post(const struct mia_fabric_operation *op)
{
	return op->posted < op->n && op->under_way < op->max_parts;
}

static void
add_to_all(struct data_mover_fabric *dmf, struct mia_fabric_operation *op)
{
	op->next_of_all = dmf->all;
	op->prev_of_all = &dmf->all;
	if (dmf->all != NULL)
		dmf->all->prev_of_all = &op->next_of_all;
	dmf->all = op;
}

/* The operation is over: afterwards only the list over contains it. */
static void
end(struct mia_fabric_operation *op, struct mia_fabric_list *over)
{
	if (op->buffer != NULL)
		mia_fabric_put_buffer(op);
	*op->prev_of_all = op->next_of_all;
	if (op->next_of_all != NULL)
		op->next_of_all->prev_of_all = op->prev_of_all;
	mia_fabric_list_add(over, op);
}

/* All bytes of the operation have been moved. */
static void
settle_moved(struct mia_fabric_operation *op, struct mia_fabric_list *over)
{
	if (op->kind == MIA_FABRIC_GET && (op->flags & VDM_F_MEM_DURABLE) != 0)
		mia_memory_flush(op->local, op->n);
	if (op->to_flush == 0) {
		end(op, over);
		return;
	}
	if (op->buffer != NULL)
		mia_fabric_put_buffer(op);
	mia_fabric_flush_add(op);
}

static void
settle_flush(struct data_mover_fabric *dmf, struct mia_fabric_list *over)
{
	struct mia_fabric_operation *done;

	mia_fabric_flush_settle(dmf);
	while ((done = mia_fabric_flush_take(dmf)) != NULL)
		end(done, over);
}

static void
settle(struct mia_fabric_operation *op, struct mia_fabric_list *over)
{
	if (op->kind == MIA_FABRIC_ASK) {
		settle_flush(op->dmf, over);
	} else if (op->posted == op->n && op->under_way == 0) {
		settle_moved(op, over);
	} else if (!op->is_posting && may_post(op)) {
		op->is_posting = true;
		mia_fabric_list_add(&op->dmf->posting, op);
	}
}

/* Breaks the mover for ever, and fails all operations. */
static void
break_off(
	struct data_mover_fabric *dmf, int error, struct mia_fabric_list *over)
{
	struct mia_fabric_operation *op;

	/* Relaxed: only a flag; each operation publishes its own result. */
	if (atomic_load_explicit(&dmf->error, memory_order_relaxed) == 0)
		atomic_store_explicit(&dmf->error, error, memory_order_relaxed);
	if (dmf->reads > 0 && mia_fabric_end_cut_off(&dmf->end)) {
		mia_fabric_take_parts(dmf);
		if (dmf->reads > 0)
			mia_fabric_end_abandon(&dmf->end);
	}
	mia_fabric_end_disconnect(&dmf->end);
	mia_fabric_take_parts(dmf);
	mia_fabric_end_close_queue(&dmf->end);
	/* An event loop must not wake up for the timer any more. */
	mia_event_fd_arm(&dmf->end.event, 0);
	/* libfabric will not return the other parts. */
	dmf->under_way = 0;
	dmf->reads = 0;
	mia_fabric_list_init(&dmf->posting);
	mia_fabric_list_init(&dmf->unbuffered);
	mia_fabric_flush_init(dmf);
	while ((op = dmf->all) != NULL) {
		mia_completion_fail(&op->completion, VDM_ERROR_JOB_CORRUPTED);
		end(op, over);
	}
}

/*
 * The operation, the first of posting, gets no buffer. If a buffer is in use,
 * the operation waits for it. Otherwise the operation fails, and others get
 * their turn here, because no buffer will be returned.
 */
static void
wait_for_buffer(struct mia_fabric_operation *op, struct mia_fabric_list *over)
{
	struct data_mover_fabric *dmf = op->dmf;

	(void)mia_fabric_list_take(&dmf->posting);
	if (dmf->buffered > 0) {
		mia_fabric_list_add(&dmf->unbuffered, op);
	} else {
		mia_completion_fail(&op->completion, VDM_ERROR_OUT_OF_MEMORY);
		end(op, over);
		mia_fabric_give_turns(dmf);
	}
}

/*
 * libfabric has refused a part although none is in progress, so there is room:
 * the connection is lost. libfabric does not report this, and tries to connect
 * again. Returns whether this has lasted too long. Counts refusals at
 * intervals, and not only time, because a program may poll seldom.
 */
static bool
is_lost(struct data_mover_fabric *dmf)
{
	const uint64_t now = mia_clock_ns();
	const uint64_t ns = dmf->idle_ns / 2 / REFUSALS < REFUSED_NS
		? dmf->idle_ns / 2 / REFUSALS
		: REFUSED_NS;

	if (dmf->refusals == 0 || now - dmf->refused_ns >= ns) {
		dmf->refusals++;
		dmf->refused_ns = now;
		dmf->timer_ns = now + ns;
		mia_event_fd_arm(&dmf->end.event, ns);
	}
	return dmf->refusals > REFUSALS;
}

/* libfabric has accepted a part. */
static void
end_refusals(struct data_mover_fabric *dmf)
{
	if (dmf->refusals == 0)
		return;
	dmf->refusals = 0;
	dmf->timer_ns = 0;
	mia_event_fd_arm(&dmf->end.event, 0);
}

/* Posts parts while libfabric accepts them, one of each operation in turn. */
static int
post_parts(struct data_mover_fabric *dmf, struct mia_fabric_list *over)
{
	struct mia_fabric_operation *op;

	while (dmf->under_way < dmf->queue &&
		(op = dmf->posting.first) != NULL) {
		if (mia_fabric_needs_buffer(op) && !mia_fabric_get_buffer(op)) {
			wait_for_buffer(op, over);
			continue;
		}

		const ssize_t r = mia_fabric_post_part(op);

		if (r == -FI_EAGAIN)
			return dmf->under_way == 0 && is_lost(dmf) ? -ECONNRESET
								   : 0;
		if (r != 0)
			return mia_fabric_error(r);
		end_refusals(dmf);
		(void)mia_fabric_list_take(&dmf->posting);
		op->is_posting = may_post(op);
		if (op->is_posting)
			mia_fabric_list_add(&dmf->posting, op);
	}
	return 0;
}

/* Reads the queue once. Returns 0, or -errno: the mover breaks. */
static int
read_queue(struct data_mover_fabric *dmf, struct mia_fabric_list *over)
{
	struct fi_cq_data_entry entries[ENTRIES];
	const ssize_t n = fi_cq_read(dmf->end.cq, entries, ENTRIES);

	if (n == -FI_EAVAIL)
		return mia_fabric_take_error(dmf);
	if (n == -FI_EAGAIN)
		return 0;
	if (n < 0)
		return mia_fabric_error(n);

	for (ssize_t i = 0; i < n; i++) {
		struct mia_fabric_operation *op = entries[i].op_context;

		if (op == NULL)
			continue; /* from a stranger: see fabric_parts.h */
		mia_fabric_return_part(op);
		settle(op, over);
		dmf->last_ns = mia_clock_ns();
	}
	return 0;
}

/*
 * Returns whether nothing has happened for too long. A part may take longer in
 * a slow network, but its bytes count as a sign of life. Without a thread, the
 * timer makes the descriptor readable for the next check. Time without checks
 * does not count, except for the usual interval between two checks: the program
 * was busy, or stopped.
 */
static bool
is_late(struct data_mover_fabric *dmf)
{
	const bool has_work = dmf->all != NULL;

	if (!has_work && dmf->timer_ns == 0)
		return false;

	const uint64_t now = mia_clock_ns();

	/* While parts are refused, is_lost() sets the timer. */
	if (!dmf->has_thread && dmf->refusals == 0 && now >= dmf->timer_ns) {
		const uint64_t ns = has_work ? dmf->idle_ns / LOOKS : 0;

		dmf->timer_ns = has_work ? now + ns : 0;
		mia_event_fd_arm(&dmf->end.event, ns);
	}
	if (now - dmf->looked_ns >= dmf->idle_ns / 2)
		dmf->last_ns += now - dmf->looked_ns - dmf->idle_ns / LOOKS;
	if (dmf->last_ns > now)
		dmf->last_ns = now; /* something has come just now */
	dmf->looked_ns = now;
	if (has_work && now - dmf->last_ns >= dmf->idle_ns / LOOKS &&
		mia_fabric_end_has_moved(&dmf->end, dmf->idle_ns / LOOKS))
		dmf->last_ns = now;
	return has_work &&
		(now - dmf->last_ns >= dmf->idle_ns || dmf->flush.is_late);
}

/* The work of a busy thread. */
enum effort { POSTS, POSTS_AND_READS };

static int
read_and_post(struct data_mover_fabric *dmf, struct mia_fabric_list *over)
{
	const int error = read_queue(dmf, over);

	return error == 0 ? post_parts(dmf, over) : error;
}

static void
advance(struct data_mover_fabric *dmf, struct mia_fabric_operation *incoming,
	enum effort effort, struct mia_fabric_list *over)
{
	if (incoming != NULL && dmf->all == NULL) {
		dmf->last_ns = mia_clock_ns();
		dmf->looked_ns = dmf->last_ns;
	}
	while (incoming != NULL) {
		struct mia_fabric_operation *op = incoming;

		incoming = op->next;
		add_to_all(dmf, op);
		op->is_posting = false;
		settle(op, over);
	}
	if (dmf->end.ep == NULL) {
		break_off(dmf, ECONNRESET, over);
		return;
	}

	int error = post_parts(dmf, over);

	/* If posting is not empty, returned parts may make room. */
	if (error == 0 &&
		(effort == POSTS_AND_READS || dmf->posting.first != NULL))
		error = read_and_post(dmf, over);
	/* The peer is not late if its answers have not been read. */
	for (int i = 0; error == 0 && is_late(dmf); i++)
		error = i < LAST_READS ? read_and_post(dmf, over) : -ETIMEDOUT;
	if (error != 0)
		break_off(dmf, -error, over);
}

/* Becoming busy, and leaving */

/* Takes the operations that came in. Without any, leaves. */
static struct mia_fabric_operation *
take_or_leave(struct data_mover_fabric *dmf)
{
	mia_mutex_lock(&dmf->lock);

	struct mia_fabric_operation *incoming = dmf->incoming.first;

	mia_fabric_list_init(&dmf->incoming);
	if (incoming == NULL) {
		dmf->is_busy = false;
		if (dmf->waiting > 0)
			mia_cond_signal(&dmf->left);
	}
	mia_mutex_unlock(&dmf->lock);
	return incoming;
}

/* Leaves. Returns whether operations remain for the next busy thread. */
static bool
leave(struct data_mover_fabric *dmf)
{
	mia_mutex_lock(&dmf->lock);
	const bool has_more =
		dmf->incoming.first != NULL || dmf->over.first != NULL;

	dmf->is_busy = false;
	if (dmf->waiting > 0)
		mia_cond_signal(&dmf->left);
	mia_mutex_unlock(&dmf->lock);
	return has_more;
}

/* Adds operations whose wakers are due to the mover's list. */
static void
hand_over(struct data_mover_fabric *dmf, struct mia_fabric_list *over)
{
	mia_mutex_lock(&dmf->lock);
	mia_fabric_list_append(&dmf->over, over);
	mia_mutex_unlock(&dmf->lock);
}

static struct mia_fabric_operation *
take_over(struct data_mover_fabric *dmf)
{
	mia_mutex_lock(&dmf->lock);
	struct mia_fabric_operation *op = mia_fabric_list_take(&dmf->over);

	mia_mutex_unlock(&dmf->lock);
	return op;
}

/* Calls the wakers that are due, without a lock: one may end the thread. */
static void
finish(struct data_mover_fabric *dmf)
{
	struct mia_fabric_operation *op;

	while ((op = take_over(dmf)) != NULL) {
		mia_completion_finish(&op->completion);
		/* The waker has forked: this is the child. */
		if (mia_forked_since(dmf->forks))
			return;
	}
}

/*
 * Whether the poll of this operation may complete it without its waker. A waker
 * of an earlier poll is due: a queue waits for it.
 */
static bool
needs_no_wake(const struct mia_fabric_operation *op)
{
	const struct future_waker none = {NULL, NULL};

	return op->brings_waker ||
		mia_completion_has_waker(&op->completion, none);
}

/* Calls no wakers: the mover's thread completes operations with a waker. */
static void
finish_silently(struct mia_fabric_operation *own, struct mia_fabric_list *over)
{
	struct data_mover_fabric *dmf = own->dmf;
	struct mia_fabric_operation *op;
	struct mia_fabric_list left;

	mia_fabric_list_init(&left);
	while ((op = mia_fabric_list_take(over)) != NULL)
		if (op == own && needs_no_wake(op))
			mia_completion_end_here(&op->completion);
		else if (!mia_completion_finish_silently(&op->completion))
			mia_fabric_list_add(&left, op);
	if (left.first != NULL) {
		hand_over(dmf, &left);
		mia_event_fd_set(&dmf->end.event);
	}
}

void
mia_fabric_add(struct mia_fabric_operation *op)
{
	struct data_mover_fabric *dmf = op->dmf;

	op->is_new = true;
	op->buffer = NULL;
	op->posted = op->kind == MIA_FABRIC_FLUSH ? op->n : 0;
	op->under_way = 0;
	op->relay = MIA_FABRIC_EMPTY;
	mia_mutex_lock(&dmf->lock);
	mia_fabric_list_add(&dmf->incoming, op);
	mia_mutex_unlock(&dmf->lock);
}

/* Called under the lock. Takes the operations that came in. */
static struct mia_fabric_operation *
become_busy(struct data_mover_fabric *dmf)
{
	struct mia_fabric_operation *incoming = dmf->incoming.first;

	mia_fabric_list_init(&dmf->incoming);
	dmf->is_busy = true;
	return incoming;
}

void
mia_fabric_run(struct mia_fabric_operation *op)
{
	struct data_mover_fabric *dmf = op->dmf;
	struct mia_fabric_operation *incoming;
	struct mia_fabric_list over;
	/* An operation that was just begun is not over yet. */
	const enum effort effort = op->is_new ? POSTS : POSTS_AND_READS;
	int rounds = 0;

	op->is_new = false;
	mia_mutex_lock(&dmf->lock);
	if (dmf->is_busy) {
		mia_mutex_unlock(&dmf->lock);
		return;
	}
	incoming = become_busy(dmf);
	mia_mutex_unlock(&dmf->lock);

	mia_fabric_list_init(&over);
	do {
		advance(dmf, incoming, effort, &over);
		incoming = ++rounds < ROUNDS ? take_or_leave(dmf) : NULL;
	} while (incoming != NULL);
	if (rounds == ROUNDS && leave(dmf))
		mia_event_fd_set(&dmf->end.event);
	finish_silently(op, &over);
}

bool
mia_fabric_serve(struct data_mover_fabric *dmf, enum mia_fabric_service service)
{
	struct mia_fabric_operation *incoming;
	struct mia_fabric_list over;

	struct mia_spin spin = MIA_SPIN_LOCK;

	mia_mutex_lock(&dmf->lock);
	/* A poll is busy for some microseconds, and often the next poll too. */
	for (int i = 0; i < TURNS_BUSY && dmf->is_busy; i++) {
		mia_mutex_unlock(&dmf->lock);
		(void)mia_spin(&spin);
		mia_mutex_lock(&dmf->lock);
	}
	dmf->waiting++;
	while (dmf->is_busy)
		(void)mia_cond_wait_until(
			&dmf->left, &dmf->lock, mia_clock_ns() + MIA_NS_PER_S);
	dmf->waiting--;
	incoming = become_busy(dmf);
	mia_mutex_unlock(&dmf->lock);

	const uint64_t last_ns = dmf->last_ns;

	mia_fabric_list_init(&over);
	advance(dmf, incoming, POSTS_AND_READS, &over);

	const bool happened = over.first != NULL || dmf->last_ns != last_ns;
	/* Operations without room wait for a part to return, or the timer. */
	const bool is_idle = service == MIA_FABRIC_LINGERS
		? !happened
		: mia_fabric_end_may_sleep(&dmf->end) &&
			(dmf->posting.first == NULL || dmf->under_way > 0 ||
				dmf->refusals > 0);
	const bool has_more = leave(dmf);

	hand_over(dmf, &over);
	finish(dmf);
	return is_idle && !has_more;
}

void
mia_fabric_end_all(struct data_mover_fabric *dmf, int error)
{
	struct mia_fabric_operation *op;
	struct mia_fabric_list over;

	/* Locked, because nothing else orders pollers before this thread. */
	mia_mutex_lock(&dmf->lock);
	while ((op = mia_fabric_list_take(&dmf->incoming)) != NULL)
		add_to_all(dmf, op);
	mia_mutex_unlock(&dmf->lock);
	mia_fabric_list_init(&over);
	break_off(dmf, error, &over);
	hand_over(dmf, &over);
	finish(dmf);
}
