/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * chains.c -- the cost of an entry in short and in long chains
 *
 * 20,000 entries are polled in chains of 10 and in one chain. Each entry needs
 * two polls, so that a poll begins at each entry. The memory is the same.
 */

#include "bench.h"

#include <stdlib.h>

enum { ENTRIES = 20000, SHORT = 10 };

struct step {
	bool polled;
};

FUTURE(step_future, struct step, char);

static enum future_state
step_task(struct future_context *context, struct future_notifier *n)
{
	struct step *step = future_context_get_data(context);

	(void)n;
	if (step->polled)
		return FUTURE_STATE_COMPLETE;
	step->polled = true;
	return FUTURE_STATE_RUNNING;
}

struct short_data {
	FUTURE_CHAIN_ENTRY(struct step_future, entries[SHORT]);
};

struct long_data {
	FUTURE_CHAIN_ENTRY(struct step_future, entries[ENTRIES]);
};

FUTURE(short_chain, struct short_data, char);
FUTURE(long_chain, struct long_data, char);

static struct step_future
new_step(void)
{
	struct step_future step = {.data.polled = false};

	FUTURE_INIT(&step, step_task);
	return step;
}

static double
run_short(void *arg, size_t repeats)
{
	struct short_chain *chains = arg;
	double ns = 0;

	for (size_t r = 0; r < repeats; r++) {
		for (size_t c = 0; c < ENTRIES / SHORT; c++) {
			for (size_t i = 0; i < SHORT; i++)
				FUTURE_CHAIN_ENTRY_INIT(
					&chains[c].data.entries[i], new_step(),
					NULL, NULL);
			FUTURE_CHAIN_INIT(&chains[c]);
		}

		const double start = clock_ns(CLOCK_MONOTONIC);

		for (size_t c = 0; c < ENTRIES / SHORT; c++)
			while (future_poll(FUTURE_AS_RUNNABLE(&chains[c]),
				       NULL) != FUTURE_STATE_COMPLETE)
				continue;
		ns += clock_ns(CLOCK_MONOTONIC) - start;
	}
	return ns;
}

static double
run_long(void *arg, size_t repeats)
{
	struct long_chain *chain = arg;
	double ns = 0;

	for (size_t r = 0; r < repeats; r++) {
		for (size_t i = 0; i < ENTRIES; i++)
			FUTURE_CHAIN_ENTRY_INIT(&chain->data.entries[i],
				new_step(), NULL, NULL);
		FUTURE_CHAIN_INIT(chain);

		const double start = clock_ns(CLOCK_MONOTONIC);

		while (future_poll(FUTURE_AS_RUNNABLE(chain), NULL) !=
			FUTURE_STATE_COMPLETE)
			continue;
		ns += clock_ns(CLOCK_MONOTONIC) - start;
	}
	return ns;
}

void
bench_chains(void)
{
	struct contestant c[2] = {
		{.run = run_short, .units = ENTRIES},
		{.run = run_long, .units = ENTRIES},
	};

	c[0].arg = new_memory(ENTRIES / SHORT * sizeof(struct short_chain));
	c[1].arg = new_memory(sizeof(struct long_chain));
	contest(c, 2, settings.target_ns);
	report_section("time of an entry of a chain, with two polls", "of 10",
		"of 20,000");
	report_row("chain of 20,000 / chain of 10", c[0].median, c[1].median,
		ratio(&c[1], &c[0]), "x", AT_MOST, 1.5);
	free(c[0].arg);
	free(c[1].arg);
}
