/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * contestants.c -- the ways to do the same copies
 *
 *	memcpy        one after the other on the calling thread
 *	sync          futures on the synchronous mover, runtime_wait_multiple()
 *	threads       the same on the threads mover, N workers
 *	N threads     plain threads and pthread barriers, as a program would use
 *	              them: they sleep between the copies
 *	N spin        the same, but the threads spin between the copies, and no
 *	              thread sleeps: the limit of plain threads
 *	libuv         uv_queue_work() for each copy, then uv_run()
 *	GLib          g_thread_pool_push() for each copy, an atomic count, and a
 *	              GCond that the last copy signals
 *	OpenMP        "parallel for" over memcpy() (openmp.c)
 *
 * N is the number of usable CPUs, for all of them. Plain threads divide a
 * single copy into disjoint parts, and take turns with several copies. All
 * threads exist before the clock starts.
 */

#include "bench.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef BENCH_LIBUV
#include <uv.h>
#endif
#ifdef BENCH_GLIB
#include <glib.h>
#endif

/* One of the copies, for contestants that need an object for each. */
struct item {
#ifdef BENCH_LIBUV
	uv_work_t request; /* first: libuv hands it back */
#endif
	struct ways *ways;
	size_t index;
};

struct ways {
	struct work work;
	struct item items[MAX_COUNT];
	size_t repeats;

	struct runtime *runtime;
	struct data_mover_sync *dms;
	struct data_mover_threads *dmt;
	struct vdm_operation_future futures[MAX_COUNT];
	struct future *futs[MAX_COUNT];

	struct crew *crew;
	struct spin_barrier barrier;
	double ns; /* as a spinning thread saw it */

#ifdef BENCH_LIBUV
	uv_loop_t loop;
	size_t finished;
#endif
#ifdef BENCH_GLIB
	GThreadPool *pool;
	GMutex lock;
	GCond cond;
	gint pending;
	gboolean is_done; /* under the lock */
#endif
};

void
work_copy_one(const struct work *w, size_t i)
{
	memcpy(w->dst + i * w->size, w->src + i * w->size, w->size);
	use(w->dst);
}

void
work_copy_part(const struct work *w, size_t index, size_t n)
{
	if (w->count > 1) {
		for (size_t i = index; i < w->count; i += n)
			work_copy_one(w, i);
		return;
	}

	/* Whole pages. */
	const size_t pages = (w->size + 4 * KIB - 1) / (4 * KIB);
	const size_t part = (pages + n - 1) / n * (4 * KIB);
	const size_t begin = part * index;

	if (begin < w->size)
		memcpy(w->dst + begin, w->src + begin,
			w->size - begin < part ? w->size - begin : part);
	use(w->dst);
}

static double
run_memcpy(void *arg, size_t repeats)
{
	struct ways *ways = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		for (size_t i = 0; i < ways->work.count; i++)
			work_copy_one(&ways->work, i);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static double
run_vdm(struct ways *ways, struct vdm *vdm, size_t repeats)
{
	const struct work *w = &ways->work;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		for (size_t i = 0; i < w->count; i++)
			ways->futures[i] = vdm_memcpy(vdm, w->dst + i * w->size,
				w->src + i * w->size, w->size, 0);
		runtime_wait_multiple(ways->runtime, ways->futs, w->count);
		for (size_t i = 0; i < w->count; i++)
			check(&ways->futures[i]);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static double
run_sync(void *arg, size_t repeats)
{
	struct ways *ways = arg;

	return run_vdm(ways, data_mover_sync_get_vdm(ways->dms), repeats);
}

static double
run_threads(void *arg, size_t repeats)
{
	struct ways *ways = arg;

	return run_vdm(ways, data_mover_threads_get_vdm(ways->dmt), repeats);
}

static void
copy_part(void *arg, size_t index)
{
	struct ways *ways = arg;

	work_copy_part(&ways->work, index, crew_size(ways->crew));
}

static double
run_crew(void *arg, size_t repeats)
{
	struct ways *ways = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++)
		crew_run(ways->crew, copy_part, ways);
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static void
spin_and_copy(void *arg, size_t index)
{
	struct ways *ways = arg;
	const size_t n = crew_size(ways->crew);

	spin_barrier_wait(&ways->barrier, n);
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < ways->repeats; r++) {
		copy_part(ways, index);
		spin_barrier_wait(&ways->barrier, n);
	}
	if (index == 0)
		ways->ns = clock_ns(CLOCK_MONOTONIC) - start;
}

static double
run_spinning(void *arg, size_t repeats)
{
	struct ways *ways = arg;

	ways->repeats = repeats;
	crew_run(ways->crew, spin_and_copy, ways);
	return ways->ns;
}

#ifdef BENCH_LIBUV
static void
uv_copy(uv_work_t *request)
{
	const struct item *item = (struct item *)(void *)request;

	work_copy_one(&item->ways->work, item->index);
}

static void
uv_copied(uv_work_t *request, int status)
{
	const struct item *item = (struct item *)(void *)request;

	if (status != 0)
		fail("libuv: %s", uv_strerror(status));
	item->ways->finished++;
}

static double
run_libuv(void *arg, size_t repeats)
{
	struct ways *ways = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		ways->finished = 0;
		for (size_t i = 0; i < ways->work.count; i++) {
			if (uv_queue_work(&ways->loop, &ways->items[i].request,
				    uv_copy, uv_copied) != 0)
				fail("libuv: uv_queue_work() failed");
		}
		uv_run(&ways->loop, UV_RUN_DEFAULT);
		if (ways->finished != ways->work.count)
			fail("libuv: a copy is not complete");
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}
#endif

#ifdef BENCH_GLIB
static void
glib_copy(gpointer data, gpointer user_data)
{
	const struct item *item = data;
	struct ways *ways = user_data;

	work_copy_one(&ways->work, item->index);
	if (g_atomic_int_dec_and_test(&ways->pending)) {
		g_mutex_lock(&ways->lock);
		ways->is_done = TRUE;
		g_cond_signal(&ways->cond);
		g_mutex_unlock(&ways->lock);
	}
}

static double
run_glib(void *arg, size_t repeats)
{
	struct ways *ways = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t r = 0; r < repeats; r++) {
		ways->is_done = FALSE;
		g_atomic_int_set(&ways->pending, (gint)ways->work.count);
		for (size_t i = 0; i < ways->work.count; i++) {
			if (!g_thread_pool_push(
				    ways->pool, &ways->items[i], NULL))
				fail("GLib: g_thread_pool_push() failed");
		}
		g_mutex_lock(&ways->lock);
		while (!ways->is_done)
			g_cond_wait(&ways->cond, &ways->lock);
		g_mutex_unlock(&ways->lock);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}
#endif

#ifdef BENCH_OPENMP
static double
run_openmp(void *arg, size_t repeats)
{
	struct ways *ways = arg;

	return openmp_run(&ways->work, repeats);
}
#endif

static const struct {
	const char *name;
	double (*run)(void *arg, size_t repeats);
} all[WAYS] = {
	[WAY_MEMCPY] = {"memcpy", run_memcpy},
	[WAY_SYNC] = {"sync", run_sync},
	[WAY_THREADS] = {"threads", run_threads},
	[WAY_CREW] = {"N threads", run_crew},
	[WAY_SPIN] = {"N spin", run_spinning},
#ifdef BENCH_LIBUV
	[WAY_LIBUV] = {"libuv", run_libuv},
#endif
#ifdef BENCH_GLIB
	[WAY_GLIB] = {"GLib", run_glib},
#endif
#ifdef BENCH_OPENMP
	[WAY_OPENMP] = {"OpenMP", run_openmp},
#endif
};

bool
ways_has(enum way way)
{
	return all[way].run != NULL;
}

struct contestant
ways_contestant(struct ways *ways, enum way way)
{
	return (struct contestant){.name = all[way].name,
		.run = all[way].run,
		.arg = ways,
		.units = ways->work.count};
}

struct ways *
ways_new(void)
{
	const size_t n = usable_cpus();
	struct ways *ways = calloc(1, sizeof(*ways));

	if (ways == NULL)
		fail("out of memory");
	for (size_t i = 0; i < MAX_COUNT; i++) {
		ways->items[i].ways = ways;
		ways->items[i].index = i;
		ways->futs[i] = FUTURE_AS_RUNNABLE(&ways->futures[i]);
	}

	ways->runtime = runtime_new();
	ways->dms = data_mover_sync_new();
	ways->dmt = data_mover_threads_default();
	if (ways->runtime == NULL || ways->dms == NULL || ways->dmt == NULL)
		fail("cannot make a runtime or a mover");
	ways->crew = crew_new(n);

#ifdef BENCH_LIBUV
	char number[24];

	/* libuv reads it when it starts its threads, at the first work. */
	snprintf(number, sizeof(number), "%zu", n);
	if (setenv("UV_THREADPOOL_SIZE", number, 1) != 0 ||
		uv_loop_init(&ways->loop) != 0)
		fail("libuv: cannot start");
#endif
#ifdef BENCH_GLIB
	g_mutex_init(&ways->lock);
	g_cond_init(&ways->cond);
	/* Exclusive: the threads are started now, and kept. */
	ways->pool = g_thread_pool_new(glib_copy, ways, (gint)n, TRUE, NULL);
	if (ways->pool == NULL)
		fail("GLib: cannot make a thread pool");
#endif
#ifdef BENCH_OPENMP
	openmp_start(n);
#endif
	return ways;
}

void
ways_delete(struct ways *ways)
{
#ifdef BENCH_GLIB
	g_thread_pool_free(ways->pool, FALSE, TRUE);
	g_cond_clear(&ways->cond);
	g_mutex_clear(&ways->lock);
#endif
#ifdef BENCH_LIBUV
	if (uv_loop_close(&ways->loop) != 0)
		fail("libuv: uv_loop_close() failed: work is left");
#endif
	crew_delete(ways->crew);
	data_mover_threads_delete(ways->dmt);
	data_mover_sync_delete(ways->dms);
	runtime_delete(ways->runtime);
	free(ways);
}

void
ways_set_work(struct ways *ways, struct work work)
{
	ways->work = work;
}

void
ways_verify(struct ways *ways, enum way way)
{
	const struct work *w = &ways->work;

	memset(w->dst, 0x5a, w->size * w->count);
	all[way].run(ways, 1);
	if (memcmp(w->dst, w->src, w->size * w->count) != 0)
		fail("%s: %zu x %zu bytes: wrong copy", all[way].name, w->count,
			w->size);
}
