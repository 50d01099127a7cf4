/* SPDX-License-Identifier: BSD-3-Clause */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "contract.h"
#include "libminiasync.h"
#include "operation/memory.h"
#include "system.h"
#include "threads_mover.h"
#include "wakers.h"

/* The contract, for every pair of these numbers. */
static size_t nthreads;
static size_t ringbuf_size;

static void *
make(void)
{
	return data_mover_threads_new(
		nthreads, ringbuf_size, FUTURE_NOTIFIER_WAKER);
}

static struct vdm *
get_vdm(void *mover)
{
	return data_mover_threads_get_vdm(mover);
}

static void
end(void *mover)
{
	data_mover_threads_delete(mover);
}

static int
contract(void)
{
	static const size_t all_threads[] = {1, 2, 8};
	static const size_t all_sizes[] = {1, 2, 128};
	int failed = 0;

	for (size_t t = 0; t < 3; t++) {
		for (size_t r = 0; r < 3; r++) {
			char name[64];
			const struct contract_mover mover = {.name = name,
				.make = make,
				.get_vdm = get_vdm,
				.end = end};

			nthreads = all_threads[t];
			ringbuf_size = all_sizes[r];
			snprintf(name, sizeof(name), "threads %zu, queue %zu",
				nthreads, ringbuf_size);
			failed += contract_run(&mover);
		}
	}

	return failed;
}

static void
bad_numbers_are_refused(void **state)
{
	static const struct {
		size_t threads, queue;
		enum future_notifier_type notifier;
		int error;
	} bad[] = {
		{0, 1, FUTURE_NOTIFIER_WAKER, EINVAL},
		{1, 0, FUTURE_NOTIFIER_WAKER, EINVAL},
		{SIZE_MAX, 1, FUTURE_NOTIFIER_WAKER, EINVAL},
		{1, SIZE_MAX, FUTURE_NOTIFIER_WAKER, EINVAL},
		{1, SIZE_MAX / 8, FUTURE_NOTIFIER_WAKER, EINVAL},
		{1, 1, (enum future_notifier_type)3, EINVAL},
		{1, 1, (enum future_notifier_type) - 1, EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_null(data_mover_threads_new(
			bad[i].threads, bad[i].queue, bad[i].notifier));
		assert_int_equal(errno, bad[i].error);
	}
	data_mover_threads_delete(NULL);
}

static void
properties_and_capabilities(void **state)
{
	struct data_mover_threads *dmt = data_mover_threads_default();
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	char a = 'a';
	struct vdm_operation_future f = vdm_memset(vdm, &a, 'b', 1, 0);

	(void)state;
	assert_true(future_has_property(&f, FUTURE_PROPERTY_ASYNC));
	assert_false(future_has_property(&f, (enum future_property)1));
	assert_int_equal(vdm->has_property(&f, FUTURE_PROPERTY_RENOTIFY),
		FUTURE_PROPERTY_RENOTIFY);
	assert_int_equal(vdm->capabilities, 0);
	assert_int_equal(data_mover_threads_set_capabilities(dmt, 4), -1);
	assert_int_equal(errno, EINVAL);
	if (data_mover_threads_set_capabilities(dmt, VDM_F_VALID_FLAGS) == 0)
		assert_true(vdm_is_supported(vdm, VDM_F_VALID_FLAGS));
	else
		assert_int_equal(errno, ENOTSUP);
	data_mover_threads_delete(dmt);
}

/* Small: the poll does it; but a waker of ours is always called. */
static void
small_operations_are_done_by_the_poll(void **state)
{
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct counter waker;
	char a[64] = "a", b[64] = "b";

	(void)state;
	struct vdm_operation_future f = vdm_memcpy(vdm, a, b, 64, 0);

	assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
		FUTURE_STATE_COMPLETE);
	assert_string_equal(a, "b");

	f = vdm_memset(vdm, a, 'c', 64, 0);
	counter_init(&waker);
	struct future_notifier n = {.waker = {&waker, wake_counter}};

	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) !=
		FUTURE_STATE_COMPLETE) {
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_WAKER);
		assert_true(await(&waker.sem));
	}
	assert_true(waker.calls >= 1);
	assert_int_equal(a[0], 'c');

	/* A waker without a function is none. */
	n.waker.wake = NULL;
	f = vdm_memset(vdm, a, 'd', 64, 0);
	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		assert_int_equal(n.notifier_used, FUTURE_NOTIFIER_NONE);
	data_mover_threads_delete(dmt);
	counter_fini(&waker);
}

static void
notifiers_of_the_other_kinds(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct counter waker;
	struct future_notifier n = {.waker = {&waker, wake_counter}};

	(void)state;
	counter_init(&waker);
	for (int kind = 0; kind < 2; kind++) {
		struct data_mover_threads *dmt = data_mover_threads_new(1, 4,
			kind ? FUTURE_NOTIFIER_POLLER : FUTURE_NOTIFIER_NONE);

		data_mover_threads_set_memcpy_fn(dmt, memcpy_at_gate);
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);

		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_RUNNING);
		assert_int_equal(n.notifier_used,
			kind ? FUTURE_NOTIFIER_POLLER : FUTURE_NOTIFIER_NONE);
		if (kind) {
			const uint64_t *word = n.poller.ptr_to_monitor;
			const uint64_t old =
				__atomic_load_n(word, __ATOMIC_RELAXED);

			open_gate(1);
			while (__atomic_load_n(word, __ATOMIC_RELAXED) == old)
				sched_yield();
		} else {
			open_gate(1);
		}
		FUTURE_BUSY_POLL(&f);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		data_mover_threads_delete(dmt);
	}
	assert_int_equal(waker.calls, 0);
	counter_fini(&waker);
}

/*
 * Who watches a chain sees the word of each operation change, though all have
 * it in the same slot, and also if one ends before the next look.
 */
static void
no_word_takes_a_value_that_it_had(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 4, FUTURE_NOTIFIER_POLLER);
	uint64_t last = 0;
	void *slot = NULL;

	(void)state;
	data_mover_threads_set_memcpy_fn(dmt, memcpy_at_gate);
	for (int i = 0; i < 4; i++) {
		struct future_notifier n = {.waker = {NULL, NULL}};
		struct vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				HANDED_OVER, 0);

		assert_true(slot == NULL || slot == f.data.data);
		slot = f.data.data;
		/* Also one that began without a notifier. */
		if (i % 2)
			future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_RUNNING);

		const uint64_t *word = n.poller.ptr_to_monitor;
		const uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED);

		assert_true(before >= last);
		open_gate(1);
		while (__atomic_load_n(word, __ATOMIC_RELAXED) == before)
			sched_yield();
		last = __atomic_load_n(word, __ATOMIC_RELAXED);
		assert_true(last > before);
		FUTURE_BUSY_POLL(&f);
	}
	data_mover_threads_delete(dmt);
}

/*
 * Who watches a chain may have the word of an operation that another poll of
 * the chain has ended, after which the program deletes the mover.
 * AddressSanitizer sees whether the memory of the word is still there.
 */
static void
words_outlive_their_mover(void **state)
{
	enum { N = TEST_SLOWDOWN > 10 ? 100 : 2000 };
	static char src[HANDED_OVER], dst[HANDED_OVER];
	static struct vdm_operation_future f[N];
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 4, FUTURE_NOTIFIER_POLLER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	uint64_t *words[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		struct future_notifier n = {.waker = {NULL, NULL}};

		f[i] = vdm_memcpy(vdm, dst, src, HANDED_OVER, 0);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), &n);
		words[i] = n.notifier_used == FUTURE_NOTIFIER_POLLER
			? n.poller.ptr_to_monitor
			: NULL;
	}
	for (int i = 0; i < N; i++)
		FUTURE_BUSY_POLL(&f[i]);
	data_mover_threads_delete(dmt);
	for (int i = 0; i < N; i++)
		if (words[i] != NULL)
			assert_true(__atomic_load_n(words[i],
					    __ATOMIC_RELAXED) != UINT64_MAX);
}

/* The notifier of the last poll that brought one is the one that counts. */
static void
last_notifier_counts(void **state)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];
	struct data_mover_threads *dmt = gated_mover(1, 4);
	struct counter wakers[2];
	struct future_notifier n[2];
	struct vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(dmt), dst, src, HANDED_OVER, 0);
	struct future *fut = FUTURE_AS_RUNNABLE(&f);

	(void)state;
	for (int i = 0; i < 2; i++) {
		counter_init(&wakers[i]);
		n[i] = (struct future_notifier){
			.waker = {&wakers[i], wake_counter}};
	}
	assert_int_equal(future_poll(fut, NULL), FUTURE_STATE_RUNNING);
	for (int i = 0; i < 2; i++) {
		n[i].notifier_used = FUTURE_NOTIFIER_NONE;
		assert_int_equal(future_poll(fut, &n[i]), FUTURE_STATE_RUNNING);
		assert_int_equal(n[i].notifier_used, FUTURE_NOTIFIER_WAKER);
	}
	assert_int_equal(future_poll(fut, NULL), FUTURE_STATE_RUNNING);
	open_gate(1);
	assert_true(await(&wakers[1].sem));
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(wakers[0].calls, 0);
	data_mover_threads_delete(dmt);
	counter_fini(&wakers[0]);
	counter_fini(&wakers[1]);
}

/* Far more than the ring holds; the custom function forbids doing it inline. */
static void
runtime_over_100000_futures(void **state)
{
	const size_t n = TEST_ROUNDS(100000);
	struct vdm_operation_future *f = malloc(n * sizeof(*f));
	struct future **futs = malloc(n * sizeof(*futs));
	uint64_t *src = malloc(n * 8), *dst = malloc(n * 8);
	struct runtime *runtime = runtime_new();

	(void)state;
	for (size_t queue = 1; queue <= 128; queue *= 128) {
		struct data_mover_threads *dmt = mover_new(2, queue);

		data_mover_threads_set_memcpy_fn(dmt, plain_memcpy);
		for (size_t i = 0; i < n; i++) {
			src[i] = i + queue;
			f[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				&dst[i], &src[i], 8, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}

		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		runtime_wait_multiple(runtime, futs, n);
		printf("queue of %zu: %.1f us per operation\n", queue,
			(double)(test_clock_ns(CLOCK_MONOTONIC) - start) / 1e3 /
				(double)n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(
				FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
		assert_memory_equal(src, dst, n * 8);
		data_mover_threads_delete(dmt);
	}
	runtime_delete(runtime);
	free(futs);
	free(f);
	free(src);
	free(dst);
}

static _Atomic(pthread_t *) custom_caller;
static atomic_uint custom_flags;
static atomic_int custom_calls;

static void
note_call(unsigned flags)
{
	static pthread_t caller;

	caller = pthread_self();
	atomic_store(&custom_caller, &caller);
	atomic_store(&custom_flags, flags);
	atomic_fetch_add(&custom_calls, 1);
}

static void *
custom_move(void *dst, const void *src, size_t n, unsigned flags)
{
	note_call(flags);
	return memmove(dst, src, n);
}

static void *
custom_set(void *str, int c, size_t n, unsigned flags)
{
	note_call(flags);
	return memset(str, c + 1, n);
}

static void
custom_functions_are_called_on_a_worker(void **state)
{
	static char src[SHARED], dst[SHARED];
	static const size_t sizes[] = {1, HANDED_OVER, SHARED};
	struct data_mover_threads *dmt = mover_new(2, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct vdm_operation_future f;

	(void)state;
	memset(src, 's', SHARED);
	data_mover_threads_set_memcpy_fn(dmt, custom_move);
	data_mover_threads_set_memmove_fn(dmt, custom_move);
	data_mover_threads_set_memset_fn(dmt, custom_set);
	for (size_t i = 0; i < 3; i++) {
		for (unsigned flags = 0; flags < 4; flags++) {
			for (int type = 0; type < 3; type++) {
				memset(dst, 0, sizes[i]);
				atomic_store(&custom_calls, 0);
				f = type == 0       ? vdm_memcpy(vdm, dst, src,
							      sizes[i], flags)
					: type == 1 ? vdm_memmove(vdm, dst, src,
							      sizes[i], flags)
						    : vdm_memset(vdm, dst, 'r',
							      sizes[i], flags);
				FUTURE_BUSY_POLL(&f);
				assert_int_equal(
					FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
				assert_memory_equal(dst, src, sizes[i]);
				assert_int_equal(custom_calls, 1);
				assert_int_equal(custom_flags, flags);
				assert_false(pthread_equal(
					*custom_caller, pthread_self()));
			}
		}
	}

	/* Not for nothing, nor for bad input. */
	atomic_store(&custom_calls, 0);
	f = vdm_memcpy(vdm, dst, src, 0, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	f = vdm_memcpy(vdm, NULL, src, 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
	f = vdm_memset(vdm, NULL, 1, 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(custom_calls, 0);

	data_mover_threads_set_memset_fn(dmt, NULL);
	f = vdm_memset(vdm, dst, 'x', 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(dst[0], 'x');
	assert_int_equal(custom_calls, 0);
	data_mover_threads_delete(dmt);
}

/*
 * Flags that are not the library's are the function's business, if there is one
 * and it can be given them.
 */
static void
custom_functions_get_flags_of_their_own(void **state)
{
	static const struct {
		uint64_t flags;
		bool fits;
	} cases[] = {
		{UINT64_C(1) << 5, true},
		{UINT32_MAX, true},
		{UINT64_C(1) << 32, false},
		{UINT64_MAX, false},
	};
	struct data_mover_threads *dmt = mover_new(1, 8);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (int type = 0; type < 3; type++) {
			for (size_t n = 0; n < 2; n++) {
				const uint64_t flags = cases[i].flags;
				char src[1] = "s", dst[1] = "d";

				data_mover_threads_set_memcpy_fn(
					dmt, custom_move);
				data_mover_threads_set_memmove_fn(
					dmt, custom_move);
				data_mover_threads_set_memset_fn(
					dmt, custom_set);
				for (int set = 1; set >= 0; set--) {
					struct vdm_operation_future f =
						type == 0
						? vdm_memcpy(vdm, dst, src, n,
							  flags)
						: type == 1
						? vdm_memmove(vdm, dst, src, n,
							  flags)
						: vdm_memset(vdm, dst, 'r', n,
							  flags);
					const bool ok = set && cases[i].fits;

					dst[0] = 'd';
					atomic_store(&custom_flags, 0);
					FUTURE_BUSY_POLL(&f);
					assert_int_equal(
						FUTURE_OUTPUT(&f)->result,
						ok ? VDM_SUCCESS
						   : VDM_ERROR_JOB_CORRUPTED);
					assert_int_equal(custom_flags,
						ok && n > 0 ? flags : 0);
					assert_int_equal(dst[0],
						ok && n > 0 ? 's' : 'd');
					data_mover_threads_set_memcpy_fn(
						dmt, NULL);
					data_mover_threads_set_memmove_fn(
						dmt, NULL);
					data_mover_threads_set_memset_fn(
						dmt, NULL);
				}
			}
		}
	}
	data_mover_threads_delete(dmt);
}

/* What the worker says of itself, from inside of a custom function. */
static char worker_name[32];

static void *
note_name(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	pthread_getname_np(pthread_self(), worker_name, sizeof(worker_name));
	return memset(str, c, n);
}

/*
 * What a thread prepares for its function, and then sets, is there when a
 * worker calls that for another thread. ThreadSanitizer sees whether it must.
 */
static memcpy_fn prepared;
static atomic_int prepared_calls;
static atomic_bool enough;

static void *
prepared_memcpy(void *dst, const void *src, size_t n, unsigned flags)
{
	atomic_fetch_add_explicit(&prepared_calls, 1, memory_order_relaxed);
	return prepared(dst, src, n, flags);
}

static void *
copy_until_enough(void *arg)
{
	static char src[HANDED_OVER], dst[HANDED_OVER];

	while (!atomic_load_explicit(&enough, memory_order_relaxed)) {
		struct vdm_operation_future f =
			vdm_memcpy(arg, dst, src, HANDED_OVER, 0);

		FUTURE_BUSY_POLL(&f);
	}
	return NULL;
}

static void
function_finds_what_was_prepared_for_it(void **state)
{
	(void)state;
	for (int i = 0; i < TEST_ROUNDS(50); i++) {
		struct data_mover_threads *dmt = mover_new(1, 8);
		pthread_t thread;

		prepared = NULL;
		atomic_store(&enough, false);
		atomic_store(&prepared_calls, 0);
		assert_int_equal(
			pthread_create(&thread, NULL, copy_until_enough,
				data_mover_threads_get_vdm(dmt)),
			0);
		prepared = plain_memcpy;
		data_mover_threads_set_memcpy_fn(dmt, prepared_memcpy);
		while (atomic_load_explicit(
			       &prepared_calls, memory_order_relaxed) == 0)
			sched_yield();
		atomic_store(&enough, true);
		pthread_join(thread, NULL);
		data_mover_threads_delete(dmt);
	}
}

static void
workers_have_a_name(void **state)
{
	struct data_mover_threads *dmt = mover_new(1, 1);
	char a;

	(void)state;
	data_mover_threads_set_memset_fn(dmt, note_name);
	struct vdm_operation_future f =
		vdm_memset(data_mover_threads_get_vdm(dmt), &a, 1, 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_string_equal(worker_name, "miniasync/0");
	data_mover_threads_delete(dmt);
}

#if defined(_WIN32)
static void
workers_take_no_signals(void **state)
{
	(void)state;
	TEST_LEFT_OUT("no signal comes to a thread by itself on this system");
}
#else
static sigset_t worker_mask;

static void *
note_mask(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	pthread_sigmask(SIG_BLOCK, NULL, &worker_mask);
	return memset(str, c, n);
}

static void
workers_take_no_signals(void **state)
{
	static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	static const int closed[] = {
		SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPROF, SIGIO};
	struct data_mover_threads *dmt = mover_new(1, 1);
	sigset_t before, after;
	char a;

	(void)state;
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	data_mover_threads_set_memset_fn(dmt, note_mask);
	struct vdm_operation_future f =
		vdm_memset(data_mover_threads_get_vdm(dmt), &a, 1, 1, 0);
	FUTURE_BUSY_POLL(&f);
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		assert_false(sigismember(&worker_mask, open[i]));
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		assert_true(sigismember(&worker_mask, closed[i]));
	data_mover_threads_delete(dmt);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	for (int i = 1; i < 64; i++)
		assert_int_equal(
			sigismember(&before, i), sigismember(&after, i));
}
#endif

static uint64_t
process_cpu_ns(void)
{
	return test_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void
idle_mover_uses_no_cpu(void **state)
{
	const struct timespec settle = {0, 50000000}, idle = {1, 0};
	struct data_mover_threads *dmt = mover_new(8, 128);
	static char src[HANDED_OVER], dst[HANDED_OVER];

	(void)state;
	struct vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(dmt), dst, src, HANDED_OVER, 0);
	FUTURE_BUSY_POLL(&f);
	nanosleep(&settle, NULL);
	const uint64_t cpu = process_cpu_ns();

	nanosleep(&idle, NULL);
	const uint64_t used = process_cpu_ns() - cpu;

	printf("8 idle workers, 1 s: %llu us of CPU\n",
		(unsigned long long)used / 1000);
	assert_true(used < 5 * MS * TEST_SLOWDOWN);
	data_mover_threads_delete(dmt);
}

/* Created on one thread, polled on a second, completed on a third. */
struct relay {
	struct vdm *vdm;
	struct vdm_operation_future f;
	char src[HANDED_OVER], dst[HANDED_OVER];
};

static void *
relay_create(void *arg)
{
	struct relay *r = arg;

	r->f = vdm_memcpy(r->vdm, r->dst, r->src, HANDED_OVER, 0);
	return NULL;
}

static void *
relay_poll(void *arg)
{
	struct relay *r = arg;

	future_poll(FUTURE_AS_RUNNABLE(&r->f), NULL);
	return NULL;
}

static void *
relay_finish(void *arg)
{
	struct relay *r = arg;
	struct runtime *runtime = runtime_new();

	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&r->f));
	runtime_delete(runtime);
	return NULL;
}

static void
threads_that_come_and_go_leave_no_memory(void **state)
{
	static void *(*const runs[])(void *) = {
		relay_create, relay_poll, relay_finish};
	struct data_mover_threads *dmt = mover_new(2, 8);
	static struct relay r;
	size_t before = 0;

	(void)state;
	r.vdm = data_mover_threads_get_vdm(dmt);
	for (int i = 0; i < TEST_ROUNDS(3000); i++) {
		memset(r.src, i, sizeof(r.src));
		for (size_t t = 0; t < 3; t++) {
			pthread_t thread;

			assert_int_equal(
				pthread_create(&thread, NULL, runs[t], &r), 0);
			pthread_join(thread, NULL);
		}
		assert_int_equal(FUTURE_OUTPUT(&r.f)->result, VDM_SUCCESS);
		assert_memory_equal(r.src, r.dst, sizeof(r.src));
		if (i == 100)
			before = test_resident_kib();
	}
	printf("resident: %zu KiB, then %zu KiB\n", before,
		test_resident_kib());
	if (TEST_SLOWDOWN == 1)
		assert_true(test_resident_kib() < before + 16384 ||
			getenv("MIA_TEST_EMULATED") != NULL);
	data_mover_threads_delete(dmt);
}

#if !defined(_WIN32)
static void *
copy_cancelled(void *arg)
{
	static char src[SHARED], dst[SHARED];
	bool *has_ended = arg;

	pthread_cancel(pthread_self());

	struct data_mover_threads *dmt = mover_new(2, 8);
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(dmt), dst, src, SHARED, 0);

	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	*has_ended = true;
	return NULL;
}

static void
cancelled_thread_leaves_nothing(void **state)
{
	const char *tool = getenv("MIA_TEST_EMULATED");
	bool has_ended = false;
	pthread_t thread;

	(void)state;
	/* Its own pthread_create() waits, and is a cancellation point. */
	if (tool != NULL && strcmp(tool, "drd") == 0)
		skip();

	assert_int_equal(
		pthread_create(&thread, NULL, copy_cancelled, &has_ended), 0);
	pthread_join(thread, NULL);
	assert_true(has_ended);
}
#endif

static void
delete_ends_what_was_started(void **state)
{
	enum { N = 20 };
	static char src[N][HANDED_OVER], dst[N][HANDED_OVER];

	(void)state;
	for (int round = 0; round < TEST_ROUNDS(200); round++) {
		struct data_mover_threads *dmt = mover_new(3, N);
		struct vdm_operation_future f[N];

		memset(src, round + 1, sizeof(src));
		memset(dst, 0, sizeof(dst));
		for (size_t i = 0; i < N; i++) {
			f[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				dst[i], src[i], HANDED_OVER, 0);
			assert_int_not_equal(
				future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL),
				FUTURE_STATE_IDLE);
		}
		data_mover_threads_delete(dmt);
		assert_memory_equal(src, dst, sizeof(src));
	}
}

/* Long ones and short ones, so that some end before those that began first. */
static void
several_shared_operations_are_right(void **state)
{
	enum { FLIGHTS = 6, N = TEST_ROUNDS(300) };
	static unsigned char dst[FLIGHTS][2 * SHARED];
	struct data_mover_threads *dmt = mover_new(3, FLIGHTS);
	struct vdm_operation_future f[FLIGHTS];
	size_t size[FLIGHTS] = {0}; /* 0: not in flight */
	int value[FLIGHTS];

	(void)state;
	for (int i = 0, begun = 0, ended = 0; ended < N;
		i = (i + 1) % FLIGHTS) {
		if (size[i] != 0) {
			if (future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL) !=
				FUTURE_STATE_COMPLETE)
				continue;
			for (size_t at = 0; at < size[i]; at++)
				if (dst[i][at] != value[i])
					fail_msg("%d, not %d, at %zu of %zu",
						dst[i][at], value[i], at,
						size[i]);
			size[i] = 0;
			ended++;
		}
		if (begun == N)
			continue;
		value[i] = ++begun % 256;
		size[i] = begun % 4 == 0 ? 2 * SHARED : SHARED / 2;
		f[i] = vdm_memset(data_mover_threads_get_vdm(dmt), dst[i],
			value[i], size[i], 0);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	data_mover_threads_delete(dmt);
}

/* Where workers take the longest chunks, and leave the caches out of it. */
static void
operations_that_outgrow_the_cache_are_right(void **state)
{
	const size_t stream_min = mia_memory_stream_min();
	size_t n = 40 * 1024 * KIB + 12345; /* two workers, longest chunks */

	(void)state;
	if (stream_min > n && stream_min < 512 * 1024 * KIB &&
		TEST_SLOWDOWN == 1)
		n = stream_min + 12345;

	unsigned char *src = malloc(n + 2), *dst = malloc(n + 2);
	struct data_mover_threads *dmt = mover_new(2, 1);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	assert_true(src != NULL && dst != NULL);
	printf("%zu MiB, of the cache: %zu\n", n >> 20, stream_min >> 20);
	memset(dst, 1, n + 2);
	for (size_t i = 0; i < n + 2; i++)
		src[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16);

	struct vdm_operation_future f = vdm_memcpy(vdm, dst + 1, src + 1, n, 0);

	FUTURE_BUSY_POLL(&f);
	assert_int_equal(dst[0], 1);
	assert_memory_equal(dst + 1, src + 1, n);
	assert_int_equal(dst[n + 1], 1);

	f = vdm_memset(vdm, dst + 1, 7, n, 0);
	FUTURE_BUSY_POLL(&f);
	memset(src, 7, n + 2);
	assert_int_equal(dst[0], 1);
	assert_memory_equal(dst + 1, src + 1, n);
	assert_int_equal(dst[n + 1], 1);

	f = vdm_flush(vdm, dst, n, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result,
		mia_memory_capabilities() != 0 ? VDM_SUCCESS
					       : VDM_ERROR_JOB_CORRUPTED);
	data_mover_threads_delete(dmt);
	free(src);
	free(dst);
}

/* As a mover's user that does not know of notifiers may do. */
static void
start_once_more_without_a_notifier_leaves_the_last(void **state)
{
	struct data_mover_threads *dmt = gated_mover(1, 1);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct counter w;
	struct future_notifier n = {.waker = {&w, wake_counter}};
	char a = 0, b = 'b';
	struct vdm_operation_future f = vdm_memcpy(vdm, &a, &b, 1, 0);

	(void)state;
	counter_init(&w);
	assert_int_equal(
		future_poll(FUTURE_AS_RUNNABLE(&f), &n), FUTURE_STATE_RUNNING);
	assert_int_equal(
		vdm->op_start(f.data.data, &f.data.operation, NULL), 0);
	open_gate(1);
	assert_true(await(&w.sem));
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(a, 'b');
	assert_int_equal(w.calls, 1);
	data_mover_threads_delete(dmt);
	counter_fini(&w);
}

#if defined(_WIN32)
static void
fork_does_not_break_the_parent(void **state)
{
	(void)state;
	TEST_LEFT_OUT("this system has no fork()");
}
#else
static void
fork_does_not_break_the_parent(void **state)
{
	static char src[SHARED], dst[SHARED];
	struct data_mover_threads *dmt = mover_new(2, 8);

	(void)state;
	for (int i = 0; i < 20; i++) {
		memset(src, i + 1, SHARED);
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_threads_get_vdm(dmt), dst, src, SHARED, 0);

		future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		/* Sanitizers' own threads and locks do not survive a fork. */
		const pid_t child = TEST_SLOWDOWN == 1 ? fork() : -1;

		if (child == 0) {
			struct data_mover_threads *own = data_mover_threads_new(
				2, 8, FUTURE_NOTIFIER_WAKER);

			test_deadline(60);
			if (own == NULL)
				_exit(1);
			f = vdm_memset(data_mover_threads_get_vdm(own), dst,
				'c', SHARED, 0);
			FUTURE_BUSY_POLL(&f);
			data_mover_threads_delete(own);
			_exit(dst[SHARED - 1] == 'c' ? 0 : 2);
		}
		FUTURE_BUSY_POLL(&f);
		assert_memory_equal(src, dst, SHARED);
		if (child > 0) {
			int status = -1;

			assert_int_equal(waitpid(child, &status, 0), child);
			assert_int_equal(status, 0);
		}
	}
	data_mover_threads_delete(dmt);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_numbers_are_refused),
		cmocka_unit_test(properties_and_capabilities),
		cmocka_unit_test(small_operations_are_done_by_the_poll),
		cmocka_unit_test(notifiers_of_the_other_kinds),
		cmocka_unit_test(no_word_takes_a_value_that_it_had),
		cmocka_unit_test(words_outlive_their_mover),
		cmocka_unit_test(last_notifier_counts),
		cmocka_unit_test(runtime_over_100000_futures),
		cmocka_unit_test(custom_functions_are_called_on_a_worker),
		cmocka_unit_test(custom_functions_get_flags_of_their_own),
		cmocka_unit_test(function_finds_what_was_prepared_for_it),
		cmocka_unit_test(workers_have_a_name),
		cmocka_unit_test(workers_take_no_signals),
		cmocka_unit_test(idle_mover_uses_no_cpu),
		cmocka_unit_test(threads_that_come_and_go_leave_no_memory),
#if !defined(_WIN32)
		cmocka_unit_test(cancelled_thread_leaves_nothing),
#endif
		cmocka_unit_test(delete_ends_what_was_started),
		cmocka_unit_test(several_shared_operations_are_right),
		cmocka_unit_test(operations_that_outgrow_the_cache_are_right),
		cmocka_unit_test(
			start_once_more_without_a_notifier_leaves_the_last),
		cmocka_unit_test(fork_does_not_break_the_parent),
	};

	sem_init(&gate, 0, 0);
	const int failed =
		contract() + cmocka_run_group_tests(tests, NULL, NULL);

	return failed != 0;
}
