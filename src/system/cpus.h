/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * cpus.h -- the CPUs that a thread may use, and the one that it uses
 *
 * Threads: all functions are safe from any thread.
 */

#ifndef LIBMINIASYNC_CPUS_H
#define LIBMINIASYNC_CPUS_H 1

#include <stddef.h>

/*
 * Returns how many CPUs this thread may use, at least 1: those of its mask, or
 * its quota of CPU time if that is smaller. Reads files: not for fast paths.
 * May change errno.
 */
size_t mia_usable_cpus(void);

/* Returns the CPU that this thread runs on, or -1. Keeps errno. */
int mia_cpu(void);

/*
 * Takes that CPU from those that this thread may use, if the system lets it. If
 * the thread runs there, it moves. A mask that another program sets at the same
 * moment is lost. May change errno.
 *
 * Returns what mia_cpu_allow() needs to give the CPU back, or NULL: nothing has
 * changed.
 */
struct mia_avoidance *mia_cpu_avoid(int cpu);

/*
 * This thread may use the same CPUs as before again, unless another program has
 * set its mask in the meantime. Frees avoidance, which may be NULL. May change
 * errno.
 */
void mia_cpu_allow(struct mia_avoidance *avoidance);

/* Moves this thread from that CPU to another one: avoids and allows it. */
void mia_cpu_leave(int cpu);

#endif /* LIBMINIASYNC_CPUS_H */
