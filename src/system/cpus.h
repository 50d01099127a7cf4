/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * cpus.h -- the CPUs that a thread may use, and the one that it uses
 *
 * Threads: all functions are safe from any thread.
 */

#ifndef LIBMINIASYNC_CPUS_H
#define LIBMINIASYNC_CPUS_H 1

#include <stddef.h>

/* Returns how many CPUs this thread may use, at least 1. May change errno. */
size_t mia_usable_cpus(void);

/* Returns the CPU that this thread runs on, or -1. Keeps errno. */
int mia_cpu(void);

/*
 * Moves this thread from that CPU to another one that it may use, if the system
 * can and lets it. Afterwards the thread may use the same CPUs as before. A
 * mask that another program sets at the same moment is lost. May change errno.
 */
void mia_cpu_leave(int cpu);

#endif /* LIBMINIASYNC_CPUS_H */
