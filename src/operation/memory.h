/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory.h -- move, set and write back memory as VDM_F_* flags ask
 *
 * Threads: all functions are safe from any thread. None fails or blocks;
 * ranges are the caller's to be valid. Unknown flags are ignored.
 */

#ifndef LIBMINIASYNC_MEMORY_H
#define LIBMINIASYNC_MEMORY_H 1

#include <stdbool.h>
#include <stddef.h>

/* The ways to write cache lines back; a later one is preferred. */
enum mia_writeback {
	MIA_WRITEBACK_NONE,
	MIA_WRITEBACK_CLFLUSH,
	MIA_WRITEBACK_CLFLUSHOPT,
	MIA_WRITEBACK_CLWB,
	MIA_WRITEBACK_DC_CVAC,
	MIA_WRITEBACK_DC_CVAP,
	MIA_WRITEBACK_MAX
};

/* Writes back the one cache line that holds the address. */
typedef void (*mia_line_fn)(const void *address);

/* Copies n bytes; the ranges may overlap. */
void mia_memory_move(void *dst, const void *src, size_t n, unsigned flags);

void mia_memory_set(void *dst, int c, size_t n, unsigned flags);

/* Returns false, and does nothing, if this CPU cannot. */
bool mia_memory_flush(const void *address, size_t n);

/* The VDM_F_* that this CPU can honour. */
unsigned mia_memory_capabilities(void);

/*
 * Bytes from which on a copy does not fit the last-level cache. The C library
 * does those past the caches; who does one in pieces asks for that with
 * VDM_F_NO_CACHE_HINT.
 */
size_t mia_memory_stream_min(void);

/* How this CPU writes back; found out once. */
enum mia_writeback mia_memory_writeback(void);

/* The function for one line, or NULL if this CPU cannot do it so. */
mia_line_fn mia_memory_line_fn(enum mia_writeback kind);

/* Calls line, once each, for the lines of line_size that the range touches. */
void mia_memory_for_lines(
	const void *address, size_t n, size_t line_size, mia_line_fn line);

#endif /* LIBMINIASYNC_MEMORY_H */
