/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_end.c -- see fabric_end.h */

#include "movers/fabric_end.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fi_cm.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "libminiasync-vdm-fabric/data_mover_fabric.h"
#include "system/platform.h"
#include "system/sockets.h"
#include "system/tcp.h"

/*
 * Other providers do not check accesses: "net" reports success for an access
 * out of bounds, and "shm" never answers.
 */
static const char *const providers[] = {"tcp;ofi_rxm", "verbs;ofi_rxm"};

int
mia_fabric_error(ssize_t returned)
{
	if (returned >= 0)
		return 0;
	/* libfabric's own errors begin at 256. */
	return returned > -256 ? (int)returned : -EIO;
}

static bool
is_tcp(const struct fi_info *info)
{
	return strcmp(info->fabric_attr->prov_name, providers[0]) == 0;
}

static bool
is_allowed(const struct fi_info *info)
{
	const char *name = info->fabric_attr->prov_name;

	for (size_t i = 0; i < sizeof(providers) / sizeof(*providers); i++)
		if (name != NULL && strcmp(name, providers[i]) == 0)
			return info->domain_attr->mr_mode == 0 &&
				info->domain_attr->mr_key_size ==
				sizeof(uint64_t);
	return false;
}

/*
 * mr_mode 0: the exposing side chooses the key, and addresses begin at 0.
 * DELIVERY_COMPLETE: a write is complete when the bytes are in the memory.
 */
static void
ask_for(struct fi_info *hints)
{
	hints->caps = FI_MSG | FI_RMA;
	hints->ep_attr->type = FI_EP_RDM;
	hints->domain_attr->threading = FI_THREAD_DOMAIN;
	hints->tx_attr->op_flags = FI_DELIVERY_COMPLETE;
}

/* Copies the first allowed provider of the list, and frees the list. */
static int
choose(struct mia_fabric_end *end, struct fi_info *list)
{
	const struct fi_info *info = list;

	while (info != NULL && !is_allowed(info))
		info = info->next;
	if (info != NULL)
		end->info = end->library->dupinfo(info);

	const int error = info == NULL ? -ENOTSUP : -ENOMEM;

	end->library->freeinfo(list);
	return end->info != NULL ? 0 : error;
}

static int
find_provider(struct mia_fabric_end *end,
	const struct mia_fabric_address *address, enum mia_fabric_side side)
{
	/* libfabric would report only that it has no provider. */
	if (!mia_tcp_has_interface(address->host))
		return -EADDRNOTAVAIL;

	struct fi_info *hints = end->library->dupinfo(NULL);
	struct fi_info *list = NULL;

	if (hints == NULL)
		return -ENOMEM;

	ask_for(hints);

	const int error = mia_fabric_error(end->library->getinfo(
		MIA_FABRIC_VERSION, address->host, address->port,
		side == MIA_FABRIC_EXPOSES ? FI_SOURCE : 0, hints, &list));

	end->library->freeinfo(hints);
	return error == 0 ? choose(end, list) : error;
}

static int
open_objects(struct mia_fabric_end *end)
{
	struct fi_cq_attr cq = {
		.format = FI_CQ_FORMAT_DATA, .wait_obj = FI_WAIT_FD};
	struct fi_av_attr av = {.type = FI_AV_TABLE};
	ssize_t r = end->library->fabric(
		end->info->fabric_attr, &end->fabric, NULL);

	if (r == 0)
		r = fi_domain(end->fabric, end->info, &end->domain, NULL);
	if (r == 0)
		r = fi_cq_open(end->domain, &cq, &end->cq, NULL);
	if (r == 0)
		r = fi_av_open(end->domain, &av, &end->av, NULL);
	if (r == 0)
		r = fi_endpoint(end->domain, end->info, &end->ep, NULL);
	if (r == 0)
		r = fi_ep_bind(end->ep, &end->cq->fid, FI_TRANSMIT | FI_RECV);
	if (r == 0)
		r = fi_ep_bind(end->ep, &end->av->fid, 0);
	if (r == 0)
		r = fi_enable(end->ep);
	return mia_fabric_error(r);
}

static int
open_event(struct mia_fabric_end *end)
{
	int error = mia_fabric_error(
		fi_control(&end->cq->fid, FI_GETWAIT, &end->watched));

	if (error != 0)
		return error;
	error = mia_event_fd_init(&end->event);
	if (error != 0)
		return error;
	error = mia_event_fd_add(&end->event, end->watched);
	if (error != 0)
		mia_event_fd_fini(&end->event);
	return error;
}

static void
close_object(struct fid *fid)
{
	if (fid != NULL)
		fi_close(fid);
}

static void
close_objects(struct mia_fabric_end *end)
{
	close_object(end->ep != NULL ? &end->ep->fid : NULL);
	close_object(end->av != NULL ? &end->av->fid : NULL);
	close_object(end->cq != NULL ? &end->cq->fid : NULL);
	close_object(end->domain != NULL ? &end->domain->fid : NULL);
	close_object(end->fabric != NULL ? &end->fabric->fid : NULL);
	if (end->info != NULL)
		end->library->freeinfo(end->info);
}

/*
 * Without a listener, libfabric tries again and again. Without a route to the
 * region, libfabric's objects fail with an unrelated error. So a plain TCP
 * connection is made first.
 */
static int
probe(const struct mia_fabric_end *end, unsigned ms)
{
	if (end->info->dest_addr == NULL)
		return -ENOTSUP;
	return is_tcp(end->info) ? mia_tcp_probe(end->info->dest_addr,
					   end->info->dest_addrlen, ms)
				 : 0;
}

int
mia_fabric_end_open(struct mia_fabric_end *end,
	const struct mia_fabric_address *address, enum mia_fabric_side side,
	unsigned connect_ms)
{
	memset(end, 0, sizeof(*end));
	end->library = mia_fabric_library_get();
	if (end->library == NULL)
		return -ENOTSUP;

	int error = find_provider(end, address, side);

	if (error == 0 && side == MIA_FABRIC_MOVES)
		error = probe(end, connect_ms);
	if (error == 0)
		error = open_objects(end);
	if (error == 0)
		error = open_event(end);
	if (error != 0)
		close_objects(end);
	return error;
}

void
mia_fabric_end_close(struct mia_fabric_end *end)
{
	mia_event_fd_fini(&end->event);
	close_objects(end);
}

void
mia_fabric_end_disconnect(struct mia_fabric_end *end)
{
	close_object(end->ep != NULL ? &end->ep->fid : NULL);
	end->ep = NULL;
}

bool
mia_fabric_end_cut_off(struct mia_fabric_end *end)
{
	if (!is_tcp(end->info) ||
		!FI_VERSION_LT(end->library->version, MIA_FABRIC_CLOSES_READS))
		return false;
	mia_sockets_shut(end->event.epoll);
	return true;
}

void
mia_fabric_end_abandon(struct mia_fabric_end *end)
{
	mia_event_fd_remove(&end->event, end->watched);
	end->ep = NULL;
	end->av = NULL;
	end->cq = NULL;
	end->domain = NULL;
	end->fabric = NULL;
}

void
mia_fabric_end_close_queue(struct mia_fabric_end *end)
{
	if (end->cq == NULL)
		return;
	mia_event_fd_remove(&end->event, end->watched);
	fi_close(&end->cq->fid);
	end->cq = NULL;
}

int
mia_fabric_end_port(
	struct mia_fabric_end *end, struct mia_fabric_address *address)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name;
	size_t length = sizeof(name);
	const int error =
		mia_fabric_error(fi_getname(&end->ep->fid, &name, &length));

	if (error != 0)
		return error;
	if (name.any.sa_family != AF_INET && name.any.sa_family != AF_INET6)
		return -ENOTSUP;

	const in_port_t port = name.any.sa_family == AF_INET
		? name.v4.sin_port
		: name.v6.sin6_port;

	(void)snprintf(
		address->port, sizeof(address->port), "%" PRIu16, ntohs(port));
	return 0;
}

int
mia_fabric_end_peer(struct mia_fabric_end *end, fi_addr_t *peer)
{
	const int n =
		fi_av_insert(end->av, end->info->dest_addr, 1, peer, 0, NULL);

	return n == 1 ? 0 : n < 0 ? mia_fabric_error(n) : -EINVAL;
}

/*
 * Returns whether the answer has come, and stores 0 or -errno in *answer. An
 * entry with another context is from a stranger: see fabric_parts.h.
 */
static bool
has_answer(struct mia_fabric_end *end, const void *context, int *answer)
{
	struct fi_cq_data_entry entry;
	struct fi_cq_err_entry error = {0};
	const ssize_t n = fi_cq_read(end->cq, &entry, 1);

	if (n == -FI_EAGAIN || (n == 1 && entry.op_context != context))
		return false;
	*answer = n == 1 ? 0 : mia_fabric_error(n);
	if (n == -FI_EAVAIL && fi_cq_readerr(end->cq, &error, 0) == 1)
		*answer = error.err == FI_ECANCELED
			? -EACCES
			: mia_fabric_error(-(ssize_t)error.err);
	return true;
}

int
mia_fabric_end_connect(struct mia_fabric_end *end, fi_addr_t peer,
	const struct mia_fabric_token *token, unsigned ms)
{
	const bool reads = (token->access & DATA_MOVER_REGION_READ) != 0;
	const uint64_t start_ns = mia_clock_ns();
	ssize_t posted = -FI_EAGAIN;
	int answer;
	char byte;

	do {
		if (posted == -FI_EAGAIN)
			posted = reads ? fi_read(end->ep, &byte, 0, NULL, peer,
						 0, token->key, &byte)
				       : fi_write(end->ep, &byte, 0, NULL, peer,
						 0, token->key, &byte);
		if (posted != 0 && posted != -FI_EAGAIN)
			return mia_fabric_error(posted);
		if (has_answer(end, &byte, &answer))
			return answer;
		if (mia_fabric_end_may_sleep(end))
			mia_fabric_end_sleep(end, 1);
	} while (mia_clock_ns() - start_ns < ms * UINT64_C(1000000));

	return -ETIMEDOUT;
}

bool
mia_fabric_end_may_sleep(struct mia_fabric_end *end)
{
	if (end->cq == NULL)
		return true;

	struct fid *fids[] = {&end->cq->fid};

	return fi_trywait(end->fabric, fids, 1) == 0;
}

bool
mia_fabric_end_has_moved(struct mia_fabric_end *end, uint64_t step_ns)
{
	const uint64_t now = mia_clock_ns();

	if (now - end->counted_ns < step_ns)
		return false;

	const uint64_t before = end->bytes;

	end->counted_ns = now;
	end->bytes = mia_sockets_bytes(end->event.epoll);
	return end->bytes != before;
}

void
mia_fabric_end_sleep(struct mia_fabric_end *end, unsigned ms)
{
	if (mia_event_fd_wait(&end->event, ms))
		(void)mia_event_fd_reset(&end->event);
}
