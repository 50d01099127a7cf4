/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fake_fabric.c -- see fake_fabric.h
 *
 * The linker puts __wrap_mia_fabric_library_get() before the library's own. One
 * lock protects everything. Objects are counted, so that a test finds one that
 * is not closed.
 */

#include "fake_fabric.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "movers/fabric_library.h"

/* As the provider "tcp" has, and few, so that it is full soon. */
#define DEPTH 48

/* More than there are slots. */
#define DATA 512

struct part {
	char *local;
	size_t n;
	uint64_t at;
	uint64_t key;
	void *context;
	bool is_write;
	bool has_data;
	uint64_t data;
};

struct queue {
	struct fid_cq cq;
	int fd;
	struct endpoint *ep;
	/* Of parts that failed: contexts and errors. */
	struct {
		void *context;
		int error;
	} errors[DEPTH];
	unsigned nerrors;
	/* That came with writes of peers. */
	uint64_t data[DATA];
	unsigned ndata;
	struct queue *next;
};

struct domain {
	struct fid_domain domain;
	struct queue *queue;
};

struct endpoint {
	struct fid_ep ep;
	struct queue *queue;
	struct part parts[DEPTH];
	unsigned nparts;
	bool is_broken;
};

struct region {
	struct fid_mr mr;
	char *addr;
	size_t n;
	uint64_t access;
	struct queue *queue;
	struct region *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t seed;
static bool is_absent, is_stalled, loses;
static const char *provider;
static unsigned full_one_in, nopen, most;
static uint64_t nparts;
static struct region *regions;
static struct queue *queues;
static struct {
	unsigned in; /* calls until it fails; 0: never */
	int error;
} failures[FAKE_FABRIC_CALLS];

static uint64_t
random_number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Under the lock. Returns 0, or the error with which this call fails. */
static int
failure(enum fake_fabric_call call)
{
	if (failures[call].in == 0 || --failures[call].in > 0)
		return 0;
	return failures[call].error;
}

static int
locked_failure(enum fake_fabric_call call)
{
	pthread_mutex_lock(&lock);
	const int error = failure(call);
	pthread_mutex_unlock(&lock);
	return error;
}

static void
count_open(int more)
{
	pthread_mutex_lock(&lock);
	nopen += (unsigned)more;
	pthread_mutex_unlock(&lock);
}

/*
 * Under the lock. Few words are copied as atomics: the region and movers write
 * and read them at any time.
 */
static void
copy(char *to, const char *from, size_t n)
{
	_Atomic uint64_t *words = (_Atomic uint64_t *)(void *)to;
	const _Atomic uint64_t *source =
		(const _Atomic uint64_t *)(const void *)from;

	if (n > 256 || (n | (uintptr_t)to | (uintptr_t)from) % 8 != 0) {
		memcpy(to, from, n);
		return;
	}
	for (size_t i = 0; i < n / 8; i++)
		atomic_store(&words[i], atomic_load(&source[i]));
}

/*
 * Under the lock. libfabric's queue grows. This one takes no data twice when it
 * is long: movers may ask again and again while the region's thread has no CPU.
 */
static void
add_data(struct queue *queue, uint64_t data)
{
	if (queue->ndata >= DEPTH)
		for (unsigned i = 0; i < queue->ndata; i++)
			if (queue->data[i] == data)
				return;
	if (queue->ndata == DATA)
		abort(); /* more kinds of data than a test has */
	queue->data[queue->ndata++] = data;
	(void)eventfd_write(queue->fd, 1);
}

/* Controls */

void
fake_fabric_reset(uint64_t new_seed)
{
	pthread_mutex_lock(&lock);
	seed = new_seed | 1;
	is_absent = false;
	is_stalled = false;
	loses = false;
	provider = "verbs;ofi_rxm";
	full_one_in = 0;
	most = 0;
	nparts = 0;
	memset(failures, 0, sizeof(failures));
	pthread_mutex_unlock(&lock);
}

void
fake_fabric_set_absent(bool value)
{
	pthread_mutex_lock(&lock);
	is_absent = value;
	pthread_mutex_unlock(&lock);
}

void
fake_fabric_set_provider(const char *name)
{
	pthread_mutex_lock(&lock);
	provider = name;
	pthread_mutex_unlock(&lock);
}

void
fake_fabric_set_full(unsigned one_in)
{
	pthread_mutex_lock(&lock);
	full_one_in = one_in;
	pthread_mutex_unlock(&lock);
}

void
fake_fabric_set_loses(bool value)
{
	pthread_mutex_lock(&lock);
	loses = value;
	pthread_mutex_unlock(&lock);
}

void
fake_fabric_fail(enum fake_fabric_call call, unsigned nth, int error)
{
	pthread_mutex_lock(&lock);
	failures[call].in = nth;
	failures[call].error = error;
	pthread_mutex_unlock(&lock);
}

void
fake_fabric_stall(bool value)
{
	pthread_mutex_lock(&lock);
	is_stalled = value;
	for (struct queue *queue = queues; queue != NULL && !value;
		queue = queue->next)
		(void)eventfd_write(queue->fd, 1);
	pthread_mutex_unlock(&lock);
}

unsigned
fake_fabric_open(void)
{
	pthread_mutex_lock(&lock);
	const unsigned n = nopen;
	pthread_mutex_unlock(&lock);
	return n;
}

uint64_t
fake_fabric_parts(void)
{
	pthread_mutex_lock(&lock);
	const uint64_t n = nparts;
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned
fake_fabric_most(void)
{
	pthread_mutex_lock(&lock);
	const unsigned n = most;
	pthread_mutex_unlock(&lock);
	return n;
}

void
fake_fabric_scribble(size_t n, size_t at, uint64_t word)
{
	pthread_mutex_lock(&lock);
	for (struct region *region = regions; region != NULL;
		region = region->next)
		if (region->n == n)
			copy(region->addr + at, (const char *)&word,
				sizeof(word));
	pthread_mutex_unlock(&lock);
}

void
fake_fabric_send_data(unsigned n, uint64_t data)
{
	pthread_mutex_lock(&lock);
	for (struct queue *queue = queues; queue != NULL; queue = queue->next)
		for (unsigned i = 0; i < n && queue->ndata < DEPTH / 2; i++)
			add_data(queue, data);
	pthread_mutex_unlock(&lock);
}

/* Infos */

static struct fi_info *
fake_dupinfo(const struct fi_info *info)
{
	if (locked_failure(FAKE_FABRIC_DUPINFO) != 0)
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
	count_open(1);
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
		count_open(-1);
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
	const int error = locked_failure(FAKE_FABRIC_GETINFO);

	(void)version;
	(void)flags;
	(void)hints;
	if (error != 0)
		return error;
	*info = info_of("net", node, service);
	if (*info == NULL)
		return -FI_ENOMEM;
	(*info)->next = info_of(provider, node, service);
	if ((*info)->next == NULL) {
		fake_freeinfo(*info);
		return -FI_ENOMEM;
	}
	return 0;
}

/* Objects */

static int
close_memory(struct fid *fid)
{
	count_open(-1);
	free(fid);
	return 0;
}

static struct fi_ops memory_ops = {
	.size = sizeof(struct fi_ops), .close = close_memory};

static int
close_queue(struct fid *fid)
{
	struct queue *queue = (struct queue *)fid;
	struct queue **place = &queues;

	pthread_mutex_lock(&lock);
	while (*place != queue)
		place = &(*place)->next;
	*place = queue->next;
	pthread_mutex_unlock(&lock);
	if (queue->fd >= 0)
		close(queue->fd);
	return close_memory(fid);
}

static int
control_queue(struct fid *fid, int command, void *arg)
{
	struct queue *queue = (struct queue *)fid;
	const int error = locked_failure(FAKE_FABRIC_GETWAIT);

	if (error != 0 || command != FI_GETWAIT)
		return error != 0 ? error : -FI_ENOSYS;
	*(int *)arg = queue->fd;
	return 0;
}

static struct fi_ops queue_fid_ops = {.size = sizeof(struct fi_ops),
	.close = close_queue,
	.control = control_queue};

static struct region *
find_region(uint64_t key)
{
	struct region *region = regions;

	while (region != NULL && region->mr.key != key)
		region = region->next;
	return region;
}

/* Under the lock. Returns 0, or why the part fails. */
static int
do_part(const struct part *part)
{
	const struct region *region = find_region(part->key);
	const int error = failure(FAKE_FABRIC_PART);

	if (error != 0)
		return -error;
	if (region == NULL || part->at > region->n ||
		part->n > region->n - part->at ||
		(region->access &
			(part->is_write ? FI_REMOTE_WRITE : FI_REMOTE_READ)) ==
			0)
		return FI_ECANCELED;
	if (part->is_write)
		copy(region->addr + part->at, part->local, part->n);
	else
		copy(part->local, region->addr + part->at, part->n);
	if (part->has_data)
		add_data(region->queue, part->data);
	nparts++;
	return 0;
}

/* Under the lock: takes a part out, any. */
static struct part
take_part(struct endpoint *ep)
{
	const unsigned i = (unsigned)(random_number() % ep->nparts);
	const struct part part = ep->parts[i];

	ep->parts[i] = ep->parts[--ep->nparts];
	return part;
}

static void
add_error(struct queue *queue, void *context, int error)
{
	queue->errors[queue->nerrors].context = context;
	queue->errors[queue->nerrors].error = error;
	queue->nerrors++;
}

/* Under the lock: all parts of a broken connection fail. */
static void
fail_parts(struct endpoint *ep, int error)
{
	ep->is_broken = true;
	while (ep->nparts > 0)
		add_error(ep->queue, take_part(ep).context, error);
}

/* Under the lock. */
static ssize_t
read_some(struct queue *queue, struct fi_cq_data_entry *entries, size_t count)
{
	struct endpoint *ep = queue->ep;
	size_t n = 0;

	while (queue->ndata > 0 && n < count)
		entries[n++] = (struct fi_cq_data_entry){
			.flags = FI_RMA | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA,
			.data = queue->data[--queue->ndata]};
	while (!is_stalled && ep != NULL && ep->nparts > 0 && n < count &&
		random_number() % 8 != 0) {
		const struct part part = take_part(ep);
		const int error = do_part(&part);

		if (error == 0) {
			entries[n++] = (struct fi_cq_data_entry){
				.op_context = part.context};
		} else {
			add_error(queue, part.context, error);
			fail_parts(ep, FI_ENOTCONN);
		}
	}
	if (n > 0)
		return (ssize_t)n;
	return queue->nerrors > 0 ? -FI_EAVAIL : -FI_EAGAIN;
}

static ssize_t
fake_read_queue(struct fid_cq *cq, void *entries, size_t count)
{
	struct queue *queue = (struct queue *)cq;

	pthread_mutex_lock(&lock);
	const bool is_awaited = queue->ep != NULL && queue->ep->nparts > 0;
	const int error = is_awaited ? failure(FAKE_FABRIC_CQ_READ) : 0;
	const ssize_t n = error != 0 ? error : read_some(queue, entries, count);
	eventfd_t goes_on;

	(void)eventfd_read(queue->fd, &goes_on);
	pthread_mutex_unlock(&lock);
	return n;
}

static ssize_t
fake_read_error(
	struct fid_cq *cq, struct fi_cq_err_entry *entry, uint64_t flags)
{
	struct queue *queue = (struct queue *)cq;
	ssize_t n = -FI_EAGAIN;

	(void)flags;
	pthread_mutex_lock(&lock);
	if (queue->nerrors > 0) {
		entry->op_context = queue->errors[0].context;
		entry->err = queue->errors[0].error;
		queue->nerrors--;
		memmove(queue->errors, queue->errors + 1,
			queue->nerrors * sizeof(*queue->errors));
		n = 1;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

static struct fi_ops_cq queue_ops = {.size = sizeof(struct fi_ops_cq),
	.read = fake_read_queue,
	.readerr = fake_read_error};

static int
fake_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr,
	struct fid_cq **cq, void *context)
{
	const int error = locked_failure(FAKE_FABRIC_CQ_OPEN);

	(void)attr;
	(void)context;
	if (error != 0)
		return error;

	struct queue *queue = calloc(1, sizeof(*queue));

	queue->cq.fid.ops = &queue_fid_ops;
	queue->cq.ops = &queue_ops;
	queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*cq = &queue->cq;
	((struct domain *)domain)->queue = queue;
	pthread_mutex_lock(&lock);
	queue->next = queues;
	queues = queue;
	nopen++;
	pthread_mutex_unlock(&lock);
	return 0;
}

static int
fake_insert(struct fid_av *av, const void *addr, size_t count,
	fi_addr_t *fi_addr, uint64_t flags, void *context)
{
	const int error = locked_failure(FAKE_FABRIC_INSERT);

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
	const int error = locked_failure(FAKE_FABRIC_AV_OPEN);

	(void)domain;
	(void)attr;
	(void)context;
	if (error != 0)
		return error;
	*av = calloc(1, sizeof(**av));
	(*av)->fid.ops = &memory_ops;
	(*av)->ops = &av_ops;
	count_open(1);
	return 0;
}

static int
close_endpoint(struct fid *fid)
{
	struct endpoint *ep = (struct endpoint *)fid;

	pthread_mutex_lock(&lock);
	if (ep->queue != NULL) {
		if (!loses)
			fail_parts(ep, FI_ECANCELED);
		ep->queue->ep = NULL;
	}
	pthread_mutex_unlock(&lock);
	return close_memory(fid);
}

static int
bind_endpoint(struct fid *fid, struct fid *to, uint64_t flags)
{
	struct endpoint *ep = (struct endpoint *)fid;
	const int error = locked_failure(FAKE_FABRIC_BIND);

	if (error != 0)
		return error;
	if (flags != 0) {
		ep->queue = (struct queue *)to;
		ep->queue->ep = ep;
	}
	return 0;
}

static int
control_endpoint(struct fid *fid, int command, void *arg)
{
	(void)fid;
	(void)command;
	(void)arg;
	return locked_failure(FAKE_FABRIC_ENABLE);
}

static struct fi_ops endpoint_fid_ops = {.size = sizeof(struct fi_ops),
	.close = close_endpoint,
	.bind = bind_endpoint,
	.control = control_endpoint};

static int
fake_getname(fid_t fid, void *addr, size_t *n)
{
	const struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_port = htons(4711)};
	const int error = locked_failure(FAKE_FABRIC_GETNAME);

	(void)fid;
	if (error != 0)
		return error;
	memcpy(addr, &name, sizeof(name));
	*n = sizeof(name);
	return 0;
}

static struct fi_ops_cm cm_ops = {
	.size = sizeof(struct fi_ops_cm), .getname = fake_getname};

/* Under the lock. */
static ssize_t
post(struct endpoint *ep, struct part part)
{
	const int error = failure(FAKE_FABRIC_POST);

	if (error != 0)
		return error;
	if (ep->is_broken)
		return -FI_ENOTCONN;
	if (ep->nparts == DEPTH ||
		(full_one_in > 0 && random_number() % full_one_in == 0))
		return -FI_EAGAIN;
	ep->parts[ep->nparts++] = part;
	if (most < ep->nparts)
		most = ep->nparts;
	return 0;
}

static ssize_t
fake_read(struct fid_ep *ep, void *buf, size_t n, void *desc, fi_addr_t peer,
	uint64_t at, uint64_t key, void *context)
{
	(void)desc;
	(void)peer;
	pthread_mutex_lock(&lock);
	const ssize_t r = post((struct endpoint *)ep,
		(struct part){.local = buf,
			.n = n,
			.at = at,
			.key = key,
			.context = context});
	pthread_mutex_unlock(&lock);
	return r;
}

static ssize_t
post_write(struct fid_ep *ep, const void *buf, struct part part)
{
	part.local = (char *)(uintptr_t)buf;
	part.is_write = true;
	pthread_mutex_lock(&lock);
	const ssize_t r = post((struct endpoint *)ep, part);
	pthread_mutex_unlock(&lock);
	return r;
}

static ssize_t
fake_write(struct fid_ep *ep, const void *buf, size_t n, void *desc,
	fi_addr_t peer, uint64_t at, uint64_t key, void *context)
{
	(void)desc;
	(void)peer;
	return post_write(ep, buf,
		(struct part){
			.n = n, .at = at, .key = key, .context = context});
}

static ssize_t
fake_writedata(struct fid_ep *ep, const void *buf, size_t n, void *desc,
	uint64_t data, fi_addr_t peer, uint64_t at, uint64_t key, void *context)
{
	(void)desc;
	(void)peer;
	return post_write(ep, buf,
		(struct part){.n = n,
			.at = at,
			.key = key,
			.context = context,
			.has_data = true,
			.data = data});
}

static struct fi_ops_rma rma_ops = {.size = sizeof(struct fi_ops_rma),
	.read = fake_read,
	.write = fake_write,
	.writedata = fake_writedata};

static int
fake_endpoint(struct fid_domain *domain, struct fi_info *info,
	struct fid_ep **opened, void *context)
{
	const int error = locked_failure(FAKE_FABRIC_ENDPOINT);

	(void)domain;
	(void)info;
	(void)context;
	if (error != 0)
		return error;

	struct endpoint *ep = calloc(1, sizeof(*ep));

	ep->ep.fid.ops = &endpoint_fid_ops;
	ep->ep.cm = &cm_ops;
	ep->ep.rma = &rma_ops;
	*opened = &ep->ep;
	count_open(1);
	return 0;
}

static int
close_region(struct fid *fid)
{
	struct region **region = &regions;

	pthread_mutex_lock(&lock);
	while (*region != (struct region *)fid)
		region = &(*region)->next;
	*region = (*region)->next;
	pthread_mutex_unlock(&lock);
	return close_memory(fid);
}

static struct fi_ops region_fid_ops = {
	.size = sizeof(struct fi_ops), .close = close_region};

static int
fake_reg(struct fid *fid, const void *buf, size_t n, uint64_t access,
	uint64_t offset, uint64_t key, uint64_t flags, struct fid_mr **mr,
	void *context)
{
	const int error = locked_failure(FAKE_FABRIC_MR_REG);

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
	pthread_mutex_lock(&lock);
	region->next = regions;
	regions = region;
	nopen++;
	pthread_mutex_unlock(&lock);
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
	const int error = locked_failure(FAKE_FABRIC_DOMAIN);

	(void)fabric;
	(void)info;
	(void)context;
	if (error != 0)
		return error;
	*domain = calloc(1, sizeof(struct domain));
	(*domain)->fid.ops = &memory_ops;
	(*domain)->ops = &domain_ops;
	(*domain)->mr = &mr_ops;
	count_open(1);
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
	pthread_mutex_lock(&lock);
	if (queue->nerrors > 0 || queue->ndata > 0 ||
		(queue->ep != NULL && queue->ep->nparts > 0 && !is_stalled))
		r = -FI_EAGAIN;
	pthread_mutex_unlock(&lock);
	return r;
}

static struct fi_ops_fabric fabric_ops = {.size = sizeof(struct fi_ops_fabric),
	.domain = fake_domain,
	.trywait = fake_trywait};

static int
fake_fabric(
	struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context)
{
	const int error = locked_failure(FAKE_FABRIC_FABRIC);

	(void)attr;
	(void)context;
	if (error != 0)
		return error;
	*fabric = calloc(1, sizeof(**fabric));
	(*fabric)->fid.ops = &memory_ops;
	(*fabric)->ops = &fabric_ops;
	count_open(1);
	return 0;
}

const struct mia_fabric_library *__wrap_mia_fabric_library_get(void);

const struct mia_fabric_library *
__wrap_mia_fabric_library_get(void)
{
	static const struct mia_fabric_library library = {
		MIA_FABRIC_CLOSES_READS, fake_getinfo, fake_freeinfo,
		fake_dupinfo, fake_fabric};

	return is_absent ? NULL : &library;
}
