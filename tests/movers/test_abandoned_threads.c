/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_abandoned_threads.c -- tests waits of many threads with random times, on
 * futures of all movers, which are moved and change hands between the waits
 *
 * There is no safety net: a lost wake stalls a wait.
 */

#include "fake_dml.h"
#include "foreign_mover.h"
#include "works.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "libminiasync-vdm-dml.h"
#include "write_back.h"

#define THREADS 4
#define RUNTIMES 2
#define BATCH 12
#define MAX_BYTES (768 * KIB)

enum {
	SYNC,
	THREADS_WAKER,
	THREADS_POLLER,
	THREADS_NONE,
	DML,
	FOREIGN,
	MOVERS
};

static struct runtime *runtimes[RUNTIMES];
static struct vdm *movers[MOVERS];
static struct foreign_mover foreign;
static atomic_bool foreign_stops;

/* Futures that one thread at a time waits for. */
struct batch {
	struct vdm_operation_future f[BATCH];
	unsigned char *to[BATCH], *from[BATCH];
	size_t n[BATCH];
	size_t nfuts;
};

/* A batch that the next thread takes, in exchange for its own. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct batch *left_here;

/* Ends what the foreign mover has started, at random times. */
static void *
foreign_run(void *arg)
{
	uint64_t *seed = arg;

	while (!atomic_load(&foreign_stops) || foreign_end(&foreign)) {
		if (test_random(seed) % 4 != 0)
			test_sleep_ns(test_random(seed) % (MS / 2));
		else
			sched_yield();
		foreign_end(&foreign);
	}
	return NULL;
}

static struct batch *
batch_new(uint64_t *seed)
{
	struct batch *b = malloc(sizeof(*b));

	WORKS_CHECK(b != NULL);
	b->nfuts = 1 + test_random(seed) % BATCH;
	for (size_t i = 0; i < b->nfuts; i++) {
		const size_t max = test_random(seed) % 2 ? MAX_BYTES : 20 * KIB;
		struct vdm *vdm = movers[test_random(seed) % MOVERS];

		b->n[i] = 1 + test_random(seed) % max;
		b->from[i] = works_filled(b->n[i], test_random(seed));
		b->to[i] = works_memory(b->n[i]);
		b->f[i] = vdm_memcpy(vdm, b->to[i], b->from[i], b->n[i], 0);
	}
	return b;
}

/* The same futures at another place. */
static struct batch *
batch_moved(struct batch *b)
{
	struct batch *moved = malloc(sizeof(*moved));

	WORKS_CHECK(moved != NULL);
	memcpy(moved, b, sizeof(*b));
	memset(b, 0xee, sizeof(*b));
	free(b);
	return moved;
}

/* Some of the futures, in any order, some of them twice. Returns how many. */
static size_t
choose(struct batch *b, struct future *futs[], uint64_t *seed)
{
	const size_t n = 1 + test_random(seed) % b->nfuts;

	for (size_t i = 0; i < n; i++)
		futs[i] =
			FUTURE_AS_RUNNABLE(&b->f[test_random(seed) % b->nfuts]);
	return n;
}

static size_t
count_complete(struct future *futs[], size_t n)
{
	size_t ncomplete = 0;

	for (size_t i = 0; i < n; i++)
		ncomplete += futs[i]->context.state == FUTURE_STATE_COMPLETE;
	return ncomplete;
}

static void
wait_some(struct batch *b, uint64_t *seed)
{
	static const uint64_t max_ns[] = {1, 20000, 300000, 3000000};
	struct runtime *by = runtimes[test_random(seed) % RUNTIMES];
	struct future *futs[BATCH];
	const size_t n = choose(b, futs, seed);
	const size_t nwanted = test_random(seed) % (n + 2);
	const uint64_t max = max_ns[test_random(seed) % 4];
	const int64_t timeout_ns = (int64_t)(test_random(seed) % max);
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	const size_t ncomplete =
		runtime_wait_some(by, futs, n, nwanted, timeout_ns);
	const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start;
	const size_t enough = nwanted < n ? nwanted : n;

	WORKS_CHECK(ncomplete == count_complete(futs, n));
	WORKS_CHECK(ncomplete >= enough || ns >= (uint64_t)timeout_ns);
	WORKS_CHECK(ns < WORKS_STALL_NS);
}

static struct batch *
exchange(struct batch *b)
{
	pthread_mutex_lock(&lock);

	struct batch *other = left_here;

	left_here = b;
	pthread_mutex_unlock(&lock);
	return other;
}

/* All complete, in one runtime, which others use as well. */
static void
finish(struct batch *b, uint64_t *seed)
{
	struct future *futs[BATCH];

	for (size_t i = 0; i < b->nfuts; i++)
		futs[i] = FUTURE_AS_RUNNABLE(&b->f[i]);
	works_wait(runtimes[test_random(seed) % RUNTIMES], futs, b->nfuts);
	for (size_t i = 0; i < b->nfuts; i++) {
		WORKS_CHECK(FUTURE_OUTPUT(&b->f[i])->result == VDM_SUCCESS);
		WORKS_CHECK(memcmp(b->to[i], b->from[i], b->n[i]) == 0);
		free(b->to[i]);
		free(b->from[i]);
	}
	free(b);
}

static void *
waiter_run(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	for (size_t i = 0; i < works_rounds(300); i++) {
		struct batch *b = batch_new(&seed);

		for (unsigned left = test_random(&seed) % 6;
			left > 0 && b != NULL; left--) {
			wait_some(b, &seed);
			b = batch_moved(b);
			if (test_random(&seed) % 3 == 0)
				b = exchange(b);
		}
		if (b != NULL)
			finish(b, &seed);
	}
	return NULL;
}

static void
all_futures_complete_whatever_waits_left_them(void **state)
{
	uint64_t seed = test_seed("abandoned futures");
	uint64_t seeds[THREADS], foreign_seed = test_random(&seed);
	pthread_t threads[THREADS], foreign_thread;

	(void)state;
	pthread_create(&foreign_thread, NULL, foreign_run, &foreign_seed);
	for (int i = 0; i < THREADS; i++) {
		seeds[i] = test_random(&seed);
		pthread_create(&threads[i], NULL, waiter_run, &seeds[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (left_here != NULL)
		finish(left_here, &seed);
	atomic_store(&foreign_stops, true);
	pthread_join(foreign_thread, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_futures_complete_whatever_waits_left_them),
	};
	end_without_write_back();
	struct data_mover_sync *dms = data_mover_sync_new();
	struct data_mover_threads *dmts[] = {
		works_mover(2, FUTURE_NOTIFIER_WAKER),
		works_mover(1, FUTURE_NOTIFIER_POLLER),
		works_mover(2, FUTURE_NOTIFIER_NONE)};
	fake_dml_reset();
	fake_dml_set_device(FAKE_DML_DEVICE);

	struct data_mover_dml *dmd =
		data_mover_dml_new(DATA_MOVER_DML_HARDWARE);

	WORKS_CHECK(dms != NULL && dmd != NULL);
	foreign_init(&foreign);
	movers[SYNC] = data_mover_sync_get_vdm(dms);
	for (int i = 0; i < 3; i++)
		movers[THREADS_WAKER + i] = data_mover_threads_get_vdm(dmts[i]);
	movers[DML] = data_mover_dml_get_vdm(dmd);
	movers[FOREIGN] = &foreign.vdm;
	for (int i = 0; i < RUNTIMES; i++)
		runtimes[i] = works_runtime();

	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	for (int i = 0; i < RUNTIMES; i++)
		runtime_delete(runtimes[i]);
	data_mover_sync_delete(dms);
	for (int i = 0; i < 3; i++)
		data_mover_threads_delete(dmts[i]);
	data_mover_dml_delete(dmd);
	foreign_fini(&foreign);
	return failed;
}
