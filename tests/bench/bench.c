/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bench.c -- measures every target of the project on this machine
 *
 *	bench [--quick] [--fabric] [--json [FILE]]
 *
 * Each figure compares the library with the same work without it: a time over a
 * floor, or a ratio. Six errors could make such figures wrong. The remedies:
 *
 *  - The machine drifts (frequency, neighbours). Contestants take turns in
 *    short rounds, figures are computed within a round, and the result is the
 *    median of the rounds (measure.c).
 *  - A contestant leaves caches and threads in some state. The order changes
 *    from round to round, so that no contestant always follows the same one.
 *  - The first run is slow (page faults, cold caches, threads that start,
 *    pools that grow). All memory is written before, threads exist before, and
 *    every contestant runs for some time before the clock starts.
 *  - The compiler drops or specialises work. Sizes are hidden from the
 *    compiler, results are used, and movers are reached through pointers.
 *  - A contestant does less. All copy the same ranges of the same buffers, and
 *    the copies are compared with the source beforehand. The result of every
 *    operation is checked, and an error ends the program.
 *  - Noise decides. A verdict shows when noise may have decided (report.c).
 *
 * libuv, GLib, liburing and OpenMP (gcc's) take part if they were installed
 * when the benchmark was built.
 */

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings settings = {
	.min_rounds = 9,
	.turn_ns = 2e6,
	.target_ns = 1e9,
	.sweep_ns = 0.3e9,
	.arena_size = 256 * MIB,
	.blocks = 11,
	.pairs = 300,
	.waits = 15,
	.idle_s = 1,
	.beside_size = 1024 * MIB,
	.spacing_ns = 1e6,
};

static const struct settings quick = {
	.min_rounds = 3,
	.turn_ns = 0.1e6,
	.target_ns = 0,
	.sweep_ns = 0,
	.arena_size = 4 * MIB,
	.blocks = 3,
	.pairs = 10,
	.waits = 3,
	.idle_s = 0.1,
	.beside_size = 32 * MIB,
	.spacing_ns = 0.1e6,
};

static const char usage[] =
	"usage: bench [--quick] [--fabric] [--json [FILE]] [--help]\n"
	"  --quick        run briefly, as a test of the program: the figures\n"
	"                 have no meaning; default: about three minutes\n"
	"  --fabric       measure only the mover over libfabric\n"
	"  --json [FILE]  also write all figures as JSON to FILE; without "
	"FILE,\n"
	"                 to standard output, and the text to standard error\n"
	"  --help         print this help\n"
	"Example: bench --json 1.json\n";

/* Everything that compares the ways to copy. */
static void
bench_ways(void)
{
	struct ways *ways = ways_new();
	char *dst = new_memory(settings.arena_size);
	char *src = new_memory(settings.arena_size);

	for (size_t i = 0; i < settings.arena_size; i++)
		src[i] = (char)(i * 7 + i / 4096);
	bench_bulk(ways, dst, src);
	bench_cost(ways, dst, src);
	bench_beside(ways, dst, src);
	bench_sweep(ways, dst, src);
	ways_delete(ways);
	free(dst);
	free(src);
}

static void
bench_all(void)
{
	bench_small();
	bench_single();
	bench_hand_over();
	bench_pending();
	bench_wait_cost();
	bench_work_in_polls();
	bench_chains();
	bench_queues();
	bench_wake();
	bench_cpu();
#ifdef BENCH_DML
	bench_dml();
#endif
	bench_timer();
	bench_moves();
	bench_lists();
	bench_ways();
}

int
main(int argc, char *argv[])
{
	const char *json_path = NULL;
	bool is_fabric = false;

#ifdef BENCH_FABRIC
	if (argc == 4 && strcmp(argv[1], "--fabric-server") == 0) {
		fabric_server(argv[2], argv[3]);
		return 0;
	}
#endif
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			return 0;
		} else if (strcmp(argv[i], "--quick") == 0) {
			settings = quick;
		} else if (strcmp(argv[i], "--fabric") == 0) {
			is_fabric = true;
		} else if (strcmp(argv[i], "--json") == 0) {
			json_path = "-";
			if (i + 1 < argc && argv[i + 1][0] != '-')
				json_path = argv[++i];
		} else {
			fprintf(stderr, "bench: '%s': unknown option\n%s",
				argv[i], usage);
			return 2;
		}
	}

	report_start(json_path);
	if (is_fabric) {
#ifdef BENCH_FABRIC
		bench_fabric();
#else
		fprintf(stderr, "bench: --fabric: built without libfabric\n");
#endif
	} else {
		bench_all();
	}
	report_end();
	return 0;
}
