/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory_portable.c -- see memory_cpu.h; for CPUs without a file of their own
 *
 * Without instructions of the CPU there is no write-back and no streaming.
 */

#include "operation/memory_cpu.h"

#include <string.h>

const struct mia_line_way *
mia_cpu_line_way(size_t number)
{
	(void)number;
	return NULL;
}

/* Any power of two, because no line is written back. */
size_t
mia_cpu_line_bytes(void)
{
	return 64;
}

size_t
mia_cpu_last_cache_bytes(void)
{
	return 0;
}

/* Plain stores need no fence: the release store that follows is enough. */
void
mia_cpu_fence(void)
{
}

struct mia_ragged
mia_cpu_stream_move(void *dst, const void *src, size_t n)
{
	memmove(dst, src, n);
	return (struct mia_ragged){.head_bytes = n};
}

struct mia_ragged
mia_cpu_stream_set(void *dst, int c, size_t n)
{
	memset(dst, c, n);
	return (struct mia_ragged){.head_bytes = n};
}
