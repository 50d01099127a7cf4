/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * vdm.h -- virtual data movers, and their five operations
 *
 * A virtual data mover, struct vdm, is a table of functions. Behind it the
 * calling thread, worker threads or a device move memory. Each of the five
 * operations returns a future. Nothing is moved before the first poll:
 *
 *	create: vdm_memcpy() --> op_new
 *	poll:   IDLE --> op_start --> op_check --> COMPLETE --> op_delete
 *	                    |            |                      (output)
 *	                "not now":   RUNNING: op_check from
 *	                stays IDLE   now on, see vdm_operation_impl()
 *	cancel: IDLE --> op_delete --> COMPLETE
 *
 * Guarantees of every mover:
 *  - COMPLETE with VDM_SUCCESS: the whole range is written and visible to the
 *    polling thread. With VDM_F_MEM_DURABLE, if supported, the range is also
 *    written back from the CPU caches.
 *  - Invalid input: COMPLETE with VDM_ERROR_JOB_CORRUPTED, and nothing is
 *    written. Unknown flags, an unknown operation type, and a NULL pointer with
 *    n > 0 are invalid. Unknown flags that fit into an unsigned are valid for a
 *    function that the program has set: see data_mover_threads.h.
 *  - n == 0 with valid flags: VDM_SUCCESS, and no memory is accessed. Pointers
 *    may be NULL.
 *  - A flag that the mover does not support is ignored.
 *
 * Limits of this library's movers: each mover has slots for 4,194,304 pending
 * operations, and for up to 126 more for each further thread that uses it. An
 * operation is pending until its future is complete.
 *
 * Do not routinely abandon a future, which means to stop polling it before it
 * is complete. Its slot, with the memory, stays occupied until the mover is
 * deleted. If the future is IDLE, call vdm_operation_cancel() instead. If the
 * future is RUNNING, its operation may continue: keep its ranges, a list of
 * segments, and the data of its waker, until the mover is deleted.
 *
 * Threads: any number may create and poll operations of one mover at once.
 */

#ifndef LIBMINIASYNC_VDM_H
#define LIBMINIASYNC_VDM_H 1

#include <stddef.h>
#include <stdint.h>

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Private to this header: the compiler warns about a call whose result is
 * thrown away. With gcc a cast to void does not prevent the warning.
 */
#if defined(__GNUC__)
#define VDM_WARN_UNUSED_ __attribute__((warn_unused_result))
#else
#define VDM_WARN_UNUSED_
#endif

struct vdm;

enum vdm_operation_type {
	VDM_OPERATION_MEMCPY = 0,
	VDM_OPERATION_MEMMOVE = 1,
	VDM_OPERATION_MEMSET = 2,
	VDM_OPERATION_FLUSH = 3,
	VDM_OPERATION_MEMCPYV = 4,
};

enum vdm_operation_result {
	VDM_SUCCESS = 0,
	/* No slot or no memory: try again when others are complete. */
	VDM_ERROR_OUT_OF_MEMORY = 1,
	/* Invalid input, or a failure that the mover could not repair. */
	VDM_ERROR_JOB_CORRUPTED = 2,
	/* vdm_operation_cancel() ended the operation. Nothing was written. */
	VDM_ERROR_CANCELED = 3,
};

/*
 * vdm_result_string -- returns a short English text for a result
 *
 * result   any value. A value that is not in the enum has a text, too.
 * Returns  a string constant, never NULL. Do not compare it: each part of a
 *          program may have its own copy. Nobody frees it. It is valid as long
 *          as the code that called the function is loaded.
 * Threads  any number at once
 * Blocks   never
 */
static inline const char *
vdm_result_string(enum vdm_operation_result result)
{
	switch (result) {
	case VDM_SUCCESS:
		return "success";
	case VDM_ERROR_OUT_OF_MEMORY:
		return "no memory, or too many pending operations";
	case VDM_ERROR_JOB_CORRUPTED:
		return "invalid input, or a failure of the mover";
	case VDM_ERROR_CANCELED:
		return "canceled";
	}
	return "unknown result";
}

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

/* n bytes at src, and the place to which vdm_memcpyv() copies them. */
struct vdm_segment {
	void *dest;
	const void *src;
	size_t n;
};

struct vdm_operation_data_memcpyv {
	const struct vdm_segment *segments;
	size_t nsegments;
	uint64_t flags;
};

/* Bytes that the members of an operation may occupy, now and in future. */
#define VDM_OPERATION_DATA_MAX_SIZE 40

struct vdm_operation {
	union {
		struct vdm_operation_data_memcpy memcpy;
		struct vdm_operation_data_memmove memmove;
		struct vdm_operation_data_memset memset;
		struct vdm_operation_data_flush flush;
		struct vdm_operation_data_memcpyv memcpyv;
		uint8_t data[VDM_OPERATION_DATA_MAX_SIZE];
	} data;
	enum vdm_operation_type type;
	uint32_t padding;
};

struct vdm_operation_data {
	void *data; /* returned by op_new */
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

struct vdm_operation_output_memcpyv {
	uint64_t copied; /* segments; nsegments if result is VDM_SUCCESS */
};

struct vdm_operation_output {
	enum vdm_operation_type type;
	enum vdm_operation_result result;
	union { /* valid if result is VDM_SUCCESS */
		struct vdm_operation_output_memcpy memcpy;
		struct vdm_operation_output_memmove memmove;
		struct vdm_operation_output_memset memset;
		struct vdm_operation_output_flush flush;
		struct vdm_operation_output_memcpyv memcpyv;
	} output;
};

FUTURE(vdm_operation_future, struct vdm_operation_data,
	struct vdm_operation_output);

/*
 * The four functions of a mover, for its author. Any thread may call them. For
 * one operation, only one call runs at a time. op_start and op_check may do the
 * work themselves, and then take as long as the work. Neither may wait for
 * another thread or for a device.
 */

/* Returns memory for an operation, or NULL without a slot or memory. */
typedef void *(*vdm_operation_new)(
	struct vdm *vdm, const enum vdm_operation_type type);

/*
 * Starts an operation. Returns 0, or non-zero for "not now". After "not now"
 * the future stays IDLE and the next poll tries again, without a notification.
 * So keep the operation and return 0 if the mover can.
 *
 * operation  valid only during the call
 * n          may be NULL. Otherwise set n->notifier_used.
 */
typedef int (*vdm_operation_start)(void *data,
	const struct vdm_operation *operation, struct future_notifier *n);

/* Returns COMPLETE or RUNNING for an operation that was started. */
typedef enum future_state (*vdm_operation_check)(
	void *data, const struct vdm_operation *operation);

/*
 * Sets the output and releases the memory from op_new. The caller has preset
 * the output with the type, VDM_SUCCESS and a NULL destination.
 *
 * vdm_operation_cancel() calls op_delete too, for an operation for which
 * op_start was never called, or has always returned "not now". The caller then
 * ignores the output that op_delete sets.
 */
typedef void (*vdm_operation_delete)(void *data,
	const struct vdm_operation *operation,
	struct vdm_operation_output *output);

struct vdm {
	vdm_operation_new op_new;
	vdm_operation_delete op_delete;
	vdm_operation_start op_start;
	vdm_operation_check op_check;
	unsigned capabilities; /* supported VDM_F_* */
	/*
	 * Of its futures, or NULL. vdm_memcpyv() asks for
	 * FUTURE_PROPERTY_MEMCPYV before op_new: data.data is NULL then.
	 */
	future_has_property_fn has_property;
};

/*
 * The operation writes the range back from the CPU caches to memory before it
 * is complete. A mover that does not advertise this flag may still do so. On a
 * CPU without a cache write-back instruction only vdm_flush() fails.
 */
#define VDM_F_MEM_DURABLE (1U << 0)
/* A hint: do not fill the CPU caches with the destination. */
#define VDM_F_NO_CACHE_HINT (1U << 1)
#define VDM_F_VALID_FLAGS (VDM_F_MEM_DURABLE | VDM_F_NO_CACHE_HINT)

/* Non-zero if the mover supports every flag in capability. True for 0. */
static inline int
vdm_is_supported(struct vdm *vdm, unsigned capability)
{
	return (vdm->capabilities & capability) == capability;
}

/*
 * vdm_operation_impl -- the task of the future of every data mover
 *
 * A poll may pass a notifier to a RUNNING future. If the mover's has_property
 * returns FUTURE_PROPERTY_RENOTIFY for that property, the poll calls op_start
 * again, and the new notifier replaces the last one. Other movers keep the
 * first notifier. If the mover answered a waker with FUTURE_NOTIFIER_NONE, and
 * kept no work for later polls, the poll does not call op_start: no notifier
 * has to be replaced.
 *
 * If the first poll completes, FUTURE_NOTIFIER_WAKER stays in notifier_used if
 * op_start has set it. A later poll that completes leaves notifier_used as the
 * caller passed it. In two cases both reset notifier_used to NONE:
 *  - FUTURE_NOTIFIER_POLLER, because the word is no longer valid
 *  - the notifier of a runtime, because a task of the program may have passed
 *    that notifier on, and may continue without this future
 */
FUTURE_CALLS_LIBRARY_ static inline enum future_state
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
		/* A waker of a later poll has nothing left to announce. */
		if (n != NULL && context->state == FUTURE_STATE_RUNNING)
			n->notifier_used = last;
		if (n != NULL &&
			(future_notifier_is_inline_impl(n) ||
				n->notifier_used == FUTURE_NOTIFIER_POLLER))
			n->notifier_used = FUTURE_NOTIFIER_NONE;
	} else if (context->state == FUTURE_STATE_IDLE && n != NULL &&
		n->waker.wake != NULL &&
		n->notifier_used == FUTURE_NOTIFIER_NONE &&
		n->padding != FUTURE_NOTIFIER_WORK_) {
		context->padding |= FUTURE_CONTEXT_SILENT_;
	}

	return state;
}

/* Sets the future's has_property. NULL leaves it unchanged. */
static inline void
vdm_set_has_property_fn(struct vdm_operation_future *future,
	future_has_property_fn has_property)
{
	if (has_property != NULL)
		future->base.has_property = has_property;
}

/*
 * vdm_generic_operation -- makes a future from future->data.operation, which
 * the caller has set
 *
 * On return the future is IDLE, or COMPLETE with VDM_ERROR_OUT_OF_MEMORY. The
 * output is preset: op_delete may set only the members that differ from success
 * with a NULL destination.
 */
FUTURE_CALLS_LIBRARY_ static inline void
vdm_generic_operation(struct vdm *vdm, struct vdm_operation_future *future)
{
	future->data.vdm = vdm;
	future->data.data = vdm->op_new(vdm, future->data.operation.type);
	future->output.type = future->data.operation.type;
	future->output.result = VDM_SUCCESS;
	future->output.output.memcpyv.copied = 0; /* the longest member */
	future->output.output.memcpy.dest = NULL;

	if (future->data.data == NULL) {
		FUTURE_INIT_COMPLETE(future);
		future->output.result = VDM_ERROR_OUT_OF_MEMORY;
	} else {
		FUTURE_INIT(future, vdm_operation_impl);
		vdm_set_has_property_fn(future, vdm->has_property);
	}
}

/*
 * vdm_operation_cancel -- ends an operation that was not started
 *
 * future   of any mover, in any state. If the future is an entry of a chain,
 *          the entry must be initialised: see FUTURE_CHAIN_ENTRY_IS_INITIALIZED
 * Returns  1 if the future was IDLE. The future is COMPLETE now, with the
 *          result VDM_ERROR_CANCELED. Nothing was written and no waker is
 *          called. The mover has released the operation's slot.
 *          0 if the future is RUNNING or COMPLETE. Nothing has changed. Poll a
 *          RUNNING future until it is complete.
 * Owner    the caller: both ranges, and the data of wakers, if 1 is returned
 * Threads  only the thread that may poll the future at this time. For an entry
 *          of a chain this is the thread that may poll the chain.
 * Blocks   never
 *
 * A chain goes on after a canceled entry, as it does after an entry that has
 * failed. Leaves errno unchanged if the mover does.
 */
FUTURE_CALLS_LIBRARY_ static inline int
vdm_operation_cancel(struct vdm_operation_future *future)
{
	struct vdm_operation_data *data = FUTURE_DATA(future);
	struct vdm_operation_output *output = FUTURE_OUTPUT(future);

	if (FUTURE_STATE(future) != FUTURE_STATE_IDLE)
		return 0;

	/* NULL: see vdm_memcpyv_impl(). */
	if (data->data != NULL)
		data->vdm->op_delete(data->data, &data->operation, output);
	output->type = data->operation.type;
	output->result = VDM_ERROR_CANCELED;
	output->output.memcpyv.copied = 0; /* the longest member */
	output->output.memcpy.dest = NULL;
	FUTURE_STATE(future) = FUTURE_STATE_COMPLETE;

	return 1;
}

/* An operation stores src as void *, and never writes through it. */
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
 * vdm_memcpy -- returns a future that copies n bytes from src to dest
 *
 * vdm      the mover, not NULL. It must outlive the future.
 * n        bytes, any number. The ranges must not overlap.
 * flags    VDM_F_*, or 0
 * Returns  the future, by value: IDLE, or COMPLETE with
 *          VDM_ERROR_OUT_OF_MEMORY. The call itself cannot fail. The compiler
 *          warns if you throw the future away: nothing would be copied.
 * Owner    the caller. Keep both ranges in place until the future is complete.
 * Threads  any number at once
 * Blocks   never. A poll takes as long as the copy if the mover does the work
 *          in the poll.
 */
VDM_WARN_UNUSED_ static inline struct vdm_operation_future
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

/* vdm_memmove -- like vdm_memcpy(), but the ranges may overlap */
VDM_WARN_UNUSED_ static inline struct vdm_operation_future
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
VDM_WARN_UNUSED_ static inline struct vdm_operation_future
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
 * vdm_flush -- like vdm_memcpy(), but writes n bytes at dest back from the CPU
 * caches to memory. On a CPU that cannot do so the result is
 * VDM_ERROR_JOB_CORRUPTED.
 */
VDM_WARN_UNUSED_ static inline struct vdm_operation_future
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

/*
 * Private: how many bytes a mover could copy in the time that a segment takes
 * in addition to its bytes.
 */
#define VDM_SEGMENT_COST_ 64U

/*
 * Private: the bytes of all segments, and VDM_SEGMENT_COST_ for each. SIZE_MAX:
 * a pointer is NULL with bytes to copy, or the sum is too large for a size_t.
 */
static inline size_t
vdm_segments_cost_impl(const struct vdm_segment *segments, size_t nsegments)
{
	if ((segments == NULL && nsegments > 0) ||
		nsegments > SIZE_MAX / VDM_SEGMENT_COST_)
		return SIZE_MAX;

	size_t cost = nsegments * VDM_SEGMENT_COST_;

	/* Pointers first: then a valid segment needs three tests. */
	for (size_t i = 0; i < nsegments; i++) {
		const struct vdm_segment *s = &segments[i];

		if ((s->dest == NULL || s->src == NULL) && s->n > 0)
			return SIZE_MAX;
		cost += s->n;
		if (cost < s->n)
			return SIZE_MAX;
	}
	return cost;
}

/*
 * Private: polls the memcpy of one segment. data->data is that of the memcpy,
 * or NULL if the memcpy is not started. So op_delete gets all that was made
 * before the future is IDLE, or refused, or at the next segment.
 */
FUTURE_CALLS_LIBRARY_ static inline enum future_state
vdm_memcpyv_poll_impl(struct future_context *context,
	struct vdm_operation_data *data, const struct vdm_segment *segment,
	struct future_notifier *n, enum vdm_operation_result *result)
{
	struct vdm *vdm = data->vdm;
	struct vdm_operation_future copy;

	copy.data.operation.type = VDM_OPERATION_MEMCPY;
	copy.data.operation.data.memcpy.dest = segment->dest;
	copy.data.operation.data.memcpy.src = vdm_unconst_impl(segment->src);
	copy.data.operation.data.memcpy.n = segment->n;
	copy.data.operation.data.memcpy.flags =
		data->operation.data.memcpyv.flags;
	if (data->data == NULL) {
		vdm_generic_operation(vdm, &copy);
	} else {
		copy.data.vdm = vdm;
		copy.data.data = data->data;
		copy.output.type = VDM_OPERATION_MEMCPY;
		copy.output.result = VDM_SUCCESS;
		copy.output.output.memcpy.dest = NULL;
		FUTURE_INIT(&copy, vdm_operation_impl);
		vdm_set_has_property_fn(&copy, vdm->has_property);
		copy.base.context.state = FUTURE_STATE_RUNNING;
		copy.base.context.padding =
			context->padding & FUTURE_CONTEXT_SILENT_;
	}

	const enum future_state state = future_poll(&copy.base, n);

	context->padding &= ~(FUTURE_CONTEXT_REFUSED_ | FUTURE_CONTEXT_SILENT_);
	data->data = NULL;
	switch (state) {
	case FUTURE_STATE_IDLE:
		vdm->op_delete(
			copy.data.data, &copy.data.operation, &copy.output);
		context->padding |= FUTURE_CONTEXT_REFUSED_;
		/* The answer was that of the operation that is gone. */
		if (n != NULL)
			n->notifier_used = FUTURE_NOTIFIER_NONE;
		break;
	case FUTURE_STATE_COMPLETE:
		*result = copy.output.result;
		context->padding += FUTURE_CONTEXT_MOVED_;
		break;
	case FUTURE_STATE_RUNNING:
		data->data = copy.data.data;
		context->padding |=
			copy.base.context.padding & FUTURE_CONTEXT_SILENT_;
		break;
	}
	return state;
}

/*
 * vdm_memcpyv_impl -- the task of vdm_memcpyv() with a mover that does not know
 * the operation
 *
 * Copies one segment after the other by the mover's memcpy. The output counts
 * them. Like a chain, the future is RUNNING if it could not start the memcpy of
 * a segment that is not the first, and tells this and its steps to its owner by
 * context.padding.
 */
static inline enum future_state
vdm_memcpyv_impl(struct future_context *context, struct future_notifier *n)
{
	struct vdm_operation_data *data = FUTURE_CAST_(
		struct vdm_operation_data *, future_context_get_data(context));
	struct vdm_operation_output *output =
		FUTURE_CAST_(struct vdm_operation_output *,
			future_context_get_output(context));
	const struct vdm_operation_data_memcpyv *v =
		&data->operation.data.memcpyv;
	uint64_t *copied = &output->output.memcpyv.copied;
	const int is_first_poll = context->state == FUTURE_STATE_IDLE &&
		(context->padding & FUTURE_CONTEXT_REFUSED_) == 0;

	if (is_first_poll && n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	if (is_first_poll &&
		((v->flags & ~FUTURE_CAST_(uint64_t, VDM_F_VALID_FLAGS)) != 0 ||
			vdm_segments_cost_impl(v->segments, v->nsegments) ==
				SIZE_MAX))
		output->result = VDM_ERROR_JOB_CORRUPTED;

	while (output->result == VDM_SUCCESS && *copied < v->nsegments) {
		const enum future_state state = vdm_memcpyv_poll_impl(context,
			data, &v->segments[*copied], n, &output->result);

		if (state == FUTURE_STATE_IDLE && *copied > 0)
			return FUTURE_STATE_RUNNING;
		if (state != FUTURE_STATE_COMPLETE)
			return state;
		if (output->result == VDM_SUCCESS)
			++*copied;
	}
	return FUTURE_STATE_COMPLETE;
}

/*
 * Private: has_property of the same future. The mover may look at its own data,
 * so it is asked only while there is some.
 */
FUTURE_CALLS_LIBRARY_ static inline int
vdm_memcpyv_has_property_impl(void *future, enum future_property property)
{
	struct vdm_operation_data *data = FUTURE_DATA(
		FUTURE_CAST_(struct vdm_operation_future *, future));

	if (data->data == NULL || data->vdm->has_property == NULL)
		return 0;
	return data->vdm->has_property(future, property);
}

/*
 * vdm_memcpyv -- returns a future that copies all segments
 *
 * It is complete when all segments are copied. The order in which they are
 * copied is not defined.
 *
 * vdm        the mover, not NULL. It must outlive the future. Any mover will
 *            do: for one that does not return FUTURE_PROPERTY_MEMCPYV for that
 *            property, the future itself does the segments one after the other
 *            by the mover's memcpy.
 * segments   read by polls and by other threads. NULL only if nsegments is 0.
 * nsegments  any number. A segment may have any size, also 0. Its ranges must
 *            not overlap, and no other segment's range may overlap its dest.
 *            The sizes, and 64 for each segment, must add up to less than
 *            SIZE_MAX.
 * flags      VDM_F_*, or 0
 * Returns    the future, by value: IDLE, or COMPLETE with
 *            VDM_ERROR_OUT_OF_MEMORY. The call itself cannot fail.
 * Result     VDM_SUCCESS: copied is nsegments. Invalid input in any segment:
 *            VDM_ERROR_JOB_CORRUPTED, and nothing was written. If the mover
 *            fails later, copied counts segments from the first that are
 *            certainly copied, and others may be written.
 * Owner      the caller. Keep the array and all ranges in place until the
 *            future is complete.
 * Threads    any number at once
 * Blocks     never. A poll takes as long as the copies if the mover does the
 *            work in the poll. The first poll reads the whole array.
 */
VDM_WARN_UNUSED_ FUTURE_CALLS_LIBRARY_ static inline struct vdm_operation_future
vdm_memcpyv(struct vdm *vdm, const struct vdm_segment *segments,
	size_t nsegments, uint64_t flags)
{
	struct vdm_operation_future future;

	future.data.operation.type = VDM_OPERATION_MEMCPYV;
	future.data.operation.data.memcpyv.segments = segments;
	future.data.operation.data.memcpyv.nsegments = nsegments;
	future.data.operation.data.memcpyv.flags = flags;

	future.data.vdm = vdm;
	future.data.data = NULL;
	future.output.type = VDM_OPERATION_MEMCPYV;
	future.output.result = VDM_SUCCESS;
	future.output.output.memcpyv.copied = 0;
	FUTURE_INIT_EXT(
		&future, vdm_memcpyv_impl, vdm_memcpyv_has_property_impl);
	if (vdm->has_property != NULL &&
		vdm->has_property(&future, FUTURE_PROPERTY_MEMCPYV) ==
			FUTURE_PROPERTY_MEMCPYV)
		vdm_generic_operation(vdm, &future);

	return future;
}

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VDM_H */
