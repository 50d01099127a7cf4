/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memory.c -- see memory.h
 *
 * Plain copies are libc's, which chooses by CPU and size and turns to
 * non-temporal stores by itself where a copy outgrows the cache. Copies and
 * overlapping moves are one function: memmove costs the same as memcpy in
 * every libc we measured, and a copy of ranges that overlap stays defined.
 *
 * Non-temporal stores are weakly ordered: each function here that issued one
 * ends with SFENCE, so that a release store that follows publishes the bytes.
 * The write-back instructions are ordered the same way.
 */

#include "operation/memory.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "libminiasync/vdm.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <emmintrin.h>

/* Instruction bits: Intel SDM vol. 2A, CPUID leaf 01H and leaf 07H. */
#define CPUID_1_EDX_CLFSH (1U << 19)
#define CPUID_7_EBX_CLFLUSHOPT (1U << 23)
#define CPUID_7_EBX_CLWB (1U << 24)

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

mia_line_fn
mia_memory_line_fn(enum mia_writeback kind)
{
	unsigned eax, ebx = 0, ecx, edx = 0, unused;

	__get_cpuid(1, &eax, &unused, &ecx, &edx);
	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &unused);

	if (kind == MIA_WRITEBACK_CLWB && (ebx & CPUID_7_EBX_CLWB))
		return line_clwb;
	if (kind == MIA_WRITEBACK_CLFLUSHOPT && (ebx & CPUID_7_EBX_CLFLUSHOPT))
		return line_clflushopt;
	if (kind == MIA_WRITEBACK_CLFLUSH && (edx & CPUID_1_EDX_CLFSH))
		return line_clflush;

	return NULL;
}

static size_t
cache_line_size(void)
{
	return 64;
}

static void
writeback_fence(void)
{
	_mm_sfence();
}

#elif defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

/* Linux, Documentation/arch/arm64/elf_hwcaps: DC CVAP is usable. */
#define HWCAP_BIT_DCPOP (1UL << 16)

static void
line_cvac(const void *address)
{
	__asm__ __volatile__("dc cvac, %0" ::"r"(address) : "memory");
}

/* The encoding of DC CVAP, which older assemblers do not know by name. */
static void
line_cvap(const void *address)
{
	__asm__ __volatile__("sys #3, c7, c12, #1, %0" ::"r"(address)
			     : "memory");
}

mia_line_fn
mia_memory_line_fn(enum mia_writeback kind)
{
	if (kind == MIA_WRITEBACK_DC_CVAP &&
		(getauxval(AT_HWCAP) & HWCAP_BIT_DCPOP))
		return line_cvap;
	if (kind == MIA_WRITEBACK_DC_CVAC)
		return line_cvac;

	return NULL;
}

/* CTR_EL0.DminLine: log2 of the words in the smallest data cache line. */
static size_t
cache_line_size(void)
{
	uint64_t ctr;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	return (size_t)4 << ((ctr >> 16) & 15);
}

static void
writeback_fence(void)
{
	__asm__ __volatile__("dsb sy" ::: "memory");
}

#else

mia_line_fn
mia_memory_line_fn(enum mia_writeback kind)
{
	(void)kind;
	return NULL;
}

static size_t
cache_line_size(void)
{
	return 64;
}

static void
writeback_fence(void)
{
}

#endif

/*
 * The best way, found out by the first caller. Relaxed: the value is the same
 * whoever stores it, and nothing else is published with it.
 */
static _Atomic(mia_line_fn) best_line;
static atomic_int best_kind = -1;

enum mia_writeback
mia_memory_writeback(void)
{
	int kind = atomic_load_explicit(&best_kind, memory_order_relaxed);

	if (kind < 0) {
		kind = MIA_WRITEBACK_MAX - 1;
		while (kind > MIA_WRITEBACK_NONE &&
			mia_memory_line_fn((enum mia_writeback)kind) == NULL)
			kind--;

		/*
		 * best_line first; the release pairs with the acquire in
		 * mia_memory_flush().
		 */
		atomic_store_explicit(&best_line,
			mia_memory_line_fn((enum mia_writeback)kind),
			memory_order_relaxed);
		atomic_store_explicit(&best_kind, kind, memory_order_release);
	}

	return (enum mia_writeback)kind;
}

void
mia_memory_for_lines(
	const void *address, size_t n, size_t line_size, mia_line_fn line)
{
	if (n == 0)
		return;

	/* Unsigned, and counted, so that the last page of memory is no end. */
	const uintptr_t first = (uintptr_t)address & ~(line_size - 1);
	const uintptr_t last =
		((uintptr_t)address + (n - 1)) & ~(line_size - 1);
	const size_t lines = (last - first) / line_size + 1;

	for (size_t i = 0; i < lines; i++)
		line((const void *)(first + i * line_size));
}

static bool
write_back(const void *address, size_t n)
{
	/* Pairs with the release above: best_line is set if this is. */
	if (atomic_load_explicit(&best_kind, memory_order_acquire) < 0)
		mia_memory_writeback();

	mia_line_fn line =
		atomic_load_explicit(&best_line, memory_order_relaxed);

	if (line == NULL)
		return false;

	mia_memory_for_lines(address, n, cache_line_size(), line);
	return true;
}

bool
mia_memory_flush(const void *address, size_t n)
{
	if (!write_back(address, n))
		return false;

	writeback_fence();
	return true;
}

/* Three quarters, as the C library takes; 48 MiB if it does not tell. */
size_t
mia_memory_stream_min(void)
{
	long size = 0;

#ifdef _SC_LEVEL3_CACHE_SIZE
	size = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
	return (size > 0 ? (size_t)size : (size_t)64 << 20) / 4 * 3;
}

unsigned
mia_memory_capabilities(void)
{
	return mia_memory_writeback() == MIA_WRITEBACK_NONE ? 0
							    : VDM_F_VALID_FLAGS;
}

#if defined(__x86_64__)

/* Bytes that one turn of the loops below stores: a cache line. */
#define STREAM 64

/* Bytes from p to the next line, at most n. */
static size_t
head_size(const void *p, size_t n)
{
	const size_t head = -(uintptr_t)p & (STREAM - 1);

	return head < n ? head : n;
}

/* Pages that are copied side by side, line after line of each. */
#define PAGE ((size_t)4096)
#define PAGES 4

/* One line, read before it is written; dst is aligned to it. */
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
 * n bytes, whole groups of pages. Several pages at once keep more of the
 * memory's banks busy than one; the next group is fetched meanwhile. Prefetches
 * beyond the end have no effect.
 */
static void
stream_pages(char *dst, const char *src, size_t n)
{
	for (; n > 0; n -= PAGES * PAGE) {
		for (size_t at = 0; at < PAGE; at += STREAM) {
			for (size_t i = at; i < PAGES * PAGE; i += PAGE) {
				_mm_prefetch(
					src + i + PAGES * PAGE, _MM_HINT_T0);
				stream_line(dst + i, src + i);
			}
		}
		dst += PAGES * PAGE;
		src += PAGES * PAGE;
	}
}

/*
 * Whole lines with non-temporal stores, the ragged ends with plain ones. In
 * ascending order if the ranges overlap: right for dst below src.
 */
static void
stream_move(char *dst, const char *src, size_t n, bool durable)
{
	const size_t head = head_size(dst, n);
	const size_t body = (n - head) / STREAM * STREAM;
	const size_t tail = n - head - body;
	const bool overlap = (uintptr_t)src - (uintptr_t)dst < n;
	const size_t pages =
		overlap ? 0 : body / (PAGES * PAGE) * (PAGES * PAGE);

	memmove(dst, src, head);
	stream_pages(dst + head, src + head, pages);
	for (size_t i = head + pages; i < head + body; i += STREAM)
		stream_line(dst + i, src + i);
	memmove(dst + head + body, src + head + body, tail);

	if (durable) {
		write_back(dst, head);
		write_back(dst + head + body, tail);
	}
	_mm_sfence();
}

static void
stream_set(char *dst, int c, size_t n, bool durable)
{
	const size_t head = head_size(dst, n);
	const size_t body = (n - head) / STREAM * STREAM;
	const size_t tail = n - head - body;
	const __m128i value = _mm_set1_epi8((char)c);

	memset(dst, c, head);
	for (size_t i = head; i < head + body; i += 16)
		_mm_stream_si128((__m128i *)(void *)(dst + i), value);
	memset(dst + head + body, c, tail);

	if (durable) {
		write_back(dst, head);
		write_back(dst + head + body, tail);
	}
	_mm_sfence();
}

#endif

void
mia_memory_move(void *dst, const void *src, size_t n, unsigned flags)
{
#if defined(__x86_64__)
	/* A unsigned distance below n: dst lies inside of src's range. */
	if ((flags & VDM_F_NO_CACHE_HINT) &&
		(uintptr_t)dst - (uintptr_t)src >= n) {
		stream_move(dst, src, n, flags & VDM_F_MEM_DURABLE);
		return;
	}
#endif
	memmove(dst, src, n);
	if (flags & VDM_F_MEM_DURABLE)
		mia_memory_flush(dst, n);
}

void
mia_memory_set(void *dst, int c, size_t n, unsigned flags)
{
#if defined(__x86_64__)
	if (flags & VDM_F_NO_CACHE_HINT) {
		stream_set(dst, c, n, flags & VDM_F_MEM_DURABLE);
		return;
	}
#endif
	memset(dst, c, n);
	if (flags & VDM_F_MEM_DURABLE)
		mia_memory_flush(dst, n);
}
