/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * operations.c -- the cost of one operation: create, poll, complete
 *
 * The floor is the cost of the interface itself: a mover whose callbacks only
 * call memcpy. Plain memcpy is called with a size that the compiler cannot see,
 * as the movers call it. Each thread has its own buffers, which stay in the
 * first cache. All threads share the mover. The time of n threads is divided by
 * the CPUs that they had. So the unit is nanoseconds of one CPU, and more
 * threads than CPUs do not look slow.
 */

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
empty_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	(void)type;
	return vdm;
}

static int
empty_start(
	void *data, const struct vdm_operation *op, struct future_notifier *n)
{
	(void)data;
	(void)n;
	memcpy(op->data.memcpy.dest, op->data.memcpy.src, op->data.memcpy.n);
	return 0;
}

static enum future_state
empty_check(void *data, const struct vdm_operation *op)
{
	(void)data;
	(void)op;
	return FUTURE_STATE_COMPLETE;
}

static void
empty_delete(void *data, const struct vdm_operation *op,
	struct vdm_operation_output *output)
{
	(void)data;
	output->type = op->type;
	output->result = VDM_SUCCESS;
	output->output.memcpy.dest = op->data.memcpy.dest;
}

/* Not static, so that the compiler cannot know its content. */
extern struct vdm bench_empty_vdm;
struct vdm bench_empty_vdm = {
	empty_new, empty_delete, empty_start, empty_check, 0, NULL};

#define MAX_THREADS 4
#define IN_FLIGHT 64

/* A contestant's copies; each thread has its part of the buffers. */
struct copies {
	struct vdm *vdm; /* NULL: plain memcpy */
	struct crew *crew;
	char *dst, *src;
	size_t size;
	size_t stride; /* from the buffer of one thread to that of the next */
	size_t repeats;
	double begin[MAX_THREADS], end[MAX_THREADS];
};

static void
copy_plainly(const struct copies *c, char *dst, const char *src)
{
	const size_t size = hide(c->size);

	for (size_t i = 0; i < c->repeats; i++) {
		memcpy(dst, src, size);
		use(dst);
	}
}

static void
copy_through_vdm(const struct copies *c, char *dst, const char *src)
{
	struct vdm *vdm = c->vdm;
	const size_t size = hide(c->size);

	for (size_t i = 0; i < c->repeats; i++) {
		struct vdm_operation_future f =
			vdm_memcpy(vdm, dst, src, size, 0);

		FUTURE_BUSY_POLL(&f);
		if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
			check(&f);
	}
}

static void
copy(void *arg, size_t index)
{
	struct copies *c = arg;
	char *dst = c->dst + index * c->stride;
	const char *src = c->src + index * c->stride;

	c->begin[index] = clock_ns(CLOCK_MONOTONIC);
	if (c->vdm == NULL)
		copy_plainly(c, dst, src);
	else
		copy_through_vdm(c, dst, src);
	c->end[index] = clock_ns(CLOCK_MONOTONIC);
}

/* From the start of the first thread to the end of the last. */
static double
run_crew(void *arg, size_t repeats)
{
	struct copies *c = arg;
	const size_t threads = crew_size(c->crew), cpus = usable_cpus();

	c->repeats = repeats;
	crew_run(c->crew, copy, c);

	double begin = c->begin[0], end = c->end[0];

	for (size_t i = 1; i < threads; i++) {
		begin = c->begin[i] < begin ? c->begin[i] : begin;
		end = c->end[i] > end ? c->end[i] : end;
	}
	return (end - begin) * (double)(threads < cpus ? threads : cpus) /
		(double)threads;
}

/* IN_FLIGHT are created, then all are polled, then each until complete. */
static double
run_in_flight(void *arg, size_t repeats)
{
	static struct vdm_operation_future f[IN_FLIGHT];
	struct copies *c = arg;
	const size_t size = hide(c->size);
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		for (size_t i = 0; i < IN_FLIGHT; i++)
			f[i] = vdm_memcpy(c->vdm, c->dst + i * size,
				c->src + i * size, size, 0);
		for (size_t i = 0; i < IN_FLIGHT; i++)
			future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		for (size_t i = 0; i < IN_FLIGHT; i++) {
			FUTURE_BUSY_POLL(&f[i]);
			if (FUTURE_OUTPUT(&f[i])->result != VDM_SUCCESS)
				check(&f[i]);
		}
	}

	return clock_ns(CLOCK_MONOTONIC) - start;
}

static void
bench_floor_and_sync(char *dst, char *src)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	char what[64];

	if (dms == NULL)
		fail("cannot make a synchronous mover");
	struct vdm *const vdms[] = {
		NULL, &bench_empty_vdm, data_mover_sync_get_vdm(dms)};

	for (size_t size = 64; size <= 4096; size *= 64) {
		for (size_t n = 1; n <= MAX_THREADS; n *= 2) {
			struct crew *crew = crew_new(n);
			struct copies copies[3];
			struct contestant c[3] = {0};

			for (size_t i = 0; i < 3; i++) {
				copies[i] = (struct copies){.vdm = vdms[i],
					.crew = crew,
					.dst = dst,
					.src = src,
					.size = size,
					.stride = 8 * KIB};
				c[i].run = run_crew;
				c[i].arg = &copies[i];
				c[i].units = 1;
			}
			contest(c, 3, settings.target_ns);
			crew_delete(crew);

			if (n == 1) {
				snprintf(what, sizeof(what),
					"empty mover minus memcpy, %zu B",
					size);
				/* "About 11": a tenth more is still that. */
				report_row(what, c[0].median, c[1].median,
					difference(&c[1], &c[0]), "ns",
					size == 64 ? AT_MOST : NO_TARGET, 12);
			}
			snprintf(what, sizeof(what),
				"sync minus floor, %zu B, threads: %zu", size,
				n);
			report_row(what, c[1].median, c[2].median,
				difference(&c[2], &c[1]), "ns",
				size == 64 ? AT_MOST : NO_TARGET, 4);
		}
	}

	data_mover_sync_delete(dms);
}

static void
bench_threads_in_flight(char *dst, char *src)
{
	struct data_mover_threads *dmt = data_mover_threads_default();
	char what[64];

	if (dmt == NULL)
		fail("cannot make a threads mover");

	for (size_t size = 64; size <= 4096; size *= 64) {
		struct copies floor_ = {.vdm = &bench_empty_vdm,
			.dst = dst,
			.src = src,
			.size = size};
		struct copies ours = floor_;
		struct contestant c[2] = {{.run = run_in_flight,
						  .arg = &floor_,
						  .units = IN_FLIGHT},
			{.run = run_in_flight,
				.arg = &ours,
				.units = IN_FLIGHT}};

		ours.vdm = data_mover_threads_get_vdm(dmt);
		contest(c, 2, settings.target_ns);
		snprintf(what, sizeof(what), "threads minus floor, %d x %zu B",
			IN_FLIGHT, size);
		report_row(what, c[0].median, c[1].median,
			difference(&c[1], &c[0]), "ns", AT_MOST,
			size == 64 ? 8 : 12);
	}

	data_mover_threads_delete(dmt);
}

void
bench_small(void)
{
	char *dst = new_memory(IN_FLIGHT * 4 * KIB);
	char *src = new_memory(IN_FLIGHT * 4 * KIB);

	report_section("one small operation", "base", "mover");
	bench_floor_and_sync(dst, src);
	bench_threads_in_flight(dst, src);
	free(dst);
	free(src);
}

void
bench_single(void)
{
	struct data_mover_threads *dmt = data_mover_threads_default();
	char *dst = new_memory(64 * KIB), *src = new_memory(64 * KIB);

	if (dmt == NULL)
		fail("cannot make a threads mover");

	struct crew *crew = crew_new(1);
	struct copies plain = {
		.crew = crew, .dst = dst, .src = src, .size = 64 * KIB};
	struct copies ours = plain;
	struct contestant c[2] = {{.run = run_crew, .arg = &plain, .units = 1},
		{.run = run_crew, .arg = &ours, .units = 1}};

	ours.vdm = data_mover_threads_get_vdm(dmt);
	contest(c, 2, settings.target_ns);
	report_section(
		"one operation at a time, busy polled", "memcpy", "threads");
	report_row("threads mover / memcpy, 64 KiB", c[0].median, c[1].median,
		ratio(&c[1], &c[0]), "x", AT_MOST, 1.5);

	crew_delete(crew);
	data_mover_threads_delete(dmt);
	free(dst);
	free(src);
}

/* The cost of a copy by a worker, for the calling thread. */
void
bench_hand_over(void)
{
	enum { SAMPLES = 301 };
	const size_t size = MIB;
	struct data_mover_threads *dmt = data_mover_threads_default();
	char *dst = new_memory(size), *src = new_memory(size);
	double memcpy_ns[SAMPLES], ns[SAMPLES];

	if (dmt == NULL)
		fail("cannot make a threads mover");

	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	report_section(
		"time of the caller for one copy of 1 MiB", "memcpy", "submit");
	for (int asleep = 0; asleep < 2; asleep++) {
		for (int i = -1; i < SAMPLES; i++) {
			const double begin = clock_ns(CLOCK_MONOTONIC);

			memcpy(dst, src, hide(size));
			use(dst);
			if (i >= 0)
				memcpy_ns[i] =
					clock_ns(CLOCK_MONOTONIC) - begin;
			if (asleep)
				sleep_ns(1e6); /* they fall asleep */

			const double start = clock_ns(CLOCK_MONOTONIC);
			struct vdm_operation_future f =
				vdm_memcpy(vdm, dst, src, size, 0);

			future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
			if (i >= 0)
				ns[i] = clock_ns(CLOCK_MONOTONIC) - start;
			FUTURE_BUSY_POLL(&f);
			check(&f);
		}
		report_row(asleep ? "workers asleep" : "workers awake",
			quantile(memcpy_ns, SAMPLES, 0.5),
			quantile(ns, SAMPLES, 0.5), figure_of(ns, SAMPLES),
			"ns", NO_TARGET, 0);
	}

	data_mover_threads_delete(dmt);
	free(dst);
	free(src);
}

/* Futures that are created and dropped stay pending. */
void
bench_pending(void)
{
	const size_t promised = 4194304;
	struct data_mover_sync *dms = data_mover_sync_new();
	char dst = 0, src = 1;
	size_t n = 0;

	if (dms == NULL)
		fail("cannot make a synchronous mover");

	struct vdm *vdm = data_mover_sync_get_vdm(dms);
	struct vdm_operation_future f = vdm_memcpy(vdm, &dst, &src, 1, 0);
	struct vdm_operation_future last = f;
	const double start = clock_ns(CLOCK_MONOTONIC);

	while (FUTURE_STATE(&f) != FUTURE_STATE_COMPLETE && n < 2 * promised) {
		n++;
		f = vdm_memcpy(vdm, &dst, &src, 1, 0);
	}

	const double ns = (clock_ns(CLOCK_MONOTONIC) - start) / (double)n;

	if (FUTURE_STATE(&f) == FUTURE_STATE_COMPLETE &&
		FUTURE_OUTPUT(&f)->result != VDM_ERROR_OUT_OF_MEMORY)
		fail("%zu pending operations: wrong result %d", n,
			FUTURE_OUTPUT(&f)->result);

	/* One completion makes room for one. */
	FUTURE_BUSY_POLL(&last);
	check(&last);
	f = vdm_memcpy(vdm, &dst, &src, 1, 0);
	FUTURE_BUSY_POLL(&f);
	check(&f);
	data_mover_sync_delete(dms);

	report_section("pending operations", "", "create");
	report_row("sync mover, until out of memory", 0, ns,
		(struct figure){(double)n, (double)n, (double)n, 1}, "",
		AT_LEAST, (double)promised);
}
