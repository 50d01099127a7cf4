/* SPDX-License-Identifier: BSD-3-Clause */

/* live.c -- see live.h */

#include "live.h"

#include <stdlib.h>
#include <string.h>

#include "operation/memory.h"

struct future *
live_future(struct live *live)
{
	return live->is_pair ? FUTURE_AS_RUNNABLE(&live->future.pair)
			     : FUTURE_AS_RUNNABLE(&live->future.one);
}

static bool
is_wrong_at(const struct live *live, size_t at)
{
	return live->dst->memory[at] != live->dst->model[at];
}

void
live_clear(struct program *p, struct live *live)
{
	live->dst->readers = 0;
	if (live->src != NULL)
		live->src->readers--;
	free(live->segments);
	mover_leave(p->stage, live->mover);
	live->mover = NULL;
}

void
live_finish(struct program *p, struct live *live)
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
	live_clear(p, live);
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

struct live *
live_find(struct program *p, uint64_t from, enum place wanted)
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

void
live_create(struct program *p)
{
	const size_t size = p->stage->region_size;
	struct live *live = live_find(p, stream_next(p->stream), PLACE_FREE);
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
