/* SPDX-License-Identifier: BSD-3-Clause */

/* scenario.c -- see scenario.h */

#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "operation.h"
#include "wakers.h"

int (*scenario_pthread_create)(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg) = pthread_create;

_Atomic uint64_t scenario_seed;

uint64_t
scenario_random(void)
{
	uint64_t state = atomic_fetch_add(&scenario_seed, 0x9e3779b97f4a7c15u);

	return test_random(&state);
}

/* The scenario: the whole interface, and its invariants. */

#define N 24
#define SIZE 20000  /* a worker does it */
#define BIG 2500000 /* the workers share it */
#define ERRNO 4321  /* stays, where it should */

static struct {
	unsigned char src[N][SIZE], dst[N][SIZE];
	unsigned char big_src[BIG], big_dst[BIG];
} memory;

atomic_long scenario_wrong;
atomic_long scenario_done;
atomic_long scenario_refused;

void
scenario_expect(bool holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	if (atomic_fetch_add(&scenario_wrong, 1) < 10)
		print_error("%s:%d: %s does not hold\n", file, line, what);
}

/* Returns whether it succeeded. If it did not, memory was short. */
static bool
was_done(const struct vdm_operation_future *f)
{
	const enum vdm_operation_result result = FUTURE_OUTPUT(f)->result;

	EXPECT(FUTURE_STATE(f) == FUTURE_STATE_COMPLETE);
	EXPECT(result == VDM_SUCCESS || result == VDM_ERROR_OUT_OF_MEMORY);
	atomic_fetch_add(
		result == VDM_SUCCESS ? &scenario_done : &scenario_refused, 1);
	return result == VDM_SUCCESS;
}

static size_t
size_of(int i)
{
	static const size_t sizes[] = {SIZE, 1, 4000, 0, 17000};

	return sizes[i % 5];
}

static enum vdm_operation_type
type_of(int i)
{
	return (enum vdm_operation_type)(i % 4);
}

struct vdm_operation_future
scenario_make(struct vdm *vdm, int i)
{
	const enum vdm_operation_type type = type_of(i);

	return operation_new(vdm, type, memory.dst[i], memory.src[i], i + 1,
		type == VDM_OPERATION_FLUSH ? 0 : size_of(i),
		type == VDM_OPERATION_MEMCPY ? VDM_F_NO_CACHE_HINT : 0);
}

void
scenario_check(const struct vdm_operation_future *f, int i)
{
	unsigned char set[SIZE];

	if (!was_done(f)) {
		memset(set, 0, size_of(i));
		EXPECT(memcmp(memory.dst[i], set, size_of(i)) == 0);
		return;
	}
	memset(set, i + 1, size_of(i));
	if (type_of(i) != VDM_OPERATION_FLUSH)
		EXPECT(memcmp(memory.dst[i],
			       type_of(i) == VDM_OPERATION_MEMSET
				       ? set
				       : memory.src[i],
			       size_of(i)) == 0);
}

void
scenario_fill(void)
{
	for (int i = 0; i < N; i++)
		memset(memory.src[i], i + 100, SIZE);
	memset(memory.dst, 0, sizeof(memory.dst));
	memset(memory.big_src, 7, BIG);
	memset(memory.big_dst, 0, BIG);
}

static void
wait_for(struct runtime *runtime, struct future *futs[], size_t n)
{
	if (runtime != NULL) {
		/* Workers do some of them. The waiting thread does the rest. */
		for (size_t i = 0; i < n; i += 2)
			future_poll(futs[i], NULL);
		runtime_wait_multiple(runtime, futs, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		future_busy_poll_impl(futs[i]);
}

/* A thread that ends with caches, a future in progress, and an idle future. */
struct leaver {
	struct vdm *vdm;
	struct vdm_operation_future f[2];
};

static void *
leave(void *arg)
{
	struct leaver *leaver = arg;

	for (int i = 0; i < 2; i++)
		leaver->f[i] = scenario_make(leaver->vdm, i);
	future_poll(FUTURE_AS_RUNNABLE(&leaver->f[0]), NULL);
	return NULL;
}

/* Waits in the same runtime, during a wait for itself. */
struct nested_data {
	struct runtime *runtime;
	struct vdm_operation_future inner;
};

FUTURE(nested_future, struct nested_data, char);

static enum future_state
nested_task(struct future_context *context, struct future_notifier *n)
{
	struct nested_data *data = future_context_get_data(context);
	struct future *fut = FUTURE_AS_RUNNABLE(&data->inner);

	(void)n;
	wait_for(data->runtime, &fut, 1);
	return FUTURE_STATE_COMPLETE;
}

/* A chain whose second entry is made when the first is done. */
struct pair_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, second);
};

FUTURE(pair_future, struct pair_data, char);

static void
make_second(void *future, struct future_context *chain, void *arg)
{
	struct vdm_operation_future *f = future;

	(void)chain;
	*f = scenario_make(arg, 1);
}

void
scenario_use(struct vdm *vdm, struct runtime *runtime)
{
	struct vdm_operation_future f[N + 1];
	struct future *futs[N + 1];
	pthread_t thread;

	/* Many at once: the runtime grows. */
	scenario_fill();
	errno = ERRNO;
	for (int i = 0; i < N; i++) {
		struct future_notifier n = {.waker = {.wake = wake_nobody}};

		f[i] = scenario_make(vdm, i);
		if (i % 3 != 0)
			future_poll(FUTURE_AS_RUNNABLE(&f[i]),
				i % 3 == 1 ? &n : NULL);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	f[N] = vdm_memcpy(vdm, memory.big_dst, memory.big_src, BIG, 0);
	futs[N] = FUTURE_AS_RUNNABLE(&f[N]);
	wait_for(runtime, futs, N + 1);
	EXPECT(errno == ERRNO);
	for (int i = 0; i < N; i++)
		scenario_check(&f[i], i);
	if (was_done(&f[N]))
		EXPECT(memcmp(memory.big_src, memory.big_dst, BIG) == 0);

	/*
	 * A wait in a wait, a chain, and operations of a thread that has ended.
	 */
	scenario_fill();
	struct nested_future nested = {
		.data = {runtime, scenario_make(vdm, 4)}};
	struct pair_future pair;
	struct leaver leaver = {.vdm = vdm};

	FUTURE_INIT(&nested, nested_task);
	futs[0] = FUTURE_AS_RUNNABLE(&nested);
	wait_for(runtime, futs, 1);
	EXPECT(FUTURE_STATE(&nested) == FUTURE_STATE_COMPLETE);
	scenario_check(&nested.data.inner, 4);

	FUTURE_CHAIN_ENTRY_INIT(
		&pair.data.first, scenario_make(vdm, 0), NULL, NULL);
	FUTURE_CHAIN_ENTRY_LAZY_INIT(
		&pair.data.second, make_second, vdm, NULL, NULL);
	FUTURE_CHAIN_INIT(&pair);
	futs[0] = FUTURE_AS_RUNNABLE(&pair);
	wait_for(runtime, futs, 1);
	scenario_check(&pair.data.first.fut, 0);
	scenario_check(&pair.data.second.fut, 1);
	EXPECT(errno == ERRNO);

	scenario_fill();
	if (scenario_pthread_create(&thread, NULL, leave, &leaver) != 0)
		abort();
	pthread_join(thread, NULL);
	for (int i = 0; i < 2; i++) {
		futs[i] = FUTURE_AS_RUNNABLE(&leaver.f[i]);
		FUTURE_BUSY_POLL(&leaver.f[i]);
		scenario_check(&leaver.f[i], i);
	}
	wait_for(runtime, futs, 2);

	/* One is dropped. */
	(void)scenario_make(vdm, 0);
}

/*
 * Waits that may hang: for every kind of mover, for a future that never wakes,
 * and for a slow waker. Only the safety net finds that the second is complete.
 */

struct forgetful_data {
	uint64_t end; /* ns, of a clock that is right */
};

FUTURE(forgetful_future, struct forgetful_data, char);

static enum future_state
forgetful_task(struct future_context *context, struct future_notifier *n)
{
	struct forgetful_data *data = future_context_get_data(context);

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	return test_clock_ns(CLOCK_MONOTONIC_RAW) >= data->end
		? FUTURE_STATE_COMPLETE
		: FUTURE_STATE_RUNNING;
}

struct slow_waker {
	atomic_bool is_over;
	atomic_int calls;
	atomic_int late; /* calls that ended after the poll completed */
};

static void
wake_slowly(void *data)
{
	struct slow_waker *waker = data;

	atomic_fetch_add(&waker->calls, 1);
	test_sleep_ns(30 * MS);
	atomic_fetch_add(&waker->late, atomic_load(&waker->is_over));
}

static void
slow_waker_ends(struct vdm *vdm)
{
	struct slow_waker waker = {false};
	struct future_notifier n = {
		.waker = {.wake = wake_slowly, .data = &waker}};
	struct vdm_operation_future f = scenario_make(vdm, 0);

	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) == FUTURE_STATE_IDLE)
		sched_yield();
	while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
		FUTURE_STATE_COMPLETE)
		continue;
	atomic_store(&waker.is_over, true);
	scenario_check(&f, 0);

	/* Longer than a forbidden call would take. */
	test_sleep_ns(50 * MS);
	EXPECT(atomic_load(&waker.late) == 0);
}

void
scenario_waits(enum scenario_slow_waker slow)
{
	struct runtime *runtime = runtime_new();
	struct data_mover_sync *dms = data_mover_sync_new();

	scenario_fill();
	scenario_use(data_mover_sync_get_vdm(dms), runtime);
	for (int notifier = 0; notifier < 3; notifier++) {
		struct data_mover_threads *dmt = data_mover_threads_new(
			2, 4, (enum future_notifier_type)notifier);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);

		scenario_use(vdm, runtime);
		scenario_fill();
		if (notifier == FUTURE_NOTIFIER_WAKER && slow == SLOW_WAKER)
			slow_waker_ends(vdm);
		data_mover_threads_delete(dmt);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct forgetful_future f = {
			.data = {test_clock_ns(CLOCK_MONOTONIC_RAW) +
				(i == 0 ? 5 : 250) * MS}};

		FUTURE_INIT(&f, forgetful_task);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}
	data_mover_sync_delete(dms);
	runtime_delete(runtime);
}
