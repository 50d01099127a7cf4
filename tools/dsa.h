/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dsa.h -- what the kernel says of DSA devices and their queues, and why DML
 * would not use them
 *
 * Reads small files under a root, so a test can bring a tree of its own. The
 * conditions are those of DML 1.x, and of the kernel's driver idxd.
 */

#ifndef TOOLS_DSA_H
#define TOOLS_DSA_H 1

#include <stddef.h>

/*
 * Prints the devices, their queues, and each reason against them. root comes
 * before all paths, and may be "". Returns how many queues DML can use.
 */
size_t dsa_print(const char *root);

#endif /* TOOLS_DSA_H */
