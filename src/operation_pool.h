/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operation_pool.h -- memory for pending operations, one pool for each mover
 *
 * Slots of one size, handed out and taken back by any thread in any order. A
 * slot's content is undefined when it is handed out. What is handed out is
 * bounded; see MIA_OPERATION_POOL_MAX.
 */

#ifndef LIBMINIASYNC_OPERATION_POOL_H
#define LIBMINIASYNC_OPERATION_POOL_H 1

#include <stddef.h>

/* Slots of one pool that can be handed out at once. */
#define MIA_OPERATION_POOL_MAX ((size_t)4194304)

struct mia_operation_pool;

/*
 * slot_size  bytes, 1 to 512. A multiple of MIA_CACHE_LINE gives each slot
 *            cache lines of its own.
 * Returns    the pool, or NULL with errno ENOMEM
 */
struct mia_operation_pool *mia_operation_pool_new(size_t slot_size);

/*
 * Frees the pool with all slots, also those that were not put back. NULL is
 * fine. Other threads may be inside of other pools, and may be exiting.
 */
void mia_operation_pool_delete(struct mia_operation_pool *pool);

/* A slot, or NULL if the bound is reached or memory is short. Keeps errno. */
void *mia_operation_pool_get(struct mia_operation_pool *pool);

/* Gives a slot back to the pool it came from. */
void mia_operation_pool_put(void *slot);

/* Bytes of memory that the pool's slots take now, for tests. */
size_t mia_operation_pool_bytes(struct mia_operation_pool *pool);

#endif /* LIBMINIASYNC_OPERATION_POOL_H */
