/* SPDX-License-Identifier: BSD-3-Clause */

/* stage.c -- see stage.h */

#include "stage.h"

#include <stdlib.h>

#include "fake_dml.h"
#include "libminiasync-vdm-dml.h"
#include "libminiasync.h"
#include "old_headers.h"
#include "operation/memory.h"
#include "wait/runtime.h"

#define NET_NS (STAGE_STALL_S * UINT64_C(1500000000))

static struct mover *
mover_new(enum kind kind, uint64_t number)
{
	static const enum data_mover_dml_type types[] = {
		DATA_MOVER_DML_SOFTWARE,
		DATA_MOVER_DML_AUTO,
		DATA_MOVER_DML_AUTO,
		DATA_MOVER_DML_AUTO,
	};
	static const enum future_notifier_type notifiers[8] = {
		FUTURE_NOTIFIER_POLLER,
		FUTURE_NOTIFIER_WAKER,
		FUTURE_NOTIFIER_WAKER,
		FUTURE_NOTIFIER_WAKER,
		FUTURE_NOTIFIER_POLLER,
		FUTURE_NOTIFIER_WAKER,
		FUTURE_NOTIFIER_NONE,
		FUTURE_NOTIFIER_WAKER,
	};
	struct mover *mover = calloc(1, sizeof(*mover));

	if (mover == NULL)
		abort();
	/* The mover over DML is for CPUs that can write their caches back. */
	if (kind == DML && mia_memory_capabilities() == 0)
		kind = SYNC;
	mover->kind = kind;
	mover->users = 1;
	switch (kind) {
	case SYNC:
		mover->object = data_mover_sync_new();
		if (number % 2 != 0)
			data_mover_sync_set_capabilities(
				mover->object, VDM_F_VALID_FLAGS);
		mover->vdm = data_mover_sync_get_vdm(mover->object);
		break;
	case THREADS:
		mover->object = data_mover_threads_new(1 + number % 4,
			1 + number / 4 % 40, notifiers[number / 160 % 8]);
		mover->vdm = data_mover_threads_get_vdm(mover->object);
		break;
	case DML:
		mover->object = data_mover_dml_new(types[number % 4]);
		mover->vdm = data_mover_dml_get_vdm(mover->object);
		break;
	}
	if (mover->object == NULL)
		abort();
	return mover;
}

static void
mover_delete(struct mover *mover)
{
	switch (mover->kind) {
	case SYNC:
		data_mover_sync_delete(mover->object);
		break;
	case THREADS:
		data_mover_threads_delete(mover->object);
		break;
	case DML:
		data_mover_dml_delete(mover->object);
		break;
	}
	free(mover);
}

struct mover *
mover_take(struct stage *stage, enum kind kind)
{
	pthread_mutex_lock(&stage->lock);
	struct mover *mover = stage->movers[kind];

	mover->users++;
	pthread_mutex_unlock(&stage->lock);
	return mover;
}

void
mover_leave(struct stage *stage, struct mover *mover)
{
	pthread_mutex_lock(&stage->lock);
	const size_t users = --mover->users;

	pthread_mutex_unlock(&stage->lock);
	if (users == 0)
		mover_delete(mover);
}

struct stage *
stage_new(size_t region_size)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	fake_dml_reset();
	fake_dml_random(region_size, 5);
	if (stage == NULL)
		abort();
	pthread_mutex_init(&stage->lock, NULL);
	stage->runtime = runtime_new();
	if (stage->runtime == NULL)
		abort();
	mia_runtime_set_net(stage->runtime, NET_NS, NET_NS);
	stage->region_size = region_size;
	for (int kind = 0; kind < KINDS; kind++)
		stage->movers[kind] = mover_new((enum kind)kind, 165);
	return stage;
}

void
stage_delete(struct stage *stage)
{
	for (int kind = 0; kind < KINDS; kind++)
		mover_leave(stage, stage->movers[kind]);
	runtime_delete(stage->runtime);
	pthread_mutex_destroy(&stage->lock);
	free(stage);
}

void
mover_replace(struct stage *stage, enum kind kind, uint64_t number)
{
	struct mover *fresh = mover_new(kind, number);

	pthread_mutex_lock(&stage->lock);
	struct mover *old = stage->movers[kind];

	stage->movers[kind] = fresh;
	pthread_mutex_unlock(&stage->lock);
	mover_leave(stage, old);
}

void
age_future(struct vdm_operation_future *future, unsigned number)
{
	if (future->base.context.state == FUTURE_STATE_COMPLETE)
		return;
	switch (number % 8) {
	case 0:
		future->base.task = old_operation_poll;
		break;
	case 1:
		future->base.task = older_operation_poll;
		break;
	default:
		break;
	}
}
