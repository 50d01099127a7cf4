/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * traced.c -- fires each probe once at least, with arguments that probes.sh
 * knows: sizes that no other operation has
 *
 * Prints the addresses that are arguments.
 */

#include <libminiasync.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define BIG ((size_t)16 << 20)
#define ROUNDS 5

static char *src, *dest;

static void
expect(const char *what, int is_so)
{
	if (is_so)
		return;
	printf("not so: %s\n", what);
	exit(1);
}

static void
show(const char *name, const void *address)
{
	printf("%s %p\n", name, address);
}

static void
sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/*
 * gdb misses one of two adjacent probes if another thread comes to a probe at
 * that moment.
 */
static void
let_workers_sleep(void)
{
	sleep_ms(50);
}

/* The operation of each type, done in the poll. */
static void
all_types(struct vdm *vdm, size_t n)
{
	struct vdm_segment segments[3] = {
		{dest, src, 1}, {dest + 8, src, 2}, {dest + 16, src, 3}};
	struct vdm_operation_future futures[] = {
		vdm_memcpy(vdm, dest, src, n, 0),
		vdm_memmove(vdm, dest, src, n + 1, 0),
		vdm_memset(vdm, dest, 1, n + 2, 0),
		vdm_memcpyv(vdm, segments, 3, 0),
		vdm_memcpy(vdm, dest, NULL, n + 3, 0),
	};

	for (size_t i = 0; i < sizeof(futures) / sizeof(futures[0]); i++)
		FUTURE_BUSY_POLL(&futures[i]);
	expect("the last one is invalid",
		FUTURE_OUTPUT(&futures[4])->result == VDM_ERROR_JOB_CORRUPTED);
}

static void
wake_nobody(void *data)
{
	(void)data;
}

/* A worker does it, and others help. */
static void
hand_over(struct vdm *vdm, size_t n)
{
	struct vdm_operation_future future = vdm_memcpy(vdm, dest, src, n, 0);
	struct future_notifier notifier = {.waker = {NULL, wake_nobody}};

	while (future_poll(FUTURE_AS_RUNNABLE(&future), &notifier) !=
		FUTURE_STATE_COMPLETE)
		sleep_ms(1);
}

/* This thread does it, and others may help. */
static void
wait_for(struct runtime *runtime, struct vdm *vdm, size_t n)
{
	struct vdm_operation_future future = vdm_memcpy(vdm, dest, src, n, 0);

	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&future));
}

/* Is woken by nobody, so that the thread that waits for it sleeps. */
static enum future_state
poll_late(struct future_context *context, struct future_notifier *notifier)
{
	int *polls = future_context_get_data(context);

	if (notifier != NULL)
		notifier->notifier_used = FUTURE_NOTIFIER_WAKER;
	return ++*polls > 2 ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

FUTURE(late_future, int, int);

/* Until there is no memory. The mover frees what is dropped here. */
static void
refuse(struct vdm *vdm)
{
	const struct rlimit nothing = {1, 1};
	struct vdm_operation_future future;

	expect("memory has a limit", setrlimit(RLIMIT_AS, &nothing) == 0);
	do
		future = vdm_memcpy(vdm, dest, src, 1, 0);
	while (FUTURE_STATE(&future) == FUTURE_STATE_IDLE);
	expect("there is no memory",
		FUTURE_OUTPUT(&future)->result == VDM_ERROR_OUT_OF_MEMORY);
}

int
main(void)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct data_mover_threads *dmt =
		data_mover_threads_new(2, 16, FUTURE_NOTIFIER_WAKER);
	struct runtime *runtime = runtime_new();
	struct completion_queue *cq = completion_queue_new();

	src = calloc(1, BIG);
	dest = malloc(BIG);
	expect("there is memory",
		dms != NULL && dmt != NULL && runtime != NULL && cq != NULL &&
			src != NULL && dest != NULL);
	show("runtime", runtime);
	show("queue", cq);

	let_workers_sleep();
	all_types(data_mover_sync_get_vdm(dms), 1000);
	all_types(data_mover_threads_get_vdm(dmt), 2000);

	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	for (int i = 0; i < ROUNDS; i++) {
		let_workers_sleep();
		hand_over(vdm, BIG - 1);
		wait_for(runtime, vdm, BIG - 2);
	}

	let_workers_sleep();

	struct late_future late = {.data = 0};

	FUTURE_INIT(&late, poll_late);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&late));

	struct vdm_operation_future three[3];
	struct completion done[3];

	for (int i = 0; i < 3; i++) {
		three[i] = vdm_memcpy(vdm, dest, src, 3000, 0);
		expect("a future is added",
			completion_queue_add(
				cq, FUTURE_AS_RUNNABLE(&three[i]), NULL) == 0);
	}
	expect("two are reaped",
		completion_queue_wait(cq, done, 2, 2, -1) == 2);
	expect("the third is reaped", completion_queue_reap(cq, done, 3) == 1);
	refuse(data_mover_sync_get_vdm(dms));

	completion_queue_delete(cq);
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	data_mover_sync_delete(dms);
	free(src);
	free(dest);
	printf("traced: all done\n");
	return 0;
}
