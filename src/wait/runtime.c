/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * runtime.c -- waits for many futures without burning the CPU or missing a
 * wake
 *
 * Nouns:
 *   wait    one call of runtime_wait*(): a parker, what is ready, waiters.
 *           Waits are recycled, and freed only with the runtime, also those of
 *           calls that never returned.
 *   waiter  one future of that call, with the notifier that its polls bring
 *   ready   a wake came for the waiter (ready.h)
 *   pass    polls some waiters: all of them at first, and all but the refused
 *           when the safety net strikes; else those that are ready, those that
 *           are hot, and a few of those that were refused
 *   hot     cannot wake us (NONE), or has a word to look at (POLLER), or was
 *           woken a moment ago and may be about to complete
 *   refused could not start (IDLE, NONE), or is a chain whose entry could not:
 *           its mover has no room now
 *   works   does its work in its polls: they take their time
 *
 * While something works the thread does nothing but polls. While something is
 * hot or refused the thread stays up for a time, pausing longer and longer;
 * then it sleeps between passes. When nothing is, it sleeps until a waker
 * comes. So the cost of a call goes with the number of wakes, not with futures
 * times passes.
 *
 * Why no wake is lost: ready.h returns the number of each wake, and rouse()
 * leaves a token in the parker that stays until the next park.
 *
 * A late wake makes the waiter of another future ready, or of none: a poll too
 * many does no harm. Waiters are written by the waiting thread alone, and freed
 * when the waits that are not in use have many.
 *
 * Threads: everything of a wait belongs to the thread that is in the call,
 * except for wait.ready and the parker.
 */

#include "libminiasync/runtime.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "system/parker.h"
#include "system/platform.h"
#include "system/backoff.h"
#include "wait/ready.h"

/*
 * The safety net: sleeps this long at first, and doubles. Not less than a tick
 * of the kernel's clock (4 ms on most): a timer before the next tick has to be
 * programmed and taken back for every sleep, which was measured to make a
 * wake-up 1.3 times as long. A test has these so long that it sees lost wakes.
 */
#ifndef NET_MIN_NS
#define NET_MIN_NS 4000000u
#define NET_MAX_NS 64000000u
#endif

/* Polls that a future gets beyond the one after its wake. */
#define LINGER_POLLS 16

/*
 * Refused futures that a pass tries again, in turn: as a rule they are of one
 * mover, and if that has no room for these, it has none for the others.
 */
#define REFUSED_POLLS 16

/* A poll that takes this long does work. */
#define WORK_NS 500u

/* Waiters that a new wait has room for. */
#define MIN_WAITERS 8

/*
 * Waiters, 80 bytes each, that waits which are not in use keep beside the
 * one that was used last; and the uses in a row for much fewer futures after
 * which that one gives up more than these as well.
 */
#define KEPT_WAITERS ((size_t)32768)
#define SMALL_USES 16

/*
 * What notifier_used is before a poll, to tell a task that answers nothing. Its
 * last answer holds, unless it is a chain that has gone on to another entry.
 */
#define NO_ANSWER ((enum future_notifier_type)0x6e6f)

struct waiter {
	struct future_notifier notifier;
	struct future *fut;         /* NULL: complete, or not in use */
	struct waiter *next_listed; /* in the list of a pass */
	uint64_t word;              /* POLLER: what it was before the poll */
	uint32_t padding;           /* of the future, after the last poll */
	bool doubtful;              /* its answer: see poll_and_listen() */
	unsigned linger;            /* hot for so many polls more */
	bool listed; /* on a list, by next_listed; hot, refused */
	bool polled; /* in this pass */
};

/*
 * An array of waiters. The table finds the waiter of a future while a wait
 * begins: numbers from 1, open addressing.
 */
struct waiters {
	struct waiters *next; /* to be freed */
	size_t capacity;      /* a power of two; the table has twice as many */
	uint32_t *table;
	struct waiter waiters[];
};

/* A list of waiters, in order, for one pass. */
struct list {
	struct waiter *first;
	struct waiter **end;
};

struct wait {
	/* A: a waker writes both, so they share a cache line. */
	_Alignas(MIA_CACHE_LINE) struct mia_ready ready;
	struct mia_parker parker;

	/* Of the thread in the call: NULL if given up. */
	_Alignas(MIA_CACHE_LINE) struct waiters *waiters;
	size_t nfuts;
	size_t nleft;        /* not complete yet */
	unsigned small_uses; /* in a row */
	struct list hot;
	struct list refused; /* who was polled last, is last */
	struct mia_yields yields;

	struct wait *next_unused; /* under the runtime's lock */
	struct wait *next;        /* in the list of all */
};

struct runtime {
	mia_mutex lock;

	/* Under the lock. */
	struct wait *all;
	struct wait *unused; /* the last used first */
	size_t nkept;        /* waiters of the unused */
};

/* How long polls take, in one pass. The clock is read after each. */
struct meter {
	uint64_t clock_ns; /* what a look at the clock takes */
	uint64_t start;    /* of the poll */
	uint64_t all_ns;   /* of all polls, with the looks */
	uint64_t work_ns;  /* of those that did work, without */
};

/* Two looks at the clock, one after the other. */
static void
meter_init(struct meter *meter, uint64_t first, uint64_t second)
{
	meter->clock_ns = second - first;
	meter->start = second;
	meter->all_ns = 0;
	meter->work_ns = 0;
}

/* A pass begins. NULL, here and below: nobody wants to know. */
static void
meter_begin(struct meter *meter)
{
	if (meter == NULL)
		return;

	meter->start = mia_clock_ns();
	meter->all_ns = 0;
	meter->work_ns = 0;
}

/* A poll has returned. */
static void
meter_count(struct meter *meter)
{
	if (meter == NULL)
		return;

	const uint64_t now = mia_clock_ns();
	const uint64_t ns = now - meter->start;

	if (ns >= WORK_NS + meter->clock_ns)
		meter->work_ns += ns - meter->clock_ns;
	meter->all_ns += ns;
	meter->start = now;
}

/*
 * A good part of the time went into polls that do work: not just one of many
 * that an interrupt made long.
 */
static bool
meter_works(const struct meter *meter)
{
	return meter->work_ns > 0 && meter->work_ns * 4 >= meter->all_ns;
}

static void
list_init(struct list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void
list_append(struct list *list, struct waiter *waiter)
{
	if (waiter->listed)
		return;

	waiter->listed = true;
	waiter->next_listed = NULL;
	*list->end = waiter;
	list->end = &waiter->next_listed;
}

/* Merges two lists, each in the caller's order and ended by NULL. */
static struct waiter *
merge(struct waiter *a, struct waiter *b)
{
	struct waiter *first = NULL;
	struct waiter **end = &first;

	while (a != NULL && b != NULL) {
		struct waiter **least = a < b ? &a : &b;

		*end = *least;
		end = &(*least)->next_listed;
		*least = *end;
	}
	*end = a != NULL ? a : b;
	return first;
}

static struct waiter *
merge_sort(struct waiter *first, size_t n)
{
	struct waiter *middle = first;

	if (n < 2)
		return first;
	for (size_t i = 1; i < n / 2; i++)
		middle = middle->next_listed;

	struct waiter *second = middle->next_listed;

	middle->next_listed = NULL;
	return merge(merge_sort(first, n / 2), merge_sort(second, n - n / 2));
}

/*
 * Into the caller's order, which is that of the waiters in memory. Wakes
 * mostly come in it: then this is one look at each.
 */
static void
list_sort(struct list *list)
{
	bool sorted = true;
	size_t n = 0;

	for (struct waiter *w = list->first; w != NULL; w = w->next_listed) {
		n++;
		if (w->next_listed != NULL && w->next_listed < w)
			sorted = false;
	}
	if (sorted)
		return;

	list->first = merge_sort(list->first, n);
	list->end = &list->first;
	while (*list->end != NULL)
		list->end = &(*list->end)->next_listed;
}

/* From any thread. */
static void
rouse(struct mia_ready *ready)
{
	/* The first member. */
	struct wait *wait = (struct wait *)(void *)ready;

	mia_parker_unpark(&wait->parker);
}

/* Appends the waiters that were woken to the list. False: there were no wakes. */
static bool
take_ready(struct wait *wait, struct list *list)
{
	struct mia_ready_batch batch = mia_ready_take(&wait->ready);
	bool woken = false;
	size_t number;

	while ((number = mia_ready_pop(&batch)) != MIA_READY_NONE) {
		woken = true;

		/* A late wake may be for a waiter that this wait has not. */
		if (number >= wait->nfuts)
			continue;

		struct waiter *waiter = &wait->waiters->waiters[number];

		if (waiter->fut != NULL) {
			waiter->linger = LINGER_POLLS;
			list_append(list, waiter);
		}
	}

	return woken;
}

/*
 * The word that a POLLER future named. It is written by a thread or a device
 * that knows nothing of C11, so the load is the plain atomic one. Acquire:
 * pairs with the release of who changes it, as the threads mover does; a poll
 * that follows a change finds what the change announces. Where 64 bits are
 * not loaded at once, halves of different values are a change too.
 */
static uint64_t
monitored_word(const uint64_t *word)
{
#if UINTPTR_MAX >= UINT64_MAX
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
#else
	typedef uint32_t __attribute__((may_alias)) half;
	const half *halves = (const half *)word;

	return (uint64_t)__atomic_load_n(halves, __ATOMIC_ACQUIRE) << 32 |
		__atomic_load_n(halves + 1, __ATOMIC_ACQUIRE);
#endif
}

/* Whether the future is a chain that went on since its last poll here. */
static bool
has_moved(const struct waiter *waiter)
{
	return future_chain_has_moved_impl(
		waiter->padding, waiter->fut->context.padding);
}

/*
 * Whether there is a word to look at. There is none any more if another
 * future's task has completed this one, or the entry of a chain that named it.
 */
static bool
has_word(const struct waiter *waiter)
{
	return waiter->notifier.notifier_used == FUTURE_NOTIFIER_POLLER &&
		waiter->notifier.poller.ptr_to_monitor != NULL &&
		waiter->fut->context.state != FUTURE_STATE_COMPLETE &&
		!waiter->doubtful && !has_moved(waiter);
}

static bool
is_refused(const struct waiter *waiter)
{
	return waiter->notifier.notifier_used == FUTURE_NOTIFIER_NONE &&
		(waiter->fut->context.state == FUTURE_STATE_IDLE ||
			(waiter->fut->context.padding &
				FUTURE_CONTEXT_REFUSED_) != 0);
}

/*
 * Polls, and finds out which answer holds then. That of a chain which went on
 * is doubtful: it may be of an entry that is complete, and the current one said
 * nothing. The next poll tells. Returns true if the future is complete.
 */
static bool
poll_and_listen(struct waiter *waiter)
{
	struct future_notifier *n = &waiter->notifier;
	const enum future_notifier_type last =
		waiter->doubtful ? FUTURE_NOTIFIER_NONE : n->notifier_used;

	n->notifier_used = NO_ANSWER;
	n->padding = FUTURE_NOTIFIER_INLINE_;
	if (future_poll(waiter->fut, n) == FUTURE_STATE_COMPLETE)
		return true;

	const bool moved = has_moved(waiter);

	waiter->padding = waiter->fut->context.padding;
	waiter->doubtful = moved && n->notifier_used != NO_ANSWER &&
		n->notifier_used != FUTURE_NOTIFIER_NONE;
	if (n->notifier_used == NO_ANSWER)
		n->notifier_used = moved ? FUTURE_NOTIFIER_NONE : last;
	return false;
}

/* Returns true if the future got further: it started, or is complete. */
static bool
poll_waiter(struct wait *wait, struct waiter *waiter)
{
	const enum future_state state = waiter->fut->context.state;
	const bool was_refused = is_refused(waiter);

	if (waiter->linger > 0)
		waiter->linger--;

	/*
	 * The word is read before the poll; a change between the two shows at
	 * the next look. A poll that names another word, or gives a doubtful
	 * answer, is made again, once: if that is not enough, the next pass
	 * polls it.
	 */
	for (int polls = 0; polls < 2; polls++) {
		uint64_t *word = NULL;

		if (has_word(waiter)) {
			word = waiter->notifier.poller.ptr_to_monitor;
			waiter->word = monitored_word(word);
		}

		if (poll_and_listen(waiter)) {
			waiter->fut = NULL;
			wait->nleft--;
			return true;
		}
		if (!waiter->doubtful &&
			(!has_word(waiter) ||
				waiter->notifier.poller.ptr_to_monitor == word))
			return waiter->fut->context.state != state ||
				(was_refused && !is_refused(waiter));
	}

	waiter->linger = 1;
	return waiter->fut->context.state != state || was_refused;
}

static bool
is_hot(const struct waiter *waiter)
{
	return waiter->fut != NULL &&
		(waiter->linger > 0 ||
			waiter->notifier.notifier_used !=
				FUTURE_NOTIFIER_WAKER);
}

/*
 * Polls the listed waiters, asynchronous futures first. Those that are hot or
 * refused then are appended to the wait's lists, in the list's order. Returns
 * true if one got further.
 */
static bool
poll_list(struct wait *wait, struct list *list, struct meter *meter)
{
	struct waiter *next;
	bool progress = false;

	/* From here on: what is done with the lists is no work. */
	meter_begin(meter);

	for (struct waiter *w = list->first; w != NULL; w = w->next_listed) {
		w->polled = future_has_property(w->fut, FUTURE_PROPERTY_ASYNC);
		if (w->polled) {
			progress |= poll_waiter(wait, w);
			meter_count(meter);
		}
	}

	for (struct waiter *w = list->first; w != NULL; w = w->next_listed)
		if (!w->polled) {
			progress |= poll_waiter(wait, w);
			meter_count(meter);
		}

	for (struct waiter *w = list->first; w != NULL; w = next) {
		next = w->next_listed;
		w->listed = false;
		if (is_hot(w))
			list_append(
				is_refused(w) ? &wait->refused : &wait->hot, w);
	}

	return progress;
}

/* Takes the first waiter off a list that is not empty. */
static struct waiter *
list_take(struct list *list)
{
	struct waiter *waiter = list->first;

	list->first = waiter->next_listed;
	if (list->first == NULL)
		list_init(list);
	waiter->listed = false;
	return waiter;
}

/* All but the refused, whose turn comes: at first, all that there are. */
static bool
poll_all(struct wait *wait)
{
	struct list list;

	/* A word that does not change would keep them there for ever. */
	while (wait->hot.first != NULL)
		list_take(&wait->hot);

	list_init(&list);
	for (size_t i = 0; i < wait->nfuts; i++)
		if (wait->waiters->waiters[i].fut != NULL)
			list_append(&list, &wait->waiters->waiters[i]);

	return poll_list(wait, &list, NULL);
}

/* A watched word that has not changed: nothing to poll for. */
static bool
is_unchanged(const struct waiter *waiter)
{
	return waiter->linger == 0 && has_word(waiter) &&
		monitored_word(waiter->notifier.poller.ptr_to_monitor) ==
		waiter->word;
}

/* The hot ones that are worth a poll, a few refused, and those woken. */
static bool
poll_ready(struct wait *wait, struct meter *meter)
{
	struct list list;
	struct list unchanged;
	bool woken = false;

	list_init(&list);
	list_init(&unchanged);
	while (wait->hot.first != NULL) {
		struct waiter *waiter = list_take(&wait->hot);

		if (is_unchanged(waiter)) {
			list_append(&unchanged, waiter);
			continue;
		}
		if (waiter->linger == 0 && has_word(waiter))
			woken = true;
		list_append(&list, waiter);
	}
	for (int i = 0; i < REFUSED_POLLS && wait->refused.first != NULL; i++)
		list_append(&list, list_take(&wait->refused));

	woken |= take_ready(wait, &list);
	list_sort(&list);
	const bool progress = poll_list(wait, &list, meter);

	/* Words that have not changed are looked at again. */
	while (unchanged.first != NULL)
		list_append(&wait->hot, list_take(&unchanged));

	return progress || woken;
}

/*
 * A wake that comes by then needs no system call, and the worker that makes it
 * may need this CPU. Measured: a copy of 64 KiB on the mover with threads then
 * takes 4.5 us from start to end, else 21.
 */
static void
linger_for_wake(struct wait *wait)
{
	struct mia_linger linger;

	mia_linger_begin(&linger, &wait->yields, MIA_LINGER_BY_YIELDS);

	while (mia_ready_is_empty(&wait->ready) && mia_linger(&linger))
		continue;
}

/* The pauses between passes over hot futures. */
struct pace {
	struct mia_backoff backoff;
	bool worked; /* the last pass that was metered */
};

static void
pace_init(struct pace *pace, struct mia_yields *yields)
{
	mia_backoff_init(&pace->backoff, yields);
	pace->worked = false;
}

/*
 * What a thread does between two passes that found nothing, the second of them
 * at its end: returns the nanoseconds to sleep.
 *
 * No pause while the polls do work, from the second pass in a row: a single long
 * poll may be one that lost its CPU. Afterwards the pauses begin anew.
 */
static uint64_t
pace_after(struct pace *pace, const struct meter *meter)
{
	const bool worked = pace->worked;

	pace->worked = meter_works(meter);
	if (!worked || !pace->worked)
		return mia_backoff_pause(&pace->backoff);

	mia_backoff_reset(&pace->backoff);
	return 0;
}

/* Polls, and sleeps, until nothing is left. */
static void
wait_run(struct wait *wait)
{
	struct pace pace;
	struct meter meter;
	uint64_t net_ns = NET_MIN_NS;

	poll_all(wait);
	if (wait->nleft == 0)
		return;

	/* Whatever happens meanwhile, the net strikes net_ns after this. */
	uint64_t net_start = mia_clock_ns();

	pace_init(&pace, &wait->yields);
	meter_init(&meter, net_start, mia_clock_ns());
	while (wait->nleft > 0) {
		const bool is_up =
			wait->hot.first != NULL || wait->refused.first != NULL;
		const uint64_t now =
			is_up && pace.worked ? meter.start : mia_clock_ns();

		if (now - net_start >= net_ns) {
			/* If it caught something, it stays tight. */
			if (poll_all(wait))
				net_ns = NET_MIN_NS;
			else if (net_ns < NET_MAX_NS)
				net_ns *= 2;
			net_start = mia_clock_ns();
			meter.start = net_start;
			continue;
		}

		uint64_t sleep_ns = net_ns - (now - net_start);

		if (is_up) {
			const uint64_t nap_ns = pace_after(&pace, &meter);

			if (nap_ns < sleep_ns)
				sleep_ns = nap_ns;
		} else {
			linger_for_wake(wait);
		}

		if (sleep_ns > 0)
			mia_parker_park(&wait->parker, sleep_ns);
		if (poll_ready(wait, &meter))
			mia_backoff_reset(&pace.backoff);
	}
}

static struct wait *
wait_new(void)
{
	struct wait *wait =
		mia_aligned_alloc(_Alignof(struct wait), sizeof(*wait));

	if (wait == NULL)
		return NULL;

	memset(wait, 0, sizeof(*wait));
	mia_ready_init(&wait->ready, rouse);

	const int error = mia_parker_init(&wait->parker);

	if (error != 0) {
		mia_aligned_free(wait);
		errno = -error;
		return NULL;
	}
	return wait;
}

static size_t
wait_capacity(const struct wait *wait)
{
	return wait->waiters == NULL ? 0 : wait->waiters->capacity;
}

static void
wait_delete(struct wait *wait)
{
	mia_ready_fini(&wait->ready);
	free(wait->waiters);
	mia_parker_fini(&wait->parker);
	mia_aligned_free(wait);
}

/* Room for n waiters. Returns false, with all as it was, without memory. */
static bool
wait_reserve(struct wait *wait, size_t n)
{
	size_t capacity = MIN_WAITERS;

	if (n <= wait_capacity(wait))
		return true;

	while (capacity < n && capacity <= SIZE_MAX / 2)
		capacity *= 2;
	if (capacity < n || capacity > UINT32_MAX / 2 ||
		capacity > SIZE_MAX / 4 / sizeof(struct waiter))
		return false;

	const size_t size = sizeof(struct waiter) + 2 * sizeof(uint32_t);
	struct waiters *bigger = malloc(sizeof(*bigger) + capacity * size);

	if (bigger == NULL)
		return false;
	if (mia_ready_reserve(&wait->ready, capacity) != 0) {
		free(bigger);
		return false;
	}

	bigger->capacity = capacity;
	bigger->table = (uint32_t *)(void *)(bigger->waiters + capacity);
	free(wait->waiters);
	wait->waiters = bigger;
	return true;
}

/*
 * Whether an earlier waiter of this wait has the same future; if not, the
 * waiter with this number has it from now on. The multiplier is 2^64 divided
 * by the golden ratio (Knuth, "Sorting and Searching", 6.4).
 */
static bool
is_twin(struct waiters *waiters, size_t mask, const struct future *fut,
	size_t number)
{
	uint64_t at = (uintptr_t)fut * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	for (;; at++) {
		uint32_t *entry = &waiters->table[at & mask];

		if (*entry == 0) {
			*entry = (uint32_t)number + 1;
			return false;
		}
		if (waiters->waiters[*entry - 1].fut == fut)
			return true;
	}
}

/*
 * Takes over the futures that are not complete yet, each once: a future has
 * one notifier, so that only one of its waiters would ever be woken.
 */
static void
wait_begin(struct wait *wait, struct future *futs[], size_t nfuts)
{
	struct list stale;

	/* Wakes that came late, for futures of another call. */
	wait->nfuts = 0;
	list_init(&stale);
	take_ready(wait, &stale);

	list_init(&wait->hot);
	list_init(&wait->refused);
	wait->nfuts = nfuts;
	wait->nleft = 0;

	/* As much of the table as this wait needs: half of it stays free. */
	size_t size = 2;

	while (size < 2 * nfuts)
		size *= 2;
	memset(wait->waiters->table, 0, size * sizeof(uint32_t));

	for (size_t i = 0; i < nfuts; i++) {
		struct waiter *waiter = &wait->waiters->waiters[i];

		waiter->fut = NULL;
		waiter->listed = false;
		if (futs[i]->context.state == FUTURE_STATE_COMPLETE ||
			is_twin(wait->waiters, size - 1, futs[i], i))
			continue;

		waiter->notifier.waker.data = mia_ready_data(&wait->ready, i);
		waiter->notifier.waker.wake = mia_ready_wake;
		waiter->notifier.poller.ptr_to_monitor = NULL;
		waiter->notifier.notifier_used = FUTURE_NOTIFIER_NONE;
		waiter->notifier.padding = 0;
		waiter->fut = futs[i];
		waiter->padding = futs[i]->context.padding;
		waiter->doubtful = false;
		waiter->linger = 0;
		wait->nleft++;
	}
}

/*
 * Without memory for waiters: polls all in turn, with no notifier. NULL leaves
 * a waker of the caller's in place.
 */
static void
wait_by_polling(struct future *futs[], size_t nfuts)
{
	struct mia_yields yields = {0};
	struct pace pace;
	struct meter meter;
	size_t nleft = 0;

	pace_init(&pace, &yields);

	const uint64_t start = mia_clock_ns();

	meter_init(&meter, start, mia_clock_ns());
	do {
		const size_t nleft_before = nleft;

		nleft = 0;
		meter_begin(&meter);
		for (int async = 1; async >= 0; async--) {
			for (size_t i = 0; i < nfuts; i++) {
				struct future *fut = futs[i];

				if (fut->context.state !=
						FUTURE_STATE_COMPLETE &&
					future_has_property(
						fut, FUTURE_PROPERTY_ASYNC) ==
						async) {
					future_poll(fut, NULL);
					meter_count(&meter);
				}
			}
		}

		/* What was asynchronous a moment ago was polled neither way. */
		for (size_t i = 0; i < nfuts; i++)
			if (futs[i]->context.state != FUTURE_STATE_COMPLETE)
				nleft++;

		if (nleft < nleft_before)
			mia_backoff_reset(&pace.backoff);

		const uint64_t nap_ns =
			nleft > 0 ? pace_after(&pace, &meter) : 0;

		if (nap_ns > 0)
			mia_sleep(nap_ns);
	} while (nleft > 0);
}

/*
 * Whether a wait that has room for many futures has been used for few of them
 * for some time.
 */
static bool
wait_is_oversized(struct wait *wait)
{
	const size_t capacity = wait_capacity(wait);

	if (capacity <= KEPT_WAITERS || wait->nfuts > capacity / 4)
		wait->small_uses = 0;
	else
		wait->small_uses++;
	return wait->small_uses > SMALL_USES;
}

/*
 * The call is over. Only the waiters go that no call uses: a call that begins
 * finds them where the last one left them.
 */
static void
runtime_return_wait(struct runtime *runtime, struct wait *wait)
{
	struct waiters *garbage = NULL;

	if (wait_is_oversized(wait)) {
		free(wait->waiters);
		wait->waiters = NULL;
	}

	mia_mutex_lock(&runtime->lock);
	wait->next_unused = runtime->unused;
	runtime->unused = wait;

	/* Beside this one, those that were used last keep theirs. */
	if (runtime->nkept > KEPT_WAITERS) {
		runtime->nkept = 0;
		for (struct wait *w = wait->next_unused; w != NULL;
			w = w->next_unused) {
			const size_t capacity = wait_capacity(w);

			if (runtime->nkept + capacity <= KEPT_WAITERS) {
				runtime->nkept += capacity;
				continue;
			}
			w->waiters->next = garbage;
			garbage = w->waiters;
			w->waiters = NULL;
		}
	}
	runtime->nkept += wait_capacity(wait);
	mia_mutex_unlock(&runtime->lock);

	while (garbage != NULL) {
		struct waiters *next = garbage->next;

		free(garbage);
		garbage = next;
	}
}

/* A wait that belongs to the runtime, not in use; or NULL without memory. */
static struct wait *
runtime_take_any_wait(struct runtime *runtime)
{
	mia_mutex_lock(&runtime->lock);
	struct wait *wait = runtime->unused;

	if (wait != NULL) {
		runtime->unused = wait->next_unused;
		runtime->nkept -= wait_capacity(wait);
	}
	mia_mutex_unlock(&runtime->lock);
	if (wait != NULL)
		return wait;

	wait = wait_new();
	if (wait == NULL)
		return NULL;

	mia_mutex_lock(&runtime->lock);
	wait->next = runtime->all;
	runtime->all = wait;
	mia_mutex_unlock(&runtime->lock);
	return wait;
}

/* A wait with room for nfuts waiters, or NULL without memory. */
static struct wait *
runtime_take_wait(struct runtime *runtime, size_t nfuts)
{
	struct wait *wait = runtime_take_any_wait(runtime);

	if (wait == NULL || wait_reserve(wait, nfuts))
		return wait;

	runtime_return_wait(runtime, wait);
	return NULL;
}

MIA_PUBLIC struct runtime *
runtime_new(void)
{
	struct runtime *runtime = malloc(sizeof(*runtime));

	if (runtime == NULL)
		return NULL;

	const int error = mia_mutex_init(&runtime->lock);

	if (error != 0) {
		free(runtime);
		errno = -error;
		return NULL;
	}

	runtime->all = NULL;
	runtime->unused = NULL;
	runtime->nkept = 0;

	/* The first wait is made here, so that most calls need no memory. */
	struct wait *wait = runtime_take_wait(runtime, MIN_WAITERS);

	if (wait == NULL) {
		const int saved_errno = errno;

		runtime_delete(runtime);
		mia_restore_errno(saved_errno);
		return NULL;
	}

	runtime_return_wait(runtime, wait);
	return runtime;
}

MIA_PUBLIC void
runtime_delete(struct runtime *runtime)
{
	if (runtime == NULL)
		return;

	while (runtime->all != NULL) {
		struct wait *next = runtime->all->next;

		wait_delete(runtime->all);
		runtime->all = next;
	}
	mia_mutex_fini(&runtime->lock);
	free(runtime);
}

MIA_PUBLIC void
runtime_wait_multiple(
	struct runtime *runtime, struct future *futs[], size_t nfuts)
{
	if (nfuts == 0)
		return;

	const int saved_errno = errno;
	struct wait *wait = runtime_take_wait(runtime, nfuts);

	mia_restore_errno(saved_errno);
	if (wait == NULL) {
		wait_by_polling(futs, nfuts);
		return;
	}

	wait_begin(wait, futs, nfuts);
	wait_run(wait);
	runtime_return_wait(runtime, wait);
}

MIA_PUBLIC void
runtime_wait(struct runtime *runtime, struct future *fut)
{
	runtime_wait_multiple(runtime, &fut, 1);
}
