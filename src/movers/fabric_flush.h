/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_flush.h -- operations whose memory the region has to write back
 *
 * They come here when all their bytes are in the region's memory. One request
 * at a time is under way, for as many operations as have come:
 *
 *	waiting --> asked: the request is put, then its answer is got --> done
 *	   ^          |
 *	   +----------+ what is left of a long one
 *
 * The request is an operation too, of kind ASK, so that its parts are like
 * those of others. It is none of the program's.
 *
 * Threads: the busy thread.
 */

#ifndef LIBMINIASYNC_FABRIC_FLUSH_H
#define LIBMINIASYNC_FABRIC_FLUSH_H 1

#include <sys/types.h>

struct data_mover_fabric;
struct mia_fabric_operation;

/* Nothing waits, and no request is under way. */
void mia_fabric_flush_init(struct data_mover_fabric *dmf);

/* All bytes of the operation are in memory. */
void mia_fabric_flush_add(struct mia_fabric_operation *op);

/* Hands the next part of the request to libfabric, and returns its answer. */
ssize_t mia_fabric_flush_post(struct data_mover_fabric *dmf);

/*
 * A part of the request is back. Then mia_fabric_flush_take() returns one after
 * the other of those that are done, and NULL.
 */
void mia_fabric_flush_settle(struct data_mover_fabric *dmf);
struct mia_fabric_operation *mia_fabric_flush_take(
	struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_FLUSH_H */
