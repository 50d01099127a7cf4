/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_work.h -- how an operation of the mover over libfabric gets done
 *
 * An operation with a range in the window goes through the network in parts.
 * Parts of many operations are under way at once. libfabric returns each part
 * in its completion queue, done or failed.
 *
 *	         incoming            can post              under way
 *	poll --> (lock) -- run() --> (busy) -- a part --> libfabric
 *	                               ^                      |
 *	                               +--- more to post -----+--> over: a waker
 *
 * One thread at a time is busy: it posts parts and reads the queue. Others only
 * add operations to the incoming ones, and go on. The busy thread takes those
 * before it leaves, under the lock, so no operation is left behind.
 *
 * The mover's thread calls the wakers, with nothing held. A poll may be busy,
 * too, but calls none: whoever polls may hold the lock that a waker takes. It
 * ends its own operation and those without a waker, and leaves the others to
 * the thread.
 *
 * The mover breaks for ever when a part fails, or when nothing happens for a
 * time. It closes the connection then, so that libfabric returns all parts, and
 * fails every operation. An operation is over only when libfabric has returned
 * all its parts, because their memory belongs to libfabric until then.
 */

#ifndef LIBMINIASYNC_FABRIC_WORK_H
#define LIBMINIASYNC_FABRIC_WORK_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libminiasync-vdm-fabric/data_mover_fabric.h"
#include "movers/fabric_end.h"
#include "operation/completion.h"
#include "operation/operation_pool.h"
#include "system/platform.h"

struct mia_fabric_operation;

/* Operations, linked by next. */
struct mia_fabric_list {
	struct mia_fabric_operation *first;
	struct mia_fabric_operation **last; /* where the next one goes */
};

struct data_mover_fabric {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;

	/* I: init only */
	char *window;
	size_t size;
	uint64_t key;
	unsigned access;
	uint64_t idle_ns;
	unsigned queue; /* parts under way at most */
	fi_addr_t peer;
	bool has_thread;
	mia_thread thread;

	/* A: all threads */
	atomic_int error; /* 0: not broken */
	atomic_bool stop;

	/* L: under the lock */
	mia_mutex lock;
	mia_cond left; /* nobody is busy any more */
	bool is_busy;
	unsigned waiting; /* threads, to become busy */
	struct mia_fabric_list incoming;
	struct mia_fabric_list over; /* for the thread: their wakers are due */

	/* B: of the busy thread */
	struct mia_fabric_end end;
	struct mia_fabric_list posting;    /* those that may post a part */
	struct mia_fabric_list unbuffered; /* for memory, to post one */
	size_t buffered;                   /* bytes of all buffers */
	struct mia_fabric_operation *all;  /* those that came in, not over */
	unsigned under_way;                /* parts */
	unsigned reads;                    /* of them */
	uint64_t last_ns;                  /* when something happened */
	uint64_t looked_ns;                /* when somebody looked last */
	uint64_t timer_ns; /* without a thread: when it ends, or 0 */
};

enum mia_fabric_kind {
	MIA_FABRIC_PUT,
	MIA_FABRIC_GET,
	MIA_FABRIC_SET,
	MIA_FABRIC_RELAY, /* from the window into the window */
};

/* What a RELAY does with its buffer. */
enum mia_fabric_relay {
	MIA_FABRIC_EMPTY,
	MIA_FABRIC_FILLING,
	MIA_FABRIC_FULL,
};

struct mia_fabric_operation {
	void *pool_link; /* belongs to the pool while the slot is free */
	struct data_mover_fabric *dmf;
	struct mia_completion completion;

	/* Set by op_start, because the future may move. */
	enum mia_fabric_kind kind;
	uint32_t flags;
	char *local;     /* of PUT and GET */
	uint64_t remote; /* offset in the region; of a RELAY: the destination */
	uint64_t from;   /* of a RELAY: offset of the source */
	size_t n;
	int c;              /* of a SET */
	size_t part_bytes;  /* at most */
	unsigned max_parts; /* under way at once */

	/* Of the busy thread. */
	char *buffer;       /* of SET and RELAY, while parts are posted */
	size_t posted;      /* bytes */
	unsigned under_way; /* parts */
	enum mia_fabric_relay relay;
	bool is_posting; /* is in that list */
	struct mia_fabric_operation *next;
	struct mia_fabric_operation *next_of_all;
	struct mia_fabric_operation **prev_of_all;
};

static inline void
mia_fabric_list_init(struct mia_fabric_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static inline void
mia_fabric_list_add(
	struct mia_fabric_list *list, struct mia_fabric_operation *op)
{
	op->next = NULL;
	*list->last = op;
	list->last = &op->next;
}

static inline struct mia_fabric_operation *
mia_fabric_list_take(struct mia_fabric_list *list)
{
	struct mia_fabric_operation *op = list->first;

	if (op == NULL)
		return NULL;
	list->first = op->next;
	if (list->first == NULL)
		list->last = &list->first;
	return op;
}

/* Relaxed: a flag; what it says of operations, they publish. */
static inline bool
mia_fabric_is_broken(const struct data_mover_fabric *dmf)
{
	return atomic_load_explicit(&dmf->error, memory_order_relaxed) != 0;
}

/* A poll adds an operation whose completion has begun. Does not wait. */
void mia_fabric_add(struct mia_fabric_operation *op);

/* A poll of the operation does what is due, unless another thread is busy. */
void mia_fabric_run(struct mia_fabric_operation *op);

/* The same, and waits for another busy thread. Returns whether it may sleep. */
bool mia_fabric_serve(struct data_mover_fabric *dmf);

/* Nobody else is in a call: ends all operations and the connection. */
void mia_fabric_end_all(struct data_mover_fabric *dmf, int error);

void mia_fabric_init_lists(struct data_mover_fabric *dmf);

#endif /* LIBMINIASYNC_FABRIC_WORK_H */
