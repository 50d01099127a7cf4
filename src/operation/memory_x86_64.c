/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory_x86_64.c -- see memory_cpu.h; for x86-64
 *
 * Streaming uses non-temporal stores of whole lines. These stores, CLWB and
 * CLFLUSHOPT are weakly ordered. SFENCE orders all of them.
 */

#include "operation/memory_cpu.h"

#include <cpuid.h>
#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Instruction bits: Intel SDM vol. 2A, CPUID leaf 01H and leaf 07H. */
#define CPUID_1_EDX_CLFSH (1U << 19)
#define CPUID_7_EBX_CLFLUSHOPT (1U << 23)
#define CPUID_7_EBX_CLWB (1U << 24)

/*
 * The caches: Intel SDM vol. 2A, CPUID leaf 04H, and AMD64 Architecture
 * Programmer's Manual vol. 3, CPUID Fn8000_001D, with the same fields.
 */
#define CPUID_INTEL_CACHES 4U
#define CPUID_AMD_CACHES 0x8000001dU
#define CPUID_80000001_ECX_TOPOLOGY (1U << 22)
#define LAST_LEVEL 3U

/* A hypervisor may answer what it likes. CPUs have four or five. */
#define MAX_CACHES 16U

/* A cache line. The loops that copy stream one line in each turn. */
#define LINE_BYTES ((size_t)64)

/*
 * Pages that are copied together: one line of each page in turn. The pages
 * begin at different lines, and go on at their first line.
 */
#define PAGE_BYTES ((size_t)4096)
#define GROUP_PAGES ((size_t)4)
#define GROUP_BYTES (GROUP_PAGES * PAGE_BYTES)
#define STAGGER_BYTES (PAGE_BYTES / GROUP_PAGES)

static void
line_clflush(const void *address)
{
	_mm_clflush(address);
}

__attribute__((target("clflushopt"))) static void
line_clflushopt(const void *address)
{
	volatile char *line = (volatile char *)(uintptr_t)address;

	__asm__ __volatile__("clflushopt %0" : "+m"(*line));
}

__attribute__((target("clwb"))) static void
line_clwb(const void *address)
{
	volatile char *line = (volatile char *)(uintptr_t)address;

	__asm__ __volatile__("clwb %0" : "+m"(*line));
}

/*
 * The best way first: CLWB keeps the line in the cache. CLFLUSHOPT does not
 * wait for the flushes of other lines.
 */
const struct mia_line_way *
mia_cpu_line_way(size_t number)
{
	static const struct mia_line_way ways[] = {
		{"clwb", line_clwb},
		{"clflushopt", line_clflushopt},
		{"clflush", line_clflush},
	};
	unsigned eax, ebx = 0, ecx, edx = 0, unused;

	__get_cpuid(1, &eax, &unused, &ecx, &edx);
	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &unused);

	const bool has[] = {
		(ebx & CPUID_7_EBX_CLWB) != 0,
		(ebx & CPUID_7_EBX_CLFLUSHOPT) != 0,
		(edx & CPUID_1_EDX_CLFSH) != 0,
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (has[i] && number-- == 0)
			return &ways[i];
	return NULL;
}

size_t
mia_cpu_line_bytes(void)
{
	return LINE_BYTES;
}

static size_t
bytes_of_cache(unsigned ebx, unsigned sets)
{
	const size_t line = (ebx & 0xfff) + 1;
	const size_t partitions = (ebx >> 12 & 0x3ff) + 1;
	const size_t ways = (ebx >> 22) + 1;

	return line * partitions * ways * sets;
}

/*
 * The system is not asked: for AMD's CPUs, glibc before 2.37 adds up all caches
 * of a processor, and each CPU can use only one of them.
 */
size_t
mia_cpu_last_cache_bytes(void)
{
	unsigned eax, ebx, ecx, edx;
	const bool is_amd =
		__get_cpuid(0x80000001U, &eax, &ebx, &ecx, &edx) != 0 &&
		(ecx & CPUID_80000001_ECX_TOPOLOGY) != 0;
	const unsigned leaf = is_amd ? CPUID_AMD_CACHES : CPUID_INTEL_CACHES;

	for (unsigned i = 0; i < MAX_CACHES &&
		__get_cpuid_count(leaf, i, &eax, &ebx, &ecx, &edx) != 0;
		i++) {
		const unsigned type = eax & 0x1f, level = eax >> 5 & 7;

		if (type == 0)
			break;
		if (level == LAST_LEVEL)
			return bytes_of_cache(ebx, ecx + 1);
	}
	return 0;
}

void
mia_cpu_fence(void)
{
	_mm_sfence();
}

/* The parts of a range of n bytes. The body has only whole lines. */
struct parts {
	size_t head;
	size_t body;
	size_t tail;
};

static struct parts
parts_of(const void *dst, size_t n)
{
	const size_t to_line = -(uintptr_t)dst & (LINE_BYTES - 1);
	const size_t head = to_line < n ? to_line : n;
	const size_t body = (n - head) / LINE_BYTES * LINE_BYTES;

	return (struct parts){head, body, n - head - body};
}

/* Copies one line, all reads before the writes. dst is aligned to a line. */
static inline void
stream_line(char *dst, const char *src)
{
	const __m128i *from = (const __m128i *)(const void *)src;
	__m128i *to = (__m128i *)(void *)dst;
	const __m128i a = _mm_loadu_si128(from);
	const __m128i b = _mm_loadu_si128(from + 1);
	const __m128i c = _mm_loadu_si128(from + 2);
	const __m128i d = _mm_loadu_si128(from + 3);

	_mm_stream_si128(to, a);
	_mm_stream_si128(to + 1, b);
	_mm_stream_si128(to + 2, c);
	_mm_stream_si128(to + 3, d);
}

/*
 * Copies n bytes, a multiple of GROUP_BYTES. Copying several pages at once
 * keeps more of the memory's banks busy. The next group is fetched at the same
 * time. Prefetches beyond the end have no effect.
 *
 * A CPU compares loads with earlier stores by the address within a page (Intel
 * 64 and IA-32 Architectures Optimization Reference Manual, 4-KByte aliasing).
 * If all pages began at the same line, a load would wait for the store to the
 * page before, wherever both ranges begin at a page.
 */
static void
stream_groups(char *dst, const char *src, size_t n)
{
	for (; n > 0; n -= GROUP_BYTES) {
		for (size_t at = 0; at < PAGE_BYTES; at += LINE_BYTES) {
			for (size_t page = 0; page < GROUP_PAGES; page++) {
				const size_t i = page * PAGE_BYTES +
					(at + page * STAGGER_BYTES) %
						PAGE_BYTES;

				_mm_prefetch(
					src + i + GROUP_BYTES, _MM_HINT_T0);
				stream_line(dst + i, src + i);
			}
		}
		dst += GROUP_BYTES;
		src += GROUP_BYTES;
	}
}

/*
 * Groups are slow if the lines of src and dst begin at different addresses:
 * they took 2.7 times as long as single lines on an AMD EPYC of family 25.
 */
static bool
is_for_groups(const char *dst, const char *src)
{
	return ((uintptr_t)dst - (uintptr_t)src) % LINE_BYTES == 0;
}

/* If the ranges overlap, src is above dst, and the copy is strictly upwards. */
struct mia_ragged
mia_cpu_stream_move(void *dst, const void *src, size_t n)
{
	const struct parts parts = parts_of(dst, n);
	const bool overlap = (uintptr_t)src - (uintptr_t)dst < n;
	const size_t groups = !overlap && is_for_groups(dst, src)
		? parts.body / GROUP_BYTES * GROUP_BYTES
		: 0;
	char *to = dst;
	const char *from = src;

	memmove(to, from, parts.head);
	to += parts.head;
	from += parts.head;

	stream_groups(to, from, groups);
	for (size_t i = groups; i < parts.body; i += LINE_BYTES)
		stream_line(to + i, from + i);

	memmove(to + parts.body, from + parts.body, parts.tail);
	return (struct mia_ragged){parts.head, parts.tail};
}

struct mia_ragged
mia_cpu_stream_set(void *dst, int c, size_t n)
{
	const struct parts parts = parts_of(dst, n);
	const __m128i value = _mm_set1_epi8((char)c);
	char *body = (char *)dst + parts.head;

	memset(dst, c, parts.head);
	for (size_t i = 0; i < parts.body; i += sizeof(value))
		_mm_stream_si128((__m128i *)(void *)(body + i), value);
	memset(body + parts.body, c, parts.tail);
	return (struct mia_ragged){parts.head, parts.tail};
}
