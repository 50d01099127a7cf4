/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * polling.h -- a wait without allocated memory: polls all futures in turn
 *
 * Threads: one at a time for each future.
 */

#ifndef LIBMINIASYNC_POLLING_H
#define LIBMINIASYNC_POLLING_H 1

#include <stddef.h>

#include "libminiasync/future.h"
#include "wait/pace.h"

/*
 * Polls n futures once, and then with growing pauses until the limit is
 * reached. Returns the number of entries that are not complete.
 */
size_t mia_wait_by_polling(
	struct future *futs[], size_t n, struct mia_limit limit);

#endif /* LIBMINIASYNC_POLLING_H */
