/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory_cpu.h -- the instructions that memory.c takes from a CPU
 *
 * Each memory_<cpu>.c defines all functions of this header. CMake compiles one
 * of these files. memory_portable.c serves every CPU that has no file.
 *
 * To add instructions for another CPU, add memory_<cpu>.c and one line in
 * CMakeLists.txt, beside the other calls of mia_memory_cpu().
 *
 * A CPU file only includes this header. It never calls memory.c: a function
 * that streams returns the ragged ends, and memory.c writes them back.
 *
 * Threads: all functions are safe from any thread, and none blocks.
 */

#ifndef LIBMINIASYNC_MEMORY_CPU_H
#define LIBMINIASYNC_MEMORY_CPU_H 1

#include <stddef.h>

/* Writes back the cache line that holds the address; needs a fence later. */
typedef void (*mia_line_fn)(const void *address);

/* One instruction that writes a cache line back. */
struct mia_line_way {
	const char *name; /* for tests; the kernel's, where it has one */
	mia_line_fn write_back;
};

/*
 * number   0 for the best way of the CPU that runs this, 1 for the next one
 * Returns  the way, which is constant, or NULL after the last one. Every call
 *          with the same number returns the same.
 */
const struct mia_line_way *mia_cpu_line_way(size_t number);

/* The size of the lines that a way writes back: a power of two. */
size_t mia_cpu_line_bytes(void);

/*
 * Orders this thread's earlier stores, streamed ones and write-backs included,
 * before its later stores.
 */
void mia_cpu_fence(void);

/*
 * Both ends of a range that was streamed. These bytes went through the caches,
 * the bytes between them did not. A CPU that cannot stream stores all bytes
 * through the caches, and returns them all as the head.
 */
struct mia_ragged {
	size_t head_bytes;
	size_t tail_bytes;
};

/*
 * Copies n bytes past the caches, as far as the CPU can.
 *
 * Before  dst is not above src in one range: (uintptr_t)dst - (uintptr_t)src
 *         is at least n, as an unsigned number. src may be above dst.
 * After   the bytes between the ragged ends need a fence, and no write-back.
 */
struct mia_ragged mia_cpu_stream_move(void *dst, const void *src, size_t n);

/* Sets n bytes to (unsigned char)c, with the same state after it. */
struct mia_ragged mia_cpu_stream_set(void *dst, int c, size_t n);

#endif /* LIBMINIASYNC_MEMORY_CPU_H */
