/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_direct.h -- puts and gets by libfabric itself, as a good program would
 * do them: what the mover over libfabric is compared with
 *
 * Provider, attributes and completion are those of the mover. One thread, no
 * locks, no futures. Whatever libfabric refuses ends the program.
 */

#ifndef BENCH_FABRIC_DIRECT_H
#define BENCH_FABRIC_DIRECT_H 1

#include <stdbool.h>
#include <stddef.h>

/* One side of a connection. */
struct direct;

#define DIRECT_ADDRESS_MAX 128

enum direct_kind { DIRECT_PUT, DIRECT_GET };
enum direct_wait { DIRECT_POLLS, DIRECT_SLEEPS };

/* False: there is no libfabric.so.1 with the provider. */
bool direct_is_there(void);

/* Exposes the memory, and writes the address for direct_connect(). */
struct direct *direct_expose(char *memory, size_t n, char *address);

/* Serves the peers, asleep on the queue's descriptor, until fd is readable. */
void direct_serve(struct direct *d, int fd);

/* POLLS: the queue has no descriptor, which costs libfabric some time. */
struct direct *direct_connect(const char *address, enum direct_wait wait);

/*
 * Moves count ranges of this size, which are adjacent here and there, all of
 * them in flight. Returns when all are complete.
 */
void direct_move(struct direct *d, enum direct_kind kind, char *local,
	size_t size, size_t count);

void direct_delete(struct direct *d);

#endif /* BENCH_FABRIC_DIRECT_H */
