/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_flush.h -- operations whose memory the region has to write back
 *
 * An operation comes here when all its bytes are in the region's memory. One
 * request at a time is in progress, for as many waiting operations as fit:
 *
 *	waiting --> asked: the request is put, then its answer is got --> done
 *	   ^          |
 *	   +----------+ the rest of a long operation
 *
 * The request itself is an internal operation of kind ASK, so that its parts
 * are handled like the parts of other operations.
 *
 * Threads: the busy thread.
 */

#ifndef LIBMINIASYNC_FABRIC_FLUSH_H
#define LIBMINIASYNC_FABRIC_FLUSH_H 1

#include <sys/types.h>

struct data_mover_fabric;
struct mia_fabric_operation;

/* Empties all lists. No request is in progress afterwards. */
void mia_fabric_flush_init(struct data_mover_fabric *dmf);

/* Adds an operation. All its bytes are in the region's memory. */
void mia_fabric_flush_add(struct mia_fabric_operation *op);

/* Posts the next part of the request. Returns libfabric's return value. */
ssize_t mia_fabric_flush_post(struct data_mover_fabric *dmf);

/*
 * Call mia_fabric_flush_settle() when libfabric has returned a part of the
 * request. Then call mia_fabric_flush_take() until it returns NULL: each call
 * returns an operation that is done.
 */
void mia_fabric_flush_settle(struct data_mover_fabric *dmf);
struct mia_fabric_operation *mia_fabric_flush_take(
	struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_FLUSH_H */
