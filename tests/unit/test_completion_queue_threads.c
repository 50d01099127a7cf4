/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue_threads.c -- tests wait/completion_queue under stress:
 * queues of several threads, with workers and threads of the program that wake
 *
 * The linker puts __wrap_mia_watch_pass_all() before the function, which then
 * is no safety net: without it a lost wake is a call that does not return. No
 * future of the program is silent, and the mover has room for all copies. So
 * the timer of a descriptor helps only after a wake.
 */

#include "event.h"
#include "test.h"

#include <signal.h>

#include "libminiasync/completion_queue.h"
#include "libminiasync/data_mover_threads.h"
#include "system.h"
#include "system/cpus.h"
#include "wait/watch.h"

#if defined(__linux__)
#include <poll.h>
#endif

/* Of each queue more than one group of ready.h. */
enum { QUEUES = 4, SLOTS = 80, WAKERS = 3, BYTES = 70000 };

/* Beside load a turn can take milliseconds. Then a tenth of them is enough. */
#define MAX_NS (UINT64_C(20000) * MS)

bool __real_mia_watch_pass_all(struct mia_watch *watch, enum mia_effort effort);
bool __wrap_mia_watch_pass_all(struct mia_watch *watch, enum mia_effort effort);

bool
__wrap_mia_watch_pass_all(struct mia_watch *watch, enum mia_effort effort)
{
	return effort != MIA_EFFORT_OFFER &&
		__real_mia_watch_pass_all(watch, effort);
}

/* Who may touch an event: its queue's thread, or the threads that wake. */
enum turn { TURN_QUEUE, TURN_WAKER, TURN_WAKING };

struct slot {
	struct event event;
	struct event_future future;
	struct vdm_operation_future copy;
	bool is_copy;
	bool is_added;
	atomic_int turn;
	char dst[BYTES];
};

/* Which calls a thread makes. */
enum way { BY_DESCRIPTOR, BY_WAIT, BY_TURNS, BY_REAP, WAYS };

struct user {
	enum way way;
	bool is_woken_in_vain; /* its futures are. Otherwise each wake counts */
	uint64_t seed;
	struct completion_queue *cq;
	struct slot *slots;
	uint64_t nreaped;
	const char *wrong;
};

static struct user users[QUEUES];
static struct vdm *vdm;
static char source[BYTES];
static atomic_bool is_over;

static void
add(struct user *user, struct slot *slot)
{
	const uint64_t r = test_random(&user->seed);
	const bool is_early = r % 2 == 0; /* wakes may come before the poll */
	struct future *fut;

	if (slot->is_added || atomic_load(&slot->turn) != TURN_QUEUE)
		return;

	slot->is_copy = r >> 1 & 1;
	slot->is_added = true;
	if (slot->is_copy) {
		slot->dst[BYTES - 1] = 0;
		slot->copy = vdm_memcpy(vdm, slot->dst, source, BYTES, 0);
		fut = FUTURE_AS_RUNNABLE(&slot->copy);
	} else {
		slot->future =
			event_future(&slot->event, FUTURE_NOTIFIER_WAKER);
		fut = FUTURE_AS_RUNNABLE(&slot->future);

		/* It is complete at once, and all its wakes are late. */
		if (user->is_woken_in_vain && (r >> 2) % 8 == 0)
			atomic_store(&slot->event.done, 1);
		if (is_early)
			atomic_store(&slot->turn, TURN_WAKER);
	}
	if (completion_queue_add(user->cq, fut, slot) != 0)
		user->wrong = "add";
	if (!slot->is_copy && !is_early)
		atomic_store(&slot->turn, TURN_WAKER);
}

static void
take(struct user *user, const struct completion *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slot *slot = out[i].user_data;
		const struct future *fut = slot->is_copy
			? FUTURE_AS_RUNNABLE(&slot->copy)
			: FUTURE_AS_RUNNABLE(&slot->future);

		if (!slot->is_added || out[i].future != fut)
			user->wrong = "a future that was not added";
		if (fut->context.state != FUTURE_STATE_COMPLETE)
			user->wrong = "a future that is not complete";
		if (slot->is_copy &&
			(slot->copy.output.result != VDM_SUCCESS ||
				slot->dst[BYTES - 1] != 1))
			user->wrong = "a copy that was not made";
		slot->is_added = false;
	}
	user->nreaped += n;
}

/* Whether a reap may find something. */
static bool
await_descriptor(struct completion_queue *cq)
{
#if defined(__linux__)
	struct pollfd p = {.fd = completion_queue_fd(cq), .events = POLLIN};

	return p.fd >= 0 && poll(&p, 1, 30000) == 1;
#else
	sched_yield();
	return completion_queue_fd(cq) < 0;
#endif
}

static void
reap_until_something_comes(
	struct user *user, struct completion *out, size_t max)
{
	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
	size_t n;

	while ((n = completion_queue_reap(user->cq, out, max)) == 0) {
		if (test_clock_ns(CLOCK_MONOTONIC) - start_ns > 30000 * MS) {
			user->wrong = "a lost wake";
			return;
		}
		sched_yield();
	}
	take(user, out, n);
}

/* Blocks until something comes, if the queue has a future. */
static void
reap(struct user *user)
{
	struct completion out[SLOTS];
	const uint64_t r = test_random(&user->seed);
	const size_t max = 1 + (size_t)(r >> 8) % (r & 1 ? 3 : SLOTS);
	const size_t nwanted = 1 + (size_t)(r >> 16) % (r & 2 ? 2 : SLOTS);
	const size_t npending = completion_queue_pending(user->cq);
	enum way way = user->way;
	size_t n;

	if (npending == 0)
		return;
	if (way == BY_TURNS)
		way = (enum way)(r >> 32) % WAYS;
	switch (way) {
	case BY_DESCRIPTOR:
		if (!await_descriptor(user->cq))
			user->wrong = "a descriptor that is not readable";
		take(user, out, completion_queue_reap(user->cq, out, max));
		break;
	case BY_WAIT:
		n = completion_queue_wait(user->cq, out, max, nwanted, -1);
		if (n < nwanted && n < max && n < npending)
			user->wrong = "a wait that returned early";
		take(user, out, n);
		break;
	case BY_TURNS:
	case WAYS:
		take(user, out,
			completion_queue_wait(user->cq, out, max, nwanted,
				(int64_t)(r >> 40) % 200000));
		break;
	case BY_REAP:
		reap_until_something_comes(user, out, max);
		break;
	}
}

/* A waker of a deleted queue must not be called. */
static void
await_turns(const struct user *user)
{
	for (int i = 0; i < SLOTS; i++)
		while (atomic_load(&user->slots[i].turn) != TURN_QUEUE)
			sched_yield();
}

static void
replace_queue(struct user *user)
{
	await_turns(user);
	completion_queue_delete(user->cq);
	for (int i = 0; i < SLOTS; i++)
		user->slots[i].is_added = false;
	user->cq = completion_queue_new();
	if (user->cq == NULL)
		abort();
}

static void *
use(void *arg)
{
	struct user *user = arg;
	const int nturns = TEST_ROUNDS(12000);
	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

	for (int turn = 0; turn < nturns && user->wrong == NULL; turn++) {
		const uint64_t r = test_random(&user->seed);

		if (turn >= nturns / 10 &&
			test_clock_ns(CLOCK_MONOTONIC) - start_ns > MAX_NS)
			break;
		for (uint64_t i = 0; i < r % 4; i++)
			add(user, &user->slots[(r >> (8 + 8 * i)) % SLOTS]);
		if (r >> 40 & 1)
			reap(user);
		if ((r >> 41) % 500 == 0)
			replace_queue(user);
	}
	while (completion_queue_pending(user->cq) > 0 && user->wrong == NULL)
		reap(user);
	return NULL;
}

/*
 * The last of the wakes comes after the end. Where futures are woken in vain,
 * some come before it, and some more afterwards.
 */
static void
finish(struct slot *slot, bool in_vain, uint64_t r)
{
	for (uint64_t i = 0; in_vain && i < (r & 3); i++)
		event_wake(&slot->event);
	atomic_store(&slot->event.done, 1);
	event_wake(&slot->event);
	for (uint64_t i = 0; in_vain && i < (r >> 2 & 3); i++)
		event_wake(&slot->event);
}

static void
block_signals(void)
{
#if !defined(_WIN32)
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
#endif
}

static bool
wake_slot(struct user *user, struct slot *slot, uint64_t r)
{
	int turn = TURN_WAKER;

	if (!atomic_compare_exchange_strong(&slot->turn, &turn, TURN_WAKING))
		return false;
	finish(slot, user->is_woken_in_vain, r);
	atomic_store(&slot->turn, TURN_QUEUE);
	return true;
}

static void
wake_all(uint64_t r)
{
	for (int i = 0; i < QUEUES; i++)
		for (int j = 0; j < SLOTS; j++)
			wake_slot(&users[i], &users[i].slots[j], r);
}

/*
 * Wakes futures at random. Where yields are long, a busy thread has the CPU.
 * Some hundred picks, with such a yield after each that finds nothing, would
 * then take a second for one wake. So all are woken before the next.
 */
static void *
wake(void *arg)
{
	uint64_t seed = *(const uint64_t *)arg;

	block_signals();
	while (!atomic_load(&is_over)) {
		const uint64_t r = test_random(&seed);
		struct user *user = &users[r % QUEUES];

		if (wake_slot(user, &user->slots[(r >> 8) % SLOTS], r >> 20))
			continue;

		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

		sched_yield();
		if (test_clock_ns(CLOCK_MONOTONIC) - start_ns > MS)
			wake_all(r >> 20);
	}
	return NULL;
}

static void
run(uint64_t *seed)
{
	pthread_t threads[QUEUES], wakers[WAKERS];
	uint64_t seeds[WAKERS];

	atomic_store(&is_over, false);
	for (int i = 0; i < QUEUES; i++) {
		users[i].seed = test_random(seed);
		users[i].cq = completion_queue_new();
		users[i].nreaped = 0;
		assert_non_null(users[i].cq);
		pthread_create(&threads[i], NULL, use, &users[i]);
	}
	for (int i = 0; i < WAKERS; i++) {
		seeds[i] = test_random(seed);
		pthread_create(&wakers[i], NULL, wake, &seeds[i]);
	}
	for (int i = 0; i < QUEUES; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&is_over, true);
	for (int i = 0; i < WAKERS; i++)
		pthread_join(wakers[i], NULL);
	for (int i = 0; i < QUEUES; i++) {
		if (users[i].wrong != NULL)
			fail_msg("queue %d: %s", i, users[i].wrong);
		assert_true(users[i].nreaped > 0);
		completion_queue_delete(users[i].cq);
	}
}

/* More workers than CPUs, so that wakers lose theirs. */
static void
no_wake_is_lost(void **state)
{
	uint64_t seed = test_seed("queues of several threads");
	struct data_mover_threads *dmt =
		data_mover_threads_new(2 * mia_usable_cpus() + 1,
			2 * QUEUES * SLOTS, FUTURE_NOTIFIER_WAKER);

	(void)state;
	assert_non_null(dmt);
	vdm = data_mover_threads_get_vdm(dmt);
	memset(source, 1, sizeof(source));
	for (int i = 0; i < QUEUES; i++) {
		users[i].slots = calloc(SLOTS, sizeof(struct slot));
		assert_non_null(users[i].slots);
	}
	for (int in_vain = 0; in_vain < 2; in_vain++) {
		for (int i = 0; i < QUEUES; i++) {
			users[i].way = (enum way)(i % WAYS);
			users[i].is_woken_in_vain = in_vain == 1;
		}
		run(&seed);
		printf("reaped: %llu, %llu, %llu, %llu\n",
			(unsigned long long)users[0].nreaped,
			(unsigned long long)users[1].nreaped,
			(unsigned long long)users[2].nreaped,
			(unsigned long long)users[3].nreaped);
	}
	for (int i = 0; i < QUEUES; i++)
		free(users[i].slots);
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_is_lost),
	};

	/* A lost wake is a wait without end. */
	test_deadline(TEST_SLOWDOWN > 10 ? 1200 : 250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
