/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_operation.h -- the mover over libfabric, its operations, and lists of
 * them
 *
 * Only what they consist of. fabric_work.h tells how an operation gets done.
 */

#ifndef LIBMINIASYNC_FABRIC_OPERATION_H
#define LIBMINIASYNC_FABRIC_OPERATION_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libminiasync-vdm-fabric/data_mover_fabric.h"
#include "movers/fabric_end.h"
#include "movers/fabric_request.h"
#include "operation/completion.h"
#include "operation/operation_pool.h"
#include "system/lasting.h"
#include "system/forks.h"
#include "system/platform.h"

struct mia_fabric_operation;

/* Operations, linked by next. */
struct mia_fabric_list {
	struct mia_fabric_operation *first;
	struct mia_fabric_operation **last; /* where the next one goes */
};

enum mia_fabric_kind {
	MIA_FABRIC_PUT,
	MIA_FABRIC_GET,
	MIA_FABRIC_SET,
	MIA_FABRIC_RELAY, /* from the window into the window */
	MIA_FABRIC_FLUSH, /* nothing to move */
	MIA_FABRIC_ASK,   /* not the program's, see fabric_flush.h */
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

	bool is_new; /* for the poll that has started it */

	/* Of the busy thread. */
	char *buffer;       /* of SET and RELAY, while parts are posted */
	size_t posted;      /* bytes */
	unsigned under_way; /* parts */
	enum mia_fabric_relay relay;
	size_t to_flush; /* bytes that the region has to write back, or 0 */
	size_t asked;    /* of them, in the request that is under way */
	bool is_posting; /* is in that list */
	struct mia_fabric_operation *next;
	struct mia_fabric_operation *next_of_all;
	struct mia_fabric_operation **prev_of_all;
};

/* See fabric_flush.h. */
struct mia_fabric_flush {
	struct mia_fabric_operation ask;
	struct mia_fabric_list waiting;
	struct mia_fabric_list asked; /* those of the request under way */
	struct mia_fabric_list done;

	struct mia_fabric_request request;
	struct mia_fabric_answer answer;
	unsigned count; /* of its ranges */
	size_t bytes;   /* to put */
	uint64_t nonce; /* I: a random one */
	unsigned slot;
	bool is_put;       /* the answer is next */
	bool is_late;      /* the region answers, and does not do it */
	unsigned looks;    /* in vain */
	uint64_t since_ns; /* when the first one was */
};

struct data_mover_fabric {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;

	/* I: init only */
	uint32_t forks; /* mia_forks() of the process whose mover it is */
	char *window;
	size_t size;
	uint64_t key;
	unsigned access;
	uint64_t idle_ns;
	unsigned queue; /* parts under way at most */
	fi_addr_t peer;
	bool has_thread;
	struct mia_lasting thread;

	/* T: of the mover's thread */
	struct mia_completion *ended_by; /* its waker ended the last thread */

	/* A: all threads */
	atomic_int error; /* 0: not broken */
	atomic_bool stop;

	/* L: under the lock */
	mia_mutex lock;
	mia_cond left; /* nobody is busy any more */
	bool is_busy;
	unsigned waiting; /* threads, to become busy */
	struct mia_fabric_list incoming;
	struct mia_fabric_list over; /* their wakers are due */

	/* B: of the busy thread */
	struct mia_fabric_end end;
	struct mia_fabric_list posting;    /* those that may post a part */
	struct mia_fabric_list unbuffered; /* for memory, to post one */
	size_t buffered;                   /* bytes of all buffers */
	struct mia_fabric_operation *all;  /* those that came in, not over */
	struct mia_fabric_flush flush;
	unsigned under_way;  /* parts */
	unsigned reads;      /* of them */
	uint64_t last_ns;    /* when something happened */
	uint64_t looked_ns;  /* when somebody looked last */
	uint64_t timer_ns;   /* without a thread: when it ends, or 0 */
	unsigned refusals;   /* see fabric_work.c: is_lost() */
	uint64_t refused_ns; /* the last of them */
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

/* Adds all of the others, and leaves their list empty. */
static inline void
mia_fabric_list_append(
	struct mia_fabric_list *list, struct mia_fabric_list *others)
{
	if (others->first == NULL)
		return;
	*list->last = others->first;
	list->last = others->last;
	mia_fabric_list_init(others);
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

/*
 * Or a child has it. Relaxed: a flag; what it says of operations, they publish.
 */
static inline bool
mia_fabric_is_broken(const struct data_mover_fabric *dmf)
{
	return atomic_load_explicit(&dmf->error, memory_order_relaxed) != 0 ||
		mia_forked_since(dmf->forks);
}

#endif /* LIBMINIASYNC_FABRIC_OPERATION_H */
