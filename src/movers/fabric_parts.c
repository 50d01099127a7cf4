/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_parts.c -- see fabric_parts.h */

#include "movers/fabric_parts.h"

#include <errno.h>

#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "movers/fabric_flush.h"
#include "system/probe.h"

/* Reads of an empty queue, at most, after the connection was closed. */
#define RETURNS 1000

/* Place and bytes of the next part. An upward RELAY begins at its end. */
struct part {
	uint64_t at;
	size_t bytes;
};

static struct part
next_part(const struct mia_fabric_operation *op)
{
	const size_t left = op->n - op->posted;
	const size_t bytes = left < op->part_bytes ? left : op->part_bytes;
	const bool is_backward =
		op->kind == MIA_FABRIC_RELAY && op->remote > op->from;

	return (struct part){
		.at = is_backward ? left - bytes : op->posted, .bytes = bytes};
}

static ssize_t
put(const struct mia_fabric_operation *op, const char *from, struct part part)
{
	const struct data_mover_fabric *dmf = op->dmf;

	return fi_write(dmf->end.ep, from, part.bytes, NULL, dmf->peer,
		op->remote + part.at, dmf->key, (void *)(uintptr_t)op);
}

static ssize_t
get(const struct mia_fabric_operation *op, char *to, uint64_t from,
	struct part part)
{
	const struct data_mover_fabric *dmf = op->dmf;

	return fi_read(dmf->end.ep, to, part.bytes, NULL, dmf->peer,
		from + part.at, dmf->key, (void *)(uintptr_t)op);
}

/* Whether the parts of the operation that are in progress are reads. */
static bool
is_reading(const struct mia_fabric_operation *op)
{
	return op->kind == MIA_FABRIC_GET || op->relay == MIA_FABRIC_FILLING ||
		(op->kind == MIA_FABRIC_ASK && op->dmf->flush.is_put);
}

ssize_t
mia_fabric_post_part(struct mia_fabric_operation *op)
{
	const struct part part = next_part(op);
	ssize_t r = -FI_EINVAL;

	switch (op->kind) {
	case MIA_FABRIC_PUT:
		r = put(op, op->local + part.at, part);
		break;
	case MIA_FABRIC_GET:
		r = get(op, op->local + part.at, op->remote, part);
		break;
	case MIA_FABRIC_SET:
		r = put(op, op->buffer, part);
		break;
	case MIA_FABRIC_RELAY:
		if (op->relay == MIA_FABRIC_EMPTY) {
			r = get(op, op->buffer, op->from, part);
			if (r == 0)
				op->relay = MIA_FABRIC_FILLING;
		} else {
			r = put(op, op->buffer, part);
			if (r == 0)
				op->relay = MIA_FABRIC_EMPTY;
		}
		break;
	case MIA_FABRIC_ASK:
		r = mia_fabric_flush_post(op->dmf);
		break;
	case MIA_FABRIC_FLUSH: /* has no parts */
		break;
	}
	if (r != 0)
		return r;

	if (op->kind != MIA_FABRIC_ASK)
		MIA_PROBE2(run, &op->completion, MIA_PROBE_FABRIC);
	/* The bytes of a RELAY count as posted when they are put. */
	if (op->relay != MIA_FABRIC_FILLING)
		op->posted += part.bytes;
	if (is_reading(op))
		op->dmf->reads++;
	op->under_way++;
	op->dmf->under_way++;
	return 0;
}

void
mia_fabric_return_part(struct mia_fabric_operation *op)
{
	op->under_way--;
	op->dmf->under_way--;
	if (is_reading(op))
		op->dmf->reads--;
	if (op->relay == MIA_FABRIC_FILLING)
		op->relay = MIA_FABRIC_FULL;
}

void
mia_fabric_take_parts(struct data_mover_fabric *dmf)
{
	int empty = 0;

	while (dmf->end.cq != NULL && empty < RETURNS && dmf->under_way > 0) {
		struct fi_cq_data_entry entry;
		struct fi_cq_err_entry error = {0};
		const ssize_t n = fi_cq_read(dmf->end.cq, &entry, 1);

		if (n == 1 && entry.op_context != NULL)
			mia_fabric_return_part(entry.op_context);
		else if (n == -FI_EAVAIL &&
			fi_cq_readerr(dmf->end.cq, &error, 0) == 1 &&
			error.op_context != NULL)
			mia_fabric_return_part(error.op_context);
		else
			empty++;
	}
}

/* The error is that the peer has gone, or has refused a part. */
int
mia_fabric_take_error(struct data_mover_fabric *dmf)
{
	struct fi_cq_err_entry error = {0};

	if (fi_cq_readerr(dmf->end.cq, &error, 0) != 1)
		return 0;
	if (error.op_context != NULL)
		mia_fabric_return_part(error.op_context);
	switch (error.err) {
	case FI_ECANCELED:
	case FI_ENOTCONN:
	case FI_ESHUTDOWN:
	case FI_EIO:
		return -ECONNRESET;
	}
	return mia_fabric_error(-(ssize_t)error.err);
}
