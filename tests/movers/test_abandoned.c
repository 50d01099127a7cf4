/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_abandoned.c -- tests futures that a wait with a timeout leaves behind:
 * every kind of future, and all that may become of it
 *
 * Without the safety net, a wait that a lost wake makes long fails.
 */

#include "event.h"
#include "foreign_mover.h"
#include "net.h"
#include "test.h"
#include "threads_mover.h"
#include "wakers.h"

/* Who announces the end of the future, and to whom. */
enum kind {
	EVENT_WAKER,  /* a task that takes the waker of the last poll */
	EVENT_POLLER, /* a task with a word */
	EVENT_NONE,   /* a task that announces nothing */
	FIRST_WAKER,  /* a task that keeps and answers the first waker only */
	FOREIGN,      /* a mover that keeps its first notifier */
	THREADS_WAKER,
	THREADS_POLLER,
	THREADS_NONE,
};

#define KINDS (THREADS_NONE + 1)

static const char *const kind_names[KINDS] = {"task, waker", "task, poller",
	"task, none", "task, first waker", "foreign mover", "threads, waker",
	"threads, poller", "threads, none"};

/*
 * One future, whose work another thread ends. Static, because drd reports other
 * mutexes that come to its place on the stack.
 */
struct subject {
	enum kind kind;
	union {
		struct future base;
		struct event_future task;
		struct vdm_operation_future copy;
	} f;
	struct event event;
	struct foreign_mover foreign;
	struct data_mover_threads *dmt;
	unsigned char to[2], from[2];
};

/* The function of the threads mover, and whether it has returned. */
static atomic_bool has_moved;

static void *
memcpy_that_tells(void *dst, const void *src, size_t n, unsigned flags)
{
	memcpy_at_gate(dst, src, n, flags);
	atomic_store(&has_moved, true);
	return dst;
}

/* Answers the first waker, and is silent then. */
static enum future_state
first_waker_task(struct future_context *context, struct future_notifier *n)
{
	struct event_data *data = future_context_get_data(context);
	struct event *e = data->event;

	atomic_fetch_add(&e->polls, 1);
	pthread_mutex_lock(&e->lock);
	if (n != NULL && e->waker.wake == NULL) {
		e->waker = n->waker;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	}
	pthread_mutex_unlock(&e->lock);
	return atomic_load(&e->done) ? FUTURE_STATE_COMPLETE
				     : FUTURE_STATE_RUNNING;
}

static void
subject_init(struct subject *s, enum kind kind)
{
	struct vdm *vdm = NULL;

	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->from[0] = 7;
	switch (kind) {
	case EVENT_WAKER:
	case FIRST_WAKER:
		s->f.task = event_future(&s->event, FUTURE_NOTIFIER_WAKER);
		if (kind == FIRST_WAKER)
			FUTURE_INIT(&s->f.task, first_waker_task);
		return;
	case EVENT_POLLER:
		s->f.task = event_future(&s->event, FUTURE_NOTIFIER_POLLER);
		return;
	case EVENT_NONE:
		s->f.task = event_future(&s->event, FUTURE_NOTIFIER_NONE);
		return;
	case FOREIGN:
		foreign_init(&s->foreign);
		vdm = &s->foreign.vdm;
		break;
	case THREADS_WAKER:
	case THREADS_POLLER:
	case THREADS_NONE:
		s->dmt = data_mover_threads_new(1, 4,
			kind == THREADS_WAKER ? FUTURE_NOTIFIER_WAKER
				: kind == THREADS_POLLER
				? FUTURE_NOTIFIER_POLLER
				: FUTURE_NOTIFIER_NONE);
		assert_non_null(s->dmt);
		data_mover_threads_set_memcpy_fn(s->dmt, memcpy_that_tells);
		vdm = data_mover_threads_get_vdm(s->dmt);
		break;
	}
	s->f.copy = vdm_memcpy(vdm, s->to, s->from, 1, 0);
}

/* Its work is done, and announced. */
static void *
subject_end(void *arg)
{
	struct subject *s = arg;

	switch (s->kind) {
	case EVENT_WAKER:
	case EVENT_POLLER:
	case EVENT_NONE:
	case FIRST_WAKER:
		atomic_store(&s->event.done, 1);
		event_wake(&s->event);
		break;
	case FOREIGN:
		foreign_end(&s->foreign);
		break;
	case THREADS_WAKER:
	case THREADS_POLLER:
	case THREADS_NONE:
		open_gate(1);
		break;
	}
	return NULL;
}

static void *
end_soon(void *arg)
{
	test_sleep_ns(2 * MS);
	return subject_end(arg);
}

/* Its future is complete, or at least nobody polls it any more. */
static void
subject_fini(struct subject *s)
{
	if (s->kind == FOREIGN) {
		foreign_fini(&s->foreign);
		if (s->f.base.context.state != FUTURE_STATE_COMPLETE)
			free(s->f.copy.data.data);
	}
	if (s->dmt != NULL)
		data_mover_threads_delete(s->dmt);
}

static struct future *
future_of(struct subject *s)
{
	return &s->f.base;
}

/* Waits until all are complete, and fails if that took too long. */
static void
wait_all(struct runtime *by, struct future *futs[], size_t n)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	assert_int_equal(runtime_wait_some(by, futs, n, n, 60000 * MS), n);
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start < 10000 * MS);
}

/* The same while another thread ends the work. */
static void
wait_for_end(
	struct runtime *by, struct future *futs[], size_t n, struct subject *s)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, end_soon, s), 0);
	wait_all(by, futs, n);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* A thread is in a wait, and so uses the wait that was used last. */
struct busy {
	struct runtime *runtime;
	struct event event;
	struct event_future f;
	pthread_t thread;
};

static void *
busy_run(void *arg)
{
	struct busy *busy = arg;
	struct future *fut = FUTURE_AS_RUNNABLE(&busy->f);

	wait_all(busy->runtime, &fut, 1);
	return NULL;
}

static void
busy_begin(struct busy *busy, struct runtime *runtime)
{
	busy->runtime = runtime;
	busy->f = event_future(&busy->event, FUTURE_NOTIFIER_WAKER);
	assert_int_equal(
		pthread_create(&busy->thread, NULL, busy_run, busy), 0);
	while (atomic_load(&busy->event.polls) == 0)
		sched_yield();
}

static void
busy_end(struct busy *busy)
{
	atomic_store(&busy->event.done, 1);
	event_wake(&busy->event);
	assert_int_equal(pthread_join(busy->thread, NULL), 0);
}

/* What becomes of the future. */
enum fate {
	WAITED_AGAIN,
	WAITED_AT_ANOTHER_PLACE, /* so its waker has another number */
	MOVED,
	WAITED_IN_ANOTHER_WAIT, /* the first is in use */
	WAITED_BY_OTHER_RUNTIME,
	WAITED_BY_OTHER_AND_FIRST,
	POLLED_BY_PROGRAM, /* with its own waker */
	POLLED_WITHOUT_NOTIFIER,
	POLLED_THEN_WAITED,
	ENDS_UNSEEN,  /* and is waited for then */
	ENDS_BETWEEN, /* while the same thread waits for others */
	ENDS_IN_USE,  /* while another thread uses the wait */
	DROPPED,
};

#define FATES (DROPPED + 1)

static bool
is_threads(enum kind kind)
{
	return kind >= THREADS_WAKER;
}

/* Ends the work, and waits for the end without a poll. */
static void
end_now(struct subject *s)
{
	atomic_store(&has_moved, false);
	subject_end(s);
	while (is_threads(s->kind) && !atomic_load(&has_moved))
		sched_yield();
}

static void
poll_by_program(struct subject *s)
{
	struct counter counter;
	struct future_notifier n = {.waker = {&counter, wake_counter}};

	counter_init(&counter);
	assert_int_equal(future_poll(future_of(s), &n), FUTURE_STATE_RUNNING);
	subject_end(s);
	/* Others keep the runtime's waker, or none. */
	if (s->kind == EVENT_WAKER || s->kind == THREADS_WAKER)
		assert_true(await(&counter.sem));
	while (future_poll(future_of(s), NULL) != FUTURE_STATE_COMPLETE)
		sched_yield();
	counter_fini(&counter);
}

/* Another future is waited for by the same runtime; late wakes come. */
static void
wait_for_another(struct runtime *runtime, struct subject *ends_meanwhile)
{
	static struct subject other;
	struct future *fut = future_of(&other);

	subject_init(&other, EVENT_WAKER);
	if (ends_meanwhile != NULL)
		subject_end(ends_meanwhile);
	assert_int_equal(runtime_wait_some(runtime, &fut, 1, 1, 3 * MS), 0);
	/*
	 * A wake makes a future hot for some polls. The net polls it too, and
	 * this wait is shorter than two distances of the net.
	 */
	assert_true(atomic_load(&other.event.polls) < 40);
	wait_for_end(runtime, &fut, 1, &other);
	subject_fini(&other);
}

static void
meet_fate(
	struct subject *s, enum fate fate, struct runtime *a, struct runtime *b)
{
	struct future *fut = future_of(s);
	static struct subject first;
	struct future *two[] = {future_of(&first), fut};
	static struct busy busy;

	switch (fate) {
	case WAITED_AGAIN:
		wait_for_end(a, &fut, 1, s);
		return;
	case WAITED_AT_ANOTHER_PLACE:
		subject_init(&first, EVENT_WAKER);
		assert_int_equal(runtime_wait_some(a, two, 2, 1, MS), 0);
		assert_int_equal(runtime_wait_some(a, two + 1, 1, 1, MS), 0);
		two[1] = two[0];
		two[0] = fut;
		assert_int_equal(runtime_wait_some(a, two, 2, 1, MS), 0);
		wait_for_end(a, two, 1, s);
		subject_end(&first);
		wait_all(a, two, 2);
		subject_fini(&first);
		return;
	case MOVED: {
		struct subject moved = *s;
		struct future *new_place = future_of(&moved);

		memset(&s->f, 0xee, sizeof(s->f));
		wait_for_end(a, &new_place, 1, s);
		s->f = moved.f;
		return;
	}
	case WAITED_IN_ANOTHER_WAIT:
		busy_begin(&busy, a);
		wait_for_end(a, &fut, 1, s);
		busy_end(&busy);
		return;
	case WAITED_BY_OTHER_RUNTIME:
		wait_for_end(b, &fut, 1, s);
		return;
	case WAITED_BY_OTHER_AND_FIRST:
		assert_int_equal(runtime_wait_some(b, &fut, 1, 1, MS), 0);
		wait_for_end(a, &fut, 1, s);
		return;
	case POLLED_BY_PROGRAM:
		poll_by_program(s);
		return;
	case POLLED_WITHOUT_NOTIFIER:
		assert_int_equal(future_poll(fut, NULL), FUTURE_STATE_RUNNING);
		subject_end(s);
		while (future_poll(fut, NULL) != FUTURE_STATE_COMPLETE)
			sched_yield();
		return;
	case POLLED_THEN_WAITED: {
		struct future_notifier n = {.waker = {NULL, wake_nobody}};

		assert_int_equal(future_poll(fut, &n), FUTURE_STATE_RUNNING);
		wait_for_end(a, &fut, 1, s);
		return;
	}
	case ENDS_UNSEEN:
		end_now(s);
		wait_all(a, &fut, 1);
		return;
	case ENDS_BETWEEN:
		wait_for_another(a, s);
		wait_all(a, &fut, 1);
		return;
	case ENDS_IN_USE:
		busy_begin(&busy, a);
		end_now(s);
		busy_end(&busy);
		wait_all(a, &fut, 1);
		return;
	case DROPPED:
		end_now(s);
		wait_for_another(a, NULL);
		return;
	}
}

static void
check(enum kind kind, enum fate fate)
{
	struct runtime *a = test_runtime_new();
	struct runtime *b = test_runtime_new();
	static struct subject s;
	struct future *fut = future_of(&s);

	subject_init(&s, kind);
	assert_int_equal(runtime_wait_some(a, &fut, 1, 1, MS), 0);
	assert_int_equal(fut->context.state, FUTURE_STATE_RUNNING);
	meet_fate(&s, fate, a, b);
	if (fate != DROPPED) {
		assert_int_equal(fut->context.state, FUTURE_STATE_COMPLETE);
		if (is_threads(kind) || kind == FOREIGN)
			assert_int_equal(s.to[0], 7);
	}
	/* A dropped future's waker may come until its mover is deleted. */
	subject_fini(&s);
	runtime_delete(a);
	runtime_delete(b);
}

static void
every_kind_meets_every_fate(void **state)
{
	(void)state;
	for (int round = 0; round < TEST_ROUNDS(10); round++)
		for (int kind = 0; kind < KINDS; kind++)
			for (int fate = 0; fate < FATES; fate++) {
				/* cmocka says where; this says in which. */
				if (round == 0 && fate == 0)
					printf("%s\n", kind_names[kind]);
				check((enum kind)kind, (enum fate)fate);
			}
}

/*
 * A task that keeps its first waker but answers each breaks its word. The wake
 * goes to another waiter; the net sees the end.
 */
static enum future_state
liar_task(struct future_context *context, struct future_notifier *n)
{
	const enum future_state state = first_waker_task(context, n);

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	return state;
}

static void
net_ends_the_wait_for_a_task_that_lies(void **state)
{
	struct runtime *runtime;
	static struct subject s[2];
	struct future *futs[2];

	(void)state;
	TEST_NEEDS_NET();
	runtime = test_runtime_new();
	for (int i = 0; i < 2; i++) {
		subject_init(&s[i], FIRST_WAKER);
		FUTURE_INIT(&s[i].f.task, liar_task);
		futs[i] = future_of(&s[i]);
	}
	assert_int_equal(runtime_wait_some(runtime, futs, 2, 2, MS), 0);
	/* Each wake makes the other ready. */
	for (int i = 0; i < 2; i++)
		futs[i] = future_of(&s[1 - i]);
	wait_for_end(runtime, &futs[0], 1, &s[1]);
	wait_for_end(runtime, &futs[1], 1, &s[0]);
	runtime_delete(runtime);
}

/* Once another waker has replaced its own, the runtime may go. */
static void
runtime_goes_before_the_future(void **state)
{
	const enum kind kinds[] = {EVENT_WAKER, THREADS_WAKER};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct runtime *a = test_runtime_new();
		struct runtime *b = test_runtime_new();
		static struct subject s;
		struct future *fut = future_of(&s);

		subject_init(&s, kinds[i]);
		assert_int_equal(runtime_wait_some(a, &fut, 1, 1, MS), 0);
		assert_int_equal(runtime_wait_some(b, &fut, 1, 1, MS), 0);
		runtime_delete(a);
		wait_for_end(b, &fut, 1, &s);
		subject_fini(&s);
		runtime_delete(b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_meets_every_fate),
		cmocka_unit_test(net_ends_the_wait_for_a_task_that_lies),
		cmocka_unit_test(runtime_goes_before_the_future),
	};

	sem_init(&gate, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
