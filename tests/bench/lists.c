/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lists.c -- many ranges in one operation, which a runtime waits for
 *
 * The segments lie one page apart, in two arrays, so that they are no long
 * copy. The floor is a loop of memcpy().
 */

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRIDE (8 * KIB)

enum { MAX_SEGMENTS = 1024 };

struct list {
	struct runtime *runtime;
	struct vdm *vdm; /* NULL: memcpy() */
	struct vdm_segment *segments;
	size_t n;
};

static double
run_list(void *arg, size_t repeats)
{
	struct list *l = arg;
	const size_t n = hide(l->n);
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		if (l->vdm == NULL) {
			for (size_t i = 0; i < n; i++)
				memcpy(l->segments[i].dest, l->segments[i].src,
					l->segments[i].n);
			use(l->segments[0].dest);
			continue;
		}

		struct vdm_operation_future f =
			vdm_memcpyv(l->vdm, l->segments, n, 0);

		runtime_wait(l->runtime, FUTURE_AS_RUNNABLE(&f));
		check(&f);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static void
verify(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		memset(l->segments[i].dest, 1, l->segments[i].n);
	run_list(l, 1);
	for (size_t i = 0; i < l->n; i++)
		if (memcmp(l->segments[i].dest, l->segments[i].src,
			    l->segments[i].n) != 0)
			fail("lists: wrong bytes in a segment");
}

/* The poll of a thread that does not wait: workers get the list. */
static void
hand_over(struct list *l)
{
	enum { SAMPLES = 301 };
	double ns[SAMPLES];

	for (int i = -1; i < SAMPLES; i++) {
		struct vdm_operation_future f =
			vdm_memcpyv(l->vdm, l->segments, l->n, 0);
		const double start = clock_ns(CLOCK_MONOTONIC);

		future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		if (i >= 0)
			ns[i] = clock_ns(CLOCK_MONOTONIC) - start;
		FUTURE_BUSY_POLL(&f);
		check(&f);
	}
	report_row("submit, workers awake", 0, 0, figure_of(ns, SAMPLES), "ns",
		AT_MOST, 250);
}

void
bench_lists(void)
{
	static const struct {
		size_t n, size;
		enum relation relation;
	} rows[] = {{64, 4 * KIB, AT_MOST}, {64, 256, NO_TARGET},
		{MAX_SEGMENTS, 64, NO_TARGET},
		{MAX_SEGMENTS, 4 * KIB, NO_TARGET}};
	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt = data_mover_threads_default();
	char *dst = new_memory(MAX_SEGMENTS * STRIDE);
	char *src = new_memory(MAX_SEGMENTS * STRIDE);
	struct vdm_segment *segments =
		new_memory(MAX_SEGMENTS * sizeof(*segments));

	if (runtime == NULL || dmt == NULL)
		fail("cannot make a runtime or a mover");

	for (size_t i = 0; i < MAX_SEGMENTS * STRIDE; i++)
		src[i] = (char)(i * 7 + i / 4096);
	report_section("wait for lists of segments, minus 1.10 x memcpy",
		"memcpy", "threads");
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		struct list plain = {NULL, NULL, segments, rows[row].n};
		struct list ours = {runtime, data_mover_threads_get_vdm(dmt),
			segments, rows[row].n};
		struct contestant c[2] = {
			{.run = run_list, .arg = &plain, .units = 1},
			{.run = run_list, .arg = &ours, .units = 1},
		};
		char what[64];

		for (size_t i = 0; i < rows[row].n; i++)
			segments[i] = (struct vdm_segment){dst + i * STRIDE,
				src + i * STRIDE, rows[row].size};
		verify(&plain);
		verify(&ours);
		contest(c, 2, settings.target_ns);
		snprintf(what, sizeof(what), "%zu x %zu B", rows[row].n,
			rows[row].size);
		report_row(what, c[0].median, c[1].median, excess(&c[1], &c[0]),
			"ns", rows[row].relation, 60);
		if (row == 0)
			hand_over(&ours);
	}
	data_mover_threads_delete(dmt);
	runtime_delete(runtime);
	free(segments);
	free(dst);
	free(src);
}
