/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_region.c -- memory that other processes read and write
 *
 * Over TCP, libfabric accesses the memory only during calls for its completion
 * queue. The thread of the region or a thread of the program makes these calls.
 * The queue returns requests to write memory back (fabric_request.h), and
 * connections that have ended. Peers cause no other completions here.
 *
 * Threads: see data_mover_fabric.h. The end belongs to the thread that serves.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fi_rma.h>

#include "libminiasync-vdm-fabric/data_mover_fabric.h"
#include "movers/fabric_end.h"
#include "movers/fabric_request.h"
#include "movers/fabric_token.h"
#include "operation/memory.h"
#include "system/dynamic.h"
#include "system/forks.h"
#include "system/sockets.h"
#include "system/window.h"
#include "system/platform.h"

/* Reads of the queue in one call, which then leaves the descriptor readable. */
#define ROUNDS 64

/* The thread reads the queue this often, even if libfabric does not wake it. */
#define SLEEP_MS 1000

/* Time between two searches for new connections. */
#define NEW_NS (UINT64_C(1000) * 1000000)

struct data_mover_region {
	/* I: init only */
	struct mia_fabric_token token;
	uint32_t forks; /* mia_forks() of the process that made the region */
	char *addr;
	struct fid_mr *mr;
	struct mia_fabric_slot *slots; /* of persistent memory, or NULL */
	struct fid_mr *slots_mr;
	bool has_thread;
	mia_thread thread;

	/* Of the thread that serves. */
	struct mia_fabric_end end;
	uint64_t looked_ns; /* the last search for new connections */

	atomic_bool stop; /* A: all threads */
};

/* Peers may send any data. Returns the bytes written back. */
static uint64_t
take_request(
	struct data_mover_region *region, const struct fi_cq_data_entry *entry)
{
	if ((entry->flags & FI_REMOTE_CQ_DATA) == 0 || region->slots == NULL ||
		entry->data >= MIA_FABRIC_SLOTS)
		return 0;
	return mia_fabric_request_serve(
		&region->slots[entry->data], region->addr, region->token.size);
}

/*
 * A region sends nothing, so it cannot detect that the machine of a peer has
 * vanished. Therefore the system probes idle connections. Otherwise such a
 * connection and its descriptor would stay for ever.
 */
static void
look_after_connections(struct data_mover_region *region)
{
	const uint64_t now = mia_clock_ns();

	if (now - region->looked_ns < NEW_NS)
		return;
	region->looked_ns = now;
	mia_sockets_keep_alive(region->end.event.epoll);
}

/*
 * Returns whether there may be more to do. Returns true after writing back as
 * many bytes as one request may name, because a delete waits for this call.
 */
static bool
serve(struct data_mover_region *region)
{
	struct fid_cq *cq = region->end.cq;
	struct fi_cq_data_entry entries[16];
	/* All entries that are read are served. With slots, read one by one. */
	const size_t room =
		region->slots == NULL ? sizeof(entries) / sizeof(*entries) : 1;
	uint64_t bytes = 0;

	look_after_connections(region);
	for (int i = 0; i < ROUNDS && bytes < MIA_FABRIC_REQUEST_BYTES; i++) {
		struct fi_cq_err_entry error = {0};
		const ssize_t n = fi_cq_read(cq, entries, room);

		for (ssize_t k = 0; k < n; k++)
			bytes += take_request(region, &entries[k]);
		if (n == -FI_EAVAIL)
			fi_cq_readerr(cq, &error, 0);
		else if (n < 0 &&
			(n != -FI_EAGAIN ||
				mia_fabric_end_may_sleep(&region->end)))
			return false;
	}
	return true;
}

static void *
serve_until_stopped(void *arg)
{
	struct data_mover_region *region = arg;

	/* Relaxed: publishes nothing, and the event follows. */
	while (!atomic_load_explicit(&region->stop, memory_order_relaxed))
		if (!serve(region))
			mia_fabric_end_sleep(&region->end, SLEEP_MS);
	return NULL;
}

static int
expose_slots(struct data_mover_region *region)
{
	/* Requests name their slot by remote data. */
	if (region->end.info->domain_attr->cq_data_size == 0)
		return -ENOTSUP;
	region->slots = calloc(MIA_FABRIC_SLOTS, sizeof(*region->slots));
	if (region->slots == NULL)
		return -ENOMEM;
	return mia_fabric_error(fi_mr_reg(region->end.domain, region->slots,
		MIA_FABRIC_SLOTS * sizeof(*region->slots),
		FI_REMOTE_READ | FI_REMOTE_WRITE, 0,
		mia_fabric_slots_key(region->token.key), 0, &region->slots_mr,
		NULL));
}

/* Makes the token's key and port, and registers the memory for peers. */
static int
expose(struct data_mover_region *region)
{
	const uint64_t access =
		((region->token.access & DATA_MOVER_REGION_READ) != 0
				? FI_REMOTE_READ
				: 0) |
		((region->token.access & DATA_MOVER_REGION_WRITE) != 0
				? FI_REMOTE_WRITE
				: 0);
	int error = mia_random(&region->token.key, sizeof(region->token.key));

	if (error == 0)
		error = mia_fabric_end_port(
			&region->end, &region->token.address);
	if (error == 0)
		error = mia_fabric_error(fi_mr_reg(region->end.domain,
			region->addr, (size_t)region->token.size, access, 0,
			region->token.key, 0, &region->mr, NULL));
	if (error == 0 && (region->token.access & MIA_FABRIC_PERSISTENT) != 0)
		error = expose_slots(region);
	return error;
}

/* No thread may be serving. */
static void
close_region(struct data_mover_region *region)
{
	if (region->slots_mr != NULL)
		fi_close(&region->slots_mr->fid);
	if (region->mr != NULL)
		fi_close(&region->mr->fid);
	mia_fabric_end_close(&region->end);
	free(region->slots);
}

static int
open_region(struct data_mover_region *region, unsigned flags)
{
	int error = mia_fabric_end_open(
		&region->end, &region->token.address, MIA_FABRIC_EXPOSES, 0);

	if (error != 0)
		return error == -ENODATA ? -EADDRNOTAVAIL : error;

	error = expose(region);
	if (error == 0 && (flags & DATA_MOVER_REGION_NO_THREAD) == 0) {
		error = mia_thread_start(
			&region->thread, serve_until_stopped, region);
		region->has_thread = error == 0;
	}
	if (error != 0)
		close_region(region);
	return error;
}

MIA_PUBLIC struct data_mover_region *
data_mover_region_new(void *addr, size_t n, unsigned access, const char *listen,
	unsigned flags)
{
	const unsigned all = DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE;
	const unsigned all_flags =
		DATA_MOVER_REGION_NO_THREAD | DATA_MOVER_REGION_PMEM;
	struct mia_fabric_token token = {.size = n, .access = access};

	if (addr == NULL || n == 0 || n > UINTPTR_MAX - (uintptr_t)addr ||
		access == 0 || (access & ~all) != 0 ||
		(flags & ~all_flags) != 0 ||
		mia_fabric_address_parse(&token.address,
			listen != NULL ? listen : "127.0.0.1") != 0) {
		errno = EINVAL;
		return NULL;
	}

	if ((flags & DATA_MOVER_REGION_PMEM) != 0) {
		if ((mia_memory_capabilities() & VDM_F_MEM_DURABLE) == 0) {
			errno = ENOTSUP;
			return NULL;
		}
		token.access |= MIA_FABRIC_PERSISTENT;
	}

	struct data_mover_region *region = calloc(1, sizeof(*region));

	if (region == NULL)
		return NULL;
	region->token = token;
	region->addr = addr;
	region->forks = mia_forks();

	const struct mia_foreign foreign = mia_foreign_enter();
	const int error = open_region(region, flags);

	mia_foreign_leave(foreign);

	if (error != 0) {
		free(region);
		errno = -error;
		return NULL;
	}
	return region;
}

MIA_PUBLIC int
data_mover_region_token(
	struct data_mover_region *region, char *token, size_t size)
{
	const int error = mia_fabric_token_write(&region->token, token, size);

	if (error != 0) {
		errno = -error;
		return -1;
	}
	return 0;
}

MIA_PUBLIC int
data_mover_region_fd(struct data_mover_region *region)
{
	return region->end.event.epoll;
}

MIA_PUBLIC int
data_mover_region_progress(struct data_mover_region *region)
{
	if (mia_forked_since(region->forks)) {
		errno = ENOTCONN;
		return -1;
	}

	const struct mia_foreign foreign = mia_foreign_enter();

	(void)mia_event_fd_reset(&region->end.event);
	if (serve(region))
		mia_event_fd_set(&region->end.event);
	mia_foreign_leave(foreign);
	return 0;
}

MIA_PUBLIC void
data_mover_region_delete(struct data_mover_region *region)
{
	if (region == NULL)
		return;
	if (mia_forked_since(region->forks)) {
		/* All other objects belong to the parent too. */
		free(region->slots);
		free(region);
		return;
	}

	const struct mia_foreign foreign = mia_foreign_enter();

	if (region->has_thread) {
		/* Relaxed: the event and the join order the accesses. */
		atomic_store_explicit(
			&region->stop, true, memory_order_relaxed);
		mia_event_fd_set(&region->end.event);
		mia_thread_join(region->thread);
	}
	close_region(region);
	free(region);
	mia_foreign_leave(foreign);
}
