/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue_fd.c -- tests wait/completion_queue: when the
 * descriptor is readable, and what that costs
 *
 * The linker puts __wrap_mia_event_fd_set() and __wrap_mia_event_fd_arm()
 * before the functions.
 */

#include "queue.h"

#include <errno.h>

#include "system/event_fd.h"

static atomic_uint sets;

/* Their threads have lost their CPU before the call. */
static bool are_held;
static unsigned nheld;
static struct mia_event_fd *held_fd;

void __real_mia_event_fd_set(struct mia_event_fd *fd);
void __wrap_mia_event_fd_set(struct mia_event_fd *fd);

void
__wrap_mia_event_fd_set(struct mia_event_fd *fd)
{
	if (are_held) {
		nheld++;
		held_fd = fd;
		return;
	}
	atomic_fetch_add(&sets, 1);
	__real_mia_event_fd_set(fd);
}

static unsigned arms;

void __real_mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns);
void __wrap_mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns);

void
__wrap_mia_event_fd_arm(struct mia_event_fd *fd, uint64_t ns)
{
	arms++;
	__real_mia_event_fd_arm(fd, ns);
}

#if !defined(__linux__)

static void
system_without_descriptors_says_so(void **state)
{
	(void)state;
	errno = 0;
	assert_int_equal(completion_queue_fd(cq), -1);
	assert_int_equal(errno, ENOTSUP);
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	ASSERT_OUT(completion_queue_reap(cq, out, N), 0);
	assert_int_equal(sets, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(system_without_descriptors_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libminiasync/data_mover_threads.h"
#include "system.h"
#include "system/cpus.h"

static int fd;

static int
set_up_fd(void **state)
{
	if (set_up(state) != 0)
		return -1;

	fd = completion_queue_fd(cq);
	atomic_store(&sets, 0);
	return fd < 0;
}

/* Whether it is readable now, or within a time. */
static bool
is_readable_within(int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	const int n = poll(&p, 1, ms);

	assert_true(n >= 0);
	return n == 1;
}

static bool
is_readable(void)
{
	return is_readable_within(0);
}

static size_t
reap(size_t max)
{
	return completion_queue_reap(cq, out, max);
}

static void
descriptor_is_readable_while_a_reap_may_find_something(void **state)
{
	(void)state;
	assert_int_equal(completion_queue_fd(cq), fd);
	assert_false(is_readable());
	for (int i = 0; i < 6; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	assert_false(is_readable());
	for (int i = 0; i < 3; i++)
		complete(i);
	for (int i = 0; i < 3; i++) {
		assert_true(is_readable());
		assert_true(is_readable());
		ASSERT_OUT(reap(1), i);
	}
	assert_false(is_readable());

	/* Also if the wait did it. */
	complete(3);
	complete(4);
	ASSERT_OUT(completion_queue_wait(cq, out, 1, 1, -1), 3);
	assert_true(is_readable());
	ASSERT_OUT(completion_queue_wait(cq, out, N, 1, -1), 4);
	assert_false(is_readable());
	assert_int_equal(completion_queue_wait(cq, out, N, 1, 5000000), 0);
	assert_false(is_readable());

	/* Also if it was complete when it was added. */
	add(0, FUTURE_NOTIFIER_WAKER);
	f[1] = event_future(&events[1], FUTURE_NOTIFIER_WAKER);
	atomic_store(&events[1].done, 1);
	completion_queue_add(cq, FUTURE_AS_RUNNABLE(&f[1]), &events[1]);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 1);
	assert_false(is_readable());

	/* A wake in vain. */
	event_wake(&events[5]);
	assert_true(is_readable());
	assert_int_equal(reap(N), 0);
	complete(5);
	complete(0);
	ASSERT_OUT(reap(N), 0, 5);
	assert_false(is_readable());
}

static void
descriptor_made_late_knows_what_came_before(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	fd = completion_queue_fd(cq);
	assert_true(fd >= 0);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 0);
	assert_false(is_readable());
}

static void *
wake_in_vain(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		event_wake(&events[0]);
		sched_yield();
	}
	return NULL;
}

/* A waker may be on its way since a wait. ThreadSanitizer sees the rest. */
static void
descriptor_is_made_beside_wakers(void **state)
{
	(void)state;
	for (int round = 0; round < TEST_ROUNDS(1000); round++) {
		atomic_bool stop = false;
		pthread_t thread;

		add(0, FUTURE_NOTIFIER_WAKER);
		pthread_create(&thread, NULL, wake_in_vain, &stop);
		for (int i = 0; i < 20; i++)
			completion_queue_wait(cq, out, N, 1, 1000);
		fd = completion_queue_fd(cq);
		assert_true(fd >= 0);
		atomic_store(&stop, true);
		pthread_join(thread, NULL);
		complete(0);
		assert_true(is_readable());
		while (reap(N) == 0)
			continue;
		tear_down(state);
		set_up(state);
	}
}

/* A batch of wakes takes one system call, and none if the reader is awake. */
static void
first_wake_after_a_reap_costs_a_set(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	assert_int_equal(sets, 0);
	for (int i = 0; i < 3; i++)
		complete(i);
	assert_int_equal(sets, 1);

	/* Something is left, so it is readable anyway. */
	ASSERT_OUT(reap(1), 0);
	for (int i = 3; i < 6; i++)
		complete(i);
	assert_int_equal(sets, 1);
	ASSERT_OUT(reap(N), 1, 2, 3, 4, 5);
	assert_int_equal(sets, 1);
	assert_false(is_readable());
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	assert_int_equal(sets, 2);
	ASSERT_OUT(reap(N), 0);
}

/* Is complete after the poll that completes another future. */
struct pusher {
	int other;
	struct future_waker waker;
};

FUTURE(pusher_future, struct pusher, char);

static enum future_state
pusher_task(struct future_context *context, struct future_notifier *n)
{
	struct pusher *pusher = future_context_get_data(context);

	if (context->state == FUTURE_STATE_IDLE) {
		pusher->waker = n->waker;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		return FUTURE_STATE_RUNNING;
	}
	complete(pusher->other);
	return FUTURE_STATE_COMPLETE;
}

static void
wakes_of_a_reap_cost_no_set(void **state)
{
	struct pusher_future pusher = {.data.other = 2};

	(void)state;
	FUTURE_INIT(&pusher, pusher_task);
	add(2, FUTURE_NOTIFIER_WAKER);
	add(1, FUTURE_NOTIFIER_WAKER);
	completion_queue_add(cq, FUTURE_AS_RUNNABLE(&pusher), NULL);
	FUTURE_WAKER_WAKE(&pusher.data.waker);
	assert_int_equal(sets, 1);
	assert_int_equal(reap(N), 2);
	assert_ptr_equal(out[0].future, FUTURE_AS_RUNNABLE(&pusher));
	assert_ptr_equal(out[1].user_data, &events[2]);
	assert_int_equal(sets, 1);
	assert_false(is_readable());

	/* With room for one, the other is left. */
	FUTURE_INIT(&pusher, pusher_task);
	pusher.data.other = 1;
	completion_queue_add(cq, FUTURE_AS_RUNNABLE(&pusher), NULL);
	FUTURE_WAKER_WAKE(&pusher.data.waker);
	assert_int_equal(reap(1), 1);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 1);
	assert_false(is_readable());
}

/* An event loop that only waits for the descriptor finds silent futures. */
static void
timer_makes_it_readable_for_silent_futures(void **state)
{
	(void)state;
	for (int kind = FUTURE_NOTIFIER_NONE; kind <= FUTURE_NOTIFIER_POLLER;
		kind++) {
		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
		unsigned nturns = 0;
		uint64_t ns;

		if (kind == FUTURE_NOTIFIER_WAKER)
			continue;
		add(0, (enum future_notifier_type)kind);
		do {
			assert_true(is_readable_within(20000));
			assert_int_equal(reap(N), 0);
			nturns++;
			ns = test_clock_ns(CLOCK_MONOTONIC) - start_ns;
		} while (ns < 30 * MS);
		printf("%u turns in %u us\n", nturns, (unsigned)(ns / 1000));
		assert_true(nturns <= 12 + ns / MS);
		atomic_store(&events[0].done, 1);
		do
			assert_true(is_readable_within(20000));
		while (reap(N) == 0);
		ASSERT_OUT(1, 0);

		/* The timer does not come any more, and costs nothing. */
		const unsigned armed = arms;

		assert_false(is_readable_within(20));
		for (int i = 0; i < 10; i++)
			assert_int_equal(reap(N), 0);
		assert_int_equal(arms, armed);

		/* A future that is announced needs none. */
		add(0, FUTURE_NOTIFIER_WAKER);
		assert_int_equal(reap(N), 0);
		complete(0);
		ASSERT_OUT(reap(N), 0);
		assert_int_equal(arms, armed);
	}
}

static void
woken_future_that_is_not_complete_is_looked_at_again(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	event_wake(&events[0]);
	assert_true(is_readable());
	assert_int_equal(reap(N), 0);
	atomic_store(&events[0].done, 1);
	do
		assert_true(is_readable_within(20000));
	while (reap(N) == 0);
	ASSERT_OUT(1, 0);
	assert_false(is_readable_within(20));
}

/* The wait saw the wake, and ended before the future did. */
static void
timer_is_set_after_a_wait_too(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	event_wake(&events[0]);
	assert_int_equal(completion_queue_wait(cq, out, N, 1, 1), 0);
	atomic_store(&events[0].done, 1);
	do
		assert_true(is_readable_within(20000));
	while (reap(N) == 0);
	ASSERT_OUT(1, 0);
}

struct later_data {
	FUTURE_CHAIN_ENTRY(struct event_future, event);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, copy);
};

FUTURE(later_future, struct later_data, char);

/* A copy starts during a wait, which ends while its thread makes the copy. */
static void
workers_do_what_a_wait_leaves(void **state)
{
	enum { BIG = 8 << 20 };
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 16, FUTURE_NOTIFIER_WAKER);
	char *src = calloc(1, BIG);
	char *dst = calloc(1, BIG);
	static struct later_future later;

	(void)state;
	assert_non_null(dmt);
	src[BIG - 1] = 1;
	for (int64_t limit_ns = 0; limit_ns < 200000; limit_ns += 10000) {
		dst[BIG - 1] = 0;
		FUTURE_CHAIN_ENTRY_INIT(&later.data.event,
			event_future(&events[0], FUTURE_NOTIFIER_WAKER), NULL,
			NULL);
		FUTURE_CHAIN_ENTRY_INIT(&later.data.copy,
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				BIG, 0),
			NULL, NULL);
		FUTURE_CHAIN_INIT(&later);
		completion_queue_add(cq, FUTURE_AS_RUNNABLE(&later), NULL);
		complete(0);
		completion_queue_wait(cq, out, N, 1, limit_ns);
		while (completion_queue_pending(cq) > 0) {
			assert_true(is_readable_within(20000));
			reap(N);
		}
		assert_int_equal(dst[BIG - 1], 1);
	}
	free(src);
	free(dst);
	data_mover_threads_delete(dmt);
}

static void
come_late(void)
{
	are_held = false;
	for (; nheld > 0; nheld--)
		__real_mia_event_fd_set(held_fd);
}

/* The reap that follows finds nothing, and mends it. */
static void
late_set_is_taken_back(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	are_held = true;
	complete(0);
	assert_false(is_readable());
	ASSERT_OUT(reap(N), 0);
	come_late();
	assert_true(is_readable());
	assert_int_equal(reap(N), 0);
	assert_false(is_readable());

	/* The next wake sets it, and then the late set comes. */
	add(0, FUTURE_NOTIFIER_WAKER);
	add(1, FUTURE_NOTIFIER_WAKER);
	are_held = true;
	complete(0);
	ASSERT_OUT(reap(N), 0);
	are_held = false;
	complete(1);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 1);
	assert_false(is_readable());
	come_late();
	assert_true(is_readable());
	assert_int_equal(reap(N), 0);
	assert_false(is_readable());
	add(0, FUTURE_NOTIFIER_WAKER);
	complete(0);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 0);
}

/* What is left is announced by the late set. */
static void
late_set_is_not_lost(void **state)
{
	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	add(1, FUTURE_NOTIFIER_WAKER);
	are_held = true;
	complete(0);
	complete(1);
	ASSERT_OUT(reap(1), 0);
	come_late();
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 1);
	assert_false(is_readable());
}

static void
descriptors_are_closed_on_exec_and_by_the_end(void **state)
{
	(void)state;
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);

	const int before = dup(0);

	close(before);
	for (int round = 0; round < 3; round++) {
		struct completion_queue *other = completion_queue_new();

		assert_non_null(other);
		assert_int_equal(completion_queue_fd(other), before);
		completion_queue_delete(other);
	}
	assert_int_equal(dup(0), before);
	close(before);
}

static void
queue_works_without_descriptors_that_the_system_refuses(void **state)
{
	struct rlimit old, few;

	(void)state;
	tear_down(state);
	set_up(state);
	add(0, FUTURE_NOTIFIER_WAKER);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);

	const int next = dup(0);

	close(next);
	for (rlim_t left = 0; left < 3; left++) {
		few = old;
		few.rlim_cur = (rlim_t)next + left;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		errno = 0;
		assert_int_equal(completion_queue_fd(cq), -1);
		assert_int_equal(errno, EMFILE);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);

	const int again = dup(0);

	close(again);
	assert_int_equal(again, next);
	complete(0);
	ASSERT_OUT(reap(N), 0);

	fd = completion_queue_fd(cq);
	assert_int_equal(fd, next);
	add(0, FUTURE_NOTIFIER_WAKER);
	assert_false(is_readable());
	complete(0);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 0);
}

/* A wake that a canceled thread makes is a whole one. */
static void *
wake_and_be_canceled(void *arg)
{
	(void)arg;
	pthread_cancel(pthread_self());
	complete(0);
	pthread_testcancel();
	return NULL;
}

static void
canceled_thread_does_not_lose_its_wake(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	add(0, FUTURE_NOTIFIER_WAKER);
	pthread_create(&thread, NULL, wake_and_be_canceled, NULL);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 0);
}

/* Neither is a call of a thread that is to be canceled cut in two. */
static void *
reap_and_be_canceled(void *arg)
{
	size_t *n = arg;

	pthread_cancel(pthread_self());
	for (int i = 0; i < 3; i++) {
		complete(i);
		*n += reap(1);
	}
	*n += completion_queue_wait(cq, out, N, 1, 1000000);
	pthread_testcancel();
	return NULL;
}

static void
canceled_thread_does_not_lose_completions(void **state)
{
	pthread_t thread;
	void *result;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		add(i, FUTURE_NOTIFIER_WAKER);
	pthread_create(&thread, NULL, reap_and_be_canceled, &n);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(n, 3);
	assert_false(is_readable());
	complete(3);
	assert_true(is_readable());
	ASSERT_OUT(reap(N), 3);
}

/*
 * An event loop waits for the descriptor alone, without a time limit of its
 * own, while threads of a mover and of the test complete futures. Sometimes it
 * waits otherwise, or takes few.
 */
enum { COPIES = 40, BYTES = 70000 };

static struct {
	struct vdm_operation_future copy;
	char dst[BYTES];
	bool is_added;
} slots[COPIES];

static struct completion some[COPIES];
static char source[BYTES];

static void
add_copy(struct vdm *vdm, size_t i, uint64_t *seed)
{
	const size_t n = test_random(seed) % 2 ? (size_t)BYTES : 1000;

	slots[i].dst[n - 1] = 0;
	slots[i].copy = vdm_memcpy(vdm, slots[i].dst, source, n, 0);
	slots[i].is_added = true;
	assert_int_equal(completion_queue_add(cq,
				 FUTURE_AS_RUNNABLE(&slots[i].copy), &slots[i]),
		0);
}

static void
take(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (some[i].user_data == &events[0])
			continue;

		const size_t at =
			(size_t)((char *)some[i].user_data - (char *)slots) /
			sizeof(slots[0]);
		const struct vdm_operation_future *copy = &slots[at].copy;

		assert_true(slots[at].is_added);
		assert_ptr_equal(some[i].future, FUTURE_AS_RUNNABLE(copy));
		assert_int_equal(copy->output.result, VDM_SUCCESS);
		slots[at].is_added = false;
	}
}

static void
run_event_loop(enum future_notifier_type notifier, uint64_t *seed)
{
	const size_t nworkers = 2 * mia_usable_cpus() + 1;
	struct data_mover_threads *dmt =
		data_mover_threads_new(nworkers, 16, notifier);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	atomic_bool stop = false;
	pthread_t waker;

	assert_non_null(dmt);
	add(0, FUTURE_NOTIFIER_WAKER);
	pthread_create(&waker, NULL, wake_in_vain, &stop);
	for (int turn = 0; turn < TEST_ROUNDS(20000); turn++) {
		const size_t i = (size_t)(test_random(seed) % COPIES);

		if (!slots[i].is_added)
			add_copy(vdm, i, seed);
		switch (test_random(seed) % 8) {
		case 0:
			take(completion_queue_wait(cq, some, COPIES, 1,
				(int64_t)(test_random(seed) % 100000)));
			break;
		case 1:
			take(completion_queue_reap(cq, some, 1));
			break;
		case 2:
		case 3:
			break;
		default:
			if (completion_queue_pending(cq) == 1)
				break;
			assert_true(is_readable_within(20000));
			take(completion_queue_reap(
				cq, some, 1 + test_random(seed) % COPIES));
			break;
		}
		if (turn % 1000 == 999) {
			while (completion_queue_pending(cq) > 1) {
				assert_true(is_readable_within(20000));
				take(completion_queue_reap(cq, some, COPIES));
			}
		}
	}
	atomic_store(&stop, true);
	pthread_join(waker, NULL);
	complete(0);
	while (completion_queue_pending(cq) > 0) {
		assert_true(is_readable_within(20000));
		take(completion_queue_reap(cq, some, COPIES));
	}
	assert_false(is_readable_within(10));
	data_mover_threads_delete(dmt);
}

static void
event_loop_finds_every_completion(void **state)
{
	uint64_t seed = test_seed("event loop");

	(void)state;
	memset(source, 1, sizeof(source));
	for (int kind = FUTURE_NOTIFIER_NONE; kind <= FUTURE_NOTIFIER_POLLER;
		kind++)
		run_event_loop((enum future_notifier_type)kind, &seed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_fd, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptor_is_readable_while_a_reap_may_find_something),
		QUEUE_TEST(descriptor_made_late_knows_what_came_before),
		QUEUE_TEST(descriptor_is_made_beside_wakers),
		TEST(first_wake_after_a_reap_costs_a_set),
		TEST(wakes_of_a_reap_cost_no_set),
		TEST(timer_makes_it_readable_for_silent_futures),
		TEST(woken_future_that_is_not_complete_is_looked_at_again),
		TEST(timer_is_set_after_a_wait_too),
		TEST(workers_do_what_a_wait_leaves),
		TEST(late_set_is_taken_back),
		TEST(late_set_is_not_lost),
		TEST(descriptors_are_closed_on_exec_and_by_the_end),
		TEST(queue_works_without_descriptors_that_the_system_refuses),
		TEST(canceled_thread_does_not_lose_its_wake),
		TEST(canceled_thread_does_not_lose_completions),
		TEST(event_loop_finds_every_completion),
	};

	/* A lost wake is a loop that waits for ever. */
	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
