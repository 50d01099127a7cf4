/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_exit.c -- tests the end of the process, while another thread starts
 * threads that use movers for the first time; the exiting thread uses a mover
 * again
 *
 * It fails by a crash, a hang, or a race under a sanitizer.
 */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libminiasync.h"
#include "system.h"

static struct data_mover_sync *mover;

static bool
copy(void)
{
	char from = 'x', to = 0;
	struct vdm_operation_future f =
		vdm_memcpy(data_mover_sync_get_vdm(mover), &to, &from, 1, 0);

	FUTURE_BUSY_POLL(&f);
	return to == from;
}

static atomic_long ncopied;

static void *
copy_once(void *arg)
{
	if (!copy())
		abort();
	atomic_fetch_add(&ncopied, 1);
	return arg;
}

/* Detached: TSan reports a thread that has ended and is never joined. */
static void *
make_threads(void *arg)
{
	pthread_attr_t detached;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		const long before = atomic_load(&ncopied);
		pthread_t thread;

		if (pthread_create(&thread, &detached, copy_once, NULL) == 0)
			while (atomic_load(&ncopied) == before)
				sched_yield();
	}
	return arg;
}

/* Before all other destructors with a priority except that of the library. */
__attribute__((destructor(102))) static void
copy_late(void)
{
	if (mover != NULL && !copy())
		abort();
}

static void
copy_at_exit(void)
{
	if (!copy())
		abort();
}

int
main(void)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	pthread_t thread;

	if (getenv("MIA_TEST_EMULATED") != NULL) {
		puts("left out: valgrind takes running threads for leaks");
		return 77;
	}
	test_deadline(60);
	mover = data_mover_sync_new();
	if (mover == NULL || atexit(copy_at_exit) != 0 ||
		pthread_create(&thread, NULL, make_threads, NULL) != 0)
		return 1;
	nanosleep(&pause, NULL);
	copy_at_exit();
	return 0;
}
