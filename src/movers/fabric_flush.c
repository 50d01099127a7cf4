/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_flush.c -- see fabric_flush.h */

#include "movers/fabric_flush.h"

#include <stddef.h>

#include <rdma/fi_rma.h>

#include "movers/fabric_operation.h"
#include "system/probe.h"

/* 2^64 divided by the golden ratio: multiples differ in their upper bits. */
#define STEP UINT64_C(0x9e3779b97f4a7c15)

/* With fewer answers in vain, the region is not late. */
#define MIN_LOOKS 16

void
mia_fabric_flush_init(struct data_mover_fabric *dmf)
{
	struct mia_fabric_flush *flush = &dmf->flush;

	flush->ask = (struct mia_fabric_operation){
		.dmf = dmf, .kind = MIA_FABRIC_ASK};
	flush->is_late = false;
	mia_fabric_list_init(&flush->waiting);
	mia_fabric_list_init(&flush->asked);
	mia_fabric_list_init(&flush->done);
}

static void
post_later(struct data_mover_fabric *dmf)
{
	dmf->flush.ask.is_posting = true;
	mia_fabric_list_add(&dmf->posting, &dmf->flush.ask);
}

/* Asks in another slot than before, with another nonce. */
static void
ask(struct data_mover_fabric *dmf)
{
	struct mia_fabric_flush *flush = &dmf->flush;

	flush->nonce += STEP;
	if (flush->nonce == 0)
		flush->nonce = STEP;
	flush->slot = (unsigned)(flush->nonce * STEP >> 56);
	_Static_assert(MIA_FABRIC_SLOTS == 1 << 8, "a slot by eight bits");
	flush->bytes = mia_fabric_request_seal(
		&flush->request, flush->count, flush->nonce);
	flush->is_put = false;
	post_later(dmf);
}

/* Asks for as many waiting operations as one request has room for. */
static void
ask_for_waiting(struct data_mover_fabric *dmf)
{
	struct mia_fabric_flush *flush = &dmf->flush;
	uint64_t room = MIA_FABRIC_REQUEST_BYTES;
	struct mia_fabric_operation *op;

	flush->count = 0;
	while (flush->count < MIA_FABRIC_RANGES && room > 0 &&
		(op = mia_fabric_list_take(&flush->waiting)) != NULL) {
		op->asked = op->to_flush < room ? op->to_flush : (size_t)room;
		room -= op->asked;
		mia_fabric_request_set(&flush->request, flush->count++,
			op->remote + op->n - op->to_flush, op->asked);
		mia_fabric_list_add(&flush->asked, op);
		MIA_PROBE2(run, &op->completion, MIA_PROBE_FABRIC);
	}
	flush->looks = 0;
	ask(dmf);
}

void
mia_fabric_flush_add(struct mia_fabric_operation *op)
{
	struct mia_fabric_flush *flush = &op->dmf->flush;

	mia_fabric_list_add(&flush->waiting, op);
	if (flush->asked.first == NULL)
		ask_for_waiting(op->dmf);
}

ssize_t
mia_fabric_flush_post(struct data_mover_fabric *dmf)
{
	struct mia_fabric_flush *flush = &dmf->flush;
	const uint64_t key = mia_fabric_slots_key(dmf->key);
	const uint64_t at = flush->slot * sizeof(struct mia_fabric_slot);

	if (flush->is_put)
		return fi_read(dmf->end.ep, &flush->answer,
			sizeof(flush->answer), NULL, dmf->peer, at, key,
			&flush->ask);
	return fi_writedata(dmf->end.ep, &flush->request, flush->bytes, NULL,
		flush->slot, dmf->peer,
		at + offsetof(struct mia_fabric_slot, request), key,
		&flush->ask);
}

/*
 * The region has not done the request yet. The number of answers counts as well
 * as the time, because a program that polls seldom gets old answers.
 */
static void
look_again(struct data_mover_fabric *dmf)
{
	struct mia_fabric_flush *flush = &dmf->flush;
	const uint64_t now = mia_clock_ns();

	if (flush->looks++ == 0)
		flush->since_ns = now;
	flush->is_late = flush->looks >= MIN_LOOKS &&
		now - flush->since_ns >= dmf->idle_ns;
	if (mia_fabric_answer_is_lost(&flush->answer, flush->nonce))
		ask(dmf);
	else
		post_later(dmf);
}

/* The region has written back the ranges of the request. */
static void
take_asked(struct data_mover_fabric *dmf)
{
	struct mia_fabric_flush *flush = &dmf->flush;
	struct mia_fabric_operation *op;

	flush->is_late = false;
	while ((op = mia_fabric_list_take(&flush->asked)) != NULL) {
		op->to_flush -= op->asked;
		mia_fabric_list_add(
			op->to_flush > 0 ? &flush->waiting : &flush->done, op);
	}
	if (flush->waiting.first != NULL)
		ask_for_waiting(dmf);
}

void
mia_fabric_flush_settle(struct data_mover_fabric *dmf)
{
	struct mia_fabric_flush *flush = &dmf->flush;

	if (!flush->is_put) {
		flush->is_put = true;
		post_later(dmf);
	} else if (mia_fabric_answer_is_done(&flush->answer, flush->nonce)) {
		take_asked(dmf);
	} else {
		look_again(dmf);
	}
}

struct mia_fabric_operation *
mia_fabric_flush_take(struct data_mover_fabric *dmf)
{
	return mia_fabric_list_take(&dmf->flush.done);
}
