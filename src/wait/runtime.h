/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wait/runtime.h -- settings of a runtime for tests
 *
 * Declared apart from the public header libminiasync/runtime.h.
 */

#ifndef LIBMINIASYNC_WAIT_RUNTIME_H
#define LIBMINIASYNC_WAIT_RUNTIME_H 1

#include <stdint.h>

struct runtime;

/*
 * Sets the times of the safety net: see struct mia_net_times in pace.h. With
 * long times a test detects lost wakes. Call this before the first wait.
 */
void mia_runtime_set_net(
	struct runtime *runtime, uint64_t min_ns, uint64_t max_ns);

#endif /* LIBMINIASYNC_WAIT_RUNTIME_H */
