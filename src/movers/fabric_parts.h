/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_parts.h -- parts of operations: to libfabric, and back
 *
 * The memory of a part belongs to libfabric until it has come back. The mover
 * counts those under way, and the reads among them.
 *
 * libfabric listens at this end, too. Whoever connects there may write nothing,
 * and say so by remote data: a completion without context, which is no part.
 *
 * Threads: the busy one (see fabric_work.h).
 */

#ifndef LIBMINIASYNC_FABRIC_PARTS_H
#define LIBMINIASYNC_FABRIC_PARTS_H 1

#include <sys/types.h>

#include "movers/fabric_operation.h"

/* Hands the next part to libfabric, and returns what that returned. */
ssize_t mia_fabric_post_part(struct mia_fabric_operation *op);

/* libfabric has returned a part. */
void mia_fabric_return_part(struct mia_fabric_operation *op);

/*
 * The queue has an error: takes it, with its part if it has one. Returns
 * -errno, or 0 if there was none.
 */
int mia_fabric_take_error(struct data_mover_fabric *dmf);

/* The connection was closed or cut off: takes the parts that come back. */
void mia_fabric_take_parts(struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_PARTS_H */
