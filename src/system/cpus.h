/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * cpus.h -- the CPUs that a thread may use, and its current CPU
 *
 * Threads: all functions are safe from any thread.
 */

#ifndef LIBMINIASYNC_CPUS_H
#define LIBMINIASYNC_CPUS_H 1

#include <stddef.h>

/*
 * Returns the number of CPUs that this thread may use, at least 1. This is the
 * number in its mask, or its quota of CPU time if the quota is smaller. Reads
 * files: not for fast paths. May change errno.
 */
size_t mia_usable_cpus(void);

/* Returns the CPU that this thread runs on, or -1. Keeps errno. */
int mia_cpu(void);

/*
 * Removes cpu from the CPUs that this thread may use, if the system allows
 * this. If the thread runs on this CPU, it moves. A mask that another program
 * sets at the same moment is lost. May change errno.
 *
 * Returns the argument for mia_cpu_allow(), or NULL if nothing has changed.
 */
struct mia_avoidance *mia_cpu_avoid(int cpu);

/*
 * Lets this thread use the same CPUs as before again, unless another program
 * has set its mask meanwhile. Frees avoidance, which may be NULL. May change
 * errno.
 */
void mia_cpu_allow(struct mia_avoidance *avoidance);

/*
 * Moves this thread from cpu to another CPU: avoids cpu, and allows it again.
 */
void mia_cpu_leave(int cpu);

#endif /* LIBMINIASYNC_CPUS_H */
