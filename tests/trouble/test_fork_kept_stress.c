/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_fork_kept_stress.c -- tests movers/data_mover_threads: forks at any
 * moment, while other threads use the same mover
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "child.h"
#include "libminiasync.h"
#include "system.h"
#include "wakers.h"

#define MAX (3 * 1024 * KIB)

enum { BUSY = 3, BEGUN = 6, FORKS = 400 };

static struct data_mover_threads *dmt;
static struct runtime *runtime;
static unsigned char src[MAX];
static atomic_bool stop;

/* Small ones, those of workers, and a few that are shared. */
static size_t
random_size(uint64_t *random)
{
	static const size_t limits[] = {
		64, 16 * KIB, 64 * KIB, 64 * KIB, 512 * KIB, MAX};

	return test_random(random) %
		limits[test_random(random) % (sizeof(limits) / sizeof(size_t))];
}

static struct vdm_operation_future
random_copy(uint64_t *random, unsigned char *dst, size_t n)
{
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	return test_random(random) % 2 == 0 ? vdm_memcpy(vdm, dst, src, n, 0)
					    : vdm_memmove(vdm, dst, src, n, 0);
}

/* A poll without a notifier, with one, or a wait that ends soon. */
static void
random_poll(uint64_t *random, struct vdm_operation_future *f)
{
	struct future *fut = FUTURE_AS_RUNNABLE(f);
	struct future_notifier notifier = {.waker = {.wake = wake_nobody}};

	switch (test_random(random) % 3) {
	case 0:
		future_poll(fut, NULL);
		break;
	case 1:
		future_poll(fut, &notifier);
		break;
	case 2:
		runtime_wait_some(runtime, &fut, 1, 1, 0);
		break;
	}
}

/* A thread of the parent: none of its copies fails. */
static void *
be_busy(void *arg)
{
	uint64_t random = *(uint64_t *)arg;
	unsigned char *dst = malloc(MAX);

	if (dst == NULL)
		abort();
	while (!atomic_load(&stop)) {
		const size_t n = random_size(&random);
		struct vdm_operation_future f = random_copy(&random, dst, n);

		memset(dst, 0, n);
		random_poll(&random, &f);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS ||
			memcmp(dst, src, n) != 0)
			abort();
	}
	free(dst);
	return NULL;
}

/* What the thread that forks has begun, or only made, or completed. */
static struct {
	struct vdm_operation_future f;
	unsigned char dst[MAX];
	size_t n;
} begun[BEGUN];
static uint64_t random_of_child;

static void
end_all(void)
{
	uint64_t random = random_of_child;

	for (size_t i = 0; i < BEGUN; i++) {
		struct vdm_operation_future *f = &begun[i].f;
		const enum future_state state = FUTURE_STATE(f);

		if (test_random(&random) % 4 == 0)
			continue; /* dropped */
		if (test_random(&random) % 2 == 0)
			random_poll(&random, f);
		else
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(f));
		CHILD_CHECK(FUTURE_STATE(f) == FUTURE_STATE_COMPLETE);
		CHILD_CHECK((FUTURE_OUTPUT(f)->result == VDM_SUCCESS) ==
			(state != FUTURE_STATE_RUNNING));
		if (state == FUTURE_STATE_IDLE)
			CHILD_CHECK(memcmp(begun[i].dst, src, begun[i].n) == 0);
	}
	for (size_t i = 0; i < BEGUN; i++) {
		const size_t n = random_size(&random);
		struct vdm_operation_future f =
			random_copy(&random, begun[0].dst, n);

		memset(begun[0].dst, 0, n);
		random_poll(&random, &f);
		CHILD_CHECK(FUTURE_STATE(&f) == FUTURE_STATE_COMPLETE);
		CHILD_CHECK(memcmp(begun[0].dst, src, n) == 0);
	}
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
}

static void
fork_once(uint64_t *random)
{
	for (size_t i = 0; i < BEGUN; i++) {
		begun[i].n = random_size(random);
		begun[i].f = random_copy(random, begun[i].dst, begun[i].n);
		for (uint64_t p = test_random(random) % 3; p > 0; p--)
			random_poll(random, &begun[i].f);
	}
	random_of_child = test_random(random);
	ASSERT_CHILD(end_all);
	for (size_t i = 0; i < BEGUN; i++) {
		struct vdm_operation_future *f = &begun[i].f;

		runtime_wait(runtime, FUTURE_AS_RUNNABLE(f));
		assert_int_equal(FUTURE_OUTPUT(f)->result, VDM_SUCCESS);
		assert_memory_equal(begun[i].dst, src, begun[i].n);
	}
}

static void
children_of_a_busy_parent_use_its_mover(void **state)
{
	uint64_t random = test_seed("forks");
	uint64_t seeds[BUSY];
	pthread_t threads[BUSY];

	(void)state;
	/* Allocators of sanitizers and locks of QEMU do not survive that. */
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL)
		TEST_LEFT_OUT("a fork beside threads that allocate");
	test_deadline(200);
	for (size_t i = 0; i < MAX; i++)
		src[i] = (unsigned char)test_random(&random);
	/* A small ring, so that operations wait in the overflow too. */
	dmt = data_mover_threads_new(2, 2, FUTURE_NOTIFIER_WAKER);
	runtime = runtime_new();
	assert_non_null(dmt);
	assert_non_null(runtime);
	for (int i = 0; i < BUSY; i++) {
		seeds[i] = test_random(&random);
		pthread_create(&threads[i], NULL, be_busy, &seeds[i]);
	}
	for (int i = 0; i < FORKS; i++)
		fork_once(&random);
	atomic_store(&stop, true);
	for (int i = 0; i < BUSY; i++)
		pthread_join(threads[i], NULL);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	test_deadline(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_of_a_busy_parent_use_its_mover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
