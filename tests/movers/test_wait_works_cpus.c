/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait_works_cpus.c -- tests waits whose thread works, with few CPUs: how
 * many workers are woken to help, and waiters that the kernel prefers or does
 * not
 *
 * Linux only. The linker puts __wrap_sem_post in the place of the function that
 * wakes a sleeping worker.
 */

#include "works.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "movers/threads_work.h"
#include "system/cpus.h"
#include "threads_mover.h"

#define WORKERS 64
#define MIB (1024 * KIB)

/* Workers awake */

static struct data_mover_threads *observed;
static atomic_size_t most_awake, nwakes;

int __real_sem_post(sem_t *sem);
int __wrap_sem_post(sem_t *sem);

static size_t
awake(struct data_mover_threads *dmt)
{
	return WORKERS -
		(atomic_load(&dmt->crew.idle.counts) >> sizeof(size_t) * 4);
}

/* A token for a worker, whose maker has counted it as awake. */
int
__wrap_sem_post(sem_t *sem)
{
	if (observed != NULL && sem == &observed->crew.idle.tokens) {
		const size_t now = awake(observed);
		size_t most = atomic_load(&most_awake);

		while (now > most &&
			!atomic_compare_exchange_weak(&most_awake, &most, now))
			continue;
		atomic_fetch_add(&nwakes, 1);
	}
	return __real_sem_post(sem);
}

struct waiter {
	struct vdm *vdm;
	size_t size;
	size_t ncopies; /* of each wait */
	size_t nwaits;
	unsigned char *src, *dst;
};

static void *
wait_often(void *arg)
{
	enum { MAX = 16 };
	struct waiter *waiter = arg;
	struct vdm_operation_future f[MAX];
	struct future *futs[MAX];
	const size_t part = waiter->size / waiter->ncopies;

	for (size_t w = 0; w < waiter->nwaits; w++) {
		memset(waiter->dst, 0, waiter->size);
		for (size_t i = 0; i < waiter->ncopies; i++) {
			f[i] = vdm_memcpy(waiter->vdm, waiter->dst + i * part,
				waiter->src + i * part, part, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		works_wait(runtime, futs, waiter->ncopies);
		WORKS_CHECK(memcmp(waiter->dst, waiter->src,
				    part * waiter->ncopies) == 0);
	}
	return NULL;
}

static struct waiter
waiter_new(struct vdm *vdm, size_t size, size_t ncopies, size_t nwaits)
{
	return (struct waiter){vdm, size, ncopies, nwaits,
		works_filled(size, 3), works_filled(size, 4)};
}

static void
waiter_fini(struct waiter *waiter)
{
	free(waiter->src);
	free(waiter->dst);
}

static void
helpers_leave_no_cpu_to_share(void **state)
{
	enum { MAX_THREADS = 8 };
	static const size_t ncopies[] = {1, 16};
	const size_t ncpus = mia_usable_cpus();

	(void)state;
	for (size_t nthreads = 1; nthreads <= MAX_THREADS; nthreads *= 8)
		for (size_t k = 0; k < 2; k++) {
			struct data_mover_threads *dmt =
				works_mover(WORKERS, FUTURE_NOTIFIER_WAKER);
			struct waiter waiters[MAX_THREADS];
			pthread_t threads[MAX_THREADS];

			/* Before: all look for work once, and fall asleep. */
			while (awake(dmt) > 0)
				test_sleep_ns(MS);
			atomic_store(&most_awake, 0);
			atomic_store(&nwakes, 0);
			observed = dmt;
			for (size_t i = 0; i < nthreads; i++) {
				waiters[i] = waiter_new(
					data_mover_threads_get_vdm(dmt),
					16 * MIB / nthreads, ncopies[k],
					works_rounds(30));
				pthread_create(&threads[i], NULL, wait_often,
					&waiters[i]);
			}
			for (size_t i = 0; i < nthreads; i++) {
				pthread_join(threads[i], NULL);
				waiter_fini(&waiters[i]);
			}
			observed = NULL;
			printf("%zu CPUs, %zu waiting threads, %zu copies: %zu "
			       "wakes, at most %zu workers awake\n",
				ncpus, nthreads, ncopies[k],
				atomic_load(&nwakes), atomic_load(&most_awake));
			/*
			 * A worker that falls asleep, and finds work at the
			 * last moment, is beyond the count of the waking
			 * thread. On slow machines polls hand over.
			 */
			if (TEST_IS_FAST)
				assert_true(
					atomic_load(&most_awake) <= 2 * ncpus);
			if (ncpus == 1)
				assert_int_equal(atomic_load(&nwakes), 0);
			data_mover_threads_delete(dmt);
		}
}

/* Waiters of all priorities, and all threads on one CPU */

enum priority { NICE, FIFO };

struct prio {
	enum priority priority;
	bool refused;
	uint64_t longest_ns;
	unsigned nwaits;
};

/* False: the system does not permit it. */
static bool
set_priority(enum priority priority)
{
	const struct sched_param param = {.sched_priority = 1};

	switch (priority) {
	case NICE:
		return setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid),
			       19) == 0;
	case FIFO:
		/* The system call: sched_setscheduler() of musl fails. */
		return syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param) ==
			0;
	}
	return false;
}

static atomic_bool stop_handing_over;

/* Gives the workers something to do, so that they lose their CPU in it. */
static void *
hand_over(void *arg)
{
	struct vdm *vdm = arg;
	unsigned char *src = works_filled(MIB, 5), *dst = works_filled(MIB, 6);

	do {
		struct vdm_operation_future f =
			vdm_memcpy(vdm, dst, src, MIB, 0);

		FUTURE_BUSY_POLL(&f);
	} while (!atomic_load(&stop_handing_over));
	WORKS_CHECK(memcmp(dst, src, MIB) == 0);
	free(src);
	free(dst);
	return NULL;
}

/* Copies of its own, and one that only a worker may do. */
static void *
wait_with_priority(void *arg)
{
	enum { COPIES = 4 };
	struct prio *prio = arg;
	struct data_mover_threads *own = works_mover(4, FUTURE_NOTIFIER_WAKER);
	struct data_mover_threads *other =
		works_mover(2, FUTURE_NOTIFIER_WAKER);
	struct vdm *vdm = data_mover_threads_get_vdm(own);
	unsigned char *src = works_filled(2 * MIB, 1);
	unsigned char *dst = works_memory(COPIES * 2 * MIB);
	pthread_t thread;

	data_mover_threads_set_memcpy_fn(other, plain_memcpy);
	atomic_store(&stop_handing_over, false);
	WORKS_CHECK(pthread_create(&thread, NULL, hand_over, vdm) == 0);
	prio->refused = !set_priority(prio->priority);

	const uint64_t end =
		test_clock_ns(CLOCK_MONOTONIC) + 1000 * MS * works_rounds(1);

	while (!prio->refused && test_clock_ns(CLOCK_MONOTONIC) < end) {
		struct vdm_operation_future f[COPIES];
		struct future *futs[COPIES];
		const size_t n = 64 * KIB << prio->nwaits % 6;

		memset(dst, 0, COPIES * 2 * MIB);
		for (size_t i = 0; i < COPIES; i++) {
			struct vdm *to = i == 2
				? data_mover_threads_get_vdm(other)
				: vdm;

			f[i] = vdm_memcpy(to, dst + i * 2 * MIB, src, n, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}

		const uint64_t ns = works_wait(runtime, futs, COPIES);

		if (ns > prio->longest_ns)
			prio->longest_ns = ns;
		prio->nwaits++;
		for (size_t i = 0; i < COPIES; i++)
			WORKS_CHECK(memcmp(dst + i * 2 * MIB, src, n) == 0);
	}

	atomic_store(&stop_handing_over, true);
	pthread_join(thread, NULL);
	data_mover_threads_delete(own);
	data_mover_threads_delete(other);
	free(src);
	free(dst);
	return NULL;
}

/* Runs this thread, and those that it makes, on the first of its CPUs. */
static void
use_first_cpu(cpu_set_t *all)
{
	cpu_set_t one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(*all), all) != 0)
		skip();
	while (!CPU_ISSET(cpu, all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/*
 * A waiter that spins until a worker is done never ends on the CPU of both. The
 * kernel takes the CPU away from a FIFO thread for 50 ms in each second, at
 * most.
 */
static void
wait_on_one_cpu(enum priority priority)
{
	struct prio prio = {.priority = priority};
	cpu_set_t all;
	pthread_t thread;

	use_first_cpu(&all);
	assert_int_equal(
		pthread_create(&thread, NULL, wait_with_priority, &prio), 0);
	pthread_join(thread, NULL);
	sched_setaffinity(0, sizeof(all), &all);
	if (prio.refused)
		TEST_LEFT_OUT("this priority is not permitted");
	printf("%u waits, the longest %.1f ms\n", prio.nwaits,
		(double)prio.longest_ns / MS);
	assert_true(prio.nwaits > 0);
	if (TEST_IS_FAST && priority == FIFO)
		assert_true(prio.longest_ns < 5000 * MS);
}

static void
nice_waiter_on_one_cpu_finishes(void **state)
{
	(void)state;
	wait_on_one_cpu(NICE);
}

static void
fifo_waiter_on_one_cpu_finishes(void **state)
{
	(void)state;
	wait_on_one_cpu(FIFO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(helpers_leave_no_cpu_to_share),
		cmocka_unit_test(nice_waiter_on_one_cpu_finishes),
		cmocka_unit_test(fifo_waiter_on_one_cpu_finishes),
	};

	return cmocka_run_group_tests(tests, works_set_up, works_tear_down);
}
