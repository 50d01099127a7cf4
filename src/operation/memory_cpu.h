/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory_cpu.h -- the instructions of a CPU that memory.c uses
 *
 * Each memory_<cpu>.c defines all functions of this header. CMake compiles one
 * of these files. memory_portable.c is for every CPU without a file of its own.
 *
 * To add instructions for another CPU, add memory_<cpu>.c and one line in
 * CMakeLists.txt, beside the other calls of mia_memory_cpu().
 *
 * A CPU file includes no other header of the library, and does not call
 * memory.c. A function that streams returns the ragged ends, and memory.c
 * writes them back.
 *
 * Threads: all functions are safe from any thread, and none blocks.
 */

#ifndef LIBMINIASYNC_MEMORY_CPU_H
#define LIBMINIASYNC_MEMORY_CPU_H 1

#include <stddef.h>

/* Writes back the cache line of the address. A fence must follow. */
typedef void (*mia_line_fn)(const void *address);

/* One instruction that writes a cache line back. */
struct mia_line_way {
	const char *name; /* for tests; the kernel's name, if any */
	mia_line_fn write_back;
};

/*
 * number   0 for the best way of the CPU that runs this code, 1 for the next
 * Returns  a constant way, or NULL after the last one. The result for a number
 *          is always the same.
 */
const struct mia_line_way *mia_cpu_line_way(size_t number);

/* The size in bytes of the lines that a way writes back: a power of two. */
size_t mia_cpu_line_bytes(void);

/*
 * The size in bytes of the last-level cache of the CPU that runs this code. 0:
 * unknown, so the system should be asked.
 */
size_t mia_cpu_last_cache_bytes(void);

/*
 * Orders this thread's earlier stores before its later stores. This includes
 * streamed stores and write-backs.
 */
void mia_cpu_fence(void);

/*
 * The two ends of a range that was streamed. Their bytes went through the
 * caches. The bytes between them did not. A CPU that cannot stream stores all
 * bytes through the caches, and returns all of them as the head.
 */
struct mia_ragged {
	size_t head_bytes;
	size_t tail_bytes;
};

/*
 * Copies n bytes past the caches, as far as the CPU can.
 *
 * Before  dst is not inside src's range: (uintptr_t)dst - (uintptr_t)src is at
 *         least n, as an unsigned number. src may be inside dst's range.
 * After   the bytes between the ragged ends need a fence, but no write-back.
 */
struct mia_ragged mia_cpu_stream_move(void *dst, const void *src, size_t n);

/* Sets n bytes to (unsigned char)c, with the same state after it. */
struct mia_ragged mia_cpu_stream_set(void *dst, int c, size_t n);

#endif /* LIBMINIASYNC_MEMORY_CPU_H */
