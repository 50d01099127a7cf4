/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_parts.h -- parts of operations: to libfabric, and back
 *
 * The memory of a part belongs to libfabric until libfabric returns the part.
 * The mover counts the parts in progress, and the reads among them.
 *
 * libfabric listens at this end too. A stranger that connects may write 0 bytes
 * with remote data. The queue then has an entry without context: no part.
 *
 * Threads: the busy thread (see fabric_work.h).
 */

#ifndef LIBMINIASYNC_FABRIC_PARTS_H
#define LIBMINIASYNC_FABRIC_PARTS_H 1

#include <sys/types.h>

#include "movers/fabric_operation.h"

/* Posts the next part. Returns libfabric's return value. */
ssize_t mia_fabric_post_part(struct mia_fabric_operation *op);

/* Counts a part that libfabric has returned. */
void mia_fabric_return_part(struct mia_fabric_operation *op);

/*
 * Takes an error from the queue, and the part that failed, if any. Returns
 * -errno, or 0 if the queue had no error.
 */
int mia_fabric_take_error(struct data_mover_fabric *dmf);

/* Takes the returned parts after the connection was closed or cut off. */
void mia_fabric_take_parts(struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_PARTS_H */
