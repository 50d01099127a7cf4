/* SPDX-License-Identifier: BSD-3-Clause */

/* pools.h -- pools of operations for tests */

#ifndef LIBMINIASYNC_TEST_POOLS_H
#define LIBMINIASYNC_TEST_POOLS_H 1

#include <stdlib.h>

#include "operation/operation_pool.h"

static inline struct mia_operation_pool *
pool_new(size_t slot_size)
{
	struct mia_operation_pool *pool = malloc(sizeof(*pool));

	if (pool == NULL)
		abort();
	mia_operation_pool_init(pool, slot_size, NULL);
	return pool;
}

static inline void
pool_delete(struct mia_operation_pool *pool)
{
	mia_operation_pool_fini(pool);
	free(pool);
}

#endif /* LIBMINIASYNC_TEST_POOLS_H */
