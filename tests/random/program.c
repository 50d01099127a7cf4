/* SPDX-License-Identifier: BSD-3-Clause */

/* program.c -- see program.h */

#include "program.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libminiasync.h"
#include "live.h"
#include "reaping.h"
#include "stage.h"

static void
replace_mover(struct program *p, enum kind kind, uint64_t number)
{
	mover_replace(p->stage, kind, number);
	p->tally->movers++;
}

static void
count_wake(void *data)
{
	atomic_fetch_add((atomic_uint *)data, 1);
}

/*
 * A poll with one of the two wakers, or without a waker (-1). A poll without a
 * waker keeps the last waker of an operation. An operation that a chain starts
 * in such a poll has no waker. So has a segment, if the mover knows no lists.
 *
 * If a queue has the future, the poll has no waker. The queue finds the end.
 */
static void
poll_live(struct program *p, struct live *live, int waker)
{
	struct future_notifier n = {.notifier_used = FUTURE_NOTIFIER_NONE};

	if (live->queue != NULL) {
		future_poll(live_future(live), NULL);
		return;
	}
	if (waker >= 0) {
		n.waker.data = &live->wakes[waker];
		n.waker.wake = count_wake;
		live->waker = waker;
	} else if (live->is_pair || live->segments != NULL) {
		live->waker = -1;
	}
	if (live->waker >= 0)
		live->seen = live->wakes[live->waker];

	if (future_poll(live_future(live), waker >= 0 ? &n : NULL) ==
		FUTURE_STATE_COMPLETE)
		live_finish(p, live);
	else if (waker >= 0 && n.notifier_used != FUTURE_NOTIFIER_WAKER)
		live->waker = -1;
}

/* Polls to the end. If the last poll answered WAKER, only after a wake. */
static void
follow_wakes(struct program *p, struct live *live)
{
	const time_t deadline = time(NULL) + 60;

	while (live->mover != NULL && p->wrong == NULL) {
		if (live->waker < 0 || live->wakes[live->waker] != live->seen)
			poll_live(p, live, 0);
		else if (time(NULL) > deadline)
			p->wrong = "no wake in a minute";
		else
			sched_yield();
	}
}

/* Waits for all of some futures, or for some of them or a short time. */
static void
wait_for_several(struct program *p, uint64_t r)
{
	struct future *futs[LIVE];
	struct live *lives[LIVE];
	const uint64_t which =
		stream_next(p->stream) ^ stream_next(p->stream) << 12;
	size_t n = 0;

	for (int i = 0; i < LIVE; i++)
		if (p->live[i].mover != NULL && p->live[i].queue == NULL &&
			(which >> i & 1) != 0) {
			lives[n] = &p->live[i];
			futs[n++] = live_future(&p->live[i]);
		}

	const bool has_limit = r % 4 == 0;
	const size_t nwanted = r % 2 == 0 ? (size_t)(r >> 2) % (n + 1) : n;
	const int64_t limit_ns = has_limit ? (int64_t)(r >> 8) % 300000 : -1;
	const time_t start = time(NULL);
	size_t ncomplete = 0, returned = n;

	if (nwanted == n && !has_limit)
		runtime_wait_multiple(p->stage->runtime, futs, n);
	else
		returned = runtime_wait_some(
			p->stage->runtime, futs, n, nwanted, limit_ns);
	if (time(NULL) - start >= STAGE_STALL_S)
		p->wrong = "a wait took too long";
	p->tally->waits++;
	for (size_t i = 0; i < n; i++) {
		/* The runtime's waker has replaced those of the program. */
		lives[i]->waker = -1;
		if (futs[i]->context.state == FUTURE_STATE_COMPLETE) {
			ncomplete++;
			live_finish(p, lives[i]);
		}
	}
	p->tally->given_up += n - ncomplete;
	if (ncomplete != returned || (ncomplete < nwanted && !has_limit))
		p->wrong = "a wait returned too early";
}

enum leave { LEAVE_DROP, LEAVE_CANCEL };

/*
 * A future that was not started. Its operation must never begin. If a queue has
 * it, the queue finds that it was canceled.
 */
static void
leave(struct program *p, struct live *live, enum leave how)
{
	struct vdm_operation_future *one = &live->future.one;

	if (live->is_pair ||
		live_future(live)->context.state != FUTURE_STATE_IDLE ||
		live->waker >= 0 || (how == LEAVE_DROP && live->queue != NULL))
		return;
	if (how == LEAVE_CANCEL &&
		(vdm_operation_cancel(one) != 1 ||
			FUTURE_OUTPUT(one)->result != VDM_ERROR_CANCELED))
		p->wrong = "a cancel failed";
	memcpy(live->dst->model + live->at, live->dst->memory + live->at,
		live->n);
	if (live->queue != NULL)
		live->is_canceled = true;
	else
		live_clear(p, live);
	if (how == LEAVE_CANCEL)
		p->tally->canceled++;
	else
		p->tally->dropped++;
}

/* A future may move between polls. */
static void
move(struct program *p, struct live *from)
{
	for (int i = 0; i < LIVE; i++) {
		struct live *to = &p->live[i];

		if (to->mover != NULL || from->waker >= 0)
			continue;
		memcpy(&to->future, &from->future, sizeof(to->future));
		to->mover = from->mover;
		to->dst = from->dst;
		to->src = from->src;
		to->is_pair = from->is_pair;
		to->is_bad = from->is_bad;
		to->at = from->at;
		to->n = from->n;
		to->segments = from->segments;
		to->wakes[0] = to->wakes[1] = 0;
		to->waker = -1;
		to->queue = NULL;
		to->is_canceled = false;
		from->mover = NULL;
		memset(&from->future, 0xaa, sizeof(from->future));
		return;
	}
}

/* In whatever state it is, also if a wait has given it up. */
static void
give_to_queue(struct queue *queue, struct live *live)
{
	if (live == NULL || live->queue != NULL)
		return;

	live->queue = queue;
	live->waker = -1;
	queue_add(queue, live_future(live), live);
}

/* A queue has given it back. */
static void
take_from_queue(const struct completion *completion, void *arg)
{
	struct program *p = arg;
	struct live *live = completion->user_data;

	if (live->queue == NULL || completion->future != live_future(live))
		p->wrong = "a queue returned a wrong future";
	live_finish(p, live);
}

/* Those that it still has are complete then. */
static void
delete_queue(struct program *p, struct queue *queue)
{
	p->tally->queues += queue->nfutures > 0;
	queue_delete(queue);
	for (int i = 0; i < LIVE; i++) {
		struct live *live = &p->live[i];

		if (live->mover == NULL || live->queue != queue)
			continue;
		if (live_future(live)->context.state != FUTURE_STATE_COMPLETE)
			p->wrong = "a future is not complete after its queue "
				   "was deleted";
		live_finish(p, live);
	}
}

static void
step_of_queue(struct program *p, uint64_t r)
{
	struct queue *queue = &p->queues[r % QUEUES];
	const uint64_t number = r >> 16;

	switch (r >> 8 & 7) {
	case 0:
	case 1:
	case 2:
	case 3:
		for (uint64_t i = 0; i < (number & 3); i++)
			give_to_queue(queue,
				live_find(
					p, number >> (4 + 5 * i), PLACE_USED));
		break;
	case 4:
		queue_add_silent(queue, number);
		break;
	case 5:
		if (number % 16 == 0) {
			delete_queue(p, queue);
			queue_make(queue);
		}
		break;
	default:
		queue_reap(queue, number, take_from_queue, p);
		break;
	}
	if (queue->wrong != NULL)
		p->wrong = queue->wrong;
}

static void
step(struct program *p)
{
	const uint64_t r = stream_next(p->stream);
	struct live *live = live_find(p, r >> 8, PLACE_USED);

	switch (r % 18) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
		live_create(p);
		return;
	case 6:
		if ((r >> 16) % 2 == 0)
			wait_for_several(p, r >> 24);
		return;
	case 7:
		if ((r >> 16) % 64 == 0)
			replace_mover(
				p, (enum kind)((r >> 24) % KINDS), r >> 32);
		return;
	case 16:
	case 17:
		step_of_queue(p, r >> 8);
		return;
	}
	if (live == NULL)
		return;
	switch (r % 18) {
	case 8:
		FUTURE_BUSY_POLL(&live->future.one);
		if (live->queue == NULL)
			live_finish(p, live);
		break;
	case 9:
		if (live->queue == NULL)
			follow_wakes(p, live);
		break;
	case 10:
		leave(p, live, (r >> 16) % 2 == 0 ? LEAVE_DROP : LEAVE_CANCEL);
		break;
	case 11:
		if (live->queue == NULL)
			move(p, live);
		break;
	default:
		poll_live(p, live, (int)((r >> 16) % 3) - 1);
		break;
	}
}

const char *
program_run(struct stage *stage, struct stream *stream, uint64_t max_steps,
	struct tally *tally)
{
	struct program *p = calloc(1, sizeof(*p));

	if (p == NULL)
		abort();
	p->stage = stage;
	p->stream = stream;
	p->tally = tally;
	for (int i = 0; i < REGIONS; i++) {
		struct region *region = &p->regions[i];

		region->memory = malloc(stage->region_size);
		region->model = malloc(stage->region_size);
		if (region->memory == NULL || region->model == NULL)
			abort();
		for (size_t k = 0; k < stage->region_size; k++)
			region->memory[k] = (unsigned char)(k * 31 + k / 251);
		memcpy(region->model, region->memory, stage->region_size);
	}

	for (int i = 0; i < QUEUES; i++)
		queue_make(&p->queues[i]);

	for (uint64_t i = 0; i < max_steps && p->wrong == NULL; i++) {
		if (stream->data != NULL && stream->size == 0)
			break;
		step(p);
		tally->steps++;
	}

	for (int i = 0; i < QUEUES; i++) {
		delete_queue(p, &p->queues[i]);
		tally->queued += p->queues[i].nreaped;
		if (p->queues[i].wrong != NULL)
			p->wrong = p->queues[i].wrong;
	}
	for (int i = 0; i < LIVE; i++)
		if (p->live[i].mover != NULL) {
			runtime_wait(stage->runtime, live_future(&p->live[i]));
			live_finish(p, &p->live[i]);
		}

	const char *wrong = p->wrong;

	for (int i = 0; i < REGIONS; i++) {
		struct region *region = &p->regions[i];

		if (wrong == NULL &&
			memcmp(region->memory, region->model,
				stage->region_size) != 0)
			wrong = "wrong bytes at the end";
		tally->bytes += stage->region_size;
		free(region->memory);
		free(region->model);
	}
	free(p);
	return wrong;
}
