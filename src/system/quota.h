/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * quota.h -- how much CPU time the control groups of this process allow
 *
 * A container may have a quota of 2 CPUs on a machine of 64 CPUs. Its threads
 * may run on all 64 CPUs. When they have used the time of 2 CPUs, the kernel
 * stops all of them until the next period.
 */

#ifndef LIBMINIASYNC_QUOTA_H
#define LIBMINIASYNC_QUOTA_H 1

#include <stddef.h>
#include <stdint.h>

#define MIA_NO_QUOTA SIZE_MAX

/*
 * Returns the CPUs of the smallest quota, rounded up, at least 1. The quotas
 * are those of this process's group and of all groups above that the process
 * can see. MIA_NO_QUOTA: there is no quota, it cannot be read, or this system
 * has no control groups.
 *
 * root     the start of all paths: "", or the folder of a test
 * Threads  any
 * Blocks   while the system reads some small files. Not a cancellation point.
 *          Keeps errno.
 */
size_t mia_quota_cpus(const char *root);

#endif /* LIBMINIASYNC_QUOTA_H */
