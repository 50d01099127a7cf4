/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * cost.c -- the CPU time of a copy, and the time of the slowest copies
 *
 * CPU time is that of the process, with its workers. The contestants take turns
 * in alternating order, and each copy of a turn is timed alone.
 */

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

enum { PLAIN, OURS, BOTH };

/* Of one contestant, by turn. */
struct costs {
	double cpu[MAX_ROUNDS]; /* of one copy */
	double p99[MAX_ROUNDS];
};

static void
take_turn(const struct contestant *c, struct costs *costs, int turn, double *ns)
{
	const int n = settings.pairs;

	(void)c->run(c->arg, 1);

	const double start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	for (int i = 0; i < n; i++)
		ns[i] = c->run(c->arg, 1);
	costs->cpu[turn] = (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / n;
	costs->p99[turn] = quantile(ns, n, 0.99);
}

static void
report(const char *size, const char *what, const double *plain,
	const double *ours)
{
	const int n = settings.blocks;
	double ratios[MAX_ROUNDS];
	char text[64];

	for (int i = 0; i < n; i++)
		ratios[i] = ours[i] / plain[i];
	snprintf(text, sizeof(text), "%s, 1 x %s", what, size);
	report_row(text, quantile(plain, n, 0.5), quantile(ours, n, 0.5),
		figure_of(ratios, n), "x", NO_TARGET, 0);
}

void
bench_cost(struct ways *ways, char *dst, char *src)
{
	static const struct {
		const char *name;
		size_t size;
	} sizes[] = {
		{"64 KiB", 64 * KIB}, {"1 MiB", MIB}, {"16 MiB", 16 * MIB}};
	static const enum way ways_of[] = {
		[PLAIN] = WAY_MEMCPY, [OURS] = WAY_THREADS};
	double *ns = new_memory((size_t)settings.pairs * sizeof(*ns));
	struct contestant c[BOTH];
	struct costs costs[BOTH];

	report_section("cost of a copy, threads / memcpy", "memcpy", "threads");
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		if (sizes[s].size > settings.arena_size)
			continue;
		ways_set_work(ways, (struct work){dst, src, sizes[s].size, 1});
		for (int k = 0; k < BOTH; k++) {
			c[k] = ways_contestant(ways, ways_of[k]);
			ways_verify(ways, ways_of[k]);
		}
		for (int b = 0; b < settings.blocks; b++)
			for (int k = 0; k < BOTH; k++) {
				const int turn = b % 2 == 0 ? k : 1 - k;

				take_turn(&c[turn], &costs[turn], b, ns);
			}
		report(sizes[s].name, "CPU time", costs[PLAIN].cpu,
			costs[OURS].cpu);
		report(sizes[s].name, "time, p99", costs[PLAIN].p99,
			costs[OURS].p99);
	}
	free(ns);
}
