/* SPDX-License-Identifier: BSD-3-Clause */

/* system.h -- the deadline and the memory of a test, on each system */

#ifndef LIBMINIASYNC_SYSTEM_H
#define LIBMINIASYNC_SYSTEM_H 1

#include <stdio.h>

#include "slowdown.h"

#if defined(__GLIBC_PREREQ) && TEST_SLOWDOWN == 1
#if __GLIBC_PREREQ(2, 33)
#include <malloc.h>
#define TEST_HAS_MALLINFO2 1
#endif
#endif

/* Bytes that are allocated now. 0: the C library, or a tool, does not tell. */
static inline size_t
test_allocated_bytes(void)
{
#ifdef TEST_HAS_MALLINFO2
	const struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
#else
	return 0;
#endif
}

#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN 1
#include <windows.h>
#include <psapi.h>

/* Only the time limit of ctest applies. */
static inline void
test_deadline(unsigned seconds)
{
	(void)seconds;
}

static inline size_t
test_resident_kib(void)
{
	PROCESS_MEMORY_COUNTERS memory = {0};

	K32GetProcessMemoryInfo(GetCurrentProcess(), &memory, sizeof(memory));
	return memory.WorkingSetSize / 1024;
}

static inline size_t
test_peak_kib(void)
{
	PROCESS_MEMORY_COUNTERS memory = {0};

	K32GetProcessMemoryInfo(GetCurrentProcess(), &memory, sizeof(memory));
	return memory.PeakWorkingSetSize / 1024;
}

#else

#include <sys/resource.h>
#include <unistd.h>

/* Ends the process after these seconds; 0: no more. */
static inline void
test_deadline(unsigned seconds)
{
	alarm(seconds);
}

/* 0 if the kernel does not tell it. */
static inline size_t
test_resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t size = 0, resident = 0;

	if (file == NULL || fscanf(file, "%zu %zu", &size, &resident) != 2)
		resident = 0;
	if (file != NULL)
		fclose(file);
	return resident * ((size_t)sysconf(_SC_PAGESIZE) / 1024);
}

static inline size_t
test_peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (size_t)usage.ru_maxrss;
}

#endif

#endif /* LIBMINIASYNC_SYSTEM_H */
