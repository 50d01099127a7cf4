/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fake_parts.c -- the parts of the fake libfabric: posts to an endpoint, and
 * the reads of a queue that do them
 */

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <rdma/fi_cm.h>

#include "fake_state.h"

static struct region *
find_region(uint64_t key)
{
	struct region *region = fake.regions;

	while (region != NULL && region->mr.key != key)
		region = region->next;
	return region;
}

/* Under the lock. Returns 0, or why the part fails. */
static int
do_part(const struct part *part)
{
	const struct region *region = find_region(part->key);
	const int error = fake_failure(FAKE_FABRIC_PART);

	if (error != 0)
		return -error;
	if (region == NULL || part->at > region->n ||
		part->n > region->n - part->at ||
		(region->access &
			(part->is_write ? FI_REMOTE_WRITE : FI_REMOTE_READ)) ==
			0)
		return FI_ECANCELED;
	if (part->is_write)
		fake_copy(region->addr + part->at, part->local, part->n);
	else
		fake_copy(part->local, region->addr + part->at, part->n);
	if (part->has_data)
		fake_add_data(region->queue, part->data);
	fake.nparts++;
	return 0;
}

/* Under the lock: takes a part out, any. */
static struct part
take_part(struct endpoint *ep)
{
	const unsigned i = (unsigned)(fake_random() % ep->nparts);
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
	while (!fake.is_stalled && ep != NULL && ep->nparts > 0 && n < count &&
		fake_random() % 8 != 0) {
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

	pthread_mutex_lock(&fake.lock);
	const bool is_awaited = queue->ep != NULL && queue->ep->nparts > 0;
	const int error = is_awaited ? fake_failure(FAKE_FABRIC_CQ_READ) : 0;
	const ssize_t n = error != 0 ? error : read_some(queue, entries, count);
	eventfd_t goes_on;

	(void)eventfd_read(queue->fd, &goes_on);
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static ssize_t
fake_read_error(
	struct fid_cq *cq, struct fi_cq_err_entry *entry, uint64_t flags)
{
	struct queue *queue = (struct queue *)cq;
	ssize_t n = -FI_EAGAIN;

	(void)flags;
	pthread_mutex_lock(&fake.lock);
	if (queue->nerrors > 0) {
		entry->op_context = queue->errors[0].context;
		entry->err = queue->errors[0].error;
		queue->nerrors--;
		memmove(queue->errors, queue->errors + 1,
			queue->nerrors * sizeof(*queue->errors));
		n = 1;
	}
	pthread_mutex_unlock(&fake.lock);
	return n;
}

struct fi_ops_cq fake_queue_ops = {.size = sizeof(struct fi_ops_cq),
	.read = fake_read_queue,
	.readerr = fake_read_error};

static int
close_endpoint(struct fid *fid)
{
	struct endpoint *ep = (struct endpoint *)fid;

	pthread_mutex_lock(&fake.lock);
	if (ep->queue != NULL) {
		if (!fake.loses)
			fail_parts(ep, FI_ECANCELED);
		ep->queue->ep = NULL;
	}
	pthread_mutex_unlock(&fake.lock);
	return fake_close(fid);
}

static int
bind_endpoint(struct fid *fid, struct fid *to, uint64_t flags)
{
	struct endpoint *ep = (struct endpoint *)fid;
	const int error = fake_locked_failure(FAKE_FABRIC_BIND);

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
	return fake_locked_failure(FAKE_FABRIC_ENABLE);
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
	const int error = fake_locked_failure(FAKE_FABRIC_GETNAME);

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
	const int error = fake_failure(FAKE_FABRIC_POST);

	if (error != 0)
		return error;
	if (ep->is_broken)
		return -FI_ENOTCONN;
	if (ep->nparts == DEPTH ||
		(fake.full_one_in > 0 && fake_random() % fake.full_one_in == 0))
		return -FI_EAGAIN;
	ep->parts[ep->nparts++] = part;
	if (fake.most < ep->nparts)
		fake.most = ep->nparts;
	return 0;
}

static ssize_t
fake_read(struct fid_ep *ep, void *buf, size_t n, void *desc, fi_addr_t peer,
	uint64_t at, uint64_t key, void *context)
{
	(void)desc;
	(void)peer;
	pthread_mutex_lock(&fake.lock);
	const ssize_t r = post((struct endpoint *)ep,
		(struct part){.local = buf,
			.n = n,
			.at = at,
			.key = key,
			.context = context});
	pthread_mutex_unlock(&fake.lock);
	return r;
}

static ssize_t
post_write(struct fid_ep *ep, const void *buf, struct part part)
{
	part.local = (char *)(uintptr_t)buf;
	part.is_write = true;
	pthread_mutex_lock(&fake.lock);
	const ssize_t r = post((struct endpoint *)ep, part);
	pthread_mutex_unlock(&fake.lock);
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

int
fake_endpoint(struct fid_domain *domain, struct fi_info *info,
	struct fid_ep **opened, void *context)
{
	const int error = fake_locked_failure(FAKE_FABRIC_ENDPOINT);

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
	fake_count_open(1);
	return 0;
}
