/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory.h -- move, set and write back memory as VDM_F_* flags ask
 *
 * The caller makes sure that ranges are valid. Unknown flags are ignored. A
 * CPU without instructions for a flag ignores the flag. The instructions are
 * in memory_<cpu>.c.
 *
 * Threads: all functions are safe from any thread, and none blocks.
 */

#ifndef LIBMINIASYNC_MEMORY_H
#define LIBMINIASYNC_MEMORY_H 1

#include <stdbool.h>
#include <stddef.h>

/* Copies n bytes; the ranges may overlap. */
void mia_memory_move(void *dst, const void *src, size_t n, unsigned flags);

/*
 * The same for one of many moves. If any of them returns true, call
 * mia_memory_fence() once, after the last move.
 */
bool mia_memory_move_unfenced(
	void *dst, const void *src, size_t n, unsigned flags);
void mia_memory_fence(void);

/* Sets n bytes to (unsigned char)c. */
void mia_memory_set(void *dst, int c, size_t n, unsigned flags);

/*
 * Writes back the cache lines of n bytes. Orders this before the thread's later
 * stores. Returns 0. If this CPU cannot write lines back, does nothing and
 * returns -ENOTSUP.
 */
int mia_memory_flush(const void *address, size_t n);

/* The VDM_F_* flags that this CPU supports. */
unsigned mia_memory_capabilities(void);

/*
 * The size in bytes of the smallest copy that does not fit the last-level
 * cache. The C library streams such a copy. A caller that splits such a copy
 * requests streaming by VDM_F_NO_CACHE_HINT.
 */
size_t mia_memory_stream_min(void);

/*
 * Calls line() once for each cache line that the range touches. line_bytes is a
 * power of two. For memory.c and its test.
 */
void mia_memory_for_lines(const void *address, size_t n, size_t line_bytes,
	void (*line)(const void *address));

#endif /* LIBMINIASYNC_MEMORY_H */
