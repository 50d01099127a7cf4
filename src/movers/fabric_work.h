/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_work.h -- the busy thread of a mover over libfabric, which does its
 * operations, and how a mover breaks
 *
 * An operation with a range in the window goes through the network in parts.
 * Parts of many operations are in progress at once. libfabric returns each part
 * in its completion queue, done or failed.
 *
 *	         incoming            can post              in progress
 *	poll --> (lock) -- run() --> (busy) -- a part --> libfabric
 *	                               ^                      |
 *	                               +--- more to post -----+--> over: a waker
 *
 * One thread at a time is busy: it posts parts and reads the queue. Other
 * threads only add operations to the list incoming, and return. Before the busy
 * thread leaves, it takes these operations under the lock. If it leaves some,
 * it sets the event, or serves again. So no operation is left behind.
 *
 * The mover's thread calls the wakers, and holds no lock then. A poll may be
 * busy too, but calls no waker: the polling thread may hold the lock that a
 * waker takes. The poll completes its own operation and the operations without
 * a waker. The thread completes the others. A waker may end the thread. The
 * operations that are over stay in a list of the mover, and the next thread
 * continues with them.
 *
 * The mover breaks for ever when a part fails, when nothing happens for
 * idle_ms, or when the connection is lost. It then closes the connection, so
 * that libfabric returns all parts, and fails every operation. An operation is
 * over only when libfabric has returned all its parts, because until then their
 * memory belongs to libfabric.
 */

#ifndef LIBMINIASYNC_FABRIC_WORK_H
#define LIBMINIASYNC_FABRIC_WORK_H 1

#include <stdbool.h>

#include "movers/fabric_operation.h"

/* For a poll: adds an operation whose completion has begun. Does not wait. */
void mia_fabric_add(struct mia_fabric_operation *op);

/* For a poll of op: does all work that is due, unless a thread is busy. */
void mia_fabric_run(struct mia_fabric_operation *op);

/*
 * Does all work that is due, also the wakers. Waits while a thread is busy.
 * Returns whether the caller may sleep. For a caller that LINGERS, returns
 * whether nothing has happened, which is cheaper.
 */
enum mia_fabric_service { MIA_FABRIC_SLEEPS, MIA_FABRIC_LINGERS };

bool mia_fabric_serve(
	struct data_mover_fabric *dmf, enum mia_fabric_service service);

/*
 * Fails all operations, and ends the connection. No other thread may be in a
 * call. May be called again.
 */
void mia_fabric_end_all(struct data_mover_fabric *dmf, int error);

void mia_fabric_init_lists(struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_WORK_H */
