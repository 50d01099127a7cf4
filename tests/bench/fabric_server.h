/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_server.h -- the other process: memory that the contestants of fabric.c
 * write and read
 *
 * A server is this program once more. It exposes its memory by a region, or by
 * calls of libfabric, and looks at the memory itself when it is asked to.
 */

#ifndef BENCH_FABRIC_SERVER_H
#define BENCH_FABRIC_SERVER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <libminiasync-vdm-fabric.h>

enum server_kind { SERVER_DIRECT, SERVER_REGION };

struct server {
	pid_t pid;
	int ask, answer;
	char address[DATA_MOVER_REGION_TOKEN_MAX];
};

void server_start(struct server *s, enum server_kind kind, size_t size);
void server_stop(struct server *s);

/* Its memory, and others: a pattern of n bytes, different for each seed. */
void server_fill(struct server *s, size_t n, unsigned char seed);
bool server_has(struct server *s, size_t n, unsigned char seed);
void pattern_fill(char *memory, size_t n, unsigned char seed);
bool pattern_is(const char *memory, size_t n, unsigned char seed);

/*
 * Servers are on the upper half of the CPUs, and the calling thread is on the
 * lower one, as if they were other machines. Otherwise every figure depends on
 * where the kernel happens to put the threads.
 */
enum half { LOWER, UPPER };

void use_half(enum half half);

#endif /* BENCH_FABRIC_SERVER_H */
