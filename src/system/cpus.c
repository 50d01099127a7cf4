/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * cpus.c -- see cpus.h
 */

#include "system/cpus.h"

#include "system/platform.h"
#include "system/quota.h"

#if defined(_WIN32)

/*
 * Returns the CPUs of the process, because Windows cannot read the mask of a
 * thread without changing it. On a system with several groups of CPUs the mask
 * is 0.
 */
static size_t
cpus_of_mask(void)
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
#include <stdbool.h>
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

static size_t
cpus_of_mask(void)
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

size_t
mia_usable_cpus(void)
{
	const size_t cpus = cpus_of_mask();
	const size_t quota = mia_quota_cpus("");

	return cpus < quota ? cpus : quota;
}

#if defined(__linux__)

int
mia_cpu(void)
{
	const int saved_errno = errno;
	const int cpu = sched_getcpu();

	mia_restore_errno(saved_errno);
	return cpu;
}

struct mia_avoidance {
	size_t size; /* of the masks */
	cpu_set_t *before;
	cpu_set_t *now;
	bool asked_for_all; /* before: all CPUs of the cpuset */
};

static void
destroy(struct mia_avoidance *avoidance)
{
	CPU_FREE(avoidance->before);
	free(avoidance->now);
	free(avoidance);
}

/* Returns whether the system allows this. Overwrites mask. */
static bool
ask_for_all(cpu_set_t *mask, size_t size)
{
	memset(mask, 0xff, size);
	return sched_setaffinity(0, size, mask) == 0;
}

/*
 * The kernel stores the mask that a thread has asked for. A thread that asks
 * for all CPUs gets those of its cpuset, also after the cpuset changes. A
 * thread with a smaller mask must ask for this mask again.
 */
static void
ask_as_before(struct mia_avoidance *avoidance)
{
	if (avoidance->asked_for_all)
		(void)ask_for_all(avoidance->now, avoidance->size);
	else
		(void)sched_setaffinity(0, avoidance->size, avoidance->before);
}

static bool
avoid(struct mia_avoidance *avoidance, int cpu)
{
	const size_t size = avoidance->size;
	cpu_set_t *before = avoidance->before, *now = avoidance->now;

	memcpy(now, before, size);
	CPU_CLR_S((size_t)cpu, size, now);
	if (CPU_COUNT_S(size, now) == 0)
		return false;

	avoidance->asked_for_all = ask_for_all(now, size) &&
		sched_getaffinity(0, size, now) == 0 &&
		CPU_EQUAL_S(size, now, before);
	memcpy(now, before, size);
	CPU_CLR_S((size_t)cpu, size, now);
	if (sched_setaffinity(0, size, now) == 0)
		return true;

	ask_as_before(avoidance);
	return false;
}

struct mia_avoidance *
mia_cpu_avoid(int cpu)
{
	struct mia_avoidance *avoidance = malloc(sizeof(*avoidance));

	if (avoidance == NULL)
		return NULL;

	avoidance->before = affinity(&avoidance->size);
	avoidance->now =
		avoidance->before != NULL ? malloc(avoidance->size) : NULL;
	if (avoidance->now != NULL && avoid(avoidance, cpu))
		return avoidance;

	destroy(avoidance);
	return NULL;
}

void
mia_cpu_allow(struct mia_avoidance *avoidance)
{
	if (avoidance == NULL)
		return;

	size_t size;
	cpu_set_t *found = affinity(&size);

	if (found != NULL && size == avoidance->size &&
		CPU_EQUAL_S(size, found, avoidance->now))
		ask_as_before(avoidance);
	CPU_FREE(found);
	destroy(avoidance);
}

void
mia_cpu_leave(int cpu)
{
	mia_cpu_allow(mia_cpu_avoid(cpu));
}

#else

int
mia_cpu(void)
{
	return -1;
}

struct mia_avoidance *
mia_cpu_avoid(int cpu)
{
	(void)cpu;
	return NULL;
}

void
mia_cpu_allow(struct mia_avoidance *avoidance)
{
	(void)avoidance;
}

void
mia_cpu_leave(int cpu)
{
	(void)cpu;
}

#endif
