/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_end.h -- one end of connections: the objects of libfabric that a
 * region or a mover has
 *
 * Only providers with two properties are used. The exposing side chooses the
 * key, and the provider checks key and bounds of each access there.
 *
 * Threads: one thread at a time.
 */

#ifndef LIBMINIASYNC_FABRIC_END_H
#define LIBMINIASYNC_FABRIC_END_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

#include "movers/fabric_library.h"
#include "movers/fabric_token.h"
#include "system/event_fd.h"

enum mia_fabric_side { MIA_FABRIC_EXPOSES, MIA_FABRIC_MOVES };

struct mia_fabric_end {
	const struct mia_fabric_library *library;
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_av *av;
	struct fid_cq *cq;
	struct fid_ep *ep;

	/* Readable if libfabric has work, after a set, and after the timer. */
	struct mia_event_fd event;
	int watched; /* by event: the descriptor of the queue */

	uint64_t counted_ns; /* the last count of TCP bytes */
	uint64_t bytes;      /* its result */
};

/*
 * address     EXPOSES: to listen at. MOVES: the region's
 * connect_ms  MOVES: timeout to reach the address
 * Returns     0, or -errno with nothing left behind; -ECONNREFUSED: nothing
 *             listens there, -ETIMEDOUT, and other errors of connect()
 */
int mia_fabric_end_open(struct mia_fabric_end *end,
	const struct mia_fabric_address *address, enum mia_fabric_side side,
	unsigned connect_ms);

/* After the return, libfabric accesses no memory of this end. */
void mia_fabric_end_close(struct mia_fabric_end *end);

/*
 * Closes only the connections. The queue then returns their operations. Read
 * the queue, and close it. Otherwise mia_fabric_end_may_sleep() reads freed
 * memory in libfabric 1.17.
 */
void mia_fabric_end_disconnect(struct mia_fabric_end *end);

/*
 * Call this before a disconnect while reads are in progress. If a read has
 * arrived in part, libfabric before 1.18 frees it twice, and crashes. So the
 * sockets are first shut down for receiving. Returns whether that was needed:
 * then read the queue, which should return the reads.
 */
bool mia_fabric_end_cut_off(struct mia_fabric_end *end);

/*
 * Call this instead of a disconnect if the reads have not returned. Afterwards
 * nothing calls libfabric for this end, so nothing accesses memory. The objects
 * and the socket stay until the process ends, and are no longer watched.
 */
void mia_fabric_end_abandon(struct mia_fabric_end *end);

/* Closes the queue, if it is open. */
void mia_fabric_end_close_queue(struct mia_fabric_end *end);

/* EXPOSES: stores the port on which it listens. Returns 0 or -errno. */
int mia_fabric_end_port(
	struct mia_fabric_end *end, struct mia_fabric_address *address);

/* MOVES: stores the region's address. Returns 0 or -errno. */
int mia_fabric_end_peer(struct mia_fabric_end *end, fi_addr_t *peer);

/*
 * MOVES: connects by a read of 0 bytes, or by a write if the token does not
 * allow reads. Returns 0, -EACCES: the region has refused the access,
 * -ETIMEDOUT, or another -errno.
 */
int mia_fabric_end_connect(struct mia_fabric_end *end, fi_addr_t peer,
	const struct mia_fabric_token *token, unsigned ms);

/* Converts the return value of a call of libfabric to 0 or -errno. */
int mia_fabric_error(ssize_t returned);

/* Whether the descriptor will become readable when libfabric has work. */
bool mia_fabric_end_may_sleep(struct mia_fabric_end *end);

/*
 * Whether TCP has carried bytes, in either direction, since the last count.
 * Returns false if that was less than step_ns ago, because a count reads /proc.
 */
bool mia_fabric_end_has_moved(struct mia_fabric_end *end, uint64_t step_ns);

/* Sleeps until the descriptor is readable, for ms at most. Resets the event. */
void mia_fabric_end_sleep(struct mia_fabric_end *end, unsigned ms);

#endif /* LIBMINIASYNC_FABRIC_END_H */
