/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_cpus.c -- tests system/cpus: a thread leaves or avoids a CPU, and may
 * use the same CPUs afterwards; how many it may use
 *
 * A model of the kernel answers: a thread may use the CPUs that it asked for,
 * as far as its cpuset has them. Masks are of 64 CPUs here.
 */

#include "test.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "system/cpus.h"
#include "system/quota.h"

int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __real_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);
int __wrap_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);

static bool is_real;
static uint64_t cpuset, asked;
static uint64_t seen; /* CPUs that the thread always might use */
static int calls;     /* of either function */
static int failing;   /* from this call on */
static size_t kernel_size = sizeof(uint64_t);

int
__wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	const uint64_t usable = asked & cpuset;

	if (is_real)
		return __real_sched_getaffinity(pid, size, set);
	assert_int_equal(pid, 0);
	if (calls++ >= failing || size < kernel_size) {
		errno = EINVAL;
		return -1;
	}
	memset(set, 0, size);
	memcpy(set, &usable, sizeof(usable));
	return 0;
}

int
__wrap_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
	uint64_t mask;

	if (is_real)
		return __real_sched_setaffinity(pid, size, set);
	assert_int_equal(pid, 0);
	memcpy(&mask, set, sizeof(mask));
	if (calls++ >= failing || (mask & cpuset) == 0) {
		errno = EPERM;
		return -1;
	}
	asked = mask;
	seen &= asked & cpuset;
	return 0;
}

static size_t quota;

size_t __wrap_mia_quota_cpus(const char *root);

size_t
__wrap_mia_quota_cpus(const char *root)
{
	assert_string_equal(root, "");
	return quota;
}

static void
leave(int cpu)
{
	seen = UINT64_MAX;
	calls = 0;
	mia_cpu_leave(cpu);
}

static int
setup(void **state)
{
	(void)state;
	is_real = false;
	failing = INT32_MAX;
	kernel_size = sizeof(uint64_t);
	quota = MIA_NO_QUOTA;
	return 0;
}

static void
thread_that_asked_for_nothing_asks_for_all(void **state)
{
	(void)state;
	cpuset = 0xf;
	asked = UINT64_MAX;
	leave(2);
	assert_int_equal(seen, 0xb);
	/* So the thread gets what is added to its cpuset. */
	assert_int_equal(asked, UINT64_MAX);
}

static void
thread_that_asked_for_some_asks_for_these(void **state)
{
	(void)state;
	cpuset = 0xff;
	asked = 0x7;
	leave(0);
	assert_int_equal(seen, 0x6);
	assert_int_equal(asked, 0x7);

	/* Of what it asked for, the cpuset has a part only. */
	cpuset = 0x3;
	asked = 0x7;
	leave(0);
	assert_int_equal(seen, 0x2);
	assert_int_equal(asked & cpuset, 0x3);
}

/* Until it is allowed again. */
static void
avoided_cpu_is_not_used(void **state)
{
	(void)state;
	cpuset = 0xf;
	asked = UINT64_MAX;

	struct mia_avoidance *avoidance = mia_cpu_avoid(2);

	assert_int_equal(asked & cpuset, 0xb);
	mia_cpu_allow(avoidance);
	assert_int_equal(asked, UINT64_MAX);

	asked = 0x6;
	avoidance = mia_cpu_avoid(2);
	assert_int_equal(asked & cpuset, 0x2);
	mia_cpu_allow(avoidance);
	assert_int_equal(asked, 0x6);
	mia_cpu_allow(NULL);
	assert_int_equal(asked, 0x6);
}

/* By a program such as taskset(1). */
static void
mask_that_another_program_sets_meanwhile_stays(void **state)
{
	(void)state;
	cpuset = 0xf;
	asked = UINT64_MAX;

	struct mia_avoidance *avoidance = mia_cpu_avoid(2);

	asked = 0x4;
	mia_cpu_allow(avoidance);
	assert_int_equal(asked, 0x4);
}

/* A thread that asked for nothing gets what its cpuset gets. */
static void
cpuset_may_grow_meanwhile(void **state)
{
	(void)state;
	cpuset = 0x3;
	asked = UINT64_MAX;

	struct mia_avoidance *avoidance = mia_cpu_avoid(0);

	cpuset = 0xf;
	mia_cpu_allow(avoidance);
	assert_int_equal(asked, UINT64_MAX);
}

static void
only_cpu_is_kept(void **state)
{
	(void)state;
	cpuset = 0xf;
	asked = 0x4;
	leave(2);
	assert_int_equal(calls, 1);
	assert_int_equal(asked, 0x4);
	cpuset = 0x1;
	asked = UINT64_MAX;
	leave(0);
	assert_int_equal(calls, 1);
	assert_int_equal(asked, UINT64_MAX);
}

/* Refused from each call on. What is allowed at the end is the same. */
static void
refusals_change_nothing_that_can_be_undone(void **state)
{
	(void)state;
	for (failing = 0; failing < 2; failing++) {
		cpuset = 0xf;
		asked = 0x3;
		leave(1);
		assert_int_equal(asked, 0x3);
		assert_null(mia_cpu_avoid(1));
	}
	/* Only a filter that comes in the middle can do that. */
	for (failing = 2; failing < 7; failing++) {
		cpuset = 0xf;
		asked = 0x3;
		leave(1);
		assert_int_not_equal(asked & cpuset, 0);
	}
}

static void
big_machine_has_a_large_mask(void **state)
{
	(void)state;
	kernel_size = CPU_ALLOC_SIZE(5000);
	cpuset = 0xff;
	asked = 0x7;
	leave(0);
	assert_int_equal(asked, 0x7);
	assert_int_equal(seen, 0x6);
	assert_int_equal(mia_usable_cpus(), 3);
	/* A CPU that no mask has. */
	leave(1 << 20);
	assert_int_equal(asked, 0x7);
}

/* Of the mask and the quota, the smaller one. */
static void
quota_bounds_the_usable_cpus(void **state)
{
	(void)state;
	calls = 0;
	cpuset = asked = 0xffffffff;
	assert_int_equal(mia_usable_cpus(), 32);
	quota = 2;
	assert_int_equal(mia_usable_cpus(), 2);
	quota = 1;
	assert_int_equal(mia_usable_cpus(), 1);
	quota = 64;
	assert_int_equal(mia_usable_cpus(), 32);
}

static void
real_mask_is_the_same_afterwards(void **state)
{
	cpu_set_t before, after;

	(void)state;
	is_real = true;
	if (mia_usable_cpus() < 2)
		skip();
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (int i = 0; i < 20; i++) {
		const int cpu = mia_cpu();

		assert_true(cpu >= 0);
		mia_cpu_leave(cpu);
		assert_int_equal(
			sched_getaffinity(0, sizeof(after), &after), 0);
		assert_memory_equal(&before, &after, sizeof(before));
	}
}

/* It is on the other CPU right after the move, in most cases. */
static void
real_thread_is_seldom_on_the_same_cpu(void **state)
{
	int moved = 0;

	(void)state;
	is_real = true;
	if (mia_usable_cpus() < 2)
		skip();
	for (int i = 0; i < 100; i++) {
		const int cpu = mia_cpu();

		mia_cpu_leave(cpu);
		moved += mia_cpu() != cpu;
	}
	printf("moved %d of 100 times\n", moved);
	assert_true(moved > 50);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(thread_that_asked_for_nothing_asks_for_all),
		TEST(thread_that_asked_for_some_asks_for_these),
		TEST(avoided_cpu_is_not_used),
		TEST(mask_that_another_program_sets_meanwhile_stays),
		TEST(cpuset_may_grow_meanwhile),
		TEST(only_cpu_is_kept),
		TEST(refusals_change_nothing_that_can_be_undone),
		TEST(big_machine_has_a_large_mask),
		TEST(quota_bounds_the_usable_cpus),
		TEST(real_mask_is_the_same_afterwards),
		TEST(real_thread_is_seldom_on_the_same_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
