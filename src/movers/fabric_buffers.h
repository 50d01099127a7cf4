/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_buffers.h -- the buffers of operations of the mover over libfabric
 *
 * A SET and a RELAY have a buffer from their first part until they are over.
 * All buffers of a mover together have a limit. An operation that finds no
 * memory is in the list unbuffered, until it gets its turn: when another one
 * gives its buffer back, or fails because no buffer is out that could come
 * back. So while that list is not empty, a buffer is out, or an operation that
 * needs one is about to post.
 *
 * Threads: the busy one (see fabric_work.h).
 */

#ifndef LIBMINIASYNC_FABRIC_BUFFERS_H
#define LIBMINIASYNC_FABRIC_BUFFERS_H 1

#include <stdbool.h>

#include "movers/fabric_operation.h"

/* Whether it cannot post a part without a buffer, and has none. */
bool mia_fabric_needs_buffer(const struct mia_fabric_operation *op);

/* Returns false if there is no memory for it now. */
bool mia_fabric_get_buffer(struct mia_fabric_operation *op);

/* Gives the buffer back, and some that wait for memory their turn. */
void mia_fabric_put_buffer(struct mia_fabric_operation *op);

/* Some that wait for memory may post. */
void mia_fabric_give_turns(struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_BUFFERS_H */
