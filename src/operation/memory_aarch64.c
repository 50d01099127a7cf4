/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory_aarch64.c -- see memory_cpu.h; for 64-bit Arm under Linux
 *
 * Linux lets programs write lines back, and lists the instructions of the CPU.
 * No instruction is known to make streaming faster, so the functions that
 * stream use plain copies and sets.
 */

#include "operation/memory_cpu.h"

#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

/* Linux, Documentation/arch/arm64/elf_hwcaps: DC CVAP is usable. */
#define HWCAP_BIT_DCPOP (1UL << 16)

static void
line_cvac(const void *address)
{
	__asm__ __volatile__("dc cvac, %0" ::"r"(address) : "memory");
}

/* The encoding of DC CVAP, whose name older assemblers lack. */
static void
line_cvap(const void *address)
{
	__asm__ __volatile__("sys #3, c7, c12, #1, %0" ::"r"(address)
			     : "memory");
}

/*
 * DC CVAP writes back to the point of persistence. DC CVAC writes back to the
 * point of coherency.
 */
const struct mia_line_way *
mia_cpu_line_way(size_t number)
{
	static const struct mia_line_way ways[] = {
		{"dcpop", line_cvap},
		{"dc cvac", line_cvac}, /* every CPU has it */
	};
	const size_t nways = sizeof(ways) / sizeof(ways[0]);
	const size_t best = getauxval(AT_HWCAP) & HWCAP_BIT_DCPOP ? 0 : 1;

	return number < nways - best ? &ways[best + number] : NULL;
}

/* CTR_EL0.DminLine: log2 of the words in the smallest data cache line. */
size_t
mia_cpu_line_bytes(void)
{
	uint64_t ctr;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	return (size_t)4 << ((ctr >> 16) & 15);
}

size_t
mia_cpu_last_cache_bytes(void)
{
	return 0;
}

void
mia_cpu_fence(void)
{
	__asm__ __volatile__("dsb sy" ::: "memory");
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
