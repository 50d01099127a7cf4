/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bulk.c -- big copies against plain threads, and the sweep over all sizes
 * against all contestants
 *
 * All contestants copy the same ranges of the same buffers again and again. The
 * buffers were written before. So a copy finds its data in the cache if the
 * data fits, on the CPU that copied it before. The copies are compared with the
 * source before the clock starts.
 */

#include "bench.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

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
	snprintf(what, sizeof(what), "%s, N that spin", name);
	report_row(what, c[2].median, c[0].median, ratio(&c[2], &c[0]), "x",
		NO_TARGET, 0);
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

	snprintf(what, sizeof(what), "%s: %d of %d lost; %zu x %zu B", name,
		worst->lost, worst->of, worst->count, worst->size);
	report_row(what, worst->theirs, worst->ours, worst->ratio, "x",
		AT_LEAST, 1);
}

static void
sweep(struct ways *ways, char *dst, char *src)
{
	struct contestant c[WAYS];
	size_t index[WAYS] = {0}, n = 0;
	struct worst libuv = {0}, glib = {0}, openmp = {0};

	for (size_t count = 1; count <= MAX_COUNT; count *= 16) {
		for (size_t size = 64; size * count <= settings.arena_size;
			size *= 4) {
			const struct work work = {dst, src, size, count};

			ways_set_work(ways, work);
			n = 0;
			for (enum way way = WAY_MEMCPY; way < WAYS; way++) {
				if (!ways_has(way))
					continue;
				ways_verify(ways, way);
				index[way] = n;
				c[n++] = ways_contestant(ways, way);
			}
			contest(c, n, settings.sweep_ns);
			report_sweep(size, count, c, n);
			if (ways_has(WAY_LIBUV))
				keep_worst(&libuv, work, &c[WAY_THREADS],
					&c[index[WAY_LIBUV]]);
			if (ways_has(WAY_GLIB))
				keep_worst(&glib, work, &c[WAY_THREADS],
					&c[index[WAY_GLIB]]);
			if (ways_has(WAY_OPENMP))
				keep_worst(&openmp, work, &c[WAY_THREADS],
					&c[index[WAY_OPENMP]]);
		}
	}
	report_sweep_end();

	report_section("time of other pools / threads mover, at its worst",
		"theirs", "threads");
	if (ways_has(WAY_LIBUV))
		report_worst("libuv", &libuv);
	if (ways_has(WAY_GLIB))
		report_worst("GLib", &glib);
	if (ways_has(WAY_OPENMP))
		report_worst("OpenMP", &openmp);
}

static atomic_bool busy;

static void *
be_busy(void *arg)
{
	while (atomic_load_explicit(&busy, memory_order_relaxed))
		continue;
	return arg;
}

/*
 * One copy after the other, on a machine with twice as many busy threads as
 * CPUs. Means, not medians, because the number of copies that wait for a time
 * slice counts.
 */
static void
beside_busy_threads(struct ways *ways, char *dst, char *src)
{
	enum { MAX_BUSY = 64 };
	static const enum way ours_first[] = {
		WAY_THREADS, WAY_MEMCPY, WAY_LIBUV, WAY_GLIB};
	const size_t nbusy =
		usable_cpus() < MAX_BUSY / 2 ? usable_cpus() * 2 : MAX_BUSY;
	const size_t repeats = (size_t)(settings.turn_ns / 6666);
	struct contestant c[4];
	pthread_t threads[MAX_BUSY];
	size_t n = 0;

	ways_set_work(ways, (struct work){dst, src, 64 * KIB, 1});
	for (int i = 0; i < 4; i++)
		if (ways_has(ours_first[i]))
			c[n++] = ways_contestant(ways, ours_first[i]);

	atomic_store(&busy, true);
	for (size_t i = 0; i < nbusy; i++)
		if (pthread_create(&threads[i], NULL, be_busy, NULL) != 0)
			fail("no more threads");
	for (size_t i = 0; i < n; i++)
		c[i].rounds = settings.min_rounds;
	for (int round = 0; round < settings.min_rounds; round++)
		for (size_t i = 0; i < n; i++)
			c[i].ns[round] =
				c[i].run(c[i].arg, repeats) / (double)repeats;
	atomic_store(&busy, false);
	for (size_t i = 0; i < nbusy; i++)
		pthread_join(threads[i], NULL);

	report_section("one copy of 64 KiB beside busy threads, in the mean",
		"theirs", "threads");
	for (size_t i = 0; i < n; i++)
		c[i].median = quantile(c[i].ns, c[i].rounds, 0.5);
	for (size_t i = 1; i < n; i++)
		report_row(c[i].name, c[i].median, c[0].median,
			ratio(&c[i], &c[0]), "x", NO_TARGET, 0);
}

void
bench_bulk(void)
{
	struct ways *ways = ways_new();
	char *dst = new_memory(settings.arena_size);
	char *src = new_memory(settings.arena_size);
	char name[32];

	for (size_t i = 0; i < settings.arena_size; i++)
		src[i] = (char)(i * 7 + i / 4096);

	report_section("speed of N workers, of that of N threads", "threads",
		"workers");
	snprintf(name, sizeof(name), "one copy of %zu MiB",
		settings.arena_size / MIB);
	against_threads(ways, (struct work){dst, src, settings.arena_size, 1},
		name, 0.95);
	against_threads(ways, (struct work){dst, src, 64 * KIB, 16},
		"16 x 64 KiB", 0.85);
	beside_busy_threads(ways, dst, src);
	sweep(ways, dst, src);

	ways_delete(ways);
	free(dst);
	free(src);
}
