/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait_works.c -- tests waits whose thread works, on the threads mover:
 * the results of all operations, alone and among others, on every notifier
 *
 * Which thread works: functions of the program run on workers only.
 */

#include "works.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "steps.h"

#define MANY 16

static const enum future_notifier_type kinds[] = {
	FUTURE_NOTIFIER_WAKER, FUTURE_NOTIFIER_POLLER, FUTURE_NOTIFIER_NONE};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* One operation, its memory, and the same memory as it has to be afterwards. */
struct job {
	unsigned char *memory;
	unsigned char *wanted;
	size_t size;
	enum vdm_operation_result result;
	struct vdm_operation_future f;
};

static void
job_init(struct job *job, size_t size, uint64_t seed)
{
	job->size = size;
	job->memory = works_filled(size, seed);
	job->wanted = works_filled(size, seed);
	job->result = VDM_SUCCESS;
}

static void
job_check(struct job *job)
{
	assert_int_equal(job->f.output.result, job->result);
	assert_memory_equal(job->memory, job->wanted, job->size);
	free(job->memory);
	free(job->wanted);
}

static void
wait_for_jobs(struct job *jobs, size_t n)
{
	struct future *futs[MANY];

	for (size_t i = 0; i < n; i++)
		futs[i] = FUTURE_AS_RUNNABLE(&jobs[i].f);
	works_wait(runtime, futs, n);
	for (size_t i = 0; i < n; i++)
		job_check(&jobs[i]);
}

/* Moves */

enum way { UPWARDS, DOWNWARDS };

static void
move_start(struct job *job, struct vdm *vdm, size_t n, size_t distance,
	enum way way)
{
	const size_t to = way == UPWARDS ? 0 : distance;

	job_init(job, n + distance, n + distance);
	memmove(job->wanted + to, job->wanted + distance - to, n);
	job->f = vdm_memmove(
		vdm, job->memory + to, job->memory + distance - to, n, 0);
}

/* n bytes, as one operation, and as many of all distances. */
static void
move_by_all_distances(struct vdm *vdm, size_t n)
{
	const size_t distances[] = {0, 1, 7, 64, 4095, 4096, 20000, 65536,
		262143, n / 2, n - 1, n, n + 1, n + 4096, n / 3, n / 3 * 2};
	static struct job jobs[MANY];

	for (int way = UPWARDS; way <= DOWNWARDS; way++) {
		for (size_t i = 0; i < MANY; i++) {
			move_start(
				&jobs[0], vdm, n, distances[i], (enum way)way);
			wait_for_jobs(jobs, 1);
		}
		for (size_t i = 0; i < MANY; i++)
			move_start(&jobs[i], vdm, n, distances[i],
				i % 2 ? UPWARDS : (enum way)way);
		wait_for_jobs(jobs, MANY);
	}
}

static void
overlapping_moves_are_right(void **state)
{
	static const size_t sizes[] = {
		20 * KIB, 64 * KIB + 1, 300 * KIB, 1024 * KIB + 5};

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct data_mover_threads *dmt =
			works_mover(1 + k * 2, kinds[k]);

		for (size_t i = 0; i < (TEST_SLOWDOWN > 10 ? 2 : 4); i++)
			move_by_all_distances(
				data_mover_threads_get_vdm(dmt), sizes[i]);
		data_mover_threads_delete(dmt);
	}
}

static void
large_overlapping_moves_are_right(void **state)
{
	const size_t n = (TEST_SLOWDOWN > 10 ? 2 : 24) * 1024 * KIB;
	static const size_t distances[] = {1, 4096, 1000001, 13 * 1024 * KIB};

	(void)state;
	for (size_t workers = 1; workers <= 4; workers += 3) {
		struct data_mover_threads *dmt =
			works_mover(workers, FUTURE_NOTIFIER_WAKER);

		for (size_t i = 0; i < 4; i++) {
			struct job job;

			move_start(&job, data_mover_threads_get_vdm(dmt), n,
				distances[i], i % 2 ? UPWARDS : DOWNWARDS);
			wait_for_jobs(&job, 1);
		}
		data_mover_threads_delete(dmt);
	}
}

/*
 * A future whose polls work gets the thread. So a worker goes on with a move
 * that the waiting thread has begun.
 */
static void
moves_in_progress_go_on_in_workers(void **state)
{
	enum { MOVES = 3 };
	const size_t n = 6 * 1024 * KIB;

	(void)state;
	for (size_t r = 0; r < works_rounds(12); r++) {
		struct data_mover_threads *dmt =
			works_mover(1 + r % 2, kinds[r % KINDS]);
		struct steps_future works = steps(60, 3000);
		struct future *futs[MOVES + 1];
		struct job jobs[MOVES];

		for (size_t i = 0; i < MOVES; i++) {
			move_start(&jobs[i], data_mover_threads_get_vdm(dmt), n,
				i < 2 ? 5000 : n,
				r % 4 < 2 ? UPWARDS : DOWNWARDS);
			futs[i] = FUTURE_AS_RUNNABLE(&jobs[i].f);
		}
		futs[MOVES] = FUTURE_AS_RUNNABLE(&works);
		works_wait(runtime, futs, MOVES + 1);
		for (size_t i = 0; i < MOVES; i++)
			job_check(&jobs[i]);
		data_mover_threads_delete(dmt);
	}
}

/* All operations, drawn at random */

static bool
can_flush(struct data_mover_threads *dmt)
{
	const bool can = data_mover_threads_set_capabilities(
				 dmt, VDM_F_MEM_DURABLE) == 0;

	data_mover_threads_set_capabilities(dmt, 0);
	return can;
}

static void
start_any(struct job *job, struct vdm *vdm, uint64_t *seed, bool flushes)
{
	static const uint64_t flags[] = {
		0, VDM_F_MEM_DURABLE, VDM_F_NO_CACHE_HINT, VDM_F_VALID_FLAGS};
	const uint64_t r = test_random(seed);
	const size_t max = r % 8 == 0 ? 6 * 1024 * KIB
		: r % 8 < 5           ? 1024 * KIB
				      : 100 * KIB;
	const size_t n = 1 + test_random(seed) % max;
	const size_t gap = (r >> 8) % 300;
	const uint64_t flag = flags[r >> 20 & 3];
	const int c = (int)(r >> 32 & 255);
	unsigned char *at;

	job_init(job, 2 * n + gap, r);
	at = job->memory + n + gap;
	switch (r >> 40 & 7) {
	case 0:
		memset(job->wanted + gap, c, n);
		job->f = vdm_memset(vdm, job->memory + gap, c, n, flag);
		break;
	case 1:
		if (!flushes)
			job->result = VDM_ERROR_JOB_CORRUPTED;
		job->f = vdm_flush(vdm, job->memory, n, flag);
		break;
	case 2: /* an unknown flag */
		job->result = VDM_ERROR_JOB_CORRUPTED;
		job->f = vdm_memcpy(vdm, at, job->memory, n, 1 << 9);
		break;
	case 3:
		job->result = VDM_ERROR_JOB_CORRUPTED;
		job->f = vdm_memcpy(vdm, NULL, job->memory, n, flag);
		break;
	case 4:
		memmove(job->wanted + gap, job->wanted, n);
		job->f = vdm_memmove(
			vdm, job->memory + gap, job->memory, n, flag);
		break;
	default:
		memcpy(job->wanted + n + gap, job->wanted, n);
		job->f = vdm_memcpy(vdm, at, job->memory, n, flag);
		break;
	}
}

static void
any_operations_are_right_together(void **state)
{
	static struct job jobs[MANY];
	uint64_t seed = test_seed("any operations");

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t round = 0; round < works_rounds(12); round++) {
			struct data_mover_threads *dmt =
				works_mover(1 + round % 4, kinds[k]);
			const bool flushes = can_flush(dmt);
			const size_t n = round % 4 == 0 ? 1 : MANY;

			for (size_t i = 0; i < n; i++)
				start_any(&jobs[i],
					data_mover_threads_get_vdm(dmt), &seed,
					flushes);
			wait_for_jobs(jobs, n);
			data_mover_threads_delete(dmt);
		}
}

/* Functions of the program */

static pthread_t waiting;
static atomic_uint on_waiting, on_workers;

static void
count_thread(void)
{
	atomic_fetch_add(pthread_equal(pthread_self(), waiting) ? &on_waiting
								: &on_workers,
		1);
}

static void *
counted_memmove(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	count_thread();
	return memmove(dst, src, n);
}

static void *
counted_memset(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	count_thread();
	return memset(str, c, n);
}

/* Also among built-in operations, which the waiting thread does meanwhile. */
static void
functions_run_on_workers_only(void **state)
{
	static const size_t sizes[] = {
		1, 16 * KIB, 20 * KIB, 300 * KIB, 3 * 1024 * KIB};
	static struct job jobs[MANY];

	(void)state;
	waiting = pthread_self();
	for (size_t k = 0; k < KINDS; k++) {
		struct data_mover_threads *with = works_mover(2, kinds[k]);
		struct data_mover_threads *without = works_mover(2, kinds[k]);
		unsigned calls = 0;

		data_mover_threads_set_memcpy_fn(with, counted_memmove);
		data_mover_threads_set_memmove_fn(with, counted_memmove);
		data_mover_threads_set_memset_fn(with, counted_memset);
		atomic_store(&on_waiting, 0);
		atomic_store(&on_workers, 0);

		for (size_t round = 0; round < works_rounds(30); round++) {
			const size_t n = round % 2 ? 1 : MANY;

			for (size_t i = 0; i < n; i++) {
				struct data_mover_threads *dmt =
					i % 4 == 1 ? without : with;
				struct vdm *vdm =
					data_mover_threads_get_vdm(dmt);
				const size_t size = sizes[(round + i) % 5];
				struct job *job = &jobs[i];

				calls += dmt == with;
				if (i % 3 == 0) {
					job_init(job, size, i);
					memset(job->wanted, 3, size);
					job->f = vdm_memset(
						vdm, job->memory, 3, size, 0);
				} else {
					move_start(job, vdm, size,
						i % 3 == 1 ? 100 : size,
						DOWNWARDS);
				}
			}
			wait_for_jobs(jobs, n);
		}
		assert_int_equal(atomic_load(&on_waiting), 0);
		assert_int_equal(atomic_load(&on_workers), calls);
		data_mover_threads_delete(with);
		data_mover_threads_delete(without);
	}
}

/* A function that is set while operations are kept: nothing is done twice. */
static void
functions_may_be_set_between_waits(void **state)
{
	static struct job jobs[MANY];
	struct data_mover_threads *dmt = works_mover(2, FUTURE_NOTIFIER_WAKER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	(void)state;
	waiting = pthread_self();
	atomic_store(&on_waiting, 0);
	for (size_t round = 0; round < works_rounds(12); round++) {
		data_mover_threads_set_memmove_fn(
			dmt, round % 2 ? counted_memmove : NULL);
		for (size_t i = 0; i < MANY; i++)
			move_start(&jobs[i], vdm, 200 * KIB, 100 * (i + 1),
				round % 3 ? UPWARDS : DOWNWARDS);
		wait_for_jobs(jobs, MANY);
	}
	assert_int_equal(atomic_load(&on_waiting), 0);
	data_mover_threads_delete(dmt);
}

/* A poll by hand comes first. The wait finishes what others have begun. */

static void
count_wake(void *data)
{
	atomic_fetch_add((atomic_uint *)data, 1);
}

static void
futures_that_were_polled_by_hand_finish(void **state)
{
	static struct job jobs[MANY];
	static atomic_uint wakes[MANY];

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t round = 0; round < works_rounds(12); round++) {
			struct data_mover_threads *dmt =
				works_mover(1 + round % 3, kinds[k]);
			struct vdm *vdm = data_mover_threads_get_vdm(dmt);

			for (size_t i = 0; i < MANY; i++) {
				struct future_notifier n = {
					.waker = {&wakes[i], count_wake}};

				move_start(&jobs[i], vdm, (20 + 60 * i) * KIB,
					i % 2 ? 1000 : 2000 * KIB,
					i % 4 < 2 ? UPWARDS : DOWNWARDS);
				for (size_t p = 0; p < (i + round) % 4; p++)
					future_poll(
						FUTURE_AS_RUNNABLE(&jobs[i].f),
						round % 2 ? &n : NULL);
			}
			wait_for_jobs(jobs, MANY);
			data_mover_threads_delete(dmt);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlapping_moves_are_right),
		cmocka_unit_test(large_overlapping_moves_are_right),
		cmocka_unit_test(moves_in_progress_go_on_in_workers),
		cmocka_unit_test(any_operations_are_right_together),
		cmocka_unit_test(functions_run_on_workers_only),
		cmocka_unit_test(functions_may_be_set_between_waits),
		cmocka_unit_test(futures_that_were_polled_by_hand_finish),
	};

	return cmocka_run_group_tests(tests, works_set_up, works_tear_down);
}
