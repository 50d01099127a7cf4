/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * cpus.c -- see cpus.h
 */

#include "system/cpus.h"

#include "system/platform.h"

#if defined(_WIN32)

/*
 * The CPUs of the process, because Windows cannot read the mask of a thread
 * without changing it. On a system with several groups of CPUs the mask is 0.
 */
size_t
mia_usable_cpus(void)
{
	DWORD_PTR usable, all;

	if (GetProcessAffinityMask(GetCurrentProcess(), &usable, &all) != 0 &&
		usable != 0)
		return (size_t)__builtin_popcountll(usable);

	const DWORD online = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);

	return online > 0 ? online : 1;
}

#else

#include <sched.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)

/* Returns the mask of this thread, to be freed with CPU_FREE(), or NULL. */
static cpu_set_t *
affinity(size_t *size)
{
	/* Doubles the set until the kernel's mask fits. */
	for (int n = CPU_SETSIZE; n <= 64 * CPU_SETSIZE; n *= 2) {
		cpu_set_t *set = CPU_ALLOC((size_t)n);

		if (set == NULL)
			break;

		*size = CPU_ALLOC_SIZE((size_t)n);
		if (sched_getaffinity(0, *size, set) == 0)
			return set;
		CPU_FREE(set);
	}

	return NULL;
}

#endif

size_t
mia_usable_cpus(void)
{
#if defined(__linux__)
	size_t size;
	cpu_set_t *set = affinity(&size);

	if (set != NULL) {
		const int usable = CPU_COUNT_S(size, set);

		CPU_FREE(set);
		if (usable > 0)
			return (size_t)usable;
	}
#endif
	const long online = sysconf(_SC_NPROCESSORS_ONLN);

	return online > 0 ? (size_t)online : 1;
}

#endif

#if defined(__linux__)

int
mia_cpu(void)
{
	const int saved_errno = errno;
	const int cpu = sched_getcpu();

	mia_restore_errno(saved_errno);
	return cpu;
}

/* set is for masks of the same size as usable. */
static void
leave(int cpu, const cpu_set_t *usable, cpu_set_t *set, size_t size)
{
	memcpy(set, usable, size);
	CPU_CLR_S((size_t)cpu, size, set);
	if (CPU_COUNT_S(size, set) == 0 || sched_setaffinity(0, size, set) != 0)
		return;

	/*
	 * The kernel remembers what a thread asked for. Who asks for all CPUs
	 * gets those of the cpuset, now and when the cpuset changes. If this
	 * thread had fewer than that, it must ask for the same again.
	 */
	memset(set, 0xff, size);
	if (sched_setaffinity(0, size, set) != 0 ||
		sched_getaffinity(0, size, set) != 0 ||
		!CPU_EQUAL_S(size, set, usable))
		(void)sched_setaffinity(0, size, usable);
}

void
mia_cpu_leave(int cpu)
{
	size_t size;
	cpu_set_t *usable = affinity(&size);
	cpu_set_t *set = usable != NULL ? malloc(size) : NULL;

	if (set != NULL)
		leave(cpu, usable, set, size);
	free(set);
	CPU_FREE(usable);
}

#else

int
mia_cpu(void)
{
	return -1;
}

void
mia_cpu_leave(int cpu)
{
	(void)cpu;
}

#endif
