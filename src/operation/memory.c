/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory.c -- see memory.h
 *
 * This file is the same for all CPUs. It turns flags into calls of
 * memory_cpu.h.
 *
 * Plain copies call libc's memmove(), which chooses instructions by CPU and
 * size. In every libc that we measured, memmove() costs the same as memcpy().
 * So one function does copies and overlapping moves, and a copy of ranges that
 * overlap is defined.
 *
 * Invariant: a function that streamed or wrote back ends with a fence of the
 * CPU, or requests the fence by its return value. A release store after the
 * fence then publishes the bytes.
 */

#include "operation/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "libminiasync/vdm.h"
#include "operation/memory_cpu.h"
#include "system/platform.h"

/* The last-level cache if neither the CPU nor the system reports its size. */
#define LAST_CACHE_BYTES ((size_t)64 << 20)

/* The function that writes a line back, or NULL. */
static mia_line_fn
best_line_fn(void)
{
	static const struct mia_line_way none = {"none", NULL};
	static _Atomic(const struct mia_line_way *) best;

	/*
	 * Relaxed, load and store: every thread stores the same pointer, to a
	 * constant. So nothing is published with the pointer.
	 */
	const struct mia_line_way *way =
		atomic_load_explicit(&best, memory_order_relaxed);

	if (way == NULL) {
		way = mia_cpu_line_way(0);
		if (way == NULL)
			way = &none;
		atomic_store_explicit(&best, way, memory_order_relaxed);
	}
	return way->write_back;
}

void
mia_memory_for_lines(const void *address, size_t n, size_t line_bytes,
	void (*line)(const void *address))
{
	if (n == 0)
		return;

	/* A count ends the loop: the address after the last may not exist. */
	const uintptr_t mask = ~((uintptr_t)line_bytes - 1);
	const uintptr_t first = (uintptr_t)address & mask;
	const uintptr_t last = ((uintptr_t)address + (n - 1)) & mask;
	const size_t lines = (last - first) / line_bytes + 1;

	for (size_t i = 0; i < lines; i++)
		line((const void *)(first + i * line_bytes));
}

/* A fence must follow. Returns 0, or -ENOTSUP after doing nothing. */
static int
write_back(const void *address, size_t n)
{
	const mia_line_fn line = best_line_fn();

	if (line == NULL)
		return -ENOTSUP;

	mia_memory_for_lines(address, n, mia_cpu_line_bytes(), line);
	return 0;
}

int
mia_memory_flush(const void *address, size_t n)
{
	const int error = write_back(address, n);

	if (error == 0)
		mia_cpu_fence();
	return error;
}

/* Three quarters of the last-level cache, as in glibc. */
size_t
mia_memory_stream_min(void)
{
	size_t bytes = mia_cpu_last_cache_bytes();

	if (bytes == 0)
		bytes = mia_last_cache_bytes();
	return (bytes > 0 ? bytes : LAST_CACHE_BYTES) / 4 * 3;
}

unsigned
mia_memory_capabilities(void)
{
	return best_line_fn() != NULL ? VDM_F_VALID_FLAGS : 0;
}

/*
 * Call this after n bytes at dst were streamed. Makes them as durable as flags
 * require. Returns whether a fence must follow.
 */
static bool
finish_stream(
	const char *dst, size_t n, struct mia_ragged ragged, unsigned flags)
{
	const bool is_durable = (flags & VDM_F_MEM_DURABLE) != 0;

	if (is_durable) {
		write_back(dst, ragged.head_bytes);
		write_back(dst + n - ragged.tail_bytes, ragged.tail_bytes);
	}
	return is_durable || ragged.head_bytes + ragged.tail_bytes < n;
}

bool
mia_memory_move_unfenced(void *dst, const void *src, size_t n, unsigned flags)
{
	/*
	 * Streaming copies upwards, which is wrong if dst is inside src's
	 * range. Only in that case the unsigned distance is less than n.
	 */
	if ((flags & VDM_F_NO_CACHE_HINT) != 0 &&
		(uintptr_t)dst - (uintptr_t)src >= n)
		return finish_stream(
			dst, n, mia_cpu_stream_move(dst, src, n), flags);

	memmove(dst, src, n);
	return (flags & VDM_F_MEM_DURABLE) != 0 && write_back(dst, n) == 0;
}

void
mia_memory_fence(void)
{
	mia_cpu_fence();
}

void
mia_memory_move(void *dst, const void *src, size_t n, unsigned flags)
{
	if (mia_memory_move_unfenced(dst, src, n, flags))
		mia_cpu_fence();
}

void
mia_memory_set(void *dst, int c, size_t n, unsigned flags)
{
	if ((flags & VDM_F_NO_CACHE_HINT) != 0) {
		const struct mia_ragged ragged = mia_cpu_stream_set(dst, c, n);

		if (finish_stream(dst, n, ragged, flags))
			mia_cpu_fence();
		return;
	}

	memset(dst, c, n);
	if ((flags & VDM_F_MEM_DURABLE) != 0)
		mia_memory_flush(dst, n);
}
