/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_work.h -- how an operation of the mover over libfabric gets done
 *
 * An operation with a range in the window goes through the network in parts.
 * Parts of many operations are under way at once. libfabric returns each part
 * in its completion queue, done or failed.
 *
 *	         incoming            can post              under way
 *	poll --> (lock) -- run() --> (busy) -- a part --> libfabric
 *	                               ^                      |
 *	                               +--- more to post -----+--> over: a waker
 *
 * One thread at a time is busy: it posts parts and reads the queue. Others only
 * add operations to the incoming ones, and go on. The busy thread takes those
 * before it leaves, under the lock, so no operation is left behind.
 *
 * The mover's thread calls the wakers, with nothing held. A poll may be busy,
 * too, but calls none: whoever polls may hold the lock that a waker takes. It
 * ends its own operation and those without a waker, and leaves the others to
 * the thread. A waker may end the thread: what is over is in a list of the
 * mover's, and the next thread goes on with it.
 *
 * The mover breaks for ever when a part fails, or when nothing happens for a
 * time. It closes the connection then, so that libfabric returns all parts, and
 * fails every operation. An operation is over only when libfabric has returned
 * all its parts, because their memory belongs to libfabric until then.
 */

#ifndef LIBMINIASYNC_FABRIC_WORK_H
#define LIBMINIASYNC_FABRIC_WORK_H 1

#include <stdbool.h>

#include "movers/fabric_operation.h"

/* A poll adds an operation whose completion has begun. Does not wait. */
void mia_fabric_add(struct mia_fabric_operation *op);

/* A poll of the operation does what is due, unless another thread is busy. */
void mia_fabric_run(struct mia_fabric_operation *op);

/*
 * The same, and waits for another busy thread. Returns whether it may sleep; to
 * one that LINGERS, whether nothing has happened, which is cheaper.
 */
enum mia_fabric_service { MIA_FABRIC_SLEEPS, MIA_FABRIC_LINGERS };

bool mia_fabric_serve(
	struct data_mover_fabric *dmf, enum mia_fabric_service service);

/*
 * Nobody else is in a call: ends all operations and the connection. May be
 * called again.
 */
void mia_fabric_end_all(struct data_mover_fabric *dmf, int error);

void mia_fabric_init_lists(struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_WORK_H */
