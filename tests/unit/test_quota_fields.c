/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_quota_fields.c -- tests system/quota and system/fields: escaped, wrong,
 * long and damaged fields of files, and reads that are cut
 */

#include "quota_root.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUOTA_TEST(characters_that_are_escaped_are_understood),
		QUOTA_TEST(what_is_no_number_is_no_quota),
		QUOTA_TEST(long_paths_are_understood_or_ignored),
		QUOTA_TEST(long_lines_are_passed),
		QUOTA_TEST(reads_may_be_short_or_interrupted),
		QUOTA_TEST(damaged_files_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
