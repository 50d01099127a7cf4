/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_fork_movers.c -- tests all movers in a child, at any moment of the
 * parent's other threads
 */

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libminiasync.h"
#include "system.h"

#define SIZE 20000  /* a worker does it */
#define BIG 2500000 /* the workers share it */

/*
 * A child makes and uses all movers. Meanwhile the parent's threads create,
 * poll, drop and delete, and exit.
 */
static atomic_bool busy_stop;

static void *
be_busy_once(void *arg)
{
	static unsigned char src[SIZE];
	unsigned char dst[SIZE];
	struct runtime *runtime = runtime_new();
	struct data_mover_sync *dms = data_mover_sync_new();
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 4, FUTURE_NOTIFIER_WAKER);

	if (runtime == NULL || dms == NULL || dmt == NULL)
		abort();
	for (int i = 0; i < 200; i++) {
		struct vdm_operation_future f =
			vdm_memcpy(i % 8 == 0 ? data_mover_threads_get_vdm(dmt)
					      : data_mover_sync_get_vdm(dms),
				dst, src, i % 8 == 0 ? SIZE : 1, 0);

		if (i % 32 == 0) /* a worker does it */
			future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		if (i % 16 != 1) /* that one is dropped */
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}
	for (int i = 0; i < 10000; i++) {
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_sync_get_vdm(dms), dst, src, 1, 0);

		FUTURE_BUSY_POLL(&f);
	}
	data_mover_threads_delete(dmt);
	data_mover_sync_delete(dms);
	runtime_delete(runtime);
	return arg;
}

static void *
be_busy(void *arg)
{
	while (!atomic_load(&busy_stop)) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, be_busy_once, NULL) != 0)
			abort();
		pthread_join(thread, NULL);
	}
	return arg;
}

static void
child_of_a_busy_parent_uses_movers(void **state)
{
	enum { BUSY = 3, FORKS = 150 };
	static char src[BIG], dst[BIG];
	struct data_mover_threads *dmt =
		data_mover_threads_new(2, 4, FUTURE_NOTIFIER_WAKER);
	pthread_t threads[BUSY];
	char one = 1, other = 0;
	int nhung = 0;

	(void)state;
	/*
	 * Allocators of sanitizers and locks of QEMU do not survive a fork with
	 * threads.
	 */
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL) {
		data_mover_threads_delete(dmt);
		skip();
	}
	test_deadline(60);
	for (int i = 0; i < BUSY; i++)
		pthread_create(&threads[i], NULL, be_busy, NULL);
	for (int i = 0; i < FORKS && nhung == 0; i++) {
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_threads_get_vdm(dmt), dst, src, BIG, 0);
		int status = -1;

		/* While this is on its way, too. */
		memset(src, i, BIG);
		future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		const pid_t child = fork();

		if (child == 0) {
			alarm(20);
			be_busy_once(NULL);

			struct data_mover_sync *dms = data_mover_sync_new();
			struct vdm_operation_future g =
				vdm_memcpy(data_mover_sync_get_vdm(dms), &other,
					&one, 1, 0);

			FUTURE_BUSY_POLL(&g);
			data_mover_sync_delete(dms);
			_exit(other == one ? 0 : 1);
		}
		FUTURE_BUSY_POLL(&f);
		assert_memory_equal(src, dst, BIG);
		assert_int_equal(waitpid(child, &status, 0), child);
		nhung += status != 0;
	}
	atomic_store(&busy_stop, true);
	for (int i = 0; i < BUSY; i++)
		pthread_join(threads[i], NULL);
	data_mover_threads_delete(dmt);
	assert_int_equal(nhung, 0);
	test_deadline(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_of_a_busy_parent_uses_movers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
