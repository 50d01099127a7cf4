/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_durable.c -- tests operation/memory and two movers: the lines that they
 * write back, and the order of data, write-back and fence
 *
 * The linker puts this program's functions before those of the CPU file
 * (--wrap). They record each line that is written back, streamed or fenced, and
 * check that the data has arrived by then. So this test covers memory.c and the
 * movers. test_memory runs the CPU's instructions.
 */

#include "test.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "operation.h"
#include "operation/memory_cpu.h"
#include "threads_mover.h"

#define BIG ((size_t)2097152 + 4096) /* workers share it */
#define ARENA (BIG + 4096)
#define MAX_LINE 4096

static _Alignas(MAX_LINE) unsigned char dst[ARENA];
static unsigned char src[ARENA];

/*
 * The range of the operation, and the lines of dst that were written back after
 * all of their data had arrived. Workers that share an operation may write back
 * the line between two chunks too early. The last of them writes it back again.
 */
static struct {
	uintptr_t first; /* address */
	size_t n;
	unsigned char value;
} range;
static atomic_bool written_back[ARENA / 4], touched[ARENA / 4];
static atomic_bool streamed[ARENA / 4]; /* not through the caches */
static atomic_int outside;

/* Threads with a line that was written back or streamed, and no fence since. */
static _Thread_local bool is_unfenced;
static atomic_int nunfenced;

static void
needs_fence(void)
{
	if (!is_unfenced)
		atomic_fetch_add(&nunfenced, 1);
	is_unfenced = true;
}

static void
has_fence(void)
{
	if (is_unfenced)
		atomic_fetch_add(&nunfenced, -1);
	is_unfenced = false;
}

static void
record(const void *address)
{
	const size_t line = mia_cpu_line_bytes();
	const uintptr_t at = (uintptr_t)address & ~(line - 1);
	const size_t number = (at - (uintptr_t)dst) / line;

	needs_fence();
	if (at + line <= range.first || at >= range.first + range.n) {
		atomic_fetch_add(&outside, 1);
		return;
	}
	atomic_store(&touched[number], true);
	for (uintptr_t i = at; i < at + line; i++)
		if (i >= range.first && i < range.first + range.n &&
			*(volatile unsigned char *)i != range.value)
			return;
	atomic_store(&written_back[number], true);
}

const struct mia_line_way *__wrap_mia_cpu_line_way(size_t number);

const struct mia_line_way *
__wrap_mia_cpu_line_way(size_t number)
{
	static const struct mia_line_way way = {"recorder", record};

	return number == 0 ? &way : NULL;
}

void __real_mia_cpu_fence(void);
void __wrap_mia_cpu_fence(void);

void
__wrap_mia_cpu_fence(void)
{
	has_fence();
	__real_mia_cpu_fence();
}

/* All whole lines between the ragged ends of n bytes at to. */
static struct mia_ragged
record_stream(void *to, size_t n, struct mia_ragged ragged)
{
	const size_t line = mia_cpu_line_bytes();
	const uintptr_t first = (uintptr_t)to + ragged.head_bytes;
	const uintptr_t end = (uintptr_t)to + n - ragged.tail_bytes;

	for (uintptr_t at = (first + line - 1) & ~(line - 1); at + line <= end;
		at += line)
		atomic_store(&streamed[(at - (uintptr_t)dst) / line], true);
	if (first < end)
		needs_fence();
	return ragged;
}

struct mia_ragged __real_mia_cpu_stream_move(
	void *to, const void *from, size_t n);
struct mia_ragged __wrap_mia_cpu_stream_move(
	void *to, const void *from, size_t n);
struct mia_ragged __real_mia_cpu_stream_set(void *to, int c, size_t n);
struct mia_ragged __wrap_mia_cpu_stream_set(void *to, int c, size_t n);

struct mia_ragged
__wrap_mia_cpu_stream_move(void *to, const void *from, size_t n)
{
	return record_stream(to, n, __real_mia_cpu_stream_move(to, from, n));
}

struct mia_ragged
__wrap_mia_cpu_stream_set(void *to, int c, size_t n)
{
	return record_stream(to, n, __real_mia_cpu_stream_set(to, c, n));
}

static void
one(struct vdm *vdm, enum vdm_operation_type type, size_t at, size_t n,
	uint64_t flags)
{
	const size_t line = mia_cpu_line_bytes();
	const bool durable =
		type == VDM_OPERATION_FLUSH || (flags & VDM_F_MEM_DURABLE);

	range.first = (uintptr_t)dst + at;
	range.n = n;
	range.value++;
	memset(src, range.value, n);
	memset((void *)written_back, 0, sizeof(written_back));
	memset((void *)touched, 0, sizeof(touched));
	memset((void *)streamed, 0, sizeof(streamed));
	if (type == VDM_OPERATION_FLUSH)
		memset(dst + at, range.value, n);
	struct vdm_operation_future f =
		operation_new(vdm, type, dst + at, src, range.value, n, flags);

	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_int_equal(outside, 0);
	assert_int_equal(nunfenced, 0);
	for (size_t i = 0; i < ARENA / line; i++) {
		const uintptr_t address = (uintptr_t)dst + i * line;
		const bool is_written = address + line > range.first &&
			address < range.first + n;

		const bool is_safe = written_back[i] || streamed[i];

		if (durable ? is_written && !is_safe : touched[i])
			fail_msg("type %d, at %zu, n %zu, flags %u: line %zu "
				 "is %swritten back",
				(int)type, at, n, (unsigned)flags, i,
				durable ? "not " : "");
	}
}

static void
all(struct vdm *vdm)
{
	static const size_t sizes[] = {1, 63, 64, 65, 200, 20000, BIG};

	for (int type = VDM_OPERATION_MEMCPY; type <= VDM_OPERATION_FLUSH;
		type++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (size_t at = 64; at < 256; at += 61)
				for (uint64_t flags = 0; flags <= 3; flags++)
					if (type != VDM_OPERATION_FLUSH ||
						flags == 0)
						one(vdm,
							(enum vdm_operation_type)
								type,
							at, sizes[s], flags);
}

static void
synchronous_mover_writes_back_what_it_wrote(void **state)
{
	struct data_mover_sync *dms = data_mover_sync_new();

	(void)state;
	all(data_mover_sync_get_vdm(dms));
	data_mover_sync_delete(dms);
}

static void
threads_mover_writes_back_what_it_wrote(void **state)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(3, 8, FUTURE_NOTIFIER_WAKER);

	(void)state;
	all(data_mover_threads_get_vdm(dmt));

	/* The mover does that for a function of the program's, too. */
	data_mover_threads_set_memcpy_fn(dmt, plain_memcpy);
	data_mover_threads_set_memmove_fn(dmt, plain_memcpy);
	data_mover_threads_set_memset_fn(dmt, plain_memset);
	all(data_mover_threads_get_vdm(dmt));
	data_mover_threads_delete(dmt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synchronous_mover_writes_back_what_it_wrote),
		cmocka_unit_test(threads_mover_writes_back_what_it_wrote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
