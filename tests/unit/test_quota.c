/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_quota.c -- tests system/quota and system/fields, with files in a folder
 * that stands for the root of the system
 */

#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/quota.h"

#define V2_MOUNT \
	"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 " \
	"rw\n"
#define V1_MOUNT \
	"31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHER_MOUNTS \
	"22 27 0:21 / /proc rw,relatime - proc proc rw\n" \
	"27 1 254:0 / / rw master:1 propagate_from:2 - ext4 /dev/vda rw\n" \
	"32 23 0:28 / /sys/fs/cgroup/set rw - cgroup cgroup rw,cpuset\n"

static char root[32];
static bool is_one_byte;   /* each read returns not more */
static int nintr;          /* reads between two signals, or 0 */
static int nreads, nopens; /* since setup() */
static int missing_flags;  /* opens that an exec would inherit */

ssize_t __real_read(int fd, void *bytes, size_t n);
ssize_t __wrap_read(int fd, void *bytes, size_t n);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

ssize_t
__wrap_read(int fd, void *bytes, size_t n)
{
	nreads++;
	if (nintr > 0 && nreads % nintr == 0) {
		errno = EINTR;
		return -1;
	}
	return __real_read(fd, bytes, is_one_byte ? 1 : n);
}

int
__wrap_open(const char *path, int flags, ...)
{
	nopens++;
	missing_flags += (flags & O_CLOEXEC) == 0;
	return __real_open(path, flags);
}

/* Writes a file, with the folders above it. */
static void
put_bytes(const char *path, const char *bytes, size_t n)
{
	char full[8192];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}

	FILE *file = fopen(full, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static void
put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static void
put_system(const char *mounts, const char *groups)
{
	put("proc/self/mountinfo", mounts);
	put("proc/self/cgroup", groups);
}

static int
remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/test_quota.XXXXXX");
	is_one_byte = false;
	nintr = nreads = nopens = missing_flags = 0;
	return mkdtemp(root) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(missing_flags, 0);
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static size_t
quota(void)
{
	return mia_quota_cpus(root);
}

static void
assert_no_quota(void)
{
	assert_true(quota() == MIA_NO_QUOTA);
}

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

static void
characters_that_are_escaped_are_understood(void **state)
{
	(void)state;
	put_system("30 23 0:26 /g\\040\\134h /c\\040g\\012\\1340 rw - "
		   "cgroup2 none rw\n",
		"0::/g \\h/:i j\n");
	put("c g\n\\0/:i j/cpu.max", "200000 100000\n");
	assert_int_equal(quota(), 2);

	/* Not three digits. */
	put_system("30 23 0:26 / /c\\04x\\ rw - cgroup2 none rw\n", "0::/\n");
	put("c\\04x\\/cpu.max", "300000 100000\n");
	assert_int_equal(quota(), 3);
}

static void
what_is_no_number_is_no_quota(void **state)
{
	static const char *const texts[] = {"", "\n", " ", "max",
		"max 100000\n", "-1 100000\n", "0 100000\n", "200000 0\n",
		"200000\n", "200000 -1\n", "200000 max\n", "x 100000\n",
		"200000x 100000\n", "200000  100000\n", "+200000 100000\n",
		"2e5 100000\n", "200000\t100000\n", "200000\n100000\n",
		"99999999999999999999 100000\n",
		"99999999999999999999999999999999999999999999 100000\n",
		"200000 18446744073709551616\n", "18446744073709551615 1\n"};

	(void)state;
	put_system(V2_MOUNT V1_MOUNT, "0::/a\n1:cpu:/\n");
	put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put("sys/fs/cgroup/a/cpu.max", texts[i]);
		assert_no_quota();
	}
	put("sys/fs/cgroup/a/cpu.max", "max\n");
	put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
	put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "0\n");
	assert_no_quota();

	/* Large numbers that are numbers. */
	put("sys/fs/cgroup/a/cpu.max",
		"18446744073709551600 9223372036854775807\n");
	assert_int_equal(quota(), 2);
}

/* Each length up to and around the limit of a path. */
static void
long_paths_are_understood_or_ignored(void **state)
{
	static char path[5000], mounts[16000], groups[5200], file[8000];
	bool was_ignored = false;

	(void)state;
	for (size_t n = 1; n < 1500; n += n < 1000 || n > 1040 ? 13 : 1) {
		for (size_t i = 0; i < n; i++)
			path[i] = i % 100 == 0 ? '/' : 'g';
		path[n] = '\0';
		if (path[n - 1] == '/')
			continue;
		snprintf(groups, sizeof(groups), "0::%s\n", path);
		put_system("1 1 0:1 / /cg rw - cgroup2 none rw\n", groups);
		snprintf(file, sizeof(file), "cg%s/cpu.max", path);
		put(file, "200000 100000\n");

		const size_t cpus = quota();

		assert_true(n >= 1024 ? cpus == MIA_NO_QUOTA : cpus == 2);
		was_ignored |= n >= 1024;

		/* The mount, and its first group. */
		snprintf(mounts, sizeof(mounts),
			"1 1 0:1 / %s rw - cgroup2 none rw\n", path);
		put_system(mounts, "0::/\n");
		snprintf(file, sizeof(file), "%s/cpu.max", path + 1);
		put(file, "300000 100000\n");
		assert_true(quota() == (n >= 1024 ? MIA_NO_QUOTA : 3));
		snprintf(mounts, sizeof(mounts),
			"1 1 0:1 %s /one rw - cgroup2 none rw\n", path);
		put_system(mounts, groups);
		put("one/cpu.max", "400000 100000\n");
		assert_true(quota() == (n >= 1024 ? MIA_NO_QUOTA : 4));

		/* Both, which may be too long together. */
		snprintf(mounts, sizeof(mounts),
			"1 1 0:1 / %s rw - cgroup2 none rw\n", path);
		put_system(mounts, groups);

		const bool fits = strlen(root) + 2 * n + 32 <= 2048;

		assert_true(quota() == (fits ? 3 : MIA_NO_QUOTA));
	}
	assert_true(was_ignored);
}

/* A root of many layers has a line of some thousand bytes. */
static void
long_lines_are_passed(void **state)
{
	enum { N = 300000 };
	static char mounts[N + 4 * sizeof(V2_MOUNT)];
	const int at =
		sprintf(mounts, "27 1 254:0 / / rw - overlay overlay rw,");

	(void)state;
	memset(mounts + at, 'l', N - (size_t)at);
	strcpy(mounts + N, "\n" V2_MOUNT);
	put("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
	put_system(mounts, "0::/a\n");
	assert_int_equal(quota(), 2);
	/* The same in the fields that are short. */
	memset(mounts, '1', N);
	assert_int_equal(quota(), 2);
	put_system(mounts, "0::/a\n");
	assert_int_equal(quota(), 2);
	put("proc/self/cgroup", mounts);
	assert_no_quota();
}

static void
reads_may_be_short_or_interrupted(void **state)
{
	(void)state;
	put_system(OTHER_MOUNTS V2_MOUNT V1_MOUNT, "1:cpu:/b/c\n0::/a\n");
	put("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	put("sys/fs/cgroup/cpu/b/cpu.cfs_quota_us", "200000\n");
	put("sys/fs/cgroup/cpu/b/cpu.cfs_period_us", "100000\n");
	is_one_byte = true;
	assert_int_equal(quota(), 2);
	for (nintr = 2; nintr < 10; nintr++)
		assert_int_equal(quota(), 2);
	assert_true(nreads > 1000);
	assert_true(nopens > 50);
}

static int
open_files(void)
{
	const int fd = dup(STDIN_FILENO);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

/* Good files that were damaged: any answer will do that is not 0. */
static void
damaged_files_do_no_harm(void **state)
{
	static const char *const paths[] = {"proc/self/mountinfo",
		"proc/self/cgroup", "sys/fs/cgroup/a/b/cpu.max",
		"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us",
		"sys/fs/cgroup/cpu/a/cpu.cfs_period_us"};
	static const char *const texts[] = {OTHER_MOUNTS V2_MOUNT V1_MOUNT,
		"3:cpuset:/\n1:cpu,cpuacct:/a\n0::/a/b\n", "200000 100000\n",
		"300000\n", "100000\n"};
	static const char likely[] = "/\\ \n:-,.0123456789";
	enum { FILES = sizeof(paths) / sizeof(paths[0]), MAX = 4000 };
	uint64_t random = test_seed("damaged files");
	const int rounds = 3000 / TEST_SLOWDOWN;
	const int before = open_files();
	int good = 0;

	(void)state;
	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < FILES; i++) {
			static char text[MAX + 1];
			size_t n = strlen(texts[i]);

			memcpy(text, texts[i], n);
			for (uint64_t k = test_random(&random) % 4; k > 0;
				k--) {
				const uint64_t r = test_random(&random);
				const size_t at = n > 0 ? (r >> 8) % n : 0;
				const size_t some = (r >> 40) % 64;

				if (r % 4 == 0)
					text[at] = likely[(r >> 32) % 18];
				else if (r % 4 == 1)
					text[at] = (char)(r >> 32);
				else if (r % 4 == 2)
					n = at;
				else if (at + some <= n && n + some <= MAX) {
					memmove(text + at + some, text + at,
						n - at);
					n += some;
				}
			}
			put_bytes(paths[i], text, n);
		}

		const size_t cpus = quota();

		assert_true(cpus >= 1);
		good += cpus == 2;
	}
	printf("the quota was read in %d of %d rounds\n", good, rounds);
	assert_true(good > rounds / 20);
	assert_int_equal(open_files(), before);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(system_without_files_has_no_quota),
		TEST(quota_of_the_group_is_rounded_up),
		TEST(smallest_quota_of_all_groups_above_counts),
		TEST(version_1_has_two_files),
		TEST(both_versions_count),
		TEST(container_sees_a_part_of_the_groups),
		TEST(root_of_the_mount_stands_for_a_group_outside),
		TEST(mount_of_another_group_does_not_count_beside_ours),
		TEST(characters_that_are_escaped_are_understood),
		TEST(what_is_no_number_is_no_quota),
		TEST(long_paths_are_understood_or_ignored),
		TEST(long_lines_are_passed),
		TEST(reads_may_be_short_or_interrupted),
		TEST(damaged_files_do_no_harm),
		TEST(call_is_no_cancellation_point),
		TEST(real_system_gives_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
