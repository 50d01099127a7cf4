/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * quota.h -- how much CPU time the control groups of this process allow
 *
 * A container with a quota of two CPUs on a machine of 64 may run on all of
 * them, but as soon as its threads have used the time of two, the kernel stops
 * all of them until the next period.
 */

#ifndef LIBMINIASYNC_QUOTA_H
#define LIBMINIASYNC_QUOTA_H 1

#include <stddef.h>
#include <stdint.h>

#define MIA_NO_QUOTA SIZE_MAX

/*
 * Returns the CPUs of the smallest quota, of the group of this process and of
 * all groups above that it can see. Rounded up, at least 1. MIA_NO_QUOTA: there
 * is none, it cannot be read, or this system has no control groups.
 *
 * root     comes before all paths: "", or the folder of a test
 * Threads  any
 * Blocks   while the system reads some small files. Not a cancellation point.
 *          Keeps errno.
 */
size_t mia_quota_cpus(const char *root);

#endif /* LIBMINIASYNC_QUOTA_H */
