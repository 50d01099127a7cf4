/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_quota.c -- tests system/quota, with files in a folder that stands for
 * the root of the system: groups, versions, containers
 */

#include "quota_root.h"

#include <pthread.h>

static void
system_without_files_has_no_quota(void **state)
{
	(void)state;
	errno = EDOM;
	assert_no_quota();
	assert_int_equal(errno, EDOM);

	put("proc/self/mountinfo", V2_MOUNT V1_MOUNT);
	assert_no_quota();
	put("proc/self/cgroup", "0::/a\n1:cpu:/a\n");
	errno = EDOM;
	assert_no_quota();
	assert_int_equal(errno, EDOM);
}

static void
quota_of_the_group_is_rounded_up(void **state)
{
	static const struct {
		const char *text;
		size_t cpus;
	} cases[] = {
		{"200000 100000\n", 2},
		{"200001 100000\n", 3},
		{"150000 100000\n", 2},
		{"100000 100000\n", 1},
		{"1000 100000\n", 1},
		{"1 1000000\n", 1},
		{"50000 25000\n", 2},
		{"6400000 100000\n", 64},
		{"300000 100000", 3},
	};

	(void)state;
	put_system(OTHER_MOUNTS V2_MOUNT, "0::/a\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put("sys/fs/cgroup/a/cpu.max", cases[i].text);
		assert_int_equal(quota(), cases[i].cpus);
	}
}

static void
smallest_quota_of_all_groups_above_counts(void **state)
{
	(void)state;
	put_system(V2_MOUNT, "0::/a/b/c\n");
	put("sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
	assert_no_quota();
	/* A hierarchy of version 1 without controllers is none of version 2. */
	put("proc/self/cgroup", "7::/other\n0::/a/b/c\n");
	put("sys/fs/cgroup/a/cpu.max", "700000 100000\n");
	assert_int_equal(quota(), 7);
	put("sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
	assert_int_equal(quota(), 3);
	put("sys/fs/cgroup/a/b/c/cpu.max", "500000 100000\n");
	assert_int_equal(quota(), 3);
	/* As a container sees its own group. */
	put("sys/fs/cgroup/cpu.max", "200000 100000\n");
	assert_int_equal(quota(), 2);
	/* Groups beside it, and below. */
	put("sys/fs/cgroup/a/x/cpu.max", "100000 100000\n");
	put("sys/fs/cgroup/a/b/c/d/cpu.max", "100000 100000\n");
	assert_int_equal(quota(), 2);
}

static void
version_1_has_two_files(void **state)
{
	(void)state;
	put_system(OTHER_MOUNTS V1_MOUNT,
		"9:cpuset:/x\n5:cpuacct,cpu:/a/b\n1:name=cpu:/y\n");
	put("sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
	put("sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
	put("sys/fs/cgroup/set/a/b/cpu.cfs_quota_us", "100000\n");
	put("sys/fs/cgroup/set/a/b/cpu.cfs_period_us", "100000\n");
	assert_no_quota();
	put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "410000\n");
	put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(), 5);
	put("sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "220000\n");
	assert_int_equal(quota(), 3);
	put("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
	assert_int_equal(quota(), 3);
	put("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "50000\n");
	assert_int_equal(quota(), 1);
}

/* Version 2 without the controller, or with it. */
static void
both_versions_count(void **state)
{
	(void)state;
	put_system(V1_MOUNT V2_MOUNT, "4:cpu:/a\n0::/b\n");
	put("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "400000\n");
	put("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(), 4);
	put("sys/fs/cgroup/b/cpu.max", "300000 100000\n");
	assert_int_equal(quota(), 3);
	put("sys/fs/cgroup/b/cpu.max", "500000 100000\n");
	assert_int_equal(quota(), 4);
}

/* The mount begins at a group that is not the first one. */
static void
container_sees_a_part_of_the_groups(void **state)
{
	(void)state;
	put_system("31 23 0:27 /pods/p1 /cg ro - cgroup cgroup ro,cpu\n",
		"4:cpu:/pods/p1/c\n");
	put("cg/c/cpu.cfs_quota_us", "600000\n");
	put("cg/c/cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(), 6);
	put("cg/cpu.cfs_quota_us", "200000\n");
	put("cg/cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(), 2);
	put("proc/self/cgroup", "4:cpu:/pods/p1\n");
	assert_int_equal(quota(), 2);
	/* What is above the mount is not of this hierarchy. */
	put("cpu.cfs_quota_us", "100000\n");
	put("cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(), 2);
}

static void
root_of_the_mount_stands_for_a_group_outside(void **state)
{
	static const char *const outside[] = {"0::/pods/p1\n", "0::/pods/p22\n",
		"0::/\n", "0::/..\n", "0::/../x\n", "0::/pods/p2/../x\n"};

	(void)state;
	put("cg/cpu.max", "200000 100000\n");
	/* These are not below the mount. */
	put("x/cpu.max", "100000 100000\n");
	put("cpu.max", "100000 100000\n");
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		put_system("30 23 0:26 /pods/p2 /cg ro - cgroup2 none ro\n",
			outside[i]);
		assert_int_equal(quota(), 2);
		put_system(
			"30 23 0:26 / /cg ro - cgroup2 none ro\n", outside[i]);
		assert_int_equal(quota(), 2);
	}

	/* A mount from above the namespace. */
	put("cg/x/cpu.max", "100000 100000\n");
	put_system("30 23 0:26 /.. /cg ro - cgroup2 none ro\n", "0::/../y\n");
	assert_int_equal(quota(), 2);
	put_system("30 23 0:26 /.. /cg ro - cgroup2 none ro\n", "0::/../x\n");
	assert_int_equal(quota(), 1);
}

static void
mount_of_another_group_does_not_count_beside_ours(void **state)
{
#define OURS "30 23 0:26 / /cg rw - cgroup2 none rw\n"
#define THEIRS "31 23 0:26 /b /var/b rw - cgroup2 none rw\n"
	(void)state;
	put("cg/a/cpu.max", "400000 100000\n");
	put("var/b/cpu.max", "100000 100000\n");
	put_system(OURS THEIRS, "0::/a\n");
	assert_int_equal(quota(), 4);
	put_system(THEIRS OURS, "0::/a\n");
	assert_int_equal(quota(), 4);
	put_system(THEIRS, "0::/a\n");
	assert_int_equal(quota(), 1);
}

static void *
canceled(void *arg)
{
	pthread_cancel(pthread_self());
	*(size_t *)arg = quota();
	pthread_testcancel();
	return NULL;
}

static void
call_is_no_cancellation_point(void **state)
{
	size_t cpus = 0;
	pthread_t thread;
	void *result;

	(void)state;
	put_system(V2_MOUNT, "0::/a\n");
	put("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
	assert_int_equal(pthread_create(&thread, NULL, canceled, &cpus), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal(cpus, 2);
	assert_ptr_equal(result, PTHREAD_CANCELED);
}

static void
real_system_gives_an_answer(void **state)
{
	const size_t cpus = mia_quota_cpus("");

	(void)state;
	if (cpus == MIA_NO_QUOTA)
		printf("no quota here\n");
	else
		printf("a quota of %zu CPUs here\n", cpus);
	assert_true(cpus >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUOTA_TEST(system_without_files_has_no_quota),
		QUOTA_TEST(quota_of_the_group_is_rounded_up),
		QUOTA_TEST(smallest_quota_of_all_groups_above_counts),
		QUOTA_TEST(version_1_has_two_files),
		QUOTA_TEST(both_versions_count),
		QUOTA_TEST(container_sees_a_part_of_the_groups),
		QUOTA_TEST(root_of_the_mount_stands_for_a_group_outside),
		QUOTA_TEST(mount_of_another_group_does_not_count_beside_ours),
		QUOTA_TEST(call_is_no_cancellation_point),
		QUOTA_TEST(real_system_gives_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
