/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * quota_root.h -- a folder that stands for the root of the system, with the
 * files that system/quota reads
 *
 * The linker puts __wrap_read() and __wrap_open() before the functions.
 */

#ifndef LIBMINIASYNC_TEST_QUOTA_ROOT_H
#define LIBMINIASYNC_TEST_QUOTA_ROOT_H 1

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
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
static inline void
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

static inline void
put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static inline void
put_system(const char *mounts, const char *groups)
{
	put("proc/self/mountinfo", mounts);
	put("proc/self/cgroup", groups);
}

static inline int
setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/test_quota.XXXXXX");
	is_one_byte = false;
	nintr = nreads = nopens = missing_flags = 0;
	return mkdtemp(root) != NULL ? 0 : -1;
}

static inline int
teardown(void **state)
{
	char command[64];

	(void)state;
	assert_int_equal(missing_flags, 0);
	/* Not nftw(): musl's refuses the longest paths. */
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static inline size_t
quota(void)
{
	return mia_quota_cpus(root);
}

static inline void
assert_no_quota(void)
{
	assert_true(quota() == MIA_NO_QUOTA);
}

#define QUOTA_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* LIBMINIASYNC_TEST_QUOTA_ROOT_H */
