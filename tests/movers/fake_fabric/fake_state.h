/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fake_state.h -- the state and the objects of the fake libfabric
 *
 * One lock protects everything. Objects are counted, so that a test finds one
 * that is not closed.
 */

#ifndef FAKE_FABRIC_STATE_H
#define FAKE_FABRIC_STATE_H 1

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "fake_fabric.h"

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

struct fake_state {
	pthread_mutex_t lock;
	uint64_t seed;
	bool is_absent, is_stalled, loses;
	const char *provider;
	unsigned full_one_in, nopen, most;
	uint64_t nparts;
	struct region *regions;
	struct queue *queues;
	struct {
		unsigned in; /* calls until it fails; 0: never */
		int error;
	} failures[FAKE_FABRIC_CALLS];
};

extern struct fake_state fake;

/* Under the lock. */
uint64_t fake_random(void);

/* Under the lock. Returns 0, or the error with which this call fails. */
int fake_failure(enum fake_fabric_call call);

/* These two take the lock. */
int fake_locked_failure(enum fake_fabric_call call);
void fake_count_open(int more);

/*
 * Under the lock. Few words are copied as atomics: the region and movers write
 * and read them at any time.
 */
void fake_copy(char *to, const char *from, size_t n);

/*
 * Under the lock. libfabric's queue grows. This one takes no data twice when it
 * is long: movers may ask again and again while the region's thread has no CPU.
 */
void fake_add_data(struct queue *queue, uint64_t data);

/* Closes an object that is only its memory. */
int fake_close(struct fid *fid);

/* In fake_parts.c: the reads of a queue, and a new endpoint. */
extern struct fi_ops_cq fake_queue_ops;
int fake_endpoint(struct fid_domain *domain, struct fi_info *info,
	struct fid_ep **opened, void *context);

#endif /* FAKE_FABRIC_STATE_H */
