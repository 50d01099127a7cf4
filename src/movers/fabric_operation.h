/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_operation.h -- the structs of a mover over libfabric and of its
 * operations, and lists of operations
 *
 * fabric_work.h describes how operations are done. A part is in progress from
 * its post until libfabric returns it.
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
	struct mia_fabric_operation **last; /* links the next operation */
};

enum mia_fabric_kind {
	MIA_FABRIC_PUT,
	MIA_FABRIC_GET,
	MIA_FABRIC_SET,
	MIA_FABRIC_RELAY, /* from the window into the window */
	MIA_FABRIC_FLUSH, /* nothing to move */
	MIA_FABRIC_ASK,   /* internal, see fabric_flush.h */
};

/* The state of a RELAY's buffer. */
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
	size_t part_bytes;  /* the longest part */
	unsigned max_parts; /* in progress at once */

	bool is_new; /* until mia_fabric_run() of the poll that starts it */
	bool brings_waker; /* this poll, and does not need its call */

	/* B: by the busy thread */
	char *buffer;       /* of SET and RELAY, while parts are posted */
	size_t posted;      /* bytes */
	unsigned under_way; /* parts in progress */
	enum mia_fabric_relay relay;
	size_t to_flush; /* bytes that the region has to write back, or 0 */
	size_t asked;    /* of these bytes, those of the current request */
	bool is_posting; /* is in the list posting */
	struct mia_fabric_operation *next;
	struct mia_fabric_operation *next_of_all;
	struct mia_fabric_operation **prev_of_all;
};

/* See fabric_flush.h. */
struct mia_fabric_flush {
	struct mia_fabric_operation ask;
	struct mia_fabric_list waiting;
	struct mia_fabric_list asked; /* operations of the current request */
	struct mia_fabric_list done;

	struct mia_fabric_request request;
	struct mia_fabric_answer answer;
	unsigned count; /* ranges of the request */
	size_t bytes;   /* to put */
	uint64_t nonce; /* random at first; each request gets another */
	unsigned slot;
	bool is_put;       /* the request is; the next part gets the answer */
	bool is_late;      /* the region answers, but writes nothing back */
	unsigned looks;    /* answers in vain */
	uint64_t since_ns; /* time of the first of them */
};

struct data_mover_fabric {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;

	/* I: init only */
	uint32_t forks; /* mia_forks() of the process that made the mover */
	char *window;
	size_t size;
	uint64_t key;
	unsigned access;
	uint64_t idle_ns;
	unsigned queue; /* at most so many parts are in progress */
	fi_addr_t peer;
	bool has_thread;
	struct mia_lasting thread;

	/* T: by the mover's thread */
	struct mia_completion *ended_by; /* its waker ended the last thread */

	/* A: all threads */
	atomic_int error; /* 0: not broken */
	atomic_bool stop;

	/* L: under the lock */
	mia_mutex lock;
	mia_cond left; /* no thread is busy any more */
	bool is_busy;
	unsigned waiting; /* threads that wait to become busy */
	struct mia_fabric_list incoming;
	struct mia_fabric_list over; /* done; their wakers are due */

	/* B: by the busy thread */
	struct mia_fabric_end end;
	struct mia_fabric_list posting;    /* may post a part */
	struct mia_fabric_list unbuffered; /* wait for a buffer, to post */
	size_t buffered;                   /* bytes of all buffers */
	struct mia_fabric_operation *all;  /* came in, and are not over */
	struct mia_fabric_flush flush;
	unsigned under_way;  /* parts in progress */
	unsigned reads;      /* of these parts */
	uint64_t last_ns;    /* the last event */
	uint64_t looked_ns;  /* the last check in is_late() */
	uint64_t timer_ns;   /* when the timer ends, or 0 */
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

/* Moves all operations of others to the end of list. */
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
 * Whether the mover is broken, or this is a child. Relaxed: only a flag; each
 * operation publishes its own result.
 */
static inline bool
mia_fabric_is_broken(const struct data_mover_fabric *dmf)
{
	return atomic_load_explicit(&dmf->error, memory_order_relaxed) != 0 ||
		mia_forked_since(dmf->forks);
}

#endif /* LIBMINIASYNC_FABRIC_OPERATION_H */
