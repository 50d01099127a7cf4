/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_end.h -- one end of connections: the objects of libfabric that a
 * region or a mover has
 *
 * Only providers are used that let the exposing side choose the key, and check
 * key and bounds of each access there.
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

	/* Readable when there is something to do, when set, and at a time. */
	struct mia_event_fd event;
	int watched; /* there: the descriptor of the queue */

	uint64_t counted_ns; /* when bytes were counted */
	uint64_t bytes;      /* how many they were */
};

/*
 * address     EXPOSES: where to listen. MOVES: of the region.
 * connect_ms  MOVES: to reach that address
 * Returns     0, or -errno with nothing left behind; -ECONNREFUSED: nobody
 *             listens there, -ETIMEDOUT, and others of connect()
 */
int mia_fabric_end_open(struct mia_fabric_end *end,
	const struct mia_fabric_address *address, enum mia_fabric_side side,
	unsigned connect_ms);

/* Nothing accesses memory any more when this has returned. */
void mia_fabric_end_close(struct mia_fabric_end *end);

/*
 * The same for connections alone: their operations are in the queue then. The
 * queue must be closed when it was read. A look whether one may sleep finds
 * freed memory in libfabric 1.17 otherwise.
 */
void mia_fabric_end_disconnect(struct mia_fabric_end *end);

/*
 * Before a disconnect while reads are under way. An older libfabric frees the
 * read that has arrived in part twice then, and crashes. So it has to find
 * first that nothing more is received. Returns whether the queue will return
 * the reads.
 */
bool mia_fabric_end_cut_off(struct mia_fabric_end *end);

/*
 * Instead of a disconnect, if the reads have not returned. Nobody calls
 * libfabric for this end any more, so nothing accesses memory. Its objects and
 * its socket stay until the process ends, and are not watched any more.
 */
void mia_fabric_end_abandon(struct mia_fabric_end *end);
void mia_fabric_end_close_queue(struct mia_fabric_end *end);

/* EXPOSES: where it listens; the port is known then. Returns 0 or -errno. */
int mia_fabric_end_port(
	struct mia_fabric_end *end, struct mia_fabric_address *address);

/* MOVES: stores the region's address. Returns 0 or -errno. */
int mia_fabric_end_peer(struct mia_fabric_end *end, fi_addr_t *peer);

/*
 * MOVES: accesses no bytes of the region, in the way that access allows.
 * Returns 0, -EACCES: the region has refused that, -ETIMEDOUT, or another
 * -errno.
 */
int mia_fabric_end_connect(struct mia_fabric_end *end, fi_addr_t peer,
	const struct mia_fabric_token *token, unsigned ms);

/* What a call of libfabric returned, as 0 or -errno. */
int mia_fabric_error(ssize_t returned);

/* Whether the descriptor will become readable when there is something to do. */
bool mia_fabric_end_may_sleep(struct mia_fabric_end *end);

/*
 * Whether any byte went over TCP, in either direction, since the last time that
 * this was asked. False if that was less than step_ns ago: it reads /proc.
 */
bool mia_fabric_end_has_moved(struct mia_fabric_end *end, uint64_t step_ns);

/* Sleeps until the descriptor is readable, at most so long. Takes sets back. */
void mia_fabric_end_sleep(struct mia_fabric_end *end, unsigned ms);

#endif /* LIBMINIASYNC_FABRIC_END_H */
