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

/* NULL: it is not set. */
static void
set_environment(const char *value)
{
#if defined(_WIN32)
	_putenv_s("MINIASYNC_THREADS", value != NULL ? value : "");
#else
	if (value != NULL)
		setenv("MINIASYNC_THREADS", value, 1);
	else
		unsetenv("MINIASYNC_THREADS");
#endif
}

static int
setup(void **state)
{
	(void)state;
	cpu_reads = starts = 0;
	set_environment(NULL);
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

static void
environment_sets_the_workers_of_the_default(void **state)
{
	static const struct {
		const char *text;
		int nworkers;
	} cases[] = {{"1", 1}, {"2", 2}, {"3", 3}, {"17", 17}, {"007", 7}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_environment(cases[i].text);
		assert_mover(data_mover_threads_default(), cases[i].nworkers);
		/* The bound of the wakes stays, and so does this: */
		assert_mover(mover_new(5, 1), 5);
	}
}

static void
other_values_of_the_environment_are_ignored(void **state)
{
	static const char *const texts[] = {"", "0", "000", "-1", "+2", " 2",
		"2 ", "2x", "x", "0x2", "2.0", "2e0", "two",
		"18446744073709551616", "18446744073709551618",
		"100000000000000000000000000000000000000000000000002"};
	char one_too_many[32];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		set_environment(texts[i]);
		assert_mover(data_mover_threads_default(), (int)cpus);
	}
	/* snprintf() of Windows has no %zu. */
	snprintf(one_too_many, sizeof(one_too_many), "%llu",
		(unsigned long long)MIA_IDLE_MAX_WORKERS + 1);
	set_environment(one_too_many);
	assert_mover(data_mover_threads_default(), (int)cpus);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(default_has_a_worker_for_each_cpu),
		TEST(any_other_has_the_workers_that_were_asked_for),
		TEST(environment_sets_the_workers_of_the_default),
		TEST(other_values_of_the_environment_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
