/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_hardship_cpus.c -- tests the threads mover and the runtime with few
 * CPUs: workers without a CPU, one CPU for all, CPUs that change, and a waiter
 * that the kernel prefers to its worker
 *
 * Linux only. A test that the system does not allow is skipped, and reports
 * that.
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libminiasync.h"
#include "rounds.h"

static atomic_bool burn_stop;

static void *
burn(void *arg)
{
	while (!atomic_load_explicit(&burn_stop, memory_order_relaxed))
		continue;
	return arg;
}

static void
starved_workers_finish(void **state)
{
	enum { MAX = 16 };
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const int n = cpus > 0 && cpus < MAX / 2 ? (int)cpus * 2 : MAX;
	const struct sched_param param = {0};
	pthread_t burners[MAX];
	pid_t workers[6];
	struct rounds r;

	(void)state;
	deadline(200);
	rounds_init(&r, 2);
	const int nworkers = wait_for_workers(workers, 6);

	/* The system call: sched_setscheduler() of musl always fails. */
	int nidle = 0;

	for (int i = 0; i < nworkers; i++)
		nidle += syscall(SYS_sched_setscheduler, workers[i], SCHED_IDLE,
				 &param) == 0;
	if (nidle < 6) {
		rounds_fini(&r);
		printf("workers cannot be found or made idle here\n");
		skip();
	}
	atomic_store(&burn_stop, false);
	for (int i = 0; i < n; i++)
		pthread_create(&burners[i], NULL, burn, NULL);
	do_rounds(&r, 2000);
	atomic_store(&burn_stop, true);
	for (int i = 0; i < n; i++)
		pthread_join(burners[i], NULL);
	rounds_check(&r, "starved");
	rounds_fini(&r);
	deadline(0);
}

/* Runs this thread only on the first of its CPUs. Returns that CPU. */
static int
use_first_cpu(cpu_set_t *all)
{
	cpu_set_t one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(*all), all) != 0)
		skip();
	while (!CPU_ISSET(cpu, all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	return cpu;
}

/* Makes a mover on one CPU, with a policy and a nice value of its own. */
static void *
make_in_the_background(void *arg)
{
	const struct sched_param param = {0};
	const pid_t self = (pid_t)syscall(SYS_gettid);
	struct data_mover_threads **dmt = arg;
	cpu_set_t all;

	use_first_cpu(&all);
	assert_int_equal(setpriority(PRIO_PROCESS, (id_t)self, 7), 0);
	/* The system call: sched_setscheduler() of musl always fails. */
	assert_int_equal(
		syscall(SYS_sched_setscheduler, self, SCHED_BATCH, &param), 0);
	*dmt = data_mover_threads_new(2, 128, FUTURE_NOTIFIER_WAKER);
	return NULL;
}

static void
workers_inherit_cpus_and_priority(void **state)
{
	struct data_mover_threads *dmt = NULL;
	pthread_t maker;
	pid_t workers[2];

	(void)state;
	pthread_create(&maker, NULL, make_in_the_background, &dmt);
	pthread_join(maker, NULL);
	assert_non_null(dmt);
	if (wait_for_workers(workers, 2) < 2) {
		data_mover_threads_delete(dmt);
		printf("workers cannot be found here\n");
		skip();
	}
	for (int i = 0; i < 2; i++) {
		cpu_set_t set;

		assert_int_equal(
			sched_getaffinity(workers[i], sizeof(set), &set), 0);
		assert_int_equal(CPU_COUNT(&set), 1);
		assert_int_equal(
			getpriority(PRIO_PROCESS, (id_t)workers[i]), 7);
		assert_int_equal(syscall(SYS_sched_getscheduler, workers[i]),
			SCHED_BATCH);
	}
	data_mover_threads_delete(dmt);
}

/*
 * All threads on one CPU. Then all threads move between CPUs again and again.
 */
static void
one_cpu_and_changing_ones_are_enough(void **state)
{
	cpu_set_t all, one;
	struct rounds r;
	pid_t workers[9];

	(void)state;
	deadline(60);
	int cpu = use_first_cpu(&all);

	rounds_init(&r, 3);
	do_rounds(&r, 1000);
	rounds_check(&r, "one CPU");

	const int n = wait_for_workers(workers, 9);

	for (int i = 0; i < TEST_ROUNDS(150); i++) {
		do
			cpu = (cpu + 1) % CPU_SETSIZE;
		while (!CPU_ISSET(cpu, &all));
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		for (int k = 0; k < n; k++)
			if ((k + i) % 3 != 0)
				sched_setaffinity(
					workers[k], sizeof(one), &one);
		if (i % 2 == 0)
			sched_setaffinity(0, sizeof(one), &one);
		do_round(&r);
	}
	sched_setaffinity(0, sizeof(all), &all);
	rounds_check(&r, "changing CPUs");
	rounds_fini(&r);
	deadline(0);
}

enum { SIZE_COPIED = 65536 };

static char copied_from[SIZE_COPIED], copied_to[SIZE_COPIED];

/* The waiting thread does not do the operation itself. */
static void
wait_asleep(struct runtime *runtime, struct vdm_operation_future *f)
{
	future_poll(FUTURE_AS_RUNNABLE(f), NULL);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(f));
}

static void
poll_busily(struct runtime *runtime, struct vdm_operation_future *f)
{
	(void)runtime;
	FUTURE_BUSY_POLL(f);
}

/*
 * A thread of real-time priority waits on the only CPU. A worker of normal
 * priority needs this CPU. The kernel takes the CPU from a real-time thread for
 * 0.05 s of each second. So even a wait that never sleeps ends after about a
 * second.
 */
static void
check_real_time_waiter(
	void (*wait)(struct runtime *runtime, struct vdm_operation_future *f),
	const char *how)
{
	const struct sched_param real_time = {.sched_priority = 1}, usual = {0};
	uint64_t used = 0;
	cpu_set_t all;

	deadline(60);
	use_first_cpu(&all);

	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 8, FUTURE_NOTIFIER_WAKER);

	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &real_time) ==
		0) {
		const uint64_t start = test_clock_ns(CLOCK_THREAD_CPUTIME_ID);

		for (int i = 0; i < TEST_ROUNDS(200); i++) {
			struct vdm_operation_future f =
				vdm_memcpy(data_mover_threads_get_vdm(dmt),
					copied_to, copied_from, SIZE_COPIED, 0);

			wait(runtime, &f);
		}

		used = test_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
		pthread_setschedparam(pthread_self(), SCHED_OTHER, &usual);
		printf("CPU of the thread that %s: %.1f ms\n", how,
			(double)used / MS);
	} else {
		printf("left out: real-time priority is not allowed\n");
	}
	sched_setaffinity(0, sizeof(all), &all);
	data_mover_threads_delete(dmt);
	runtime_delete(runtime);
	assert_true(used < (TEST_IS_FAST ? 500 : 5000) * MS);
	deadline(0);
}

static void
real_time_waiter_leaves_the_worker_its_cpu(void **state)
{
	(void)state;
	check_real_time_waiter(wait_asleep, "waits");
}

static void
real_time_busy_poll_leaves_the_worker_its_cpu(void **state)
{
	(void)state;
	check_real_time_waiter(poll_busily, "polls");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starved_workers_finish),
		cmocka_unit_test(workers_inherit_cpus_and_priority),
		cmocka_unit_test(one_cpu_and_changing_ones_are_enough),
		cmocka_unit_test(real_time_waiter_leaves_the_worker_its_cpu),
		cmocka_unit_test(real_time_busy_poll_leaves_the_worker_its_cpu),
	};

	rounds_seed = test_seed("hardship_cpus");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
