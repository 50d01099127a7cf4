/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * openmp.c -- OpenMP's "parallel for" over memcpy, as a C programmer writes it
 *
 * A single copy is divided into one part of whole pages for each thread. With
 * several copies, each iteration is one copy. The schedule is gcc's default,
 * static: each thread has the same number of iterations, beforehand.
 *
 * libgomp keeps its defaults: OMP_WAIT_POLICY and GOMP_SPINCOUNT are not set.
 * After a region its threads spin 300,000 times, and then sleep if no other
 * region has begun. On the CPUs measured, that takes 6 ms. So within a turn the
 * threads spin from one copy to the next, and none of them has to be woken.
 *
 * The next contestant would have to share a CPU with a spinning thread: then
 * N threads that spin took 127 us for a copy of 64 KiB, and 5 us otherwise. For
 * this reason a turn ends when all threads sleep. /proc/self/task shows that,
 * also if other threads have all CPUs. No contestant pays for this time.
 */

#include "bench.h"

#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_TEAM = 256 };

static size_t team;        /* threads, the calling one included */
static long ids[MAX_TEAM]; /* of the other threads; 0: the calling one */

void
openmp_start(size_t n)
{
	const long self = syscall(SYS_gettid);

	team = n < MAX_TEAM ? n : MAX_TEAM;
#pragma omp parallel num_threads((int)team)
	{
		const long id = syscall(SYS_gettid);

		ids[omp_get_thread_num()] = id == self ? 0 : id;
	}
}

/* True: the thread runs, or would run if it had a CPU. */
static bool
is_running(long id)
{
	char path[64], stat[256] = "";

	snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", id);

	FILE *f = fopen(path, "r");

	if (f == NULL)
		fail("%s: cannot be opened", path);

	const bool is_read = fgets(stat, sizeof(stat), f) != NULL;
	const char *end_of_name = strrchr(stat, ')');

	fclose(f);
	if (!is_read || end_of_name == NULL)
		fail("%s: cannot be read", path);
	return end_of_name[1] == ' ' && end_of_name[2] == 'R';
}

/* Returns when all threads sleep. */
static void
settle(void)
{
	for (size_t i = 0; i < team; i++) {
		while (ids[i] != 0 && is_running(ids[i]))
			sleep_ns(200e3);
	}
}

static void
copy_in_parts(const struct work *work)
{
#pragma omp parallel for num_threads((int)team)
	for (size_t i = 0; i < team; i++)
		work_copy_part(work, i, team);
}

static void
copy_each(const struct work *work)
{
#pragma omp parallel for num_threads((int)team)
	for (size_t i = 0; i < work->count; i++)
		work_copy_one(work, i);
}

double
openmp_run(const struct work *work, size_t repeats)
{
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		if (work->count > 1)
			copy_each(work);
		else
			copy_in_parts(work);
	}

	const double ns = clock_ns(CLOCK_MONOTONIC) - start;

	settle();
	return ns;
}

int
openmp_version(void)
{
	return _OPENMP;
}
