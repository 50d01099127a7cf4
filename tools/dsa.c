/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dsa.c -- see dsa.h
 *
 * The files are described in the kernel's
 * Documentation/ABI/stable/sysfs-driver-dma-idxd. That DML uses shared queues
 * only is in its documentation, Library Limitations. A shared queue takes work
 * by the instruction ENQCMD, which needs a PASID of the process.
 *
 * Nothing is trusted: a file may be missing, unreadable, endless, or hold any
 * bytes.
 */

#include "dsa.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEVICES "/sys/bus/dsa/devices"

/* The first line of a file, or why there is none. */
struct value {
	char text[48];
	bool is_there;
};

/* Reasons are counted, and printed below what they are about. */
struct reasons {
	const char *indent;
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void
reason(struct reasons *reasons, const char *format, ...)
{
	va_list args;

	printf("%snot used: ", reasons->indent);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	reasons->n++;
}

/* O_NONBLOCK: a FIFO would wait for its other end. */
static int
open_under(const char *root, const char *path, int flags)
{
	char full[PATH_MAX];
	const int n = snprintf(full, sizeof(full), "%s%s", root, path);

	if (n < 0 || (size_t)n >= sizeof(full)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(full, flags | O_CLOEXEC | O_NONBLOCK);
}

/* The first line, up to its 47th byte; what cannot be printed becomes '?'. */
static struct value
read_value(const char *root, const char *folder, const char *name)
{
	struct value value = {.is_there = false};
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);

	const int fd = open_under(root, path, O_RDONLY);
	const ssize_t n =
		fd == -1 ? -1 : read(fd, value.text, sizeof(value.text) - 1);

	if (n < 0)
		(void)snprintf(value.text, sizeof(value.text), "unknown (%s)",
			strerror(errno));
	if (fd != -1)
		close(fd);
	if (n < 0)
		return value;

	value.text[n] = '\0';
	value.text[strcspn(value.text, "\n")] = '\0';
	for (char *c = value.text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	value.is_there = value.text[0] != '\0';
	if (!value.is_there)
		strcpy(value.text, "unknown (empty)");
	return value;
}

static bool
is(const struct value *value, const char *text)
{
	return strcmp(value->text, text) == 0;
}

/* A number of up to nine digits, without a sign, up to an end. Or -1. */
static long
number_of(const char *text, char end)
{
	char *after;

	if (*text < '0' || *text > '9')
		return -1;

	const unsigned long n = strtoul(text, &after, 10);

	return *after == end && after - text < 10 ? (long)n : -1;
}

/* dsa<m> */
static long
device_of(const char *name)
{
	return strncmp(name, "dsa", 3) == 0 ? number_of(name + 3, '\0') : -1;
}

/* wq<m>.<n>: m, and n in *queue */
static long
queue_of(const char *name, long *queue)
{
	const char *dot = strchr(name, '.');

	if (strncmp(name, "wq", 2) != 0 || dot == NULL)
		return -1;
	*queue = number_of(dot + 1, '\0');
	return *queue == -1 ? -1 : number_of(name + 2, '.');
}

static int
only_devices(const struct dirent *entry)
{
	return device_of(entry->d_name) != -1;
}

static int
only_queues(const struct dirent *entry)
{
	long queue;

	return queue_of(entry->d_name, &queue) != -1;
}

static int
by_number(const struct dirent **a, const struct dirent **b)
{
	const long left = device_of((*a)->d_name);
	const long right = device_of((*b)->d_name);

	return (left > right) - (left < right);
}

static int
by_queue(const struct dirent **a, const struct dirent **b)
{
	long left = 0, right = 0;

	(void)queue_of((*a)->d_name, &left);
	(void)queue_of((*b)->d_name, &right);
	return (left > right) - (left < right);
}

/*
 * DML opens the queue and maps its portal, so that is tried. Only where nothing
 * else is wrong: an open takes a dedicated queue from others.
 */
static void
try_portal(const char *root, const char *name, struct reasons *reasons)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "/dev/dsa/%s", name);

	const int fd = open_under(root, path, O_RDWR);

	if (fd == -1) {
		reason(reasons, "cannot open %s: %s%s", path, strerror(errno),
			errno == EACCES ? "; this user needs the right to read "
					  "and to write it"
					: "");
		return;
	}

	void *portal = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_WRITE,
		MAP_SHARED, fd, 0);

	if (portal == MAP_FAILED)
		reason(reasons, "cannot map %s: %s%s", path, strerror(errno),
			errno == EPERM ? "; some devices ask for CAP_SYS_RAWIO"
				       : "");
	else
		munmap(portal, (size_t)sysconf(_SC_PAGESIZE));
	close(fd);
}

/* Returns whether DML can use it. */
static bool
print_queue(const char *root, const char *name, bool device_is_fine)
{
	char folder[PATH_MAX];
	struct reasons reasons = {.indent = "      "};

	(void)snprintf(folder, sizeof(folder), DEVICES "/%s", name);

	const struct value state = read_value(root, folder, "state");
	const struct value mode = read_value(root, folder, "mode");
	const struct value type = read_value(root, folder, "type");
	const struct value size = read_value(root, folder, "size");
	const struct value threshold = read_value(root, folder, "threshold");
	const struct value group = read_value(root, folder, "group_id");
	const struct value label = read_value(root, folder, "name");
	const struct value max = read_value(root, folder, "max_transfer_size");
	const struct value block = read_value(root, folder, "block_on_fault");

	printf("    %s: state %s, mode %s, type %s, size %s, threshold %s, "
	       "group %s\n",
		name, state.text, mode.text, type.text, size.text,
		threshold.text, group.text);
	printf("      name %s, max_transfer_size %s, block_on_fault %s\n",
		label.text, max.text, block.text);
	if (!is(&state, "enabled"))
		reason(&reasons,
			"its state is not enabled (accel-config enable-wq)");
	if (!is(&mode, "shared"))
		reason(&reasons,
			"its mode is not shared, and DML uses no dedicated "
			"queues");
	if (!is(&type, "user"))
		reason(&reasons, "its type is not user");
	if (is(&size, "0"))
		reason(&reasons, "its size is 0");
	/* A dedicated queue has none. */
	if (is(&mode, "shared") && is(&threshold, "0"))
		reason(&reasons, "its threshold is 0, so it takes no work");
	if (is(&group, "-1"))
		reason(&reasons, "it is in no group, so no engine serves it");
	if (is(&block, "0"))
		printf("      slow: block_on_fault is 0, so the CPU does parts "
		       "whose pages are not present\n");
	if (!device_is_fine)
		return false;
	if (reasons.n == 0)
		try_portal(root, name, &reasons);
	if (reasons.n == 0)
		printf("      can be used\n");
	return reasons.n == 0;
}

/* The NUMA node of this thread, or -1. */
static long
this_node(void)
{
	unsigned cpu, node;

	return syscall(SYS_getcpu, &cpu, &node, NULL) == 0 ? (long)node : -1;
}

static size_t
print_device(const char *root, const char *name, bool system_is_fine)
{
	char folder[PATH_MAX], all[PATH_MAX];
	struct reasons reasons = {.indent = "    "};
	struct dirent **queues;
	size_t nqueues = 0, usable = 0;

	(void)snprintf(folder, sizeof(folder), DEVICES "/%s", name);

	const struct value state = read_value(root, folder, "state");
	const struct value version = read_value(root, folder, "version");
	const struct value pasid = read_value(root, folder, "pasid_enabled");
	const struct value node = read_value(root, folder, "numa_node");
	const struct value max = read_value(root, folder, "max_transfer_size");

	printf("  %s: state %s, version %s, pasid_enabled %s, numa_node %s, "
	       "max_transfer_size %s\n",
		name, state.text, version.text, pasid.text, node.text,
		max.text);
	if (!is(&state, "enabled"))
		reason(&reasons,
			"its state is not enabled (accel-config "
			"enable-device)");
	if (version.is_there && strtoul(version.text, NULL, 0) >> 8 > 2)
		reason(&reasons, "DML knows versions up to 2");
	if (!is(&pasid, "1"))
		reason(&reasons,
			"PASID is off, and shared queues need it; boot with "
			"intel_iommu=on,sm_on");

	const long where = number_of(node.text, '\0');

	if (where != -1 && where != this_node())
		printf("    perhaps not used: this thread is on NUMA node %ld; "
		       "DML takes devices of the thread's node or socket\n",
			this_node());

	(void)snprintf(all, sizeof(all), "%s" DEVICES, root);

	const int n = scandir(all, &queues, only_queues, by_queue);

	for (int i = 0; i < n; i++) {
		long queue;

		if (queue_of(queues[i]->d_name, &queue) == device_of(name)) {
			nqueues++;
			usable += print_queue(root, queues[i]->d_name,
				system_is_fine && reasons.n == 0);
		}
		free(queues[i]);
	}
	if (n >= 0)
		free(queues);
	if (nqueues == 0)
		reason(&reasons, "it has no work queues");
	return usable;
}

/* Whether /proc/cpuinfo lacks a flag that a CPU with that flag lists. */
static bool
lacks_enqcmd(const char *root)
{
	const int fd = open_under(root, "/proc/cpuinfo", O_RDONLY);
	FILE *file = fd == -1 ? NULL : fdopen(fd, "r");
	char line[8192];
	bool lacks = false;

	if (file == NULL) {
		if (fd != -1)
			close(fd);
		return false;
	}
	for (int i = 0; i < 100 && fgets(line, sizeof(line), file); i++)
		if (strncmp(line, "flags", 5) == 0) {
			lacks = strstr(line, " enqcmd") == NULL;
			break;
		}
	fclose(file);
	return lacks;
}

size_t
dsa_print(const char *root)
{
	char all[PATH_MAX];
	struct reasons reasons = {.indent = "  "};
	struct dirent **devices;
	size_t usable = 0;

	(void)snprintf(all, sizeof(all), "%s" DEVICES, root);
	printf("devices in %s:\n", all);

	const int n = scandir(all, &devices, only_devices, by_number);

	if (n == -1 && errno == ENOENT)
		reason(&reasons,
			"there is no such folder: the driver idxd is not "
			"loaded, "
			"or this kernel has none");
	else if (n == -1)
		reason(&reasons, "cannot read the folder: %s", strerror(errno));
	else if (n == 0)
		reason(&reasons, "there is no dsa device");
	if (lacks_enqcmd(root))
		reason(&reasons,
			"the CPU has no instruction ENQCMD, which shared "
			"queues "
			"need");

	const bool is_fine = reasons.n == 0;

	for (int i = 0; i < n; i++) {
		usable += print_device(root, devices[i]->d_name, is_fine);
		free(devices[i]);
	}
	if (n >= 0)
		free(devices);
	return usable;
}
