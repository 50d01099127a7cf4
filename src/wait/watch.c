/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * watch.c -- the futures of a wait, and which of them a pass polls
 *
 * Nouns:
 *   waiter        one future, which may be hot, refused or kept (waiter.h)
 *   number        the index of a waiter, and its number in ready.h
 *   ready waiter  a wake has pushed its number
 *   pass          polls some waiters: those of asynchronous futures first,
 *                 otherwise in the order in which they were added
 *   twin          a second pointer to the same future
 *
 * The first pass polls all waiters. The safety net polls all waiters except
 * refused waiters. Other passes poll the ready and hot waiters, and a few
 * refused waiters. Therefore the cost of a wait grows with the number of wakes,
 * and not with the number of futures times the number of passes.
 *
 * Invariants:
 *   - After the first pass, a waiter whose fut is not NULL is kept, hot or
 *     refused, or its future has answered WAKER.
 *   - A waiter is on one list at most.
 *   - In a runtime's wait, the waiters' addresses have the order in which the
 *     futures were added. A queue reuses numbers.
 *   - A pass takes the numbers before it polls. Therefore a wake during a poll
 *     makes the waiter ready for the next pass.
 *   - Wakers never touch a waiter. So waiters may be freed between two waits,
 *     and moved when a queue needs more of them. The number of a late wake
 *     belongs to another waiter or to none. An unnecessary poll does no harm.
 *   - A wake counts only if a poll of this watch was answered WAKER. Nothing is
 *     kept for an abandoned future, and its number is used again at once. If a
 *     mover keeps an earlier waker, it leaves notifier_used unchanged. Then its
 *     future is hot, and needs no wake.
 */

#include "wait/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "system/platform.h"
#include "wait/waiter.h"
#include "wait/waiters.h"

/*
 * Refused futures that a pass polls, in turn. They usually wait for the same
 * mover. If the mover has no room for these futures, it has none for the
 * others.
 */
#define REFUSED_POLLS 16

/*
 * The polls of a pass work for about this time. Later polls only make offers.
 */
#define PASS_WORK_NS UINT64_C(15000)

/* Pieces of one future before the turn of the next future. */
#define PIECES_IN_A_ROW 8

/* A pass polls asynchronous futures first. */
enum kind { ASYNCHRONOUS, SYNCHRONOUS };

/* One pass. */
struct pass {
	struct mia_meter *meter; /* may be NULL */
	enum mia_effort effort;
	bool is_net;        /* only kept futures get an offer */
	bool may_end;       /* the pass ends early at the goal */
	unsigned nworked;   /* polls that have worked */
	unsigned next_look; /* nworked at the next read of the clock */
	uint64_t start_ns;  /* first read of the clock */
	bool progress;      /* a future has started or completed */
};

/*
 * A poll of this pass has worked. Reading the clock takes a tenth of the time
 * of a copy of 32 KiB. So after short polls the clock is read only after some
 * more polls.
 */
static void
limit_work(struct pass *pass)
{
	if (pass->nworked++ < pass->next_look)
		return;

	const uint64_t now = mia_clock_ns();

	if (pass->next_look == 0)
		pass->start_ns = now;

	const uint64_t all_ns = now - pass->start_ns;
	const uint64_t mean_ns = all_ns / pass->nworked;

	if (all_ns >= PASS_WORK_NS)
		pass->effort = MIA_EFFORT_OFFER;
	pass->next_look = pass->nworked;
	if (pass->nworked > 1 && mean_ns < PASS_WORK_NS / 8)
		pass->next_look += 3;
}

/* Whether the goal is reached. The meter has read the clock after the poll. */
static bool
is_over(const struct mia_watch *watch, const struct pass *pass)
{
	if (mia_watch_has_enough(watch))
		return true;
	if (watch->goal.end_ns == MIA_NEVER)
		return false;

	const uint64_t now =
		pass->meter != NULL ? pass->meter->last_ns : mia_clock_ns();

	return mia_goal_left_ns(&watch->goal, now) == 0;
}

static void
count_complete(struct mia_watch *watch, struct mia_waiter *waiter)
{
	watch->nleft--;
	if (MIA_UNLIKELY(watch->waiters->has_twins))
		watch->nleft -= mia_waiters_twins(watch->waiters, waiter);
	if (waiter->link.prev != NULL)
		mia_list_remove(&waiter->link);
	if (watch->lists_done)
		mia_list_append(&watch->done, &waiter->link);
}

/* Removes a complete future from its list. */
static inline void
poll_waiter(
	struct mia_watch *watch, struct mia_waiter *waiter, struct pass *pass)
{
	const enum mia_effort effort =
		pass->is_net && !waiter->kept ? MIA_EFFORT_NONE : pass->effort;
	const struct mia_polled polled = mia_waiter_poll(waiter, effort);

	if (polled.worked && watch->nadded > 1)
		limit_work(pass);
	if (pass->meter != NULL)
		mia_meter_count(pass->meter);
	if (polled.what == MIA_POLL_COMPLETE)
		count_complete(watch, waiter);
	if (polled.what != MIA_POLL_NOTHING)
		pass->progress = true;
}

/* Puts a waiter whose future is not complete on its list. */
static void
file_waiter(struct mia_watch *watch, struct mia_waiter *waiter)
{
	if (waiter->kept)
		mia_list_append(&watch->kept, &waiter->link);
	else if (mia_waiter_is_hot(waiter))
		mia_list_append(mia_waiter_is_refused(waiter) ? &watch->refused
							      : &watch->hot,
			&waiter->link);
}

/* Polls the waiters of one kind in a list. Returns true if the pass is over. */
static bool
poll_kind(struct mia_watch *watch, const struct mia_list *list, enum kind kind,
	struct pass *pass)
{
	struct mia_link *next;

	for (struct mia_link *link = list->head.next; link != &list->head;
		link = next) {
		struct mia_waiter *waiter = mia_waiter_of(link);

		next = link->next;
		if (kind == ASYNCHRONOUS)
			waiter->polled = future_has_property(
				waiter->fut, FUTURE_PROPERTY_ASYNC);
		if (waiter->polled != (kind == ASYNCHRONOUS))
			continue;
		poll_waiter(watch, waiter, pass);
		if (pass->may_end && is_over(watch, pass))
			return true;
	}

	return false;
}

/*
 * Polls the waiters of a list, first those of asynchronous futures, until the
 * pass is over. Then moves all waiters to their lists, in the same order.
 */
static void
poll_list(struct mia_watch *watch, struct mia_list *list, struct pass *pass)
{
	struct mia_link *link;

	/* The handling of the lists does not count as work. */
	if (pass->meter != NULL)
		mia_meter_begin(pass->meter);

	if (!poll_kind(watch, list, ASYNCHRONOUS, pass))
		poll_kind(watch, list, SYNCHRONOUS, pass);
	while ((link = mia_list_take(list)) != NULL)
		file_waiter(watch, mia_waiter_of(link));
}

bool
mia_watch_pass_all(struct mia_watch *watch, enum mia_effort effort)
{
	const bool is_net = effort == MIA_EFFORT_OFFER;
	struct pass pass = {
		.effort = effort, .is_net = is_net, .may_end = is_net};
	struct mia_list list;

	/* Waiters with an unchanged word are polled too. */
	while (mia_list_take(&watch->hot) != NULL)
		continue;
	while (mia_list_take(&watch->kept) != NULL)
		continue;

	/* Refused waiters are already on a list, so the append skips them. */
	mia_list_init(&list);
	for (size_t i = 0; i < watch->nadded; i++) {
		struct mia_waiter *waiter = &watch->waiters->waiters[i];

		if (waiter->fut != NULL)
			mia_list_append(&list, &waiter->link);
	}

	poll_list(watch, &list, &pass);
	return pass.progress;
}

void
mia_watch_work(struct mia_watch *watch, enum mia_effort effort)
{
	struct mia_waiter *waiter = mia_waiter_of(watch->kept.head.next);
	struct pass pass = {.effort = effort};

	poll_waiter(watch, waiter, &pass);
	if (waiter->fut != NULL && waiter->kept &&
		++watch->npieces < PIECES_IN_A_ROW)
		return; /* the same future is next */

	watch->npieces = 0;
	if (waiter->fut == NULL)
		return;

	mia_list_remove(&waiter->link);
	file_waiter(watch, waiter);
}

void
mia_watch_give_up(struct mia_watch *watch)
{
	struct pass pass = {.effort = MIA_EFFORT_NONE};
	struct mia_list list;
	struct mia_link *link;

	mia_list_init(&list);
	while ((link = mia_list_take(&watch->kept)) != NULL)
		mia_list_append(&list, link);
	poll_list(watch, &list, &pass);
}

/*
 * Moves the hot waiters to list, and waiters with an unchanged word to
 * unchanged. Returns true if a word has changed.
 */
static bool
move_hot(struct mia_watch *watch, struct mia_list *list,
	struct mia_list *unchanged)
{
	struct mia_link *link;
	bool changed = false;

	while ((link = mia_list_take(&watch->hot)) != NULL) {
		switch (mia_waiter_look(mia_waiter_of(link))) {
		case MIA_LOOK_UNCHANGED:
			mia_list_append(unchanged, link);
			continue;
		case MIA_LOOK_CHANGED:
			changed = true;
			break;
		case MIA_LOOK_NO_WORD:
			break;
		}
		mia_list_append(list, link);
	}

	return changed;
}

static void
move_refused(struct mia_watch *watch, struct mia_list *list)
{
	for (int i = 0; i < REFUSED_POLLS; i++) {
		struct mia_link *link = mia_list_take(&watch->refused);

		if (link == NULL)
			return;
		mia_list_append(list, link);
	}
}

/*
 * Appends the ready waiters to the list, and makes them hot. Returns true if a
 * wake has arrived.
 */
static bool
append_ready(struct mia_watch *watch, struct mia_list *list)
{
	struct mia_ready_batch batch = mia_ready_take(watch->ready);
	bool woken = false;
	size_t number;

	watch->roused |= batch.roused;

	while ((number = mia_ready_pop(&batch)) != MIA_READY_NONE) {
		woken = true;

		/* A late wake may be for a waiter that is not in use. */
		if (number >= watch->nadded)
			continue;

		struct mia_waiter *waiter = &watch->waiters->waiters[number];

		if (waiter->fut == NULL)
			continue;
		mia_waiter_woken(waiter);
		if (waiter->link.prev != NULL)
			mia_list_remove(&waiter->link);
		mia_list_append(list, &waiter->link);
	}

	return woken;
}

bool
mia_watch_pass(struct mia_watch *watch, enum mia_pass which,
	enum mia_effort effort, struct mia_meter *meter)
{
	struct pass pass = {.meter = meter, .effort = effort, .may_end = true};
	struct mia_list list;
	struct mia_list unchanged;
	struct mia_link *link;

	mia_list_init(&list);
	mia_list_init(&unchanged);

	const bool changed =
		which == MIA_PASS_DUE && move_hot(watch, &list, &unchanged);

	move_refused(watch, &list);

	const bool woken = append_ready(watch, &list);

	mia_list_sort(&list);

	poll_list(watch, &list, &pass);

	/* The next pass reads these words again. */
	while ((link = mia_list_take(&unchanged)) != NULL)
		mia_list_append(&watch->hot, link);

	return pass.progress || woken || changed;
}

static inline void
init_waiter(struct mia_watch *watch, size_t number, struct future *fut)
{
	mia_waiter_init(&watch->waiters->waiters[number], fut,
		(struct future_waker){
			.data = mia_ready_data(watch->ready, number),
			.wake = mia_ready_wake});
}

enum mia_put
mia_watch_put(struct mia_watch *watch, struct future *fut, size_t *number)
{
	struct pass pass = {.effort = MIA_EFFORT_ONCE};
	struct mia_link *link = mia_list_take(&watch->unused);
	struct mia_waiter *waiter = link != NULL
		? mia_waiter_of(link)
		: &watch->waiters->waiters[watch->nadded++];

	*number = (size_t)(waiter - watch->waiters->waiters);
	watch->nleft++;
	init_waiter(watch, *number, fut);
	poll_waiter(watch, waiter, &pass);
	if (waiter->fut == NULL)
		return MIA_PUT_DONE;

	file_waiter(watch, waiter);
	return mia_waiter_is_hot(waiter) ? MIA_PUT_HOT : MIA_PUT_WAITING;
}

size_t
mia_watch_take_done(struct mia_watch *watch)
{
	struct mia_link *link = mia_list_take(&watch->done);

	if (link == NULL)
		return MIA_READY_NONE;

	/* The number is used next, while its memory is warm. */
	mia_list_prepend(&watch->unused, link);
	return (size_t)(mia_waiter_of(link) - watch->waiters->waiters);
}

static void
drop_all(struct mia_watch *watch)
{
	watch->nadded = 0;
	watch->nleft = 0;
	watch->goal = MIA_NO_GOAL;
	mia_list_init(&watch->hot);
	mia_list_init(&watch->kept);
	mia_list_init(&watch->refused);
	mia_list_init(&watch->done);
	mia_list_init(&watch->unused);
}

void
mia_watch_init(struct mia_watch *watch, struct mia_ready *ready,
	enum mia_watch_done done)
{
	memset(watch, 0, sizeof(*watch));
	watch->ready = ready;
	watch->lists_done = done == MIA_WATCH_LISTS_DONE;
	drop_all(watch);
}

void
mia_watch_fini(struct mia_watch *watch)
{
	free(watch->waiters);
}

/* Not the twins: a queue has none, and a wait clears them when it begins. */
static void
move_all(struct mia_watch *watch, struct mia_waiters *to)
{
	const struct mia_waiters *from = watch->waiters;
	struct mia_list *const lists[] = {&watch->hot, &watch->kept,
		&watch->refused, &watch->done, &watch->unused};

	memcpy(to->waiters, from->waiters,
		watch->nadded * sizeof(to->waiters[0]));
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		mia_list_move(lists[i], from->waiters, to->waiters);
}

int
mia_watch_grow(struct mia_watch *watch, size_t n)
{
	struct mia_waiters *bigger = mia_waiters_new(n);

	if (bigger == NULL)
		return -ENOMEM;

	const int error = mia_ready_reserve(watch->ready, bigger->capacity);

	if (error != 0) {
		free(bigger);
		return error;
	}

	if (watch->waiters != NULL)
		move_all(watch, bigger);
	free(watch->waiters);
	watch->waiters = bigger;
	watch->capacity = bigger->capacity;
	return 0;
}

/* Discards the wakes of abandoned futures. */
static MIA_NOINLINE void
take_late(struct mia_watch *watch)
{
	struct mia_ready_batch late = mia_ready_take(watch->ready);

	while (mia_ready_pop(&late) != MIA_READY_NONE)
		continue;
}

void
mia_watch_clear(struct mia_watch *watch, size_t n)
{
	if (MIA_UNLIKELY(!mia_ready_is_empty(watch->ready)))
		take_late(watch);
	drop_all(watch);
	if (n > 0)
		mia_waiters_clear(watch->waiters, n);
}

void
mia_watch_add(struct mia_watch *watch, struct future *futs[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const size_t number = watch->nadded;

		if (futs[i]->context.state == FUTURE_STATE_COMPLETE)
			continue;
		watch->nleft++;
		if (mia_waiters_is_twin(watch->waiters, futs[i], number))
			continue;
		init_waiter(watch, number, futs[i]);
		watch->nadded++;
	}
}

struct mia_waiters *
mia_watch_strip(struct mia_watch *watch, struct mia_waiters *list)
{
	struct mia_waiters *waiters = watch->waiters;

	if (waiters == NULL)
		return list;

	drop_all(watch);
	watch->waiters = NULL;
	watch->capacity = 0;
	waiters->next = list;
	return waiters;
}
