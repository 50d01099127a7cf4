/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * miniasync-info.c -- what the library finds on this machine, and why the mover
 * over DML would use no device
 *
 * A program of its own, and no part of the library, which never prints. It
 * contains the library's objects, for what the public interface does not tell.
 */

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef INFO_DML
#include <dlfcn.h>
#endif

#include "dsa.h"
#include "libminiasync.h"
#include "movers/threads_work.h"
#include "operation/memory.h"
#include "operation/memory_cpu.h"
#include "system/cpus.h"
#include "system/platform.h"
#include "system/quota.h"

#define USAGE "usage: miniasync-info [--root FOLDER] [--help] [--version]\n"

static void
print_size(const char *what, size_t bytes, const char *why)
{
	printf("  %-38s %zu bytes (%s)\n", what, bytes, why);
}

/* A streamed set leaves only the ragged ends to the caches. */
static bool
streams(void)
{
	static char buffer[1024];
	const struct mia_ragged ragged =
		mia_cpu_stream_set(buffer, 0, sizeof(buffer));

	mia_cpu_fence();
	return ragged.head_bytes + ragged.tail_bytes < sizeof(buffer);
}

static void
print_cpu(const char *root)
{
	const size_t quota = mia_quota_cpus(root);
	const struct mia_line_way *way = mia_cpu_line_way(0);

	printf("CPU:\n");
	printf("  %-38s %s\n", "instruction to write back a line",
		way != NULL ? way->name : "none: VDM_F_MEM_DURABLE is ignored");
	printf("  %-38s %s\n", "stores past the caches",
		streams() ? "yes" : "no: VDM_F_NO_CACHE_HINT is ignored");
	printf("  %-38s %zu\n", "CPUs that this process may use",
		mia_usable_cpus());
	if (quota == MIA_NO_QUOTA)
		printf("  %-38s none\n", "CPU quota of its control groups");
	else
		printf("  %-38s %zu CPUs, rounded up\n",
			"CPU quota of its control groups", quota);
}

#define SAMPLE_BYTES ((size_t)4 << 20)
#define SAMPLES 64

/* Copies until the mover knows its speed. False: there is no memory. */
static bool
learn(struct data_mover_threads *dmt)
{
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct runtime *runtime = runtime_new();
	char *src = calloc(1, SAMPLE_BYTES), *dest = calloc(1, SAMPLE_BYTES);
	bool has_learnt = runtime != NULL && src != NULL && dest != NULL;

	for (int i = 0; has_learnt && i < SAMPLES; i++) {
		struct vdm_operation_future copy =
			vdm_memcpy(vdm, dest, src, SAMPLE_BYTES, 0);

		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&copy));
		has_learnt = FUTURE_OUTPUT(&copy)->result == VDM_SUCCESS;
	}
	free(src);
	free(dest);
	runtime_delete(runtime);
	return has_learnt;
}

static void
print_thresholds(void)
{
	struct data_mover_threads *dmt = data_mover_threads_default();

	printf("threads mover:\n");
	print_size(
		"done in the poll, up to", MIA_THREADS_HERE_MAX_BYTES, "fixed");
	print_size("shared copies past the caches, from",
		mia_memory_stream_min(),
		mia_last_cache_bytes() > 0
			? "three quarters of the last-level cache"
			: "the system tells no size of a last-level cache");
	if (dmt == NULL || !learn(dmt)) {
		printf("  not measured: %s\n", strerror(errno));
		data_mover_threads_delete(dmt);
		return;
	}

	const struct mia_threads_sizes sizes = mia_threads_sizes(dmt);

	printf("  %-38s %zu MB/s (measured)\n", "speed of one thread",
		mia_threads_speed(dmt));
	print_size("piece of a thread that waits", sizes.piece,
		"of the measured speed");
	print_size("wakes a worker for each, from", sizes.wake_each,
		"of the measured speed");
	print_size("a worker gets help, from", sizes.share,
		"of the measured speed");
	data_mover_threads_delete(dmt);
}

#ifdef INFO_DML

static void
print_dml(bool is_this_machine)
{
	printf("mover over DML: built with DML %s\n", INFO_DML);
	if (mia_memory_capabilities() != VDM_F_VALID_FLAGS)
		printf("  not used: the CPU has no instruction to write back a "
		       "line\n");
	if (!is_this_machine)
		return;

	/* DML loads it by this name when it looks for devices. */
	void *library = dlopen("libaccel-config.so.1", RTLD_LAZY | RTLD_LOCAL);

	if (library == NULL)
		printf("  not used: DML needs libaccel-config.so.1, which the "
		       "loader does not find\n");
	else
		dlclose(library);
}

#else

static void
print_dml(bool is_this_machine)
{
	(void)is_this_machine;
	printf("mover over DML: not used: this build has none\n");
}

#endif

static int
refuse(const char *what, const char *argument)
{
	fprintf(stderr, "miniasync-info: %s: %s\n" USAGE, what, argument);
	return 2;
}

int
main(int argc, char *argv[])
{
	const char *root = "";

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			printf(USAGE "\nPrints what libminiasync finds on this "
				     "machine: see miniasync-info(1).\n\n"
				     "  --root FOLDER  look for devices below "
				     "FOLDER, "
				     "and not below /\n");
			return 0;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("miniasync-info %s\n", miniasync_version());
			return 0;
		}
		if (strcmp(argv[i], "--root") != 0)
			return refuse("unknown argument", argv[i]);
		if (++i == argc)
			return refuse("needs a folder", "--root");
		if (strlen(argv[i]) > PATH_MAX / 2)
			return refuse("too long", "--root");
		root = argv[i];
	}

	printf("libminiasync %s\n", miniasync_version());
	print_cpu(root);
	print_thresholds();
	print_dml(root[0] == '\0');

	const size_t usable = dsa_print(root);

	printf("queues that DML can use: %zu\n", usable);

	/* A full disk, for example. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("miniasync-info: standard output");
		return 1;
	}
	return 0;
}
