/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * contract_many.c -- tests of the contract suite with many futures or threads
 */

#include "contract_case.h"

#include <pthread.h>

void
dropped_futures_block_nobody(void **state)
{
	char *a = contract_get(state, "a\0______", 8),
	     *b = contract_get(state, "b\0______", 8);

	for (int i = 0; i < contract_rounds(5000); i++) {
		const struct vdm_operation_future dropped =
			vdm_memcpy(contract_vdm_of(state), a, b, 8, 0);
		struct vdm_operation_future f =
			vdm_memset(contract_vdm_of(state), a, i, 8, 0);

		(void)dropped;
		char first;

		assert_int_equal(contract_finish(&f)->result, VDM_SUCCESS);
		contract_look(state, &first, a, 1);
		assert_int_equal(first, (char)i);
	}
}

/* 200,000 futures before the first poll. They finish in reverse order. */
void
many_pending_operations_all_complete(void **state)
{
	const size_t n = (size_t)contract_rounds(200000);
	unsigned char *dst = contract_get(state, NULL, n), *looked = malloc(n);
	struct vdm_operation_future *f = malloc(n * sizeof(*f));

	assert_true(looked != NULL && f != NULL);

	for (size_t i = 0; i < n; i++) {
		f[i] = vdm_memset(
			contract_vdm_of(state), dst + i, (int)i, 1, 0);
		assert_int_equal(FUTURE_STATE(&f[i]), FUTURE_STATE_IDLE);
	}
	for (size_t i = n; i-- > 0;) {
		if (i % 64 == 0)
			contract_finish(&f[i]);
		FUTURE_BUSY_POLL(&f[i]);
		assert_int_equal(FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
	}
	contract_look(state, looked, dst, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(looked[i], (unsigned char)i);
	free(f);
	free(looked);
}

void
runtime_waits_for_many(void **state)
{
	enum { N = 1000 };
	static struct vdm_operation_future f[N];
	static char want[N][64], looked[N][64];
	struct future *futs[N];
	for (size_t i = 0; i < N; i++)
		memset(want[i], (int)i, 64);
	char *src = contract_get(state, want, sizeof(want));
	char *dst = contract_get(state, NULL, sizeof(want));
	for (size_t i = 0; i < N; i++) {
		f[i] = vdm_memcpy(contract_vdm_of(state), dst + i * 64,
			src + i * 64, 64, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	runtime_wait_multiple(contract_runtime, futs, N);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(contract_finish(&f[i])->result, VDM_SUCCESS);
	contract_look(state, looked, dst, sizeof(looked));
	assert_memory_equal(looked, want, sizeof(want));
}

/* Threads create futures, and complete those of other threads. */
#define RELAY_THREADS 4
#define RELAY_DEPTH 100

typedef uint64_t relay_row[RELAY_DEPTH];

struct relay {
	struct vdm *vdm;
	void **state;
	pthread_barrier_t barrier;
	struct vdm_operation_future f[RELAY_THREADS][RELAY_DEPTH];
	relay_row *dst, *src; /* of operations */
	relay_row want[RELAY_THREADS];
	unsigned failures[RELAY_THREADS];
};

struct relay_runner {
	struct relay *relay;
	size_t me;
};

static void *
relay_run(void *arg)
{
	struct relay_runner *runner = arg;
	struct relay *r = runner->relay;
	const size_t me = runner->me;

	for (uint64_t round = 0; round < (uint64_t)contract_rounds(200);
		round++) {
		for (size_t i = 0; i < RELAY_DEPTH; i++) {
			r->want[me][i] = round * 1000 + i + me * 7;
			r->f[me][i] = vdm_memcpy(r->vdm, &r->dst[me][i],
				&r->src[me][i], sizeof(uint64_t), 0);
		}
		contract_put(
			r->state, r->src[me], r->want[me], sizeof(relay_row));
		pthread_barrier_wait(&r->barrier);

		const size_t other = (me + 1) % RELAY_THREADS;

		relay_row looked;

		for (size_t i = 0; i < RELAY_DEPTH; i++) {
			FUTURE_BUSY_POLL(&r->f[other][i]);
			if (FUTURE_OUTPUT(&r->f[other][i])->result !=
				VDM_SUCCESS)
				r->failures[me]++;
		}
		contract_look(r->state, looked, r->dst[other], sizeof(looked));
		if (memcmp(looked, r->want[other], sizeof(looked)) != 0)
			r->failures[me]++;
		pthread_barrier_wait(&r->barrier);
	}
	return NULL;
}

void
created_on_one_thread_completed_on_another(void **state)
{
	static struct relay r;
	struct relay_runner runners[RELAY_THREADS];
	pthread_t threads[RELAY_THREADS];

	memset(&r, 0, sizeof(r));
	r.vdm = contract_vdm_of(state);
	r.state = state;
	r.dst = contract_get(state, NULL, sizeof(r.want));
	r.src = contract_get(state, NULL, sizeof(r.want));
	pthread_barrier_init(&r.barrier, NULL, RELAY_THREADS);
	for (size_t i = 0; i < RELAY_THREADS; i++) {
		runners[i] = (struct relay_runner){&r, i};
		assert_int_equal(pthread_create(&threads[i], NULL, relay_run,
					 &runners[i]),
			0);
	}
	for (size_t i = 0; i < RELAY_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(r.failures[i], 0);
	}
	pthread_barrier_destroy(&r.barrier);
}
