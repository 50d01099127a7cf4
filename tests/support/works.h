/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * works.h -- helpers for tests of waits whose thread works: waits that must not
 * stall, movers of every notifier, and memory to compare
 */

#ifndef LIBMINIASYNC_TEST_WORKS_H
#define LIBMINIASYNC_TEST_WORKS_H 1

#include "test.h"

#include "libminiasync.h"
#include "wait/runtime.h"

/*
 * The safety net comes so late that a wait which needs it counts as stalled.
 * Under valgrind a wait for 16 copies of 1 MiB may take half a minute.
 */
#define WORKS_NET_NS ((TEST_SLOWDOWN > 10 ? 160000 : 40000) * MS)
#define WORKS_STALL_NS (WORKS_NET_NS / 4 * 3)

/* A check that any thread may make. */
#define WORKS_CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, \
				#condition); \
			abort(); \
		} \
	} while (0)

/* MIA_STRESS multiplies the rounds. */
static inline size_t
works_rounds(size_t n)
{
	const char *given = getenv("MIA_STRESS");

	return TEST_ROUNDS(n) * (given != NULL ? strtoul(given, NULL, 0) : 1);
}

static inline struct runtime *
works_runtime(void)
{
	struct runtime *runtime = runtime_new();

	WORKS_CHECK(runtime != NULL);
	mia_runtime_set_net(runtime, WORKS_NET_NS, WORKS_NET_NS);
	return runtime;
}

/* The runtime of all tests of a program, and the group's fixtures for it. */
static struct runtime *runtime;

static inline int
works_set_up(void **state)
{
	(void)state;
	runtime = works_runtime();
	return 0;
}

static inline int
works_tear_down(void **state)
{
	(void)state;
	runtime_delete(runtime);
	return 0;
}

/* Waits, and fails if only the safety net has ended the wait. Returns ns. */
static inline uint64_t
works_wait(struct runtime *by, struct future *futs[], size_t n)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	runtime_wait_multiple(by, futs, n);

	const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;

	WORKS_CHECK(ns < WORKS_STALL_NS);
	for (size_t i = 0; i < n; i++)
		WORKS_CHECK(futs[i]->context.state == FUTURE_STATE_COMPLETE);
	return ns;
}

static inline struct data_mover_threads *
works_mover(size_t workers, enum future_notifier_type kind)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(workers, 64, kind);

	WORKS_CHECK(dmt != NULL);
	return dmt;
}

static inline unsigned char *
works_memory(size_t n)
{
	unsigned char *memory = malloc(n > 0 ? n : 1);

	WORKS_CHECK(memory != NULL);
	return memory;
}

/* Numbers that differ at every eighth byte, and by the seed. */
static inline void
works_fill(unsigned char *memory, size_t n, uint64_t seed)
{
	uint64_t word = seed * 0x9e3779b97f4a7c15u + 1;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		word = word * 6364136223846793005u + 1442695040888963407u;
		memcpy(memory + i, &word, 8);
	}
	for (; i < n; i++)
		memory[i] = (unsigned char)(word >> (8 * (i % 8)));
}

static inline unsigned char *
works_filled(size_t n, uint64_t seed)
{
	unsigned char *memory = works_memory(n);

	works_fill(memory, n, seed);
	return memory;
}

#endif /* LIBMINIASYNC_TEST_WORKS_H */
