/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_hardship_stops.c -- tests the threads mover and the runtime while
 * threads are stopped: the whole process, workers at any instruction, and
 * workers inside functions of the program
 *
 * Linux only. A test that the system does not allow is skipped, and reports
 * that.
 */

#include "test.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libminiasync.h"
#include "rounds.h"

#define SIZE 40000

/* Stopped for longer than any time that the library waits. */
static void
stopped_process_loses_nothing(void **state)
{
	const pid_t parent = getpid();
	struct rounds r;
	int status = -1;

	(void)state;
	deadline(60);
	fflush(stdout);
	const pid_t child = fork();

	if (child == 0) {
		for (int i = 0; i < 3; i++) {
			sleep_ms(100);
			kill(parent, SIGSTOP);
			sleep_ms(700);
			kill(parent, SIGCONT);
		}
		_exit(0);
	}
	rounds_init(&r, 2);
	while (waitpid(child, &status, WNOHANG) == 0)
		do_round(&r);
	do_round(&r);
	assert_int_equal(status, 0);
	rounds_check(&r, "stopped three times");
	rounds_fini(&r);
	deadline(0);
}

/* The child stops one worker after the other, at any instruction. */
static int
stop_workers(const pid_t *workers, int n, unsigned ms)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	int nstops = 0;

	for (int i = 0; i < n; i++)
		if (ptrace(PTRACE_SEIZE, workers[i], NULL, NULL) != 0)
			return SKIPPED;

	while (test_clock_ns(CLOCK_MONOTONIC) - start < ms * MS) {
		const pid_t worker =
			workers[test_random(&rounds_seed) % (unsigned)n];

		if (ptrace(PTRACE_INTERRUPT, worker, NULL, NULL) != 0 ||
			waitpid(worker, NULL, __WALL) != worker)
			return 1;
		nstops++;
		/* Mostly short; now and then longer than the net is wide. */
		sleep_ms(test_random(&rounds_seed) % 16 == 0
				? 200
				: (unsigned)(test_random(&rounds_seed) % 10));
		if (ptrace(PTRACE_CONT, worker, NULL, NULL) != 0)
			return 2;
		usleep((useconds_t)(test_random(&rounds_seed) % 2000));
	}
	printf("%d stops\n", nstops);
	fflush(stdout);
	return 0;
}

static void
workers_stopped_anywhere_lose_nothing(void **state)
{
	pid_t workers[6];
	struct rounds r;
	int status = -1;

	(void)state;
	deadline(60);
	rounds_init(&r, 2);
	const int nworkers = wait_for_workers(workers, 6);

	/* On systems where a child must not trace its parent. */
	prctl(PR_SET_PTRACER, (unsigned long)-1, 0, 0, 0);
	fflush(stdout);
	const pid_t child = nworkers == 6 ? fork() : -1;

	if (child == 0)
		_exit(stop_workers(workers, 6, 3000));
	while (child > 0 && waitpid(child, &status, WNOHANG) == 0)
		do_round(&r);
	do_round(&r);
	rounds_check(&r, "workers stopped anywhere");
	rounds_fini(&r);
	deadline(0);
	if (child < 0 ||
		(WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)) {
		printf("threads cannot be stopped here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static atomic_bool block_release;
static atomic_int nblocked;

static void *
block(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	atomic_fetch_add(&nblocked, 1);
	while (!atomic_load(&block_release))
		sleep_ms(1);
	return memcpy(dst, src, n);
}

/* Three of four workers are blocked. The fourth does all other work. */
static void
blocked_workers_keep_no_other_from_work(void **state)
{
	enum { BLOCKED = 3, OTHERS = 100 };
	static char src[SIZE], dst[BLOCKED][SIZE], set[OTHERS][SIZE];
	struct data_mover_threads *dmt =
		data_mover_threads_new(4, 8, FUTURE_NOTIFIER_WAKER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f[BLOCKED], g[OTHERS];
	struct future *futs[OTHERS];

	(void)state;
	deadline(60);
	memset(src, 's', SIZE);
	data_mover_threads_set_memcpy_fn(dmt, block);
	for (int i = 0; i < BLOCKED; i++) {
		f[i] = vdm_memcpy(vdm, dst[i], src, SIZE, 0);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	while (atomic_load(&nblocked) < BLOCKED)
		sleep_ms(1);

	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	do {
		for (int i = 0; i < OTHERS; i++) {
			g[i] = vdm_memset(vdm, set[i], i, SIZE, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&g[i]);
			/* A worker gets it, and not the waiting thread. */
			future_poll(futs[i], NULL);
		}
		runtime_wait_multiple(runtime, futs, OTHERS);
		for (int i = 0; i < OTHERS; i++)
			assert_int_equal(set[i][SIZE - 1], i);
	} while (test_clock_ns(CLOCK_MONOTONIC) - start < 1500 * MS);

	for (int i = 0; i < BLOCKED; i++) {
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL),
			FUTURE_STATE_RUNNING);
		assert_int_equal(dst[i][0], 0);
	}
	atomic_store(&block_release, true);
	for (int i = 0; i < BLOCKED; i++) {
		FUTURE_BUSY_POLL(&f[i]);
		assert_memory_equal(dst[i], src, SIZE);
	}
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	deadline(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stopped_process_loses_nothing),
		cmocka_unit_test(workers_stopped_anywhere_lose_nothing),
		cmocka_unit_test(blocked_workers_keep_no_other_from_work),
	};

	rounds_seed = test_seed("hardship_stops");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
