/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * vdm.h -- virtual data movers, and the four operations on them
 *
 * A virtual data mover, struct vdm, is a table of functions behind which the
 * calling thread, a pool of threads or a device moves memory. Each of the four
 * operations returns a future; nothing is moved until that is first polled:
 *
 *	create: vdm_memcpy() --> op_new
 *	poll:   IDLE --> op_start --> op_check --> COMPLETE --> op_delete
 *	                    |            |                      (output)
 *	                "not now":   RUNNING: only
 *	                stays IDLE   op_check from now on
 *
 * What a mover owes its users:
 *  - COMPLETE with VDM_SUCCESS: the whole range is written and visible to the
 *    polling thread; if VDM_F_MEM_DURABLE was asked for and is supported, it
 *    is written back from the CPU caches too.
 *  - Unknown flags, an unknown operation type, or a NULL pointer with n > 0:
 *    COMPLETE with VDM_ERROR_JOB_CORRUPTED, and nothing was written. A
 *    function of the program's own, see data_mover_threads.h, gets unknown
 *    flags that fit into an unsigned.
 *  - n == 0 with known flags succeeds and touches no memory; pointers may be
 *    NULL.
 *  - A flag that the mover does not support is ignored.
 *
 * Threads: any number may create and poll operations of one mover. A future
 * that is dropped before it is complete costs its memory in the mover until
 * the mover is deleted, no more. Dropping one that is RUNNING does not stop
 * it: its memory ranges, and what its waker points to, must stay until the
 * mover is deleted.
 */

#ifndef LIBMINIASYNC_VDM_H
#define LIBMINIASYNC_VDM_H 1

#include <stddef.h>
#include <stdint.h>

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vdm;

enum vdm_operation_type {
	VDM_OPERATION_MEMCPY = 0,
	VDM_OPERATION_MEMMOVE = 1,
	VDM_OPERATION_MEMSET = 2,
	VDM_OPERATION_FLUSH = 3,
};

enum vdm_operation_result {
	VDM_SUCCESS = 0,
	/* Too many operations pending; once some are complete, try again. */
	VDM_ERROR_OUT_OF_MEMORY = 1,
	/* Input that means nothing, or a failure that could not be repaired. */
	VDM_ERROR_JOB_CORRUPTED = 2,
};

struct vdm_operation_data_memcpy {
	void *dest;
	void *src;
	size_t n;
	uint64_t flags;
};

struct vdm_operation_data_memmove {
	void *dest;
	void *src;
	size_t n;
	uint64_t flags;
};

struct vdm_operation_data_memset {
	void *str;
	int c;
	size_t n;
	uint64_t flags;
};

struct vdm_operation_data_flush {
	void *dest;
	size_t n;
	uint64_t flags;
};

/* Bytes; the room that operations may take, now and later. */
#define VDM_OPERATION_DATA_MAX_SIZE 40

struct vdm_operation {
	union {
		struct vdm_operation_data_memcpy memcpy;
		struct vdm_operation_data_memmove memmove;
		struct vdm_operation_data_memset memset;
		struct vdm_operation_data_flush flush;
		uint8_t data[VDM_OPERATION_DATA_MAX_SIZE];
	} data;
	enum vdm_operation_type type;
	uint32_t padding;
};

struct vdm_operation_data {
	void *data; /* what op_new returned */
	struct vdm *vdm;
	struct vdm_operation operation;
};

struct vdm_operation_output_memcpy {
	void *dest;
};

struct vdm_operation_output_memmove {
	void *dest;
};

struct vdm_operation_output_memset {
	void *str;
};

struct vdm_operation_output_flush {
	uint64_t unused;
};

struct vdm_operation_output {
	enum vdm_operation_type type;
	enum vdm_operation_result result;
	union { /* valid if result is VDM_SUCCESS */
		struct vdm_operation_output_memcpy memcpy;
		struct vdm_operation_output_memmove memmove;
		struct vdm_operation_output_memset memset;
		struct vdm_operation_output_flush flush;
	} output;
};

FUTURE(vdm_operation_future, struct vdm_operation_data,
	struct vdm_operation_output);

/*
 * The four steps of an operation, for authors of movers. All may be called
 * from any thread, but for one operation only one at a time. op_start and
 * op_check may take as long as the operation, if the mover does the work in
 * them; none may wait for another thread or a device.
 */

/* Returns memory for an operation, or NULL: too many are pending. */
typedef void *(*vdm_operation_new)(
	struct vdm *vdm, const enum vdm_operation_type type);

/*
 * Starts an operation. Returns 0, or something else for "not now": the future
 * stays IDLE and the next poll tries again. Nobody announces when that will
 * succeed, so a mover that can should keep the operation and return 0. The
 * operation is only valid during the call. n may be NULL; if not, its
 * notifier_used is to be set.
 */
typedef int (*vdm_operation_start)(void *data,
	const struct vdm_operation *operation, struct future_notifier *n);

/* Says whether a started operation is COMPLETE or RUNNING. */
typedef enum future_state (*vdm_operation_check)(
	void *data, const struct vdm_operation *operation);

/*
 * Fills in the output and releases what op_new returned. The output already has
 * the type, VDM_SUCCESS and a NULL destination.
 */
typedef void (*vdm_operation_delete)(void *data,
	const struct vdm_operation *operation,
	struct vdm_operation_output *output);

struct vdm {
	vdm_operation_new op_new;
	vdm_operation_delete op_delete;
	vdm_operation_start op_start;
	vdm_operation_check op_check;
	unsigned capabilities;               /* VDM_F_* that are supported */
	future_has_property_fn has_property; /* of its futures; may be NULL */
};

/*
 * Once complete, the range is written back from the CPU caches to memory. A
 * mover that does not advertise it may still do so, but only vdm_flush() tells
 * of a CPU that cannot.
 */
#define VDM_F_MEM_DURABLE (1U << 0)
/* Preferably do not fill the CPU caches with the destination. */
#define VDM_F_NO_CACHE_HINT (1U << 1)
#define VDM_F_VALID_FLAGS (VDM_F_MEM_DURABLE | VDM_F_NO_CACHE_HINT)

/* Non-zero if the mover supports every flag in capability; so for 0. */
static inline int
vdm_is_supported(struct vdm *vdm, unsigned capability)
{
	return (vdm->capabilities & capability) == capability;
}

/*
 * vdm_operation_impl -- the task of every data mover's future
 *
 * A poll of a RUNNING future that brings a notifier calls op_start once more
 * if the mover's has_property answers FUTURE_PROPERTY_RENOTIFY: the new
 * notifier then replaces the last one. Other movers keep the first. A mover
 * that answered a waker with FUTURE_NOTIFIER_NONE is not asked: it has no
 * notifier to replace.
 *
 * A poll that completes leaves FUTURE_NOTIFIER_WAKER in notifier_used, where
 * op_start has set it. It takes back FUTURE_NOTIFIER_POLLER, because the word
 * is gone, and any answer to a runtime: a task of the program's may have handed
 * on the runtime's notifier, and go on without this future.
 */
static inline enum future_state
vdm_operation_impl(struct future_context *context, struct future_notifier *n)
{
	struct vdm_operation_data *data = FUTURE_CAST_(
		struct vdm_operation_data *, future_context_get_data(context));
	struct vdm *vdm = data->vdm;
	char *future = FUTURE_CAST_(char *, FUTURE_CAST_(void *, context)) -
		offsetof(struct future, context);
	const enum future_notifier_type last =
		n != NULL ? n->notifier_used : FUTURE_NOTIFIER_NONE;

	if (context->state == FUTURE_STATE_IDLE) {
		if (n != NULL)
			n->notifier_used = FUTURE_NOTIFIER_NONE;
		if (vdm->op_start(data->data, &data->operation, n) != 0)
			return FUTURE_STATE_IDLE;
	} else if (n != NULL) {
		if ((context->padding & FUTURE_CONTEXT_SILENT_) != 0)
			n->notifier_used = FUTURE_NOTIFIER_NONE;
		else if (vdm->has_property != NULL &&
			vdm->has_property(future, FUTURE_PROPERTY_RENOTIFY) ==
				FUTURE_PROPERTY_RENOTIFY)
			vdm->op_start(data->data, &data->operation, n);
	}

	const enum future_state state =
		vdm->op_check(data->data, &data->operation);

	if (state == FUTURE_STATE_COMPLETE) {
		vdm->op_delete(data->data, &data->operation,
			FUTURE_CAST_(struct vdm_operation_output *,
				future_context_get_output(context)));
		/* A waker that a later poll brought has nothing to announce. */
		if (n != NULL && context->state == FUTURE_STATE_RUNNING)
			n->notifier_used = last;
		if (n != NULL &&
			(n->padding == FUTURE_NOTIFIER_INLINE_ ||
				n->notifier_used == FUTURE_NOTIFIER_POLLER))
			n->notifier_used = FUTURE_NOTIFIER_NONE;
	} else if (context->state == FUTURE_STATE_IDLE && n != NULL &&
		n->waker.wake != NULL &&
		n->notifier_used == FUTURE_NOTIFIER_NONE) {
		context->padding |= FUTURE_CONTEXT_SILENT_;
	}

	return state;
}

/* Gives the future the mover's properties; NULL leaves it those it has. */
static inline void
vdm_set_has_property_fn(struct vdm_operation_future *future,
	future_has_property_fn has_property)
{
	if (has_property != NULL)
		future->base.has_property = has_property;
}

/*
 * vdm_generic_operation -- makes a future of the operation that the caller
 * has put in future->data.operation
 *
 * The output is preset: a mover's op_delete may set only what differs from
 * success with a NULL destination.
 */
static inline void
vdm_generic_operation(struct vdm *vdm, struct vdm_operation_future *future)
{
	future->data.vdm = vdm;
	future->data.data = vdm->op_new(vdm, future->data.operation.type);
	future->output.type = future->data.operation.type;
	future->output.result = VDM_SUCCESS;
	future->output.output.memcpy.dest = NULL;

	if (future->data.data == NULL) {
		FUTURE_INIT_COMPLETE(future);
		future->output.result = VDM_ERROR_OUT_OF_MEMORY;
	} else {
		FUTURE_INIT(future, vdm_operation_impl);
		vdm_set_has_property_fn(future, vdm->has_property);
	}
}

/* The operation keeps src as void *, and never writes through it. */
static inline void *
vdm_unconst_impl(const void *pointer)
{
	union {
		const void *in;
		void *out;
	} u;

	u.in = pointer;
	return u.out;
}

/*
 * vdm_memcpy -- a future that copies n bytes from src to dest
 *
 * vdm      the mover, not NULL, which must outlive the future
 * n        bytes, any number; the ranges must not overlap
 * flags    VDM_F_*
 * Returns  the future, idle; or complete with VDM_ERROR_OUT_OF_MEMORY
 * Owner    the caller keeps both ranges in place until it is complete
 * Blocks   never; a poll may take as long as the copy, on a mover that does
 *          the work itself
 */
static inline struct vdm_operation_future
vdm_memcpy(
	struct vdm *vdm, void *dest, const void *src, size_t n, uint64_t flags)
{
	struct vdm_operation_future future;

	future.data.operation.type = VDM_OPERATION_MEMCPY;
	future.data.operation.data.memcpy.dest = dest;
	future.data.operation.data.memcpy.src = vdm_unconst_impl(src);
	future.data.operation.data.memcpy.n = n;
	future.data.operation.data.memcpy.flags = flags;
	vdm_generic_operation(vdm, &future);

	return future;
}

/* vdm_memmove -- like vdm_memcpy(), and the ranges may overlap */
static inline struct vdm_operation_future
vdm_memmove(
	struct vdm *vdm, void *dest, const void *src, size_t n, uint64_t flags)
{
	struct vdm_operation_future future;

	future.data.operation.type = VDM_OPERATION_MEMMOVE;
	future.data.operation.data.memmove.dest = dest;
	future.data.operation.data.memmove.src = vdm_unconst_impl(src);
	future.data.operation.data.memmove.n = n;
	future.data.operation.data.memmove.flags = flags;
	vdm_generic_operation(vdm, &future);

	return future;
}

/*
 * vdm_memset -- like vdm_memcpy(), but fills n bytes at str with the value
 * (unsigned char)c
 */
static inline struct vdm_operation_future
vdm_memset(struct vdm *vdm, void *str, int c, size_t n, uint64_t flags)
{
	struct vdm_operation_future future;

	future.data.operation.type = VDM_OPERATION_MEMSET;
	future.data.operation.data.memset.str = str;
	future.data.operation.data.memset.c = c;
	future.data.operation.data.memset.n = n;
	future.data.operation.data.memset.flags = flags;
	vdm_generic_operation(vdm, &future);

	return future;
}

/*
 * vdm_flush -- a future that writes n bytes at dest back from the CPU caches
 * to memory, where the CPU can; VDM_ERROR_JOB_CORRUPTED where it cannot
 */
static inline struct vdm_operation_future
vdm_flush(struct vdm *vdm, void *dest, size_t n, uint64_t flags)
{
	struct vdm_operation_future future;

	future.data.operation.type = VDM_OPERATION_FLUSH;
	future.data.operation.data.flush.dest = dest;
	future.data.operation.data.flush.n = n;
	future.data.operation.data.flush.flags = flags;
	vdm_generic_operation(vdm, &future);

	return future;
}

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VDM_H */
