/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sweep.c -- all sizes, one copy and 16 copies in flight, all ways to copy
 *
 * All contestants copy the same ranges of the same buffers again and again. The
 * buffers were written before. So a copy finds its data in the cache if the
 * data fits, on the CPU that copied it before. The copies are compared with the
 * source before the clock starts.
 *
 * The targets are those of the threads mover that a runtime waits for:
 *
 *  - up to 512 KiB (16 in flight: 256 KiB), what a copy takes in addition to
 *    memcpy() and a tenth
 *  - from 1 MiB, the ratio to memcpy(), and with 16 in flight to N threads that
 *    spin
 *  - at all sizes and both depths, the ratio to the other pools
 */

#include "bench.h"

#include <stdio.h>

static const size_t sizes[] = {64, 256, 1 * KIB, 4 * KIB, 16 * KIB, 20 * KIB,
	32 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, 1 * MIB, 4 * MIB,
	16 * MIB, 64 * MIB, 256 * MIB};

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

/* At most this share of the time of memcpy(). 0: no target. */
struct share {
	size_t size;
	double one, sixteen;
};

static const struct share shares[] = {
	{1 * MIB, 1.0, 0.65},
	{4 * MIB, 0.75, 0.65},
	{16 * MIB, 0.65, 0},
	{64 * MIB, 0.6, 0},
	{256 * MIB, 0.55, 0},
};

/* A section of rows, which are shown when the table is complete. */
struct section {
	const char *title, *base;
	const char *unit;
	size_t n;
	struct line {
		char what[32];
		double base_ns, ours_ns;
		struct figure figure;
		double target;
	} lines[2 * SIZES];
};

static struct section over_memcpy = {
	.title = "wait for copies, time minus 1.10 x memcpy",
	.base = "memcpy",
	.unit = "ns",
};
static struct section of_memcpy = {
	.title = "wait for copies, time / memcpy",
	.base = "memcpy",
	.unit = "x",
};
static struct section of_spin = {
	.title = "wait for copies, time / N spinning threads",
	.base = "N spin",
	.unit = "x",
};

static void
add_line(struct section *section, struct work work, double base_ns,
	double ours_ns, struct figure figure, double target)
{
	struct line *line = &section->lines[section->n++];

	if (work.size >= MIB)
		snprintf(line->what, sizeof(line->what), "%zu x %zu MiB",
			work.count, work.size / MIB);
	else if (work.size >= KIB)
		snprintf(line->what, sizeof(line->what), "%zu x %zu KiB",
			work.count, work.size / KIB);
	else
		snprintf(line->what, sizeof(line->what), "%zu x %zu B",
			work.count, work.size);
	line->base_ns = base_ns;
	line->ours_ns = ours_ns;
	line->figure = figure;
	line->target = target;
}

static void
report_lines(const struct section *section)
{
	if (section->n == 0)
		return;
	report_section(section->title, section->base, "threads");
	for (size_t i = 0; i < section->n; i++) {
		const struct line *line = &section->lines[i];

		report_row(line->what, line->base_ns, line->ours_ns,
			line->figure, section->unit, AT_MOST, line->target);
	}
}

static void
judge(struct work work, const struct contestant *plain,
	const struct contestant *ours, const struct contestant *spin)
{
	const bool one = work.count == 1;

	if (work.size <= (one ? 512 : 256) * KIB)
		add_line(&over_memcpy, work, plain->median, ours->median,
			excess(ours, plain), one ? 60 : 25);

	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		const double target = one ? shares[i].one : shares[i].sixteen;

		if (shares[i].size != work.size || target == 0)
			continue;
		add_line(&of_memcpy, work, plain->median, ours->median,
			ratio(ours, plain), target);
		if (!one)
			add_line(&of_spin, work, spin->median, ours->median,
				ratio(ours, spin), 1.15);
	}
}

/* The worst figure of the threads mover against one other pool. */
struct worst {
	struct figure ratio;
	size_t size, count;
	double theirs, ours;
	int lost, of;
};

static void
keep_worst(struct worst *worst, struct work work, const struct contestant *ours,
	const struct contestant *theirs)
{
	const struct figure f = ratio(theirs, ours);

	if (worst->of == 0 || f.median < worst->ratio.median)
		*worst = (struct worst){f, work.size, work.count,
			theirs->median, ours->median, worst->lost, worst->of};
	worst->lost += f.median <= 1;
	worst->of++;
}

static void
report_worst(const char *name, const struct worst *worst)
{
	char what[64];

	snprintf(what, sizeof(what), "%s: wins %d of %d; %zu x %zu B", name,
		worst->lost, worst->of, worst->count, worst->size);
	report_row(what, worst->theirs, worst->ours, worst->ratio, "x",
		AT_LEAST, 1);
}

void
bench_sweep(struct ways *ways, char *dst, char *src)
{
	static const enum way pools[] = {WAY_LIBUV, WAY_GLIB, WAY_OPENMP};
	struct contestant c[WAYS];
	const struct contestant *of_way[WAYS] = {NULL};
	struct worst worst[WAYS] = {0};

	for (size_t count = 1; count <= MAX_COUNT; count *= 16) {
		for (size_t i = 0; i < SIZES; i++) {
			const struct work work = {dst, src, sizes[i], count};
			size_t n = 0;

			if (work.size * count > settings.arena_size)
				break;
			ways_set_work(ways, work);
			for (enum way way = WAY_MEMCPY; way < WAYS; way++) {
				if (!ways_has(way))
					continue;
				ways_verify(ways, way);
				of_way[way] = &c[n];
				c[n++] = ways_contestant(ways, way);
			}
			contest(c, n, settings.sweep_ns);
			report_sweep(work.size, count, c, n);
			judge(work, of_way[WAY_MEMCPY], of_way[WAY_THREADS],
				of_way[WAY_SPIN]);
			for (size_t k = 0; k < 3; k++) {
				if (ways_has(pools[k]))
					keep_worst(&worst[pools[k]], work,
						of_way[WAY_THREADS],
						of_way[pools[k]]);
			}
		}
	}
	report_sweep_end();

	report_lines(&over_memcpy);
	report_lines(&of_memcpy);
	report_lines(&of_spin);
	report_section("time of other pools / threads mover, worst case",
		"other", "threads");
	for (size_t k = 0; k < 3; k++) {
		if (ways_has(pools[k]))
			report_worst(ways_contestant(ways, pools[k]).name,
				&worst[pools[k]]);
	}
}
