/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric.c -- the mover over libfabric against calls of libfabric
 *
 *	direct, polled   one thread, which pauses as FUTURE_BUSY_POLL() does
 *	direct, asleep   one thread, which sleeps on the queue's descriptor
 *	mover, polled    without its thread; FUTURE_BUSY_POLL() for each future
 *	mover, waits     with its thread; runtime_wait_multiple()
 *
 * The mover is compared with the one that waits in the same way. The memory is
 * in two other processes, which are this program once more: one has a region,
 * the other one serves libfabric itself. Both sleep while nothing arrives.
 *
 * All move the same ranges of the same buffer. Before the clock starts, every
 * contestant moves them once, and their content is compared: the other process
 * looks at its own memory for that.
 */

#include "bench.h"
#include "fabric_direct.h"
#include "fabric_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Targets: time over that of direct calls, of a small one; and their ratio. */
#define SMALL_BYTES (64 * KIB)
#define OVER_NS 2000
#define SPEED 0.9

#define MAX_IN_FLIGHT 1000

/* One of the four. */
struct moves {
	struct server *server;
	enum direct_kind kind;
	char *local;
	size_t size, count;

	/* Either these. */
	struct direct *direct;

	/* Or these; runtime NULL: polls. */
	struct data_mover_fabric *dmf;
	struct runtime *runtime;
};

static double
run_direct(void *arg, size_t repeats)
{
	const struct moves *m = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++)
		direct_move(m->direct, m->kind, m->local, m->size, m->count);
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static struct vdm_operation_future
future_of(const struct moves *m, size_t i)
{
	struct vdm *vdm = data_mover_fabric_get_vdm(m->dmf);
	char *local = m->local + i * m->size;
	char *remote = (char *)data_mover_fabric_addr(m->dmf) + i * m->size;

	return m->kind == DIRECT_PUT
		? vdm_memcpy(vdm, remote, local, m->size, 0)
		: vdm_memcpy(vdm, local, remote, m->size, 0);
}

static double
run_mover(void *arg, size_t repeats)
{
	static struct vdm_operation_future f[MAX_IN_FLIGHT];
	static struct future *futs[MAX_IN_FLIGHT];
	const struct moves *m = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		for (size_t i = 0; i < m->count; i++) {
			f[i] = future_of(m, i);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		if (m->runtime != NULL) {
			runtime_wait_multiple(m->runtime, futs, m->count);
		} else {
			for (size_t i = 0; i < m->count; i++)
				(void)future_poll(futs[i], NULL);
			for (size_t i = 0; i < m->count; i++)
				FUTURE_BUSY_POLL(&f[i]);
		}
		for (size_t i = 0; i < m->count; i++)
			check(&f[i]);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static void
verify(struct contestant *c)
{
	static unsigned char seed;
	struct moves *m = c->arg;
	const size_t n = m->size * m->count;
	bool is_right;

	seed++;
	if (m->kind == DIRECT_PUT) {
		pattern_fill(m->local, n, seed);
		c->run(m, 1);
		is_right = server_has(m->server, n, seed);
	} else {
		server_fill(m->server, n, seed);
		memset(m->local, 0, n);
		c->run(m, 1);
		is_right = pattern_is(m->local, n, seed);
	}
	if (!is_right)
		fail("%s: %zu x %zu bytes: wrong data", c->name, m->count,
			m->size);
}

static void
report(const struct contestant *direct, const struct contestant *mover,
	const char *name)
{
	const struct moves *m = mover->arg;
	const bool is_small = m->size < SMALL_BYTES;
	char what[64];

	snprintf(what, sizeof(what), "%s, %s %zu x %zu %s", name,
		m->kind == DIRECT_PUT ? "put" : "get", m->count,
		m->size < KIB           ? m->size
			: m->size < MIB ? m->size / KIB
					: m->size / MIB,
		m->size < KIB           ? "B"
			: m->size < MIB ? "KiB"
					: "MiB");
	if (is_small)
		report_row(what, direct->median, mover->median,
			difference(mover, direct), "ns", AT_MOST, OVER_NS);
	else
		report_row(what, direct->median, mover->median,
			ratio(direct, mover), "x", AT_LEAST, SPEED);
}

enum { POLLED_DIRECT, ASLEEP_DIRECT, POLLED_MOVER, WAITING_MOVER, ALL };

static void
compare(struct moves m[ALL], enum direct_kind kind, size_t size, size_t count)
{
	static const char *const names[ALL] = {"direct, polled",
		"direct, asleep", "mover, polled", "mover, waits"};
	struct contestant c[ALL];

	for (int i = 0; i < ALL; i++) {
		m[i].kind = kind;
		m[i].size = size;
		m[i].count = count;
		c[i] = (struct contestant){.name = names[i],
			.run = m[i].direct != NULL ? run_direct : run_mover,
			.arg = &m[i],
			.units = count};
		verify(&c[i]);
	}
	contest(c, ALL, settings.sweep_ns);
	report(&c[POLLED_DIRECT], &c[POLLED_MOVER], "polled");
	report(&c[ASLEEP_DIRECT], &c[WAITING_MOVER], "asleep");
}

/* All sizes and numbers in flight that fit. */
static void
compare_all(struct moves m[ALL], enum direct_kind kind)
{
	static const size_t sizes[] = {64, 4 * KIB, 64 * KIB, 256 * KIB, MIB,
		4 * MIB, 64 * MIB, 256 * MIB};
	static const size_t counts[] = {1, 16, MAX_IN_FLIGHT};

	for (size_t k = 0; k < sizeof(counts) / sizeof(*counts); k++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			if (sizes[i] * counts[k] <= settings.arena_size)
				compare(m, kind, sizes[i], counts[k]);
}

static struct data_mover_fabric *
new_mover(const struct server *s, unsigned no_thread)
{
	const struct data_mover_fabric_options options = {
		.size = sizeof(options), .no_thread = no_thread};
	struct data_mover_fabric *dmf =
		data_mover_fabric_new(s->address, &options);

	if (dmf == NULL)
		fail("cannot make a mover over libfabric");
	return dmf;
}

void
bench_fabric(void)
{
	struct server direct, region;

	if (!direct_is_there()) {
		fprintf(stderr,
			"bench: --fabric: libfabric.so.1 or its provider "
			"is not found\n");
		return;
	}
	server_start(&direct, SERVER_DIRECT, settings.arena_size);
	server_start(&region, SERVER_REGION, settings.arena_size);
	use_half(LOWER);

	char *local = new_memory(settings.arena_size);
	struct moves m[ALL] = {
		[POLLED_DIRECT] = {.server = &direct,
			.local = local,
			.direct = direct_connect(direct.address, DIRECT_POLLS)},
		[ASLEEP_DIRECT] = {.server = &direct,
			.local = local,
			.direct =
				direct_connect(direct.address, DIRECT_SLEEPS)},
		[POLLED_MOVER] = {.server = &region,
			.local = local,
			.dmf = new_mover(&region, 1)},
		[WAITING_MOVER] = {.server = &region,
			.local = local,
			.dmf = new_mover(&region, 0),
			.runtime = runtime_new()},
	};

	if (m[WAITING_MOVER].runtime == NULL)
		fail("cannot make a runtime");
	report_section("mover over libfabric, TCP", "direct", "mover");
	compare_all(m, DIRECT_PUT);
	compare_all(m, DIRECT_GET);

	runtime_delete(m[WAITING_MOVER].runtime);
	data_mover_fabric_delete(m[WAITING_MOVER].dmf);
	data_mover_fabric_delete(m[POLLED_MOVER].dmf);
	direct_delete(m[ASLEEP_DIRECT].direct);
	direct_delete(m[POLLED_DIRECT].direct);
	server_stop(&direct);
	server_stop(&region);
	free(local);
}
