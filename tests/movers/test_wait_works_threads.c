/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait_works_threads.c -- tests waits whose thread works, in many threads
 * on one mover, and movers that are deleted as soon as the wait has returned
 */

#include "works.h"

#include <pthread.h>

/*
 * A worker may be about to join when the last piece is done. Afterwards it must
 * touch neither the operation nor the memory nor the mover.
 */
static void
mover_and_memory_may_go_after_the_wait(void **state)
{
	enum { MAX = 4 };
	uint64_t seed = test_seed("movers that go");

	(void)state;
	for (size_t r = 0; r < works_rounds(2000); r++) {
		struct data_mover_threads *dmt = works_mover(
			1 + test_random(&seed) % 4, FUTURE_NOTIFIER_WAKER);
		struct vdm_operation_future f[MAX];
		struct future *futs[MAX];
		unsigned char *src[MAX], *dst[MAX];
		const size_t n = 1 + test_random(&seed) % MAX;
		size_t sizes[MAX];

		for (size_t i = 0; i < n; i++) {
			sizes[i] =
				20 * KIB + test_random(&seed) % (600 * KIB / n);
			src[i] = works_filled(sizes[i], r);
			dst[i] = works_memory(sizes[i]);
			f[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				dst[i], src[i], sizes[i], 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		works_wait(runtime, futs, n);
		if (r % 2)
			data_mover_threads_delete(dmt);
		for (size_t i = 0; i < n; i++) {
			assert_memory_equal(dst[i], src[i], sizes[i]);
			free(src[i]);
			free(dst[i]);
		}
		memset(f, 0xaa, sizeof(f));
		if (r % 2 == 0)
			data_mover_threads_delete(dmt);
	}
}

/* Many threads */

struct thread {
	struct vdm *vdm;
	struct runtime *runtime;
	uint64_t seed;
	size_t rounds;
};

struct pair_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, second);
};

FUTURE(pair_future, struct pair_data, char);

#define BATCH 12

/* Memory of a slot: the source, then where it goes, then as it should be. */
struct slot {
	unsigned char *memory, *wanted;
	size_t size;
	struct vdm_operation_future one;
	struct pair_future pair;
};

static size_t
random_size(uint64_t *seed)
{
	const uint64_t r = test_random(seed);

	switch (r % 16) {
	case 0:
		return 1 + (r >> 8) % (3 * 1024 * KIB);
	case 1:
	case 2:
	case 3:
	case 4:
		return 1 + (r >> 8) % (600 * KIB);
	case 5:
		return 1 + (r >> 8) % (16 * KIB);
	default:
		return 1 + (r >> 8) % (80 * KIB);
	}
}

static struct future *
slot_start(struct slot *slot, struct vdm *vdm, uint64_t *seed)
{
	const size_t n = slot->size = random_size(seed);
	const uint64_t r = test_random(seed);
	const size_t shift = (r >> 8) % (n + 1);
	unsigned char *m, *w;

	slot->memory = m = works_filled(2 * n, r);
	slot->wanted = w = works_filled(2 * n, r);
	slot->one.base.context.state = FUTURE_STATE_COMPLETE;
	switch (r % 6) {
	case 0:
		memmove(w + shift, w, n);
		slot->one = vdm_memmove(vdm, m + shift, m, n, 0);
		break;
	case 1:
		memmove(w, w + shift, n);
		slot->one = vdm_memmove(vdm, m, m + shift, n, 0);
		break;
	case 2:
		memset(w, (int)(r >> 32 & 255), n);
		slot->one = vdm_memset(vdm, m, (int)(r >> 32 & 255), n, 0);
		break;
	case 3:
		memcpy(w + n, w, n);
		memset(w, 7, n);
		FUTURE_CHAIN_ENTRY_INIT(&slot->pair.data.first,
			vdm_memcpy(vdm, m + n, m, n, 0), NULL, NULL);
		FUTURE_CHAIN_ENTRY_INIT(&slot->pair.data.second,
			vdm_memset(vdm, m, 7, n, 0), NULL, NULL);
		FUTURE_CHAIN_INIT(&slot->pair);
		return FUTURE_AS_RUNNABLE(&slot->pair);
	default:
		memcpy(w + n, w, n);
		slot->one = vdm_memcpy(vdm, m + n, m, n, 0);
		break;
	}
	return FUTURE_AS_RUNNABLE(&slot->one);
}

static void *
run_thread(void *arg)
{
	struct thread *thread = arg;
	struct slot *slots = calloc(BATCH, sizeof(*slots));
	struct future *futs[BATCH];

	WORKS_CHECK(slots != NULL);
	for (size_t r = 0; r < thread->rounds; r++) {
		const size_t n = 1 + test_random(&thread->seed) % BATCH;

		for (size_t i = 0; i < n; i++)
			futs[i] = slot_start(
				&slots[i], thread->vdm, &thread->seed);
		/* Some have begun on workers. */
		for (size_t i = 0; i < n; i++)
			if (test_random(&thread->seed) % 8 == 0)
				future_poll(futs[i], NULL);
		works_wait(thread->runtime, futs, n);
		for (size_t i = 0; i < n; i++) {
			WORKS_CHECK(memcmp(slots[i].memory, slots[i].wanted,
					    2 * slots[i].size) == 0);
			free(slots[i].memory);
			free(slots[i].wanted);
		}
	}
	free(slots);
	return NULL;
}

static void
many_threads_wait_on_one_mover(void **state)
{
	enum { THREADS = 12 };
	static const enum future_notifier_type kinds[] = {FUTURE_NOTIFIER_WAKER,
		FUTURE_NOTIFIER_POLLER, FUTURE_NOTIFIER_NONE};
	const uint64_t seed = test_seed("many threads");

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct data_mover_threads *dmt = works_mover(3, kinds[k]);
		struct thread threads[THREADS];
		pthread_t ids[THREADS];

		for (size_t i = 0; i < THREADS; i++) {
			threads[i] = (struct thread){
				data_mover_threads_get_vdm(dmt), runtime,
				seed + 1000 * k + i, works_rounds(20)};
			WORKS_CHECK(pthread_create(&ids[i], NULL, run_thread,
					    &threads[i]) == 0);
		}
		for (size_t i = 0; i < THREADS; i++)
			pthread_join(ids[i], NULL);
		data_mover_threads_delete(dmt);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mover_and_memory_may_go_after_the_wait),
		cmocka_unit_test(many_threads_wait_on_one_mover),
	};

	return cmocka_run_group_tests(tests, works_set_up, works_tear_down);
}
