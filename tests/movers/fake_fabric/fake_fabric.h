/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fake_fabric.h -- controls the fake libfabric, and reads its records
 *
 * The fake takes the place of the loaded library. Its network is the memory of
 * the process: a part that was posted is done when the poster reads its queue,
 * some parts earlier and some later. Keys, bounds and access rights are checked
 * as the provider "tcp" does, and a refused part ends the connection. Every
 * call can be made to fail.
 */

#ifndef FAKE_FABRIC_CONTROL_H
#define FAKE_FABRIC_CONTROL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_fabric_call {
	FAKE_FABRIC_DUPINFO, /* returns NULL */
	FAKE_FABRIC_GETINFO,
	FAKE_FABRIC_FABRIC,
	FAKE_FABRIC_DOMAIN,
	FAKE_FABRIC_CQ_OPEN,
	FAKE_FABRIC_AV_OPEN,
	FAKE_FABRIC_ENDPOINT,
	FAKE_FABRIC_BIND,
	FAKE_FABRIC_ENABLE,
	FAKE_FABRIC_GETWAIT,
	FAKE_FABRIC_GETNAME,
	FAKE_FABRIC_INSERT,
	FAKE_FABRIC_MR_REG,
	FAKE_FABRIC_POST,    /* a read or write */
	FAKE_FABRIC_PART,    /* a part that was posted */
	FAKE_FABRIC_CQ_READ, /* while parts are under way */
};

#define FAKE_FABRIC_CALLS (FAKE_FABRIC_CQ_READ + 1)

/* Everything as at the start, with these random numbers. */
void fake_fabric_reset(uint64_t seed);

/* There is no library, or one without a provider that is allowed. */
void fake_fabric_set_absent(bool is_absent);
void fake_fabric_set_provider(const char *name);

/* The nth such call from now on, from 1 on, fails with this error, once. */
void fake_fabric_fail(enum fake_fabric_call call, unsigned nth, int error);

/* One post in so many finds no room, at random. 0: none. */
void fake_fabric_set_full(unsigned one_in);

/* Nothing happens any more, until it goes on. */
void fake_fabric_stall(bool is_stalled);

/* A closed endpoint does not return its parts, though it should. */
void fake_fabric_set_loses(bool loses);

/* Another peer writes a word into exposed memory of n bytes. */
void fake_fabric_scribble(size_t n, size_t at, uint64_t word);

/*
 * A peer that has no key writes nothing, but sends this data so many times, to
 * all regions and movers that have room for it.
 */
void fake_fabric_send_data(unsigned n, uint64_t data);

/* Objects that are open, infos included. */
unsigned fake_fabric_open(void);

/* Parts that were done, and the most that were under way at once. */
uint64_t fake_fabric_parts(void);
unsigned fake_fabric_most(void);

#endif /* FAKE_FABRIC_CONTROL_H */
