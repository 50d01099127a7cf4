/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * beside.c -- copies on a machine whose CPUs other threads keep busy
 *
 * The figures are about means: a contestant that waits for a time slice of
 * another thread waits for milliseconds, and how many copies do so counts. A
 * turn is therefore much longer than a slice, and its mean is one sample.
 */

#include "bench.h"

#include <stdio.h>

enum { MAX_BUSY = 64 };

static atomic_bool busy;

static void *
be_busy(void *arg)
{
	while (atomic_load_explicit(&busy, memory_order_relaxed))
		continue;
	return arg;
}

enum { OURS, PLAIN, POOLS };

static const enum way ways_of[] = {[OURS] = WAY_THREADS,
	[PLAIN] = WAY_MEMCPY,
	[POOLS] = WAY_LIBUV,
	WAY_GLIB,
	WAY_OPENMP};

enum { ALL = sizeof(ways_of) / sizeof(ways_of[0]) };

/* The contest beside n busy threads. Returns the number of contestants. */
static size_t
contest_beside(struct contestant *c, size_t n_busy, struct ways *ways,
	struct work work)
{
	const double turn_ns = 15 * settings.turn_ns;
	pthread_t threads[MAX_BUSY];
	size_t n = 0;

	ways_set_work(ways, work);
	for (int i = 0; i < ALL; i++) {
		if (!ways_has(ways_of[i]))
			continue;
		ways_verify(ways, ways_of[i]);
		c[n++] = ways_contestant(ways, ways_of[i]);
	}

	atomic_store(&busy, true);
	for (size_t i = 0; i < n_busy; i++) {
		if (pthread_create(&threads[i], NULL, be_busy, NULL) != 0)
			fail("cannot start a thread");
	}
	contest_in_turns(c, n, turn_ns, settings.min_rounds * turn_ns);
	atomic_store(&busy, false);
	for (size_t i = 0; i < n_busy; i++)
		pthread_join(threads[i], NULL);
	return n;
}

/* The time of the best pool over ours, round by round of that pool. */
static void
report_best_pool(const char *work, const struct contestant *c, size_t n)
{
	const struct contestant *best = NULL;
	char what[64];

	for (size_t i = POOLS; i < n; i++)
		best = best == NULL || c[i].median < best->median ? &c[i]
								  : best;
	if (best == NULL)
		return;
	snprintf(what, sizeof(what), "%s, best other pool", work);
	report_row(what, best->median, c[OURS].median, ratio(best, &c[OURS]),
		"x", AT_LEAST, 1);
}

void
bench_beside(struct ways *ways, char *dst, char *src)
{
	static const struct {
		const char *name;
		size_t size, count;
	} works[] = {
		{"1 x 64 KiB", 64 * KIB, 1},
		{"1 x 1 MiB", MIB, 1},
		{"1 x 16 MiB", 16 * MIB, 1},
		{"16 x 1 MiB", MIB, 16},
	};
	const size_t cpus = usable_cpus();
	struct contestant c[ALL];
	char what[64];
	size_t n;

	n = contest_beside(c, cpus < MAX_BUSY / 2 ? cpus * 2 : MAX_BUSY, ways,
		(struct work){dst, src, 64 * KIB, 1});
	report_section("one copy of 64 KiB beside busy threads, mean", "other",
		"threads");
	report_row("threads / memcpy", c[PLAIN].median, c[OURS].median,
		ratio(&c[OURS], &c[PLAIN]), "x", AT_MOST, 2);
	for (size_t i = PLAIN; i < n; i++)
		report_row(c[i].name, c[i].median, c[OURS].median,
			ratio(&c[i], &c[OURS]), "x", NO_TARGET, 0);

	report_section(
		"copies beside two spinning threads, mean", "other", "threads");
	for (size_t w = 0; w < sizeof(works) / sizeof(works[0]); w++) {
		const struct work work = {
			dst, src, works[w].size, works[w].count};

		if (work.size * work.count > settings.arena_size)
			continue;
		n = contest_beside(c, 2, ways, work);
		for (size_t i = PLAIN; i < n; i++) {
			snprintf(what, sizeof(what), "%s, %s", works[w].name,
				c[i].name);
			report_row(what, c[i].median, c[OURS].median,
				ratio(&c[i], &c[OURS]), "x", NO_TARGET, 0);
		}
		report_best_pool(works[w].name, c, n);
	}
}
