/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * quota.c -- see quota.h
 *
 * Three kinds of files are read:
 *
 *	/proc/self/mountinfo  where a hierarchy of groups is mounted, and which
 *	                      group is the root of that mount
 *	/proc/self/cgroup     the group of this process in each hierarchy
 *	cpu.max, or           the quota of a group, in microseconds of CPU time,
 *	cpu.cfs_*_us          and its period
 *
 * Version 2 of control groups has one hierarchy. Version 1 has one for each
 * controller. A system may have both versions, and a quota in either.
 *
 * A container often sees only a part of a hierarchy. If its group is outside
 * the mount, the root of the mount is the nearest group that the container can
 * see.
 *
 * All input may have any content and length. Unknown input counts as no quota.
 * The functions allocate no memory, and use about 5 KiB of stack.
 */

#include "system/quota.h"

#include "system/fields.h"
#include "system/platform.h"

#if defined(__linux__)

#include <stdio.h>
#include <string.h>

/*
 * Longer paths count as unknown, because no file has the path that snprintf()
 * cuts off. Kubernetes has some paths of 250 bytes.
 */
#define PATH_BYTES 1024

/* Takes an absolute path. "/" becomes an empty path. False: another field. */
static bool
take_path(struct mia_fields *fields, char separator, char path[PATH_BYTES])
{
	mia_fields_take(fields, separator, path, PATH_BYTES);
	if (path[0] != '/')
		return false;
	if (path[1] == '\0')
		path[0] = '\0';
	return true;
}

static bool
has_word(const char *list, const char *word)
{
	const size_t n = strlen(word);

	for (;;) {
		const size_t length = strcspn(list, ",");

		if (length == n && memcmp(list, word, n) == 0)
			return true;
		if (list[length] == '\0')
			return false;
		list += length + 1;
	}
}

/* Hierarchies that can have a quota. */
enum version { V1, V2 };
#define VERSIONS 2

struct mount {
	enum version version;
	char group[PATH_BYTES]; /* the root of the mount */
	char folder[PATH_BYTES];
};

/* Takes a line. False: the line is another kind of mount. */
static bool
take_mount(struct mia_fields *fields, struct mount *mount)
{
	char field[256];

	for (int i = 0; i < 3; i++) /* two numbers, and the device */
		mia_fields_take(fields, ' ', field, sizeof(field));
	if (!take_path(fields, ' ', mount->group) ||
		!take_path(fields, ' ', mount->folder))
		return false;
	mia_fields_unescape(mount->group);
	mia_fields_unescape(mount->folder);

	do /* options of the mount, and any number of other fields */
		mia_fields_take(fields, ' ', field, sizeof(field));
	while (strcmp(field, "-") != 0 && !mia_fields_is_end(fields));

	mia_fields_take(fields, ' ', field, sizeof(field));
	if (strcmp(field, "cgroup2") == 0) {
		mount->version = V2;
		return true;
	}
	if (strcmp(field, "cgroup") != 0)
		return false;

	mount->version = V1;
	/* The mount source, and the options that name its controllers. */
	for (int i = 0; i < 2; i++)
		mia_fields_take(fields, ' ', field, sizeof(field));
	return has_word(field, "cpu");
}

/* Finds the group of this process. False: no group, or too long a path. */
static bool
find_group(const char *root, enum version version, char group[PATH_BYTES])
{
	struct mia_fields fields;
	char field[256];
	bool found = false;

	(void)snprintf(group, PATH_BYTES, "%s/proc/self/cgroup", root);
	mia_fields_open(&fields, group);
	while (!found && mia_fields_next_line(&fields)) {
		mia_fields_take(&fields, ':', field, sizeof(field));

		const bool is_zero = strcmp(field, "0") == 0;

		mia_fields_take(&fields, ':', field, sizeof(field));
		if (version == V1 ? has_word(field, "cpu")
				  : is_zero && field[0] == '\0')
			found = take_path(&fields, '\n', group);
	}
	mia_fields_close(&fields);
	return found;
}

/* Returns the part of path below a group, or NULL if path is not below it. */
static const char *
below(const char *path, const char *group)
{
	const size_t n = strlen(group);

	if (strncmp(path, group, n) != 0)
		return NULL;
	path += n;
	/* A namespace shows the groups above its own as "/..". */
	if (strcmp(path, "/..") == 0 || strncmp(path, "/../", 4) == 0)
		return NULL;
	return *path == '\0' || *path == '/' ? path : NULL;
}

/* Reads the numbers of the first line. */
static void
read_numbers(const char *path, uint64_t *numbers, size_t n)
{
	struct mia_fields fields;

	mia_fields_open(&fields, path);
	mia_fields_next_line(&fields);
	for (size_t i = 0; i < n; i++)
		numbers[i] = mia_fields_take_number(&fields, ' ');
	mia_fields_close(&fields);
}

/* Returns the quota of one group. Appends file names to path meanwhile. */
static size_t
cpus_of_group(enum version version, char *path, size_t size)
{
	const size_t n = strlen(path);
	uint64_t times[2] = {0, 0}; /* the quota, and the period */

	switch (version) {
	case V1:
		(void)snprintf(path + n, size - n, "/cpu.cfs_quota_us");
		read_numbers(path, &times[0], 1);
		(void)snprintf(path + n, size - n, "/cpu.cfs_period_us");
		read_numbers(path, &times[1], 1);
		break;
	case V2:
		(void)snprintf(path + n, size - n, "/cpu.max");
		read_numbers(path, times, 2);
		break;
	}
	path[n] = '\0';
	if (times[0] == 0 || times[1] == 0)
		return MIA_NO_QUOTA;

	const uint64_t cpus = times[0] / times[1] + (times[0] % times[1] != 0);

	return cpus < MIA_NO_QUOTA ? (size_t)cpus : MIA_NO_QUOTA;
}

static size_t
min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * Returns the smallest quota of a group and of the groups above in the mount.
 */
static size_t
cpus_of_groups(const char *root, const struct mount *mount, const char *group)
{
	char path[2 * PATH_BYTES];
	const size_t top = strlen(root) + strlen(mount->folder);
	size_t cpus = MIA_NO_QUOTA;
	char *end;

	/* Leave room for the name of a file. */
	if (top + strlen(group) + 32 > sizeof(path))
		return MIA_NO_QUOTA;

	(void)snprintf(
		path, sizeof(path), "%s%s%s", root, mount->folder, group);
	for (;;) {
		cpus = min(cpus,
			cpus_of_group(mount->version, path, sizeof(path)));
		end = strrchr(path + top, '/');
		if (end == NULL)
			return cpus;
		*end = '\0';
	}
}

static size_t
cpus_of_process(const char *root)
{
	size_t cpus[VERSIONS] = {MIA_NO_QUOTA, MIA_NO_QUOTA};
	bool is_inside[VERSIONS] = {false, false}; /* of a mount */
	struct mount mount;
	struct mia_fields mounts;
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	mia_fields_open(&mounts, path);
	while (mia_fields_next_line(&mounts)) {
		if (!take_mount(&mounts, &mount) ||
			!find_group(root, mount.version, path))
			continue;

		const enum version version = mount.version;
		const char *group = below(path, mount.group);

		/*
		 * If a mount has our group, mounts without our group do not
		 * count.
		 */
		if (group == NULL && is_inside[version])
			continue;
		if (group != NULL && !is_inside[version]) {
			is_inside[version] = true;
			cpus[version] = MIA_NO_QUOTA;
		}
		cpus[version] = min(cpus[version],
			cpus_of_groups(
				root, &mount, group != NULL ? group : ""));
	}
	mia_fields_close(&mounts);
	return min(cpus[V1], cpus[V2]);
}

size_t
mia_quota_cpus(const char *root)
{
	const int saved_errno = errno;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);

	const size_t cpus = cpus_of_process(root);

	pthread_setcancelstate(state, &state);
	mia_restore_errno(saved_errno);
	return cpus;
}

#else

size_t
mia_quota_cpus(const char *root)
{
	(void)root;
	return MIA_NO_QUOTA;
}

#endif
