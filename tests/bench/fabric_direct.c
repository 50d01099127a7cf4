/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_direct.c -- see fabric_direct.h */

#include "fabric_direct.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "bench.h"

#define PROVIDER "tcp;ofi_rxm"

/*
 * Transfers under way at most, and the bytes of one. Pieces of 256 KiB to 64
 * MiB were measured to take the same time, and smaller ones take longer.
 */
#define WINDOW 1024
#define PIECE_BYTES ((size_t)1 << 20)

/* Completions that one call reads at most. */
#define ENTRIES 64

#define KEY UINT64_C(0x5eed)

struct direct {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_cq *cq;
	struct fid_av *av;
	struct fid_ep *ep;
	struct fid_mr *mr; /* of the exposing side */
	enum direct_wait wait;
	int fd; /* of the queue, if it SLEEPS */
	fi_addr_t peer;
};

/* The only symbols of libfabric. All else is reached through its objects. */
static struct {
	int (*getinfo)(uint32_t version, const char *node, const char *service,
		uint64_t flags, const struct fi_info *hints,
		struct fi_info **info);
	void (*freeinfo)(struct fi_info *info);
	struct fi_info *(*dupinfo)(const struct fi_info *info);
	int (*fabric)(struct fi_fabric_attr *attr, struct fid_fabric **fabric,
		void *context);
} fi;

static bool
find(void *library, const char *name, void *function)
{
	void *found = dlsym(library, name);

	memcpy(function, &found, sizeof(found));
	return found != NULL;
}

/* The provider's description, for an address. NULL: there is none. */
static struct fi_info *
provider(const char *host, const char *port, uint64_t flags)
{
	struct fi_info *hints = fi.dupinfo(NULL), *list = NULL, *chosen = NULL;

	if (hints == NULL)
		fail("out of memory");
	hints->caps = FI_MSG | FI_RMA;
	hints->ep_attr->type = FI_EP_RDM;
	hints->domain_attr->threading = FI_THREAD_DOMAIN;
	hints->tx_attr->op_flags = FI_DELIVERY_COMPLETE;
	if (fi.getinfo(FI_VERSION(1, 14), host, port, flags, hints, &list) != 0)
		list = NULL;
	for (struct fi_info *i = list; i != NULL && chosen == NULL; i = i->next)
		if (strcmp(i->fabric_attr->prov_name, PROVIDER) == 0 &&
			i->domain_attr->mr_mode == 0)
			chosen = fi.dupinfo(i);
	fi.freeinfo(hints);
	if (list != NULL)
		fi.freeinfo(list);
	return chosen;
}

bool
direct_is_there(void)
{
	void *library = dlopen("libfabric.so.1", RTLD_NOW | RTLD_LOCAL);
	struct fi_info *info;

	if (library == NULL || !find(library, "fi_getinfo", &fi.getinfo) ||
		!find(library, "fi_freeinfo", &fi.freeinfo) ||
		!find(library, "fi_dupinfo", &fi.dupinfo) ||
		!find(library, "fi_fabric", &fi.fabric))
		return false;
	info = provider("127.0.0.1", NULL, FI_SOURCE);
	if (info == NULL)
		return false;
	fi.freeinfo(info);
	return true;
}

static void
must(ssize_t r, const char *what)
{
	if (r < 0)
		fail("libfabric: %s: error %zd", what, r);
}

static struct direct *
direct_open(const char *host, const char *port, uint64_t flags,
	enum direct_wait wait)
{
	struct fi_cq_attr cq = {.format = FI_CQ_FORMAT_CONTEXT,
		.wait_obj = wait == DIRECT_SLEEPS ? FI_WAIT_FD : FI_WAIT_NONE};
	struct fi_av_attr av = {.type = FI_AV_TABLE};
	struct direct *d = calloc(1, sizeof(*d));

	if (d == NULL || !direct_is_there())
		fail("libfabric: not found, or out of memory");
	d->info = provider(host, port, flags);
	if (d->info == NULL)
		fail("libfabric: no provider %s at %s", PROVIDER, host);
	must(fi.fabric(d->info->fabric_attr, &d->fabric, NULL), "fabric");
	must(fi_domain(d->fabric, d->info, &d->domain, NULL), "domain");
	must(fi_cq_open(d->domain, &cq, &d->cq, NULL), "queue");
	must(fi_av_open(d->domain, &av, &d->av, NULL), "addresses");
	must(fi_endpoint(d->domain, d->info, &d->ep, NULL), "endpoint");
	must(fi_ep_bind(d->ep, &d->cq->fid, FI_TRANSMIT | FI_RECV), "bind");
	must(fi_ep_bind(d->ep, &d->av->fid, 0), "bind");
	must(fi_enable(d->ep), "enable");
	d->wait = wait;
	if (wait == DIRECT_SLEEPS)
		must(fi_control(&d->cq->fid, FI_GETWAIT, &d->fd), "descriptor");
	return d;
}

struct direct *
direct_expose(char *memory, size_t n, char *address)
{
	struct direct *d =
		direct_open("127.0.0.1", NULL, FI_SOURCE, DIRECT_SLEEPS);
	struct sockaddr_in name;
	size_t length = sizeof(name);

	must(fi_mr_reg(d->domain, memory, n, FI_REMOTE_READ | FI_REMOTE_WRITE,
		     0, KEY, 0, &d->mr, NULL),
		"memory");
	must(fi_getname(&d->ep->fid, &name, &length), "name");
	snprintf(address, DIRECT_ADDRESS_MAX, "%" PRIu16, ntohs(name.sin_port));
	return d;
}

struct direct *
direct_connect(const char *address, enum direct_wait wait)
{
	struct direct *d = direct_open("127.0.0.1", address, 0, wait);
	char byte;

	if (fi_av_insert(d->av, d->info->dest_addr, 1, &d->peer, 0, NULL) != 1)
		fail("libfabric: wrong address of the peer");
	direct_move(d, DIRECT_GET, &byte, 1, 1);
	return d;
}

/*
 * Sleeps until the queue has something, or fd is readable, if it is not -1.
 * Returns whether fd is.
 */
static bool
sleep_on(struct direct *d, int fd)
{
	struct fid *fids[] = {&d->cq->fid};
	struct pollfd ready[] = {
		{.fd = d->fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	return fi_trywait(d->fabric, fids, 1) == 0 && poll(ready, 2, -1) > 0 &&
		ready[1].revents != 0;
}

/* Completions that the queue had. */
static size_t
completions(struct direct *d)
{
	struct fi_cq_entry entries[ENTRIES];
	const ssize_t n = fi_cq_read(d->cq, entries, ENTRIES);

	if (n == -FI_EAVAIL)
		fail("libfabric: a transfer failed");
	if (n != -FI_EAGAIN)
		must(n, "queue");
	return n > 0 ? (size_t)n : 0;
}

/* The peers' transfers happen in these calls. They make no completions here. */
void
direct_serve(struct direct *d, int fd)
{
	do
		(void)completions(d);
	while (!sleep_on(d, fd));
}

/* Posts the range at this offset. Returns what libfabric returned. */
static ssize_t
post(struct direct *d, enum direct_kind kind, char *local, size_t at, size_t n)
{
	if (kind == DIRECT_PUT)
		return fi_write(
			d->ep, local + at, n, NULL, d->peer, at, KEY, NULL);
	return fi_read(d->ep, local + at, n, NULL, d->peer, at, KEY, NULL);
}

/* The queue was found empty so many times. As FUTURE_BUSY_POLL() does it. */
static void
pause_or_sleep(struct direct *d, unsigned empty)
{
	if (d->wait == DIRECT_SLEEPS)
		(void)sleep_on(d, -1);
	else if (empty <= FUTURE_BUSY_POLL_SPINS_)
		future_cpu_pause_impl();
	else
		sched_yield();
}

void
direct_move(struct direct *d, enum direct_kind kind, char *local, size_t size,
	size_t count)
{
	const size_t all = size * count;
	size_t posted = 0, under_way = 0;
	unsigned empty = 0;

	while (posted < all || under_way > 0) {
		while (posted < all && under_way < WINDOW) {
			const size_t left = size - posted % size;
			const size_t n =
				left < PIECE_BYTES ? left : PIECE_BYTES;
			const ssize_t r = post(d, kind, local, posted, n);

			if (r == -FI_EAGAIN)
				break;
			must(r, "post");
			posted += n;
			under_way++;
		}

		const size_t n = completions(d);

		empty = n > 0 ? 0 : empty + 1;
		under_way -= n;
		if (n == 0 && under_way > 0)
			pause_or_sleep(d, empty);
	}
}

void
direct_delete(struct direct *d)
{
	if (d->mr != NULL)
		fi_close(&d->mr->fid);
	fi_close(&d->ep->fid);
	fi_close(&d->av->fid);
	fi_close(&d->cq->fid);
	fi_close(&d->domain->fid);
	fi_close(&d->fabric->fid);
	fi.freeinfo(d->info);
	free(d);
}
