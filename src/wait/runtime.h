/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wait/runtime.h -- what tests set in a runtime
 *
 * Declared apart from the public header libminiasync/runtime.h.
 */

#ifndef LIBMINIASYNC_WAIT_RUNTIME_H
#define LIBMINIASYNC_WAIT_RUNTIME_H 1

#include <stdint.h>

struct runtime;

/*
 * The times of the safety net: see struct mia_net_times in pace.h. A test makes
 * them so long that it sees lost wakes. Before the first wait only.
 */
void mia_runtime_set_net(
	struct runtime *runtime, uint64_t min_ns, uint64_t max_ns);

#endif /* LIBMINIASYNC_WAIT_RUNTIME_H */
