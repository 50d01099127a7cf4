/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_buffers.h -- the buffers of operations of the mover over libfabric
 *
 * A SET and a RELAY have a buffer from their first part until all parts have
 * returned. All buffers of a mover together have a limit. An operation that
 * gets no buffer waits in the list unbuffered for its turn. It gets its turn in
 * two cases: another operation returns its buffer, or fails because no buffer
 * is in use. So while the list is not empty, a buffer is in use, or an
 * operation that needs a buffer is about to post.
 *
 * Threads: the busy thread (see fabric_work.h).
 */

#ifndef LIBMINIASYNC_FABRIC_BUFFERS_H
#define LIBMINIASYNC_FABRIC_BUFFERS_H 1

#include <stdbool.h>

#include "movers/fabric_operation.h"

/* Whether the operation needs a buffer to post a part, and has none. */
bool mia_fabric_needs_buffer(const struct mia_fabric_operation *op);

/* Allocates the buffer. Returns false if none is available now. */
bool mia_fabric_get_buffer(struct mia_fabric_operation *op);

/* Returns the buffer, and gives some waiting operations their turn. */
void mia_fabric_put_buffer(struct mia_fabric_operation *op);

/* Some of the operations that wait for a buffer may post. */
void mia_fabric_give_turns(struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_BUFFERS_H */
