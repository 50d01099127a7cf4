/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_workers.c -- tests movers/data_mover_threads: its
 * threads and the program's; names, signals, CPU, cancellation, fork and leaks
 */

#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#if !defined(_WIN32)
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "libminiasync.h"
#include "system.h"
#include "threads_mover.h"

/* The name of the worker, read inside a custom function. */
static char worker_name[32];

static void *
note_name(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	pthread_getname_np(pthread_self(), worker_name, sizeof(worker_name));
	return memset(str, c, n);
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

#if defined(__linux__)
static cpu_set_t worker_cpus;

static void *
note_cpus(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	sched_getaffinity(0, sizeof(worker_cpus), &worker_cpus);
	return memset(str, c, n);
}

static void
workers_inherit_the_cpus_of_a_pinned_thread(void **state)
{
	cpu_set_t before, one;
	char a;

	(void)state;
	if (sched_getaffinity(0, sizeof(before), &before) != 0)
		TEST_LEFT_OUT("more CPUs than a mask has");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);

	struct data_mover_threads *dmt = mover_new(1, 1);

	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	data_mover_threads_set_memset_fn(dmt, note_cpus);
	struct vdm_operation_future f =
		vdm_memset(data_mover_threads_get_vdm(dmt), &a, 1, 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_true(CPU_EQUAL(&worker_cpus, &one));
	data_mover_threads_delete(dmt);
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
	struct data_mover_threads *dmt = mover_new(8, 128);
	static char src[HANDED_OVER], dst[HANDED_OVER];

	(void)state;
	struct vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(dmt), dst, src, HANDED_OVER, 0);
	FUTURE_BUSY_POLL(&f);
	test_sleep_ns(50 * MS);
	const uint64_t cpu = process_cpu_ns();

	test_sleep_ns(1000 * MS);
	const uint64_t used = process_cpu_ns() - cpu;

	printf("8 idle workers, 1 s: %llu us of CPU\n",
		(unsigned long long)used / 1000);
	assert_true(used < (TEST_IS_FAST ? 5 : 100) * MS);
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
/*
 * Returns arg, unless a cancellation point ends the thread before. Workers do
 * one of the copies, with this thread's help the other.
 */
static void *
copy_cancelled(void *arg)
{
	static char src[SHARED], dst[SHARED];

	pthread_cancel(pthread_self());

	struct data_mover_threads *dmt = mover_new(2, 8);
	struct runtime *runtime = runtime_new();

	for (int i = 0; i < 2; i++) {
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_threads_get_vdm(dmt), dst, src, SHARED, 0);

		if (i == 0)
			future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return arg;
}

static void
cancelled_thread_leaves_nothing(void **state)
{
	const char *tool = getenv("MIA_TEST_EMULATED");
	char ended;
	void *result = NULL;
	pthread_t thread;

	(void)state;
	/* Its own pthread_create() waits, and is a cancellation point. */
	if (tool != NULL && strcmp(tool, "drd") == 0)
		skip();

	assert_int_equal(
		pthread_create(&thread, NULL, copy_cancelled, &ended), 0);
	pthread_join(thread, &result);
	assert_ptr_equal(result, &ended);
}
#endif

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
		cmocka_unit_test(workers_have_a_name),
		cmocka_unit_test(workers_take_no_signals),
#if defined(__linux__)
		cmocka_unit_test(workers_inherit_the_cpus_of_a_pinned_thread),
#endif
		cmocka_unit_test(idle_mover_uses_no_cpu),
		cmocka_unit_test(threads_that_come_and_go_leave_no_memory),
#if !defined(_WIN32)
		cmocka_unit_test(cancelled_thread_leaves_nothing),
#endif
		cmocka_unit_test(fork_does_not_break_the_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
