/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fake_objects.c -- the library of the fake libfabric: infos, and the objects
 * without parts
 *
 * The linker puts __wrap_mia_fabric_library_get() before the library's own.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rdma/fi_cm.h>

#include "fake_state.h"
#include "movers/fabric_library.h"

/* Infos */

static struct fi_info *
fake_dupinfo(const struct fi_info *info)
{
	if (fake_locked_failure(FAKE_FABRIC_DUPINFO) != 0)
		return NULL;

	struct fi_info *copy = calloc(1, sizeof(*copy));

	copy->tx_attr = calloc(1, sizeof(*copy->tx_attr));
	copy->rx_attr = calloc(1, sizeof(*copy->rx_attr));
	copy->ep_attr = calloc(1, sizeof(*copy->ep_attr));
	copy->domain_attr = calloc(1, sizeof(*copy->domain_attr));
	copy->fabric_attr = calloc(1, sizeof(*copy->fabric_attr));
	if (info != NULL) {
		*copy->domain_attr = *info->domain_attr;
		copy->fabric_attr->prov_name =
			strdup(info->fabric_attr->prov_name);
		if (info->dest_addr != NULL) {
			copy->dest_addr = malloc(info->dest_addrlen);
			memcpy(copy->dest_addr, info->dest_addr,
				info->dest_addrlen);
			copy->dest_addrlen = info->dest_addrlen;
		}
	}
	fake_count_open(1);
	return copy;
}

static void
fake_freeinfo(struct fi_info *info)
{
	while (info != NULL) {
		struct fi_info *next = info->next;

		free(info->fabric_attr->prov_name);
		free(info->fabric_attr);
		free(info->domain_attr);
		free(info->ep_attr);
		free(info->rx_attr);
		free(info->tx_attr);
		free(info->dest_addr);
		free(info);
		fake_count_open(-1);
		info = next;
	}
}

static struct fi_info *
info_of(const char *name, const char *node, const char *service)
{
	struct fi_info *info = fake_dupinfo(NULL);

	if (info == NULL)
		return NULL;

	struct sockaddr_in *dest = calloc(1, sizeof(*dest));

	info->fabric_attr->prov_name = strdup(name);
	info->domain_attr->mr_key_size = sizeof(uint64_t);
	info->domain_attr->cq_data_size = sizeof(uint64_t);
	dest->sin_family = AF_INET;
	dest->sin_port = htons((uint16_t)atoi(service));
	inet_pton(AF_INET, node, &dest->sin_addr);
	info->dest_addr = dest;
	info->dest_addrlen = sizeof(*dest);
	return info;
}

/* The first provider is one that is never allowed. */
static int
fake_getinfo(uint32_t version, const char *node, const char *service,
	uint64_t flags, const struct fi_info *hints, struct fi_info **info)
{
	const int error = fake_locked_failure(FAKE_FABRIC_GETINFO);

	(void)version;
	(void)flags;
	(void)hints;
	if (error != 0)
		return error;
	*info = info_of("net", node, service);
	if (*info == NULL)
		return -FI_ENOMEM;
	(*info)->next = info_of(fake.provider, node, service);
	if ((*info)->next == NULL) {
		fake_freeinfo(*info);
		return -FI_ENOMEM;
	}
	return 0;
}

/* Objects */

int
fake_close(struct fid *fid)
{
	fake_count_open(-1);
	free(fid);
	return 0;
}

static struct fi_ops fake_memory_ops = {
	.size = sizeof(struct fi_ops), .close = fake_close};

static int
close_queue(struct fid *fid)
{
	struct queue *queue = (struct queue *)fid;
	struct queue **place = &fake.queues;

	pthread_mutex_lock(&fake.lock);
	while (*place != queue)
		place = &(*place)->next;
	*place = queue->next;
	pthread_mutex_unlock(&fake.lock);
	if (queue->fd >= 0)
		close(queue->fd);
	return fake_close(fid);
}

static int
control_queue(struct fid *fid, int command, void *arg)
{
	struct queue *queue = (struct queue *)fid;
	const int error = fake_locked_failure(FAKE_FABRIC_GETWAIT);

	if (error != 0 || command != FI_GETWAIT)
		return error != 0 ? error : -FI_ENOSYS;
	*(int *)arg = queue->fd;
	return 0;
}

static struct fi_ops queue_fid_ops = {.size = sizeof(struct fi_ops),
	.close = close_queue,
	.control = control_queue};

static int
fake_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr,
	struct fid_cq **cq, void *context)
{
	const int error = fake_locked_failure(FAKE_FABRIC_CQ_OPEN);

	(void)attr;
	(void)context;
	if (error != 0)
		return error;

	struct queue *queue = calloc(1, sizeof(*queue));

	queue->cq.fid.ops = &queue_fid_ops;
	queue->cq.ops = &fake_queue_ops;
	queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*cq = &queue->cq;
	((struct domain *)domain)->queue = queue;
	pthread_mutex_lock(&fake.lock);
	queue->next = fake.queues;
	fake.queues = queue;
	fake.nopen++;
	pthread_mutex_unlock(&fake.lock);
	return 0;
}

static int
fake_insert(struct fid_av *av, const void *addr, size_t count,
	fi_addr_t *fi_addr, uint64_t flags, void *context)
{
	const int error = fake_locked_failure(FAKE_FABRIC_INSERT);

	(void)av;
	(void)addr;
	(void)count;
	(void)flags;
	(void)context;
	*fi_addr = 0;
	return error != 0 ? error : 1;
}

static struct fi_ops_av av_ops = {
	.size = sizeof(struct fi_ops_av), .insert = fake_insert};

static int
fake_av_open(struct fid_domain *domain, struct fi_av_attr *attr,
	struct fid_av **av, void *context)
{
	const int error = fake_locked_failure(FAKE_FABRIC_AV_OPEN);

	(void)domain;
	(void)attr;
	(void)context;
	if (error != 0)
		return error;
	*av = calloc(1, sizeof(**av));
	(*av)->fid.ops = &fake_memory_ops;
	(*av)->ops = &av_ops;
	fake_count_open(1);
	return 0;
}

static int
close_region(struct fid *fid)
{
	struct region **region = &fake.regions;

	pthread_mutex_lock(&fake.lock);
	while (*region != (struct region *)fid)
		region = &(*region)->next;
	*region = (*region)->next;
	pthread_mutex_unlock(&fake.lock);
	return fake_close(fid);
}

static struct fi_ops region_fid_ops = {
	.size = sizeof(struct fi_ops), .close = close_region};

static int
fake_reg(struct fid *fid, const void *buf, size_t n, uint64_t access,
	uint64_t offset, uint64_t key, uint64_t flags, struct fid_mr **mr,
	void *context)
{
	const int error = fake_locked_failure(FAKE_FABRIC_MR_REG);

	(void)offset;
	(void)flags;
	(void)context;
	if (error != 0)
		return error;

	struct region *region = calloc(1, sizeof(*region));

	region->mr.fid.ops = &region_fid_ops;
	region->mr.key = key;
	region->addr = (char *)(uintptr_t)buf;
	region->n = n;
	region->access = access;
	region->queue = ((struct domain *)fid)->queue;
	pthread_mutex_lock(&fake.lock);
	region->next = fake.regions;
	fake.regions = region;
	fake.nopen++;
	pthread_mutex_unlock(&fake.lock);
	*mr = &region->mr;
	return 0;
}

static struct fi_ops_mr mr_ops = {
	.size = sizeof(struct fi_ops_mr), .reg = fake_reg};

static struct fi_ops_domain domain_ops = {.size = sizeof(struct fi_ops_domain),
	.av_open = fake_av_open,
	.cq_open = fake_cq_open,
	.endpoint = fake_endpoint};

static int
fake_domain(struct fid_fabric *fabric, struct fi_info *info,
	struct fid_domain **domain, void *context)
{
	const int error = fake_locked_failure(FAKE_FABRIC_DOMAIN);

	(void)fabric;
	(void)info;
	(void)context;
	if (error != 0)
		return error;
	*domain = calloc(1, sizeof(struct domain));
	(*domain)->fid.ops = &fake_memory_ops;
	(*domain)->ops = &domain_ops;
	(*domain)->mr = &mr_ops;
	fake_count_open(1);
	return 0;
}

/*
 * The descriptor is readable when a stall has ended. What else can go on must
 * be read before.
 */
static int
fake_trywait(struct fid_fabric *fabric, struct fid **fids, int count)
{
	const struct queue *queue = (struct queue *)fids[0];
	int r = 0;

	(void)fabric;
	(void)count;
	pthread_mutex_lock(&fake.lock);
	if (queue->nerrors > 0 || queue->ndata > 0 ||
		(queue->ep != NULL && queue->ep->nparts > 0 &&
			!fake.is_stalled))
		r = -FI_EAGAIN;
	pthread_mutex_unlock(&fake.lock);
	return r;
}

static struct fi_ops_fabric fabric_ops = {.size = sizeof(struct fi_ops_fabric),
	.domain = fake_domain,
	.trywait = fake_trywait};

static int
fake_fabric(
	struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context)
{
	const int error = fake_locked_failure(FAKE_FABRIC_FABRIC);

	(void)attr;
	(void)context;
	if (error != 0)
		return error;
	*fabric = calloc(1, sizeof(**fabric));
	(*fabric)->fid.ops = &fake_memory_ops;
	(*fabric)->ops = &fabric_ops;
	fake_count_open(1);
	return 0;
}

const struct mia_fabric_library *__wrap_mia_fabric_library_get(void);

const struct mia_fabric_library *
__wrap_mia_fabric_library_get(void)
{
	static const struct mia_fabric_library library = {
		MIA_FABRIC_CLOSES_READS, fake_getinfo, fake_freeinfo,
		fake_dupinfo, fake_fabric};

	return fake.is_absent ? NULL : &library;
}
