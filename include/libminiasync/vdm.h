/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * vdm.h -- virtual data movers, and their five operations
 *
 * A virtual data mover, struct vdm, is a table of functions. Behind these
 * functions the calling thread, worker threads or a device moves the memory.
 * Each of the five operations returns a future. Nothing is moved before the
 * first poll:
 *
 *	create: vdm_memcpy() --> op_new
 *	poll:   IDLE --> op_start --> op_check --> COMPLETE --> op_delete
 *	                    |            |                      (output)
 *	                "not now":   RUNNING: each later
 *	                stays IDLE   poll calls op_check
 *	cancel: IDLE --> op_delete --> COMPLETE
 *
 * All movers of this library guarantee:
 *  - COMPLETE with VDM_SUCCESS: the whole range is written and visible to the
 *    polling thread. With VDM_F_MEM_DURABLE, if supported, the range is also
 *    written back from the CPU caches.
 *  - Invalid input: COMPLETE with VDM_ERROR_JOB_CORRUPTED, and nothing is
 *    written. Unknown flags, an unknown operation type, and a NULL pointer with
 *    n > 0 are invalid. Functions that the program has set get unknown flags,
 *    if the flags fit into an unsigned: see data_mover_threads.h.
 *  - n == 0 with known flags: VDM_SUCCESS, and no memory is accessed. Pointers
 *    may be NULL.
 *  - A known flag that the mover does not support is ignored. The exception is
 *    VDM_F_MEM_DURABLE for a destination in the window of the mover over
 *    libfabric: the result is VDM_ERROR_JOB_CORRUPTED.
 *  - Operations leave errno unchanged.
 *
 * Limits of this library's movers: 4,194,304 operations can be pending on each
 * mover, and up to 126 more for each further thread that uses the mover. An
 * operation is pending until its future is complete.
 *
 * To abandon a future means to stop polling it before it is complete. Do not do
 * this routinely. The operation keeps its slot and its memory until the mover
 * is deleted. If the future is IDLE, call vdm_operation_cancel() instead. If
 * the future is RUNNING, its operation may continue. Keep its ranges, its array
 * of segments and the data of its waker until the mover is deleted.
 *
 * Threads: any number may create and poll operations of one mover at once. One
 * thread may create a future, and another may complete it.
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
 * Private to this header: the compiler warns if a caller discards the result.
 * gcc warns even after a cast to void.
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
	/* No slot or no memory. Try again when an operation has completed. */
	VDM_ERROR_OUT_OF_MEMORY = 1,
	/* Invalid input, or a failure that the mover could not repair. */
	VDM_ERROR_JOB_CORRUPTED = 2,
	/* vdm_operation_cancel() ended the operation. Nothing was written. */
	VDM_ERROR_CANCELED = 3,
};

/*
 * vdm_result_string -- returns a short English text for a result
 *
 * result   any value, also one outside the enum
 * Returns  a string constant, never NULL. The text is valid as long as the code
 *          that called the function is loaded. Do not free the text. Do not
 *          compare texts: each part of a program may have its own copy.
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

/* vdm_memcpyv() copies n bytes from src to dest. */
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

/* The most bytes of an operation's description, also in later versions. */
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

/* Valid when the future is complete. */
struct vdm_operation_output {
	enum vdm_operation_type type;
	enum vdm_operation_result result;
	union { /* valid if result is VDM_SUCCESS; memcpyv: with any result */
		struct vdm_operation_output_memcpy memcpy;
		struct vdm_operation_output_memmove memmove;
		struct vdm_operation_output_memset memset;
		struct vdm_operation_output_flush flush;
		struct vdm_operation_output_memcpyv memcpyv;
	} output;
};

/* The future of any operation. future.h has the rules for all futures. */
FUTURE(vdm_operation_future, struct vdm_operation_data,
	struct vdm_operation_output);

/*
 * The four functions of a mover, for its author. Any thread may call them, and
 * several threads at once. For one operation, only one call runs at a time. No
 * function may change errno, or wait for another thread or for a device.
 * op_start and op_check may do the work themselves. Then they take as long as
 * the work.
 */

/*
 * Returns memory for one operation. NULL: too many operations are pending, or
 * there is no memory. The other functions get the memory as data. The mover
 * owns the memory.
 */
typedef void *(*vdm_operation_new)(
	struct vdm *vdm, const enum vdm_operation_type type);

/*
 * Starts an operation. Returns 0, or non-zero for "not now". After "not now"
 * the future stays IDLE, and the next poll tries again. No notification tells
 * when to poll. So keep the operation and return 0 if the mover can.
 *
 * operation  valid only during the call. The type, the pointers, the sizes and
 *            the 64 bits of flags are unchecked.
 * n          may be NULL. Otherwise set n->notifier_used.
 */
typedef int (*vdm_operation_start)(void *data,
	const struct vdm_operation *operation, struct future_notifier *n);

/* Returns COMPLETE or RUNNING for a started operation. */
typedef enum future_state (*vdm_operation_check)(
	void *data, const struct vdm_operation *operation);

/*
 * Sets the output and releases the memory from op_new. The caller has preset
 * the output with the type, VDM_SUCCESS and a NULL destination. The call comes
 * once, after op_check has returned COMPLETE.
 *
 * Two callers delete an operation that was not started:
 *  - vdm_operation_cancel(), if op_start was never called or has always
 *    returned "not now"
 *  - vdm_memcpyv(), for a copy for which op_start has returned "not now"
 * Both ignore the output that op_delete sets.
 */
typedef void (*vdm_operation_delete)(void *data,
	const struct vdm_operation *operation,
	struct vdm_operation_output *output);

/* A mover owns its struct vdm. Programs do not change it. */
struct vdm {
	vdm_operation_new op_new;
	vdm_operation_delete op_delete;
	vdm_operation_start op_start;
	vdm_operation_check op_check;
	unsigned capabilities; /* the VDM_F_* that the mover advertises */
	/*
	 * Returns the properties of the mover's futures. NULL: no properties.
	 * vdm_memcpyv() asks for FUTURE_PROPERTY_MEMCPYV before op_new. At this
	 * time data.data of the future is NULL.
	 */
	future_has_property_fn has_property;
};

/*
 * The operation writes its destination back from the CPU caches to memory
 * before the operation is complete. Movers of this library do so even if they
 * do not advertise the flag. They ignore the flag on a CPU without a cache
 * write-back instruction, where only vdm_flush() fails. The exception is the
 * mover over libfabric: see the start of this file.
 */
#define VDM_F_MEM_DURABLE (1U << 0)
/* A hint: do not fill the CPU caches with the destination. */
#define VDM_F_NO_CACHE_HINT (1U << 1)
/* All known flags. An operation with any other bit is invalid. */
#define VDM_F_VALID_FLAGS (VDM_F_MEM_DURABLE | VDM_F_NO_CACHE_HINT)

/*
 * vdm_is_supported -- tests whether a mover advertises flags
 *
 * capability  VDM_F_*, or 0
 * Returns     non-zero if the mover advertises every flag in capability, also
 *             for 0. Otherwise 0.
 * Threads     any number at once, except while a thread sets the capabilities
 *             of the mover
 * Blocks      never
 */
static inline int
vdm_is_supported(struct vdm *vdm, unsigned capability)
{
	return (vdm->capabilities & capability) == capability;
}

/*
 * vdm_operation_impl -- the task of the future of every data mover
 *
 * Programs do not need to call it. It returns the new state of the future.
 *
 * A poll may pass a notifier to a RUNNING future:
 *  - The mover may support FUTURE_PROPERTY_RENOTIFY: its has_property returns
 *    exactly this value for this property. Then the poll calls op_start again,
 *    and the new notifier replaces the last one.
 *  - Other movers keep the notifier of the poll that started the operation.
 *  - The mover may set FUTURE_NOTIFIER_NONE for the waker of the first poll,
 *    and keep no work for later polls. Then no notifier has to be replaced.
 *    Later polls set FUTURE_NOTIFIER_NONE and do not call op_start.
 *
 * If the first poll completes, FUTURE_NOTIFIER_WAKER stays in notifier_used if
 * op_start has set it. A later poll that completes leaves notifier_used as the
 * caller passed it. In two cases every poll that completes resets notifier_used
 * to FUTURE_NOTIFIER_NONE:
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
		/* No notification follows a later poll that completes. */
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

/* Sets has_property of the future. NULL changes nothing. */
static inline void
vdm_set_has_property_fn(struct vdm_operation_future *future,
	future_has_property_fn has_property)
{
	if (has_property != NULL)
		future->base.has_property = has_property;
}

/*
 * vdm_generic_operation -- creates a future of any operation
 *
 * vdm      the mover, not NULL
 * future   the caller has set data.operation: the type, and the member of data
 *          for this type. Other members may have any contents. On return the
 *          future is IDLE, or COMPLETE with VDM_ERROR_OUT_OF_MEMORY.
 * Owner    the caller: see vdm_memcpy()
 * Threads  any number at once, each with its own future
 * Blocks   never
 *
 * The function presets the output with the type, VDM_SUCCESS and a NULL
 * destination. op_delete may leave out members that have these values.
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
 * future   of any mover, in any state. An entry of a chain must be initialised:
 *          see FUTURE_CHAIN_ENTRY_IS_INITIALIZED
 * Returns  1 if the future was IDLE. Now the future is COMPLETE with
 *          VDM_ERROR_CANCELED. Nothing was written, and no waker is called.
 *          The mover has released the memory and the slot of the operation.
 *          0 if the future is RUNNING or COMPLETE. Nothing has changed. Poll a
 *          RUNNING future until it is complete.
 * Owner    the caller. After 1, both ranges and the data of wakers belong to
 *          the caller again.
 * Threads  only the thread that may poll the future. For an entry of a chain,
 *          only the thread that may poll the chain.
 * Blocks   never
 *
 * A chain goes on after a canceled entry, as after an entry that has failed.
 * errno is unchanged if the mover does not change it.
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

/* Private: an operation stores src as void *, and only reads through src. */
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
 * vdm_memcpy -- creates a future that copies n bytes from src to dest
 *
 * vdm      the mover, not NULL
 * dest     any alignment. The ranges must not overlap: otherwise the
 *          destination has undefined contents.
 * n        bytes, any number
 * flags    VDM_F_*, or 0
 * Returns  the future, by value. The call cannot fail. If the mover has no slot
 *          or no memory, the future is already COMPLETE with
 *          VDM_ERROR_OUT_OF_MEMORY. Otherwise the future is IDLE. The compiler
 *          warns if you discard the future.
 * Owner    the caller. Until the future is complete, keep the mover and both
 *          ranges in place, and do not change the source.
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

/* vdm_memmove -- like vdm_memcpy(), and the ranges may overlap */
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

/* vdm_memset -- like vdm_memcpy(), but sets n bytes to (unsigned char)c */
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
 * caches to memory
 *
 * VDM_SUCCESS means that all stores to the range before the first poll are in
 * memory. On a CPU without a cache write-back instruction the result is
 * VDM_ERROR_JOB_CORRUPTED. Known flags have no effect.
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
 * Private: the time that a segment takes in addition to its bytes, as the
 * number of bytes that a mover copies in this time.
 */
#define VDM_SEGMENT_COST_ 64U

/*
 * Private: returns the bytes of all segments, plus VDM_SEGMENT_COST_ for each.
 * Returns SIZE_MAX if a pointer is NULL with bytes to copy, or if the sum is
 * too large for a size_t.
 */
static inline size_t
vdm_segments_cost_impl(const struct vdm_segment *segments, size_t nsegments)
{
	if ((segments == NULL && nsegments > 0) ||
		nsegments > SIZE_MAX / VDM_SEGMENT_COST_)
		return SIZE_MAX;

	size_t cost = nsegments * VDM_SEGMENT_COST_;

	/* Pointers first, so that a valid segment needs only three tests. */
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
 * Private: polls the memcpy of one segment. data->data is the memory of the
 * memcpy, or NULL if the memcpy is not started. If the memcpy is refused or
 * complete, op_delete has released its memory when this function returns.
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
		/* op_start has set this for the deleted operation. */
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
 * vdm_memcpyv_impl -- the task of vdm_memcpyv() for a mover that does not
 * support the operation
 *
 * Copies one segment after the other by the mover's memcpy. The output counts
 * the copied segments. Like a chain, the future is RUNNING if the memcpy of a
 * segment other than the first could not start. In context.padding,
 * FUTURE_CONTEXT_REFUSED_ reports this to the owner of the future, and
 * FUTURE_CONTEXT_MOVED_ reports each step.
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
 * Private: has_property of the same future. The mover's function may read
 * data->data, so it is called only if data->data is not NULL.
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
 * vdm_memcpyv -- creates a future that copies many ranges
 *
 * The future is complete when all segments are copied. The order of the copies
 * is not defined. The operation works with every mover. If the mover's
 * has_property does not return FUTURE_PROPERTY_MEMCPYV for that property, the
 * future copies one segment after the other by the mover's memcpy. Pass your
 * notifier to every poll of such a future: each segment is a new operation.
 *
 * vdm        the mover, not NULL
 * segments   the array, which polls and other threads read. NULL only if
 *            nsegments is 0.
 * nsegments  any number. A segment may have any size, also 0. The ranges of a
 *            segment must not overlap. No range of another segment may overlap
 *            its dest. The sizes in bytes, plus 64 for each segment, must add
 *            up to less than SIZE_MAX.
 * flags      VDM_F_*, or 0
 * Returns    the future, by value. The call cannot fail. If the mover has no
 *            slot or no memory, the future may already be COMPLETE with
 *            VDM_ERROR_OUT_OF_MEMORY. Otherwise the future is IDLE.
 * Result     VDM_SUCCESS: copied is nsegments.
 *            VDM_ERROR_JOB_CORRUPTED for invalid input in any segment: copied
 *            is 0, and nothing was written.
 *            Either error if the mover fails later: the first copied segments
 *            are copied. Others may be written, in whole or in part.
 * Owner      the caller. Until the future is complete, keep the mover, the
 *            array and all ranges in place. Do not change the array or the
 *            sources.
 * Threads    any number at once
 * Blocks     never. The first poll reads the whole array. A poll takes as long
 *            as the copies if the mover does the work in the poll.
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
