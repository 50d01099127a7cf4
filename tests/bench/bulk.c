/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bulk.c -- big copies on the threads mover against plain threads
 */

#include "bench.h"

#include <stdio.h>

/* The threads mover against plain threads, for one kind of work. */
static void
against_threads(
	struct ways *ways, struct work work, const char *name, double target)
{
	static const enum way rivals[] = {WAY_THREADS, WAY_CREW, WAY_SPIN};
	struct contestant c[3];
	char what[64];

	ways_set_work(ways, work);
	for (int i = 0; i < 3; i++) {
		c[i] = ways_contestant(ways, rivals[i]);
		ways_verify(ways, rivals[i]);
	}
	contest(c, 3, settings.target_ns);
	snprintf(what, sizeof(what), "%s, N threads", name);
	report_row(what, c[1].median, c[0].median, ratio(&c[1], &c[0]), "x",
		AT_LEAST, target);
	snprintf(what, sizeof(what), "%s, N spinning", name);
	report_row(what, c[2].median, c[0].median, ratio(&c[2], &c[0]), "x",
		NO_TARGET, 0);
}

void
bench_bulk(struct ways *ways, char *dst, char *src)
{
	char name[32];

	report_section("speed of N workers / speed of N threads", "threads",
		"workers");
	snprintf(name, sizeof(name), "one copy of %zu MiB",
		settings.arena_size / MIB);
	against_threads(ways, (struct work){dst, src, settings.arena_size, 1},
		name, 0.95);
	against_threads(ways, (struct work){dst, src, 64 * KIB, 16},
		"16 x 64 KiB", 0.85);
}
