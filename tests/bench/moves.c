/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * moves.c -- moves with overlap, and flushes, which a runtime waits for
 *
 * A move to a place 4 KiB further in the same memory has one right order, so
 * several threads cannot share it. The floor is memmove().
 *
 * Flushes have no function of the C library. The floor is the synchronous
 * mover, which flushes in the poll. Before each run the caller writes all
 * ranges, outside of the clock, so that the lines are in its cache and dirty.
 */

#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define MOVED MIB
#define DISTANCE (4 * KIB)
#define FLUSHED (64 * KIB)

enum { FLUSHES = 16 };

struct moves {
	struct runtime *runtime;
	struct vdm *vdm; /* NULL: memmove() */
	char *memory;
};

static double
run_move(void *arg, size_t repeats)
{
	struct moves *m = arg;
	const size_t size = hide(MOVED);
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		if (m->vdm == NULL) {
			memmove(m->memory + DISTANCE, m->memory, size);
			use(m->memory);
			continue;
		}

		struct vdm_operation_future f = vdm_memmove(
			m->vdm, m->memory + DISTANCE, m->memory, size, 0);

		runtime_wait(m->runtime, FUTURE_AS_RUNNABLE(&f));
		check(&f);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static void
verify_move(struct moves *m)
{
	char *before = new_memory(MOVED);

	for (size_t i = 0; i < MOVED + DISTANCE; i++)
		m->memory[i] = (char)(i * 7 + i / 4096);
	memcpy(before, m->memory, MOVED);
	run_move(m, 1);
	if (memcmp(m->memory, before, DISTANCE) != 0 ||
		memcmp(m->memory + DISTANCE, before, MOVED) != 0)
		fail("moves: wrong bytes after a move with overlap");
	free(before);
}

static double
run_flushes(void *arg, size_t repeats)
{
	static struct vdm_operation_future f[FLUSHES];
	struct moves *m = arg;
	struct future *futs[FLUSHES];
	double ns = 0;

	for (size_t r = 0; r < repeats; r++) {
		memset(m->memory, (int)(r & 0x7f), FLUSHES * FLUSHED);

		const double start = clock_ns(CLOCK_MONOTONIC);

		for (size_t i = 0; i < FLUSHES; i++) {
			f[i] = vdm_flush(
				m->vdm, m->memory + i * FLUSHED, FLUSHED, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		runtime_wait_multiple(m->runtime, futs, FLUSHES);
		ns += clock_ns(CLOCK_MONOTONIC) - start;
		for (size_t i = 0; i < FLUSHES; i++)
			check(&f[i]);
	}
	return ns;
}

/* False: this CPU has no instruction for it. */
static bool
can_flush(struct moves *m)
{
	struct vdm_operation_future f =
		vdm_flush(m->vdm, m->memory, FLUSHED, 0);

	runtime_wait(m->runtime, FUTURE_AS_RUNNABLE(&f));
	return FUTURE_OUTPUT(&f)->result == VDM_SUCCESS;
}

void
bench_moves(void)
{
	struct runtime *runtime = runtime_new();
	struct data_mover_sync *dms = data_mover_sync_new();
	struct data_mover_threads *dmt = data_mover_threads_default();
	char *memory = new_memory(MOVED + DISTANCE);

	if (runtime == NULL || dms == NULL || dmt == NULL)
		fail("cannot make a runtime or a mover");

	struct moves plain = {NULL, NULL, memory};
	struct moves sync = {runtime, data_mover_sync_get_vdm(dms), memory};
	struct moves ours = {runtime, data_mover_threads_get_vdm(dmt), memory};
	struct contestant c[2] = {
		{.run = run_move, .arg = &plain, .units = 1},
		{.run = run_move, .arg = &ours, .units = 1},
	};

	verify_move(&plain);
	verify_move(&ours);
	contest(c, 2, settings.target_ns);
	report_section("wait for moves and flushes, minus 1.10 x floor",
		"floor", "threads");
	report_row("1 MiB moved by 4 KiB", c[0].median, c[1].median,
		excess(&c[1], &c[0]), "ns", AT_MOST, 60);

	if (can_flush(&sync)) {
		c[0] = (struct contestant){
			.run = run_flushes, .arg = &sync, .units = FLUSHES};
		c[1] = (struct contestant){
			.run = run_flushes, .arg = &ours, .units = FLUSHES};
		contest(c, 2, settings.target_ns);
		report_row("16 flushes of 64 KiB, each", c[0].median,
			c[1].median, excess(&c[1], &c[0]), "ns", AT_MOST, 60);
	}

	data_mover_threads_delete(dmt);
	data_mover_sync_delete(dms);
	runtime_delete(runtime);
	free(memory);
}
