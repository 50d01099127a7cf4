/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * program.c -- see program.h
 *
 * Memory consists of a few regions. The model has a second copy of each. A live
 * operation owns its destination region, and shares its source region with
 * other readers. So its result is known when it is created. The model is
 * written then, and compared when the operation is complete.
 */

#include "program.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libminiasync.h"
#include "operation/memory.h"
#include "reaping.h"
#include "stage.h"

#define REGIONS 16
#define LIVE 24
#define QUEUES 2

struct region {
	unsigned char *memory;
	unsigned char *model;
	int readers; /* live operations; -1: an operation writes */
};

/* A copy, then a fill of the first half of its destination. */
struct pair_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, copy);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, fill);
};

FUTURE(pair_future, struct pair_data, char);

struct live {
	struct mover *mover; /* NULL: not in use */
	struct region *dst;
	struct region *src; /* NULL: has none, or the same as dst */
	bool is_pair;
	bool is_bad;
	size_t at, n;                 /* the range that it writes */
	struct vdm_segment *segments; /* NULL: it has none */
	union {
		struct vdm_operation_future one;
		struct pair_future pair;
	} future;
	atomic_uint wakes[2]; /* its waker's, and its other waker's */
	int waker;            /* which the last poll brought; -1: none */
	unsigned seen;        /* of that one's wakes, by the last poll */
	struct queue *queue;  /* NULL: no queue has it */
	bool is_canceled;     /* while a queue has it */
};

struct program {
	struct stage *stage;
	struct stream *stream;
	struct tally *tally;
	struct region regions[REGIONS];
	struct live live[LIVE];
	struct queue queues[QUEUES];
	const char *wrong;
};

static void
replace_mover(struct program *p, enum kind kind, uint64_t number)
{
	mover_replace(p->stage, kind, number);
	p->tally->movers++;
}

static struct future *
future_of(struct live *live)
{
	return live->is_pair ? FUTURE_AS_RUNNABLE(&live->future.pair)
			     : FUTURE_AS_RUNNABLE(&live->future.one);
}

static void
count_wake(void *data)
{
	atomic_fetch_add((atomic_uint *)data, 1);
}

static bool
is_wrong_at(const struct live *live, size_t at)
{
	return live->dst->memory[at] != live->dst->model[at];
}

static void
clear(struct program *p, struct live *live)
{
	live->dst->readers = 0;
	if (live->src != NULL)
		live->src->readers--;
	free(live->segments);
	mover_leave(p->stage, live->mover);
	live->mover = NULL;
}

/* The operation is complete, so the model and the memory must agree. */
static void
finish(struct program *p, struct live *live)
{
	const struct vdm_operation_output *output = live->is_pair
		? &FUTURE_DATA(&live->future.pair)->fill.fut.output
		: FUTURE_OUTPUT(&live->future.one);
	const enum vdm_operation_result want = live->is_canceled
		? VDM_ERROR_CANCELED
		: live->is_bad ? VDM_ERROR_JOB_CORRUPTED
			       : VDM_SUCCESS;

	if (output->result != want)
		p->wrong = "wrong result of an operation";
	if (live->segments != NULL && !live->is_canceled &&
		output->output.memcpyv.copied !=
			(live->is_bad ? 0
				      : FUTURE_DATA(&live->future.one)
						->operation.data.memcpyv
						.nsegments))
		p->wrong = "wrong number of copied segments";
	if (memcmp(live->dst->memory + live->at, live->dst->model + live->at,
		    live->n) != 0)
		p->wrong = "wrong bytes after an operation";

	/* 64 bytes before it and 64 bytes behind it, too. */
	const size_t end = live->at + live->n;

	for (size_t i = 1; i <= 64 && i <= live->at; i++)
		if (is_wrong_at(live, live->at - i))
			p->wrong = "wrong bytes outside the range";
	for (size_t i = 0; i < 64 && end + i < p->stage->region_size; i++)
		if (is_wrong_at(live, end + i))
			p->wrong = "wrong bytes outside the range";

	p->tally->operations += live->is_pair ? 2 : 1;
	p->tally->refused += live->is_bad;
	p->tally->bytes += live->n + 128;
	p->tally->wakes += live->wakes[0] + live->wakes[1];
	clear(p, live);
}

static size_t
random_size(struct program *p, size_t max)
{
	const uint64_t r = stream_next(p->stream);
	size_t n = max;

	switch (r % 8) {
	case 0:
		n = 16;
		break;
	case 1:
	case 2:
		n = 300;
		break;
	case 3:
		n = 20000;
		break;
	case 4: /* a waiting thread does it, in one piece or some */
		n = 700000;
		break;
	case 5:
	case 6:
		n = max / 8;
		break;
	}
	return (size_t)(r >> 3) % ((n < max ? n : max) + 1);
}

static void
copy_then_fill(struct live *live, struct vdm *vdm, void *to, const void *from,
	size_t n, int c, uint64_t flags)
{
	struct pair_future *pair = &live->future.pair;

	FUTURE_CHAIN_ENTRY_INIT(&pair->data.copy,
		vdm_memcpy(vdm, to, from, n, flags), NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&pair->data.fill,
		vdm_memset(vdm, to, c, n / 2, flags), NULL, NULL);
	age_future(&pair->data.copy.fut, (unsigned)c >> 8);
	age_future(&pair->data.fill.fut, (unsigned)c >> 16);
	FUTURE_CHAIN_INIT(pair);
}

/*
 * A copy of n bytes as a list of segments, from both ends of the list to its
 * middle. A bad list has a segment without a source.
 */
static void
copy_segments(struct live *live, struct vdm *vdm, unsigned char *to,
	const unsigned char *from, uint64_t r, uint64_t flags)
{
	const size_t nsegments = 1 + r % (r >> 8 & 1 ? 4 : 200);
	const size_t size = live->n / nsegments;
	size_t at = 0;

	live->segments = calloc(nsegments, sizeof(*live->segments));
	if (live->segments == NULL)
		abort();
	for (size_t i = 0; i < nsegments; i++) {
		struct vdm_segment *segment =
			&live->segments[i % 2 == 0 ? i / 2
						   : nsegments - 1 - i / 2];
		const size_t n = i == nsegments - 1 ? live->n - at : size;

		*segment = (struct vdm_segment){to + at, from + at, n};
		at += n;
		if (live->is_bad && i == nsegments - 1)
			*segment = (struct vdm_segment){to, NULL, 1};
	}
	live->future.one = vdm_memcpyv(vdm, live->segments, nsegments, flags);
}

enum place { PLACE_FREE, PLACE_USED };

/* Returns the first such place at this number or after it, or NULL. */
static struct live *
find_place(struct program *p, uint64_t from, enum place wanted)
{
	for (uint64_t i = 0; i < LIVE; i++) {
		struct live *live = &p->live[(from + i) % LIVE];

		if ((live->mover != NULL ? PLACE_USED : PLACE_FREE) == wanted)
			return live;
	}
	return NULL;
}

static struct region *
find_free_region(struct program *p, uint64_t from)
{
	for (uint64_t i = 0; i < REGIONS; i++) {
		struct region *region = &p->regions[(from + i) % REGIONS];

		if (region->readers == 0)
			return region;
	}
	return NULL;
}

/* Creates an operation if a place and a region are free. */
static void
create(struct program *p)
{
	const size_t size = p->stage->region_size;
	struct live *live = find_place(p, stream_next(p->stream), PLACE_FREE);
	struct region *dst = find_free_region(p, stream_next(p->stream));
	struct region *src = &p->regions[stream_next(p->stream) % REGIONS];
	const uint64_t r = stream_next(p->stream);
	const size_t n = random_size(p, size);
	const size_t at = stream_next(p->stream) % (size - n + 1);
	const size_t from = stream_next(p->stream) % (size - n + 1);
	const int c = (int)(r >> 32);
	const uint64_t flags = r >> 24 & VDM_F_VALID_FLAGS;
	if (live == NULL || dst == NULL)
		return;
	if (src->readers < 0)
		src = dst;

	void *const to = dst->memory + at;
	struct vdm_operation_future *one = &live->future.one;

	live->mover = mover_take(p->stage, (enum kind)(r % KINDS));
	live->dst = dst;
	live->src = NULL;
	live->segments = NULL;
	live->at = at;
	live->n = n;
	live->is_pair = false;
	live->is_bad = false;
	live->wakes[0] = live->wakes[1] = 0;
	live->waker = -1;
	live->queue = NULL;
	live->is_canceled = false;
	dst->readers = -1;

	struct vdm *const vdm = live->mover->vdm;

	switch (r >> 8 & 15) {
	case 0: /* unknown flags */
		live->is_bad = true;
		*one = vdm_memset(vdm, to, c, n, flags | 1u << (2 + (c & 15)));
		break;
	case 1: /* no memory, and something to do */
		live->is_bad = n > 0;
		*one = vdm_memcpy(vdm, to, NULL, n, flags);
		break;
	case 2:
	case 3:
		memmove(dst->model + at, dst->model + from, n);
		*one = vdm_memmove(vdm, to, dst->memory + from, n, flags);
		break;
	case 4:
	case 5:
		memset(dst->model + at, c, n);
		*one = vdm_memset(vdm, to, c, n, flags);
		break;
	case 6: /* refused by a CPU that cannot */
		live->is_bad = n > 0 && mia_memory_capabilities() == 0;
		*one = vdm_flush(vdm, to, n, flags);
		break;
	default:
		if (src == dst) {
			memset(dst->model + at, c, n);
			*one = vdm_memset(vdm, to, c, n, flags);
			break;
		}
		live->src = src;
		src->readers++;
		if ((r >> 8 & 15) < 10) {
			live->is_bad = (r >> 12 & 7) == 0;
			if (!live->is_bad)
				memcpy(dst->model + at, src->model + from, n);
			copy_segments(live, vdm, to, src->memory + from,
				r >> 16, flags);
			p->tally->lists++;
			break;
		}
		memcpy(dst->model + at, src->model + from, n);
		live->is_pair = (r >> 12 & 3) == 0;
		if (live->is_pair) {
			memset(dst->model + at, c, n / 2);
			copy_then_fill(
				live, vdm, to, src->memory + from, n, c, flags);
			p->tally->chains++;
		} else {
			*one = vdm_memcpy(
				vdm, to, src->memory + from, n, flags);
		}
		break;
	}
	if (!live->is_pair)
		age_future(one, (unsigned)c >> 8);
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
		future_poll(future_of(live), NULL);
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

	if (future_poll(future_of(live), waker >= 0 ? &n : NULL) ==
		FUTURE_STATE_COMPLETE)
		finish(p, live);
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
			futs[n++] = future_of(&p->live[i]);
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
			finish(p, lives[i]);
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
		future_of(live)->context.state != FUTURE_STATE_IDLE ||
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
		clear(p, live);
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
	queue_add(queue, future_of(live), live);
}

/* A queue has given it back. */
static void
take_from_queue(const struct completion *completion, void *arg)
{
	struct program *p = arg;
	struct live *live = completion->user_data;

	if (live->queue == NULL || completion->future != future_of(live))
		p->wrong = "a queue returned a wrong future";
	finish(p, live);
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
		if (future_of(live)->context.state != FUTURE_STATE_COMPLETE)
			p->wrong = "a future is not complete after its queue "
				   "was deleted";
		finish(p, live);
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
				find_place(
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
	struct live *live = find_place(p, r >> 8, PLACE_USED);

	switch (r % 18) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
		create(p);
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
			finish(p, live);
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
			runtime_wait(stage->runtime, future_of(&p->live[i]));
			finish(p, &p->live[i]);
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
