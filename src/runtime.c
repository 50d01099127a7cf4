/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * runtime.c -- waits for many futures without burning the CPU or missing a
 * wake
 *
 * Nouns:
 *   wait    one call of runtime_wait*(): a parker, the ready list, waiters.
 *           Waits are recycled, and freed only with the runtime.
 *   waiter  one future of that call, with the notifier that its polls bring
 *   ready   a lock-free list onto which wakers, from any thread, push waiters
 *   pass    polls some waiters: all of them at first, and all but the refused
 *           when the safety net strikes; else those that are ready, those that
 *           are hot, and a few of those that were refused
 *   hot     cannot wake us (NONE), or has a word to look at (POLLER), or was
 *           woken a moment ago and may be about to complete
 *   refused could not start (IDLE, NONE), or is a chain whose entry could not:
 *           its mover has no room now
 *
 * While something is hot or refused the thread stays up for a time, pausing
 * longer and longer; then it sleeps between passes. When nothing is, it sleeps
 * until a waker comes. So the cost of a call goes with the number of wakes, not
 * with futures times passes.
 *
 * Why no wake is lost: a waker makes its waiter ready and then unparks; the
 * token of that stays until the next park. The consumer clears queued before
 * it polls, so a wake during the poll makes the waiter ready again.
 *
 * Why no wake touches freed memory: wakers lead to waiters, and these are kept
 * until the runtime is deleted. A wake that comes late makes the waiter of
 * another future ready, or of none: a poll too many does no harm.
 *
 * Threads: everything of a wait belongs to the thread that is in the call,
 * but for waiter.queued, waiter.next_ready, wait.ready and the parker.
 */

#include "libminiasync/runtime.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "parker.h"
#include "platform.h"
#include "yields.h"

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
 * Passes over hot futures without progress: the first SPIN_PASSES with 1, 2,
 * 4, ... up to SPIN_MAX_PAUSES CPU pauses between (some 40 ns each), then
 * YIELD_PASSES that yield the CPU, then sleeps that grow by a quarter.
 */
#define SPIN_PASSES 32
#define SPIN_MAX_PAUSES 32
#define YIELD_PASSES 32
#define NAP_MIN_NS 20000u
#define NAP_MAX_NS 1000000u

/*
 * Before a sleep the thread yields for about as long as falling asleep and
 * being woken take: a wake that comes by then needs no system call, and the
 * worker that makes it may need this CPU. Measured: a copy of 64 KiB on the
 * mover with threads then takes 4.5 us from start to end, else 21.
 */
#define AWAKE_NS 70000u

/*
 * Refused futures that a pass tries again, in turn: as a rule they are of one
 * mover, and if that has no room for these, it has none for the others.
 */
#define REFUSED_POLLS 16

/* Waiters that a new wait has room for. */
#define MIN_WAITERS 8

struct wait;

struct waiter {
	struct future_notifier notifier;
	struct future *fut; /* NULL: complete, or not in use */
	struct wait *wait;
	struct waiter *next_listed; /* in the list of a pass */
	uint64_t word;              /* POLLER: what it was before the poll */
	unsigned linger;            /* hot for so many polls more */
	bool listed; /* on a list, by next_listed; hot, refused */
	bool polled; /* in this pass */

	/* Wakers write these. */
	atomic_uint queued; /* 1 from the push to the pop; a word, because
			       some CPUs cannot exchange a byte */
	struct waiter *next_ready;
};

/*
 * An array of waiters; a bigger one takes over, none is freed. The table finds
 * the waiter of a future while a wait begins: numbers from 1, open addressing.
 */
struct waiters {
	struct waiters *older;
	size_t capacity; /* a power of two; the table has twice as many */
	uint32_t *table;
	struct waiter waiters[];
};

/* A list of waiters, in order, for one pass. */
struct list {
	struct waiter *first;
	struct waiter **end;
};

struct wait {
	/* Written by wakers, so by itself. */
	_Alignas(MIA_CACHE_LINE) _Atomic(struct waiter *) ready;
	struct mia_parker parker;

	_Alignas(MIA_CACHE_LINE) struct waiters *waiters;
	size_t nfuts;
	size_t nleft; /* not complete yet */
	struct list hot;
	struct list refused; /* who was polled last, is last */
	struct mia_yields yields;
	struct wait *next;
};

struct runtime {
	mia_mutex lock;
	struct wait *unused; /* under the lock */
};

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

/* The waker of every waiter. From any thread. */
static void
wake(void *data)
{
	struct waiter *waiter = data;
	struct wait *wait = waiter->wait;

	/*
	 * Acquire: pairs with the release in take_ready() that gave the waiter
	 * back, so next_ready is read before it is written anew. Release: what
	 * the caller did before this wake is visible to the poll that follows
	 * the pop, also if somebody else's push carries it.
	 */
	if (atomic_exchange_explicit(&waiter->queued, 1, memory_order_acq_rel))
		return;

	/*
	 * Release: publishes next_ready to take_ready(). Relaxed on failure
	 * and for the first look: the value is only linked to, not followed.
	 */
	struct waiter *first =
		atomic_load_explicit(&wait->ready, memory_order_relaxed);

	do {
		waiter->next_ready = first;
	} while (!atomic_compare_exchange_weak_explicit(&wait->ready, &first,
		waiter, memory_order_release, memory_order_relaxed));

	/* Who found the list empty wakes the sleeper, for all that follow. */
	if (first == NULL)
		mia_parker_unpark(&wait->parker);
}

/* Appends what was woken, the earliest first, to the list. */
static bool
take_ready(struct wait *wait, struct list *list)
{
	/* Relaxed: just a look that saves the exchange, which acquires. */
	if (atomic_load_explicit(&wait->ready, memory_order_relaxed) == NULL)
		return false;

	/* Acquire: pairs with the release of each push, by release sequence. */
	struct waiter *waiter = atomic_exchange_explicit(
		&wait->ready, NULL, memory_order_acquire);
	struct waiter *reversed = NULL;

	while (waiter != NULL) {
		struct waiter *next = waiter->next_ready;

		waiter->next_ready = reversed;
		reversed = waiter;
		waiter = next;
	}

	while (reversed != NULL) {
		struct waiter *next = reversed->next_ready;

		/*
		 * Release: next_ready was read before a waker may write it.
		 * Acquire: a waker that found queued set did not push; what it
		 * did before is visible to the poll that follows.
		 */
		atomic_exchange_explicit(
			&reversed->queued, 0, memory_order_acq_rel);
		if (reversed->fut != NULL) {
			reversed->linger = LINGER_POLLS;
			list_append(list, reversed);
		}
		reversed = next;
	}

	return true;
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

/* A future that another future's task has completed may have none any more. */
static bool
has_word(const struct waiter *waiter)
{
	return waiter->notifier.notifier_used == FUTURE_NOTIFIER_POLLER &&
		waiter->notifier.poller.ptr_to_monitor != NULL &&
		waiter->fut->context.state != FUTURE_STATE_COMPLETE;
}

static bool
is_refused(const struct waiter *waiter)
{
	return waiter->notifier.notifier_used == FUTURE_NOTIFIER_NONE &&
		(waiter->fut->context.state == FUTURE_STATE_IDLE ||
			(waiter->fut->context.padding &
				FUTURE_CONTEXT_REFUSED_) != 0);
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
	 * the next look. A poll that names another word is made again, once:
	 * if it names yet another, the next pass polls it.
	 */
	for (int polls = 0; polls < 2; polls++) {
		uint64_t *word = NULL;

		if (has_word(waiter)) {
			word = waiter->notifier.poller.ptr_to_monitor;
			waiter->word = monitored_word(word);
		}

		waiter->notifier.padding = FUTURE_NOTIFIER_INLINE_;
		if (future_poll(waiter->fut, &waiter->notifier) ==
			FUTURE_STATE_COMPLETE) {
			waiter->fut = NULL;
			wait->nleft--;
			return true;
		}
		if (!has_word(waiter) ||
			waiter->notifier.poller.ptr_to_monitor == word)
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
poll_list(struct wait *wait, struct list *list)
{
	struct waiter *next;
	bool progress = false;

	for (struct waiter *w = list->first; w != NULL; w = w->next_listed) {
		w->polled = future_has_property(w->fut, FUTURE_PROPERTY_ASYNC);
		if (w->polled)
			progress |= poll_waiter(wait, w);
	}

	for (struct waiter *w = list->first; w != NULL; w = w->next_listed)
		if (!w->polled)
			progress |= poll_waiter(wait, w);

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

	return poll_list(wait, &list);
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
poll_ready(struct wait *wait)
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
	const bool progress = poll_list(wait, &list);

	/* Words that have not changed are looked at again. */
	while (unchanged.first != NULL)
		list_append(&wait->hot, list_take(&unchanged));

	return progress || woken;
}

/* How long to pause between passes over hot futures; grows without progress. */
struct backoff {
	unsigned passes;
	uint64_t nap_ns;
};

static void
backoff_reset(struct backoff *backoff)
{
	backoff->passes = 0;
	backoff->nap_ns = NAP_MIN_NS;
}

/* Returns the nanoseconds to sleep, or 0 after it has paused by itself. */
static uint64_t
backoff_pause(struct backoff *backoff, struct mia_yields *yields)
{
	const unsigned passes = backoff->passes;

	if (passes < SPIN_PASSES) {
		unsigned pauses = SPIN_MAX_PAUSES;

		if (passes < 5)
			pauses = 1u << passes;
		while (pauses-- > 0)
			future_cpu_pause_impl();
		backoff->passes++;
		return 0;
	}
	if (passes < SPIN_PASSES + YIELD_PASSES && mia_yield(yields)) {
		backoff->passes++;
		return 0;
	}

	const uint64_t nap_ns = backoff->nap_ns;

	backoff->nap_ns += nap_ns / 4;
	if (backoff->nap_ns > NAP_MAX_NS)
		backoff->nap_ns = NAP_MAX_NS;
	return nap_ns;
}

static void
yield_for_wake(struct wait *wait)
{
	const uint64_t start = mia_clock_ns();

	/* Relaxed: just a look; take_ready() acquires. */
	while (atomic_load_explicit(&wait->ready, memory_order_relaxed) ==
			NULL &&
		mia_clock_ns() - start < AWAKE_NS && mia_yield(&wait->yields))
		continue;
}

/* Polls, and sleeps, until nothing is left. */
static void
wait_run(struct wait *wait)
{
	struct backoff backoff;
	uint64_t net_ns = NET_MIN_NS;

	poll_all(wait);
	if (wait->nleft == 0)
		return;

	/* Whatever happens meanwhile, the net strikes net_ns after this. */
	uint64_t net_start = mia_clock_ns();

	backoff_reset(&backoff);
	while (wait->nleft > 0) {
		const uint64_t passed = mia_clock_ns() - net_start;

		if (passed >= net_ns) {
			/* If it caught something, it stays tight. */
			if (poll_all(wait))
				net_ns = NET_MIN_NS;
			else if (net_ns < NET_MAX_NS)
				net_ns *= 2;
			net_start = mia_clock_ns();
			continue;
		}

		uint64_t sleep_ns = net_ns - passed;

		if (wait->hot.first != NULL || wait->refused.first != NULL) {
			const uint64_t nap_ns =
				backoff_pause(&backoff, &wait->yields);

			if (nap_ns < sleep_ns)
				sleep_ns = nap_ns;
		} else {
			yield_for_wake(wait);
		}

		if (sleep_ns > 0)
			mia_parker_park(&wait->parker, sleep_ns);
		if (poll_ready(wait))
			backoff_reset(&backoff);
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
	atomic_init(&wait->ready, NULL);

	const int error = mia_parker_init(&wait->parker);

	if (error != 0) {
		mia_aligned_free(wait);
		errno = -error;
		return NULL;
	}
	return wait;
}

static void
wait_delete(struct wait *wait)
{
	while (wait->waiters != NULL) {
		struct waiters *older = wait->waiters->older;

		free(wait->waiters);
		wait->waiters = older;
	}
	mia_parker_fini(&wait->parker);
	mia_aligned_free(wait);
}

/* Room for n waiters. Returns false, with all as it was, without memory. */
static bool
wait_reserve(struct wait *wait, size_t n)
{
	size_t capacity =
		wait->waiters == NULL ? MIN_WAITERS : wait->waiters->capacity;

	if (wait->waiters != NULL && n <= capacity)
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

	for (size_t i = 0; i < capacity; i++) {
		struct waiter *waiter = &bigger->waiters[i];

		memset(waiter, 0, sizeof(*waiter));
		waiter->wait = wait;
		atomic_init(&waiter->queued, 0);
	}
	bigger->capacity = capacity;
	bigger->table = (uint32_t *)(void *)(bigger->waiters + capacity);
	bigger->older = wait->waiters;
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

		waiter->notifier.waker.data = waiter;
		waiter->notifier.waker.wake = wake;
		waiter->notifier.poller.ptr_to_monitor = NULL;
		waiter->notifier.notifier_used = FUTURE_NOTIFIER_NONE;
		waiter->notifier.padding = 0;
		waiter->fut = futs[i];
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
	struct backoff backoff;
	size_t nleft;

	backoff_reset(&backoff);
	do {
		nleft = 0;
		for (int async = 1; async >= 0; async--) {
			for (size_t i = 0; i < nfuts; i++) {
				struct future *fut = futs[i];

				if (fut->context.state !=
						FUTURE_STATE_COMPLETE &&
					future_has_property(fut,
						FUTURE_PROPERTY_ASYNC) == async)
					future_poll(fut, NULL);
			}
		}

		/* What was asynchronous a moment ago was polled neither way. */
		for (size_t i = 0; i < nfuts; i++)
			if (futs[i]->context.state != FUTURE_STATE_COMPLETE)
				nleft++;

		const uint64_t nap_ns =
			nleft > 0 ? backoff_pause(&backoff, &yields) : 0;

		if (nap_ns > 0)
			mia_sleep(nap_ns);
	} while (nleft > 0);
}

static void
runtime_return_wait(struct runtime *runtime, struct wait *wait)
{
	mia_mutex_lock(&runtime->lock);
	wait->next = runtime->unused;
	runtime->unused = wait;
	mia_mutex_unlock(&runtime->lock);
}

/* A wait with room for nfuts waiters, or NULL without memory. */
static struct wait *
runtime_take_wait(struct runtime *runtime, size_t nfuts)
{
	mia_mutex_lock(&runtime->lock);
	struct wait *wait = runtime->unused;

	if (wait != NULL)
		runtime->unused = wait->next;
	mia_mutex_unlock(&runtime->lock);

	if (wait == NULL)
		wait = wait_new();
	if (wait == NULL || wait_reserve(wait, nfuts))
		return wait;

	runtime_return_wait(runtime, wait);
	return NULL;
}

struct runtime *
runtime_new(void)
{
	struct runtime *runtime = malloc(sizeof(*runtime));

	if (runtime == NULL)
		return NULL;

	const int error = mia_mutex_init(&runtime->lock);

	if (error != 0) {
		free(runtime);
		errno = error;
		return NULL;
	}

	/* The first wait is made here, so that most calls need no memory. */
	runtime->unused = wait_new();
	if (runtime->unused == NULL ||
		!wait_reserve(runtime->unused, MIN_WAITERS)) {
		const int saved_errno = errno;

		runtime_delete(runtime);
		mia_restore_errno(saved_errno);
		return NULL;
	}

	return runtime;
}

void
runtime_delete(struct runtime *runtime)
{
	if (runtime == NULL)
		return;

	while (runtime->unused != NULL) {
		struct wait *next = runtime->unused->next;

		wait_delete(runtime->unused);
		runtime->unused = next;
	}
	mia_mutex_fini(&runtime->lock);
	free(runtime);
}

void
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

void
runtime_wait(struct runtime *runtime, struct future *fut)
{
	runtime_wait_multiple(runtime, &fut, 1);
}
