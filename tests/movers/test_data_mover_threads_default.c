/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_default.c -- tests movers/data_mover_threads: the
 * number of its workers, and of CPUs for them
 */

#include "test.h"

#include "libminiasync.h"
#include "movers/threads_work.h"
#include "system/cpus.h"
#include "threads_mover.h"

static size_t cpus = 3;
static int cpu_reads, starts;

size_t __wrap_mia_usable_cpus(void);
int __real_mia_thread_start(
	mia_thread *thread, void *(*run)(void *), void *arg);
int __wrap_mia_thread_start(
	mia_thread *thread, void *(*run)(void *), void *arg);

size_t
__wrap_mia_usable_cpus(void)
{
	cpu_reads++;
	return cpus;
}

int
__wrap_mia_thread_start(mia_thread *thread, void *(*run)(void *), void *arg)
{
	starts++;
	return __real_mia_thread_start(thread, run, arg);
}

static int
setup(void **state)
{
	(void)state;
	cpu_reads = starts = 0;
	return 0;
}

/* Destroys the mover. */
static void
assert_mover(struct data_mover_threads *dmt, int nworkers)
{
	assert_non_null(dmt);
	assert_int_equal(starts, nworkers);
	/* These bound the wakes. */
	assert_int_equal(dmt->crew.idle.ncpus, cpus);
	assert_int_equal(dmt->crew.sharing.ncpus, cpus);
	/* Reading them takes time. */
	assert_int_equal(cpu_reads, 1);
	data_mover_threads_delete(dmt);
	cpu_reads = starts = 0;
}

static void
default_has_a_worker_for_each_cpu(void **state)
{
	(void)state;
	for (cpus = 1; cpus < 10; cpus++)
		assert_mover(data_mover_threads_default(), (int)cpus);
	cpus = 3;
}

static void
any_other_has_the_workers_that_were_asked_for(void **state)
{
	(void)state;
	for (size_t n = 1; n < 10; n++)
		assert_mover(mover_new(n, 1), (int)n);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(default_has_a_worker_for_each_cpu),
		TEST(any_other_has_the_workers_that_were_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
