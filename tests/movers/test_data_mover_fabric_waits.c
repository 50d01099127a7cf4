/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_waits.c -- tests movers/data_mover_fabric with the
 * installed libfabric: every way to wait, many operations, many threads
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "fabric_pair.h"
#include "wakers.h"

#define MIB (1024 * KIB)

/* One after the other, of sizes with one part and with many. */
static void
runtime_waits_without_loss(void **state)
{
	struct runtime *runtime = runtime_new();
	char *local = calloc(1, 3 * MIB);
	struct pair p;

	(void)state;
	pair_init(&p, (struct pair_of){.size = 3 * MIB});
	for (int i = 0; i < TEST_ROUNDS(20000); i++) {
		const size_t n = i % 500 == 0 ? 3 * MIB : 64;
		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
		struct vdm_operation_future f = i % 2 == 0
			? vdm_memset(p.vdm, p.window, i, n, 0)
			: vdm_memcpy(p.vdm, local, p.window, n, 0);

		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		pair_check_time(start_ns);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		if (i % 2 == 1)
			assert_int_equal(local[n - 1], (char)(i - 1));
	}
	pair_fini(&p);
	free(local);
	runtime_delete(runtime);
}

/* Thousands at once, by each of the calls that wait. */
#define MANY 100000
#define EACH 32

struct many {
	struct pair pair;
	size_t n;
	char *local;
	struct vdm_operation_future *f;
	struct future **futs;
	struct runtime *runtime;
};

static void
many_init(struct many *m, struct pair_of of)
{
	m->n = TEST_ROUNDS(MANY);
	of.size = m->n * EACH;
	pair_init(&m->pair, of);
	m->local = malloc(of.size);
	m->f = malloc(m->n * sizeof(*m->f));
	m->futs = malloc(m->n * sizeof(struct future *));
	m->runtime = runtime_new();
	assert_true(m->local != NULL && m->f != NULL && m->futs != NULL &&
		m->runtime != NULL);
	for (size_t i = 0; i < of.size; i++)
		m->local[i] = (char)(i * 13 + i / 251);
}

static void
many_put(struct many *m)
{
	memset(m->pair.memory, 0x5a, m->pair.size);
	for (size_t i = 0; i < m->n; i++) {
		m->f[i] = vdm_memcpy(m->pair.vdm, m->pair.window + i * EACH,
			m->local + i * EACH, EACH, 0);
		m->futs[i] = FUTURE_AS_RUNNABLE(&m->f[i]);
	}
}

static void
many_check(struct many *m)
{
	for (size_t i = 0; i < m->n; i++) {
		assert_int_equal(FUTURE_STATE(&m->f[i]), FUTURE_STATE_COMPLETE);
		assert_int_equal(FUTURE_OUTPUT(&m->f[i])->result, VDM_SUCCESS);
	}
	assert_memory_equal(m->pair.memory, m->local, m->pair.size);
}

static void
many_fini(struct many *m)
{
	pair_fini(&m->pair);
	runtime_delete(m->runtime);
	free(m->local);
	free(m->f);
	free(m->futs);
}

static void
many_by_runtime_wait_multiple(void **state)
{
	struct many m;

	(void)state;
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		many_init(&m,
			(struct pair_of){.no_mover_thread = no_thread != 0});
		many_put(&m);
		runtime_wait_multiple(m.runtime, m.futs, m.n);
		many_check(&m);
		many_fini(&m);
	}
}

static void
many_by_runtime_wait_some(void **state)
{
	struct many m;
	size_t done = 0;

	(void)state;
	many_init(&m, (struct pair_of){0});
	many_put(&m);
	for (size_t wanted = m.n / 20; done < m.n; wanted += m.n / 20) {
		done = runtime_wait_some(m.runtime, m.futs, m.n, wanted,
			(int64_t)(PAIR_LIMIT_MS * MS));
		assert_true(done >= (wanted < m.n ? wanted : m.n));
	}
	many_check(&m);

	/* A time limit, with the server asleep. */
	many_fini(&m);
	many_init(&m, (struct pair_of){.no_region_thread = true});
	many_put(&m);

	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

	assert_int_equal(
		runtime_wait_some(m.runtime, m.futs, 1, 1, (int64_t)(50 * MS)),
		0);
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start_ns >= 50 * MS);
	pair_check_time(start_ns);
	for (size_t i = 0; i < m.n; i++)
		pair_wait(&m.pair, m.futs[i]);
	many_check(&m);
	many_fini(&m);
}

static void
many_by_completion_queue(void **state)
{
	struct completion_queue *cq = completion_queue_new();
	struct completion out[64];
	struct many m;
	size_t done = 0;

	(void)state;
	assert_non_null(cq);
	many_init(&m, (struct pair_of){0});
	many_put(&m);
	for (size_t i = 0; i < m.n; i++)
		assert_int_equal(completion_queue_add(cq, m.futs[i], NULL), 0);
	while (done < m.n / 2) {
		const size_t n = completion_queue_wait(
			cq, out, 64, 1, (int64_t)(PAIR_LIMIT_MS * MS));

		assert_true(n > 0);
		done += n;
	}

	/* The rest by the descriptor alone. */
	while (done < m.n) {
		struct pollfd ready = {
			.fd = completion_queue_fd(cq), .events = POLLIN};

		done += completion_queue_reap(cq, out, 64);
		if (done < m.n && completion_queue_pending(cq) > 0)
			assert_int_equal(poll(&ready, 1, PAIR_LIMIT_MS), 1);
	}
	assert_int_equal(completion_queue_pending(cq), 0);
	many_check(&m);
	completion_queue_delete(cq);
	many_fini(&m);
}

/* Put, then get what was put, then move it within the window. */
struct round_trip_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, put);
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, relay);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, get);
};

struct round_trip_output {
	char unused;
};

FUTURE(round_trip, struct round_trip_data, struct round_trip_output);

static void
chains_see_what_was_written_before(void **state)
{
	struct runtime *runtime = runtime_new();
	const size_t n = 300 * KIB;
	char *from = malloc(n), *to = malloc(n);
	struct pair p;

	(void)state;
	pair_init(&p, (struct pair_of){.size = 2 * n});
	for (int i = 0; i < TEST_ROUNDS(60); i++) {
		struct round_trip chain;

		memset(from, i, n);
		memset(to, i + 1, n);
		FUTURE_CHAIN_ENTRY_INIT(&chain.data.put,
			vdm_memcpy(p.vdm, p.window, from, n, 0), NULL, NULL);
		FUTURE_CHAIN_ENTRY_INIT(&chain.data.relay,
			vdm_memcpy(p.vdm, p.window + n, p.window, n, 0), NULL,
			NULL);
		FUTURE_CHAIN_ENTRY_INIT(&chain.data.get,
			vdm_memcpy(p.vdm, to, p.window + n, n, 0), NULL, NULL);
		FUTURE_CHAIN_INIT(&chain);
		if (i % 2 == 0)
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&chain));
		else
			FUTURE_BUSY_POLL(&chain);
		assert_int_equal(FUTURE_OUTPUT(&chain.data.put.fut)->result,
			VDM_SUCCESS);
		assert_int_equal(FUTURE_OUTPUT(&chain.data.relay.fut)->result,
			VDM_SUCCESS);
		assert_int_equal(FUTURE_OUTPUT(&chain.data.get.fut)->result,
			VDM_SUCCESS);
		assert_memory_equal(from, to, n);
	}
	pair_fini(&p);
	free(from);
	free(to);
	runtime_delete(runtime);
}

/* A list of segments, some in the window. */
static void
segments_may_lie_on_both_sides(void **state)
{
	struct pair p;
	char local[3000];

	(void)state;
	pair_init(&p, (struct pair_of){.size = 3000});
	for (size_t i = 0; i < sizeof(local); i++)
		local[i] = (char)i;

	const struct vdm_segment segments[] = {
		{p.window, local, 1000},
		{p.window + 1000, p.window, 500},
		{local + 2000, p.window + 1000, 500},
		{local + 1000, local, 10},
	};
	struct vdm_operation_future f = vdm_memcpyv(p.vdm, segments, 4, 0);

	pair_wait(&p, FUTURE_AS_RUNNABLE(&f));
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	assert_memory_equal(p.memory, local, 1000);
	assert_memory_equal(p.memory + 1000, local, 500);
	assert_memory_equal(local + 2000, local, 500);
	assert_memory_equal(local + 1000, local, 10);
	pair_fini(&p);
}

/* 8 threads with slices of their own. */

struct worker {
	struct pair *pair;
	size_t me;
	size_t slice;
	unsigned failures;
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	char *local = malloc(w->slice), *back = malloc(w->slice);
	char *window = w->pair->window + w->me * w->slice;
	struct runtime *runtime = runtime_new();
	uint64_t seed = w->me;

	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		const size_t n = 1 +
			test_random(&seed) % (i % 20 == 0 ? w->slice : 3000);
		const size_t at = test_random(&seed) % (w->slice - n + 1);
		struct vdm_operation_future put, get;

		memset(local, (int)(i + (int)w->me), n);
		put = vdm_memcpy(w->pair->vdm, window + at, local, n, 0);
		if (i % 2 == 0)
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&put));
		else
			FUTURE_BUSY_POLL(&put);
		get = vdm_memcpy(w->pair->vdm, back, window + at, n, 0);
		if (i % 3 == 0)
			FUTURE_BUSY_POLL(&get);
		else
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&get));
		if (FUTURE_OUTPUT(&put)->result != VDM_SUCCESS ||
			FUTURE_OUTPUT(&get)->result != VDM_SUCCESS ||
			memcmp(local, back, n) != 0)
			w->failures++;
	}
	runtime_delete(runtime);
	free(local);
	free(back);
	return NULL;
}

static void
eight_threads_use_one_mover(void **state)
{
	enum { N = 8 };

	(void)state;
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		struct pair p;
		struct worker workers[N];
		pthread_t threads[N];

		pair_init(&p,
			(struct pair_of){.size = N * MIB,
				.no_mover_thread = no_thread != 0});
		for (size_t i = 0; i < N; i++) {
			workers[i] = (struct worker){&p, i, MIB, 0};
			assert_int_equal(pthread_create(&threads[i], NULL, work,
						 &workers[i]),
				0);
		}
		for (size_t i = 0; i < N; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(workers[i].failures, 0);
		}
		pair_fini(&p);
	}
}

/* Unpolled, once polled, complete: all may be forgotten. */
static void
dropped_futures_block_nobody(void **state)
{
	struct pair p;
	char local[64] = "local";

	(void)state;
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		pair_init(&p,
			(struct pair_of){.size = MIB,
				.no_mover_thread = no_thread != 0});
		for (int i = 0; i < TEST_ROUNDS(2000); i++) {
			struct vdm_operation_future dropped = i % 2 == 0
				? vdm_memset(p.vdm, p.window, 1, 100 * KIB, 0)
				: vdm_memcpy(p.vdm, p.window + 200 * KIB,
					  p.window, 100 * KIB, 0);

			if (i % 3 != 0)
				future_poll(FUTURE_AS_RUNNABLE(&dropped), NULL);
			if (i % 50 == 0)
				assert_int_equal(
					pair_finish(&p,
						vdm_memcpy(p.vdm,
							p.window + 512 * KIB,
							local, 64, 0)),
					VDM_SUCCESS);
		}
		assert_string_equal(p.memory + 512 * KIB, "local");
		pair_fini(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runtime_waits_without_loss),
		cmocka_unit_test(many_by_runtime_wait_multiple),
		cmocka_unit_test(many_by_runtime_wait_some),
		cmocka_unit_test(many_by_completion_queue),
		cmocka_unit_test(chains_see_what_was_written_before),
		cmocka_unit_test(segments_may_lie_on_both_sides),
		cmocka_unit_test(eight_threads_use_one_mover),
		cmocka_unit_test(dropped_futures_block_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
