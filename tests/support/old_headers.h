/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * old_headers.h -- the polls that programs have compiled in: the behaviour of
 * the inline functions of earlier headers, for movers and runtimes of today
 *
 * The first poll of 0.2.1 is written from what is known of its behaviour:
 *  - an IDLE future calls op_start with the notifier. If op_start returns
 *    non-zero the future stays IDLE
 *  - every other poll calls op_check alone, and never op_start again
 *  - a complete operation is deleted into the output
 *  - the paddings mean nothing, and notifier_used is left to the mover
 * Its chain goes on to the next entry at once, and sets no flags.
 */

#ifndef LIBMINIASYNC_TEST_OLD_HEADERS_H
#define LIBMINIASYNC_TEST_OLD_HEADERS_H 1

#include <stdbool.h>
#include <stddef.h>

#include "libminiasync.h"

static inline enum future_state
old_end(struct future_context *context, enum future_state state)
{
	struct vdm_operation_data *data = future_context_get_data(context);

	if (state == FUTURE_STATE_COMPLETE)
		data->vdm->op_delete(data->data, &data->operation,
			future_context_get_output(context));
	return state;
}

/* libminiasync 0.2.1 */
static inline enum future_state
old_operation_poll(struct future_context *context, struct future_notifier *n)
{
	struct vdm_operation_data *data = future_context_get_data(context);
	struct vdm *vdm = data->vdm;

	if (context->state == FUTURE_STATE_IDLE &&
		vdm->op_start(data->data, &data->operation, n) != 0)
		return FUTURE_STATE_IDLE;

	return old_end(context, vdm->op_check(data->data, &data->operation));
}

/* The same for a chain, whose entries may be of any kind. */
static inline enum future_state
old_chain_poll(struct future_context *chain, struct future_notifier *n)
{
	char *at = future_context_get_data(chain);
	char *end = future_context_get_output(chain);

	while (at + sizeof(struct future_chain_entry) <= end) {
		struct future_chain_entry *entry =
			(struct future_chain_entry *)(void *)at;
		const bool last =
			(entry->flags & FUTURE_CHAIN_FLAG_ENTRY_LAST) != 0;

		if (entry->init != NULL) {
			entry->init(&entry->future, chain, entry->init_arg);
			entry->init = NULL;
		}
		at += sizeof(*entry) +
			future_context_get_size(&entry->future.context);

		if ((entry->flags & FUTURE_CHAIN_FLAG_ENTRY_PROCESSED) == 0) {
			if (future_poll(&entry->future, n) !=
				FUTURE_STATE_COMPLETE)
				return FUTURE_STATE_RUNNING;
			entry->flags |= FUTURE_CHAIN_FLAG_ENTRY_PROCESSED;
		}
		if (last)
			break;
	}

	return FUTURE_STATE_COMPLETE;
}

/* libminiasync 0.9, which is of this project: its whole text. */
static inline enum future_state
older_operation_poll(struct future_context *context, struct future_notifier *n)
{
	struct vdm_operation_data *data = future_context_get_data(context);
	struct vdm *vdm = data->vdm;
	char *future =
		(char *)(void *)context - offsetof(struct future, context);
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
		old_end(context, vdm->op_check(data->data, &data->operation));

	if (state == FUTURE_STATE_COMPLETE) {
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

#endif /* LIBMINIASYNC_TEST_OLD_HEADERS_H */
