/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * program.c -- an ordinary program, in C and in C++, for cfi.sh
 *
 *	program        uses futures in every way. The exit status is that of the
 *	               first thing that went wrong, or 0.
 *	program bad    lets a chain call a function of another type
 */

#include <libminiasync.h>

#include <string.h>

/* mover.c */
extern struct vdm refusing_mover;
extern struct future other_future;

#define SIZE ((size_t)1 << 20)
#define N 8

static char src[SIZE], dst[N][SIZE];
static int nmapped, nset, nwoken;

/* A task of the program, which calls the waker of the runtime. */
struct twice_data {
	int polls;
};

struct twice_output {
	int done;
};

FUTURE(twice_future, struct twice_data, struct twice_output);

static enum future_state
twice(struct future_context *context, struct future_notifier *n)
{
	struct twice_data *data =
		(struct twice_data *)future_context_get_data(context);

	if (++data->polls >= 2)
		return FUTURE_STATE_COMPLETE;
	if (n != NULL) {
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
		FUTURE_WAKER_WAKE(&n->waker);
	}
	return FUTURE_STATE_RUNNING;
}

static struct twice_future
twice_new(void)
{
	struct twice_future f;

	f.data.polls = 0;
	FUTURE_INIT(&f, twice);
	return f;
}

struct chain_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, second);
	FUTURE_CHAIN_ENTRY_LAST(struct twice_future, last);
};

struct chain_output {
	int mapped;
};

FUTURE(chain_future, struct chain_data, struct chain_output);

static void
count_map(struct future_context *lhs, struct future_context *rhs, void *arg)
{
	(void)rhs;
	(void)arg;
	nmapped += lhs->state == FUTURE_STATE_COMPLETE;
}

static void
init_copy(void *future, struct future_context *chain, void *arg)
{
	struct vdm_operation_future f =
		vdm_memcpy((struct vdm *)arg, dst[1], src, SIZE, 0);

	(void)chain;
	memcpy(future, &f, sizeof(f));
}

static struct chain_future
chain_new(struct vdm *vdm, future_map_fn map)
{
	struct chain_future f;

	FUTURE_CHAIN_ENTRY_INIT(&f.data.first,
		vdm_memcpy(vdm, dst[0], src, SIZE, 0), map, NULL);
	FUTURE_CHAIN_ENTRY_LAZY_INIT(
		&f.data.second, init_copy, vdm, count_map, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&f.data.last, twice_new(), count_map, NULL);
	FUTURE_CHAIN_INIT(&f);
	return f;
}

static void
wake(void *data)
{
	/* Release: pairs with the acquire in poll_with_waker(). */
	__atomic_store_n((int *)data, 1, __ATOMIC_RELEASE);
}

static int
poll_with_waker(struct vdm *vdm)
{
	struct vdm_operation_future f = vdm_memset(vdm, dst[0], 1, SIZE, 0);
	struct future_notifier n;

	memset(&n, 0, sizeof(n));
	n.waker.data = &nwoken;
	n.waker.wake = wake;
	if (future_poll(FUTURE_AS_RUNNABLE(&f), &n) == FUTURE_STATE_RUNNING &&
		n.notifier_used == FUTURE_NOTIFIER_WAKER)
		while (__atomic_load_n(&nwoken, __ATOMIC_ACQUIRE) == 0)
			future_cpu_pause_impl();
	/* A second notifier asks the mover for a property. */
	(void)future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	FUTURE_BUSY_POLL(&f);
	return FUTURE_OUTPUT(&f)->result == VDM_SUCCESS &&
		dst[0][SIZE - 1] == 1;
}

static void *
set_of_ours(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	nset++;
	return memset(str, c, n);
}

static int
use(struct vdm *vdm)
{
	struct vdm_segment segments[2];
	struct vdm_operation_future f[N];
	struct future *futs[N];
	struct runtime *runtime = runtime_new();
	int wrong = runtime == NULL ? 1 : 0;

	for (size_t i = 0; i < 2; i++) {
		segments[i].dest = dst[i];
		segments[i].src = src;
		segments[i].n = SIZE;
	}
	f[0] = vdm_memcpy(vdm, dst[0], src, SIZE, 0);
	f[1] = vdm_memmove(vdm, dst[1], src, SIZE, 0);
	f[2] = vdm_memset(vdm, dst[2], 3, SIZE, 0);
	f[3] = vdm_memcpyv(vdm, segments, 2, 0);
	f[4] = vdm_memcpy(vdm, dst[4], src, 64, 0);
	for (size_t i = 5; i < N; i++)
		f[i] = vdm_memcpy(vdm, dst[i], src, SIZE, 0);
	for (size_t i = 0; i < N; i++)
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	(void)future_has_property(futs[0], FUTURE_PROPERTY_ASYNC);
	if (vdm_operation_cancel(&f[7]) != 1)
		wrong = 2;
	FUTURE_BUSY_POLL(&f[6]);
	runtime_wait_multiple(runtime, futs, N);
	for (size_t i = 0; i + 1 < N; i++)
		if (FUTURE_OUTPUT(&f[i])->result != VDM_SUCCESS)
			wrong = 3;

	struct twice_future t = twice_new();

	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&t));

	struct chain_future chain = chain_new(vdm, count_map);

	nmapped = 0;
	(void)future_has_property(
		FUTURE_AS_RUNNABLE(&chain), FUTURE_PROPERTY_ASYNC);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&chain));
	if (nmapped != 3)
		wrong = 4;
	if (!poll_with_waker(vdm))
		wrong = 5;
	runtime_delete(runtime);
	return wrong;
}

static int
use_queue(struct vdm *vdm)
{
	struct completion_queue *queue = completion_queue_new();
	struct vdm_operation_future f = vdm_memcpy(vdm, dst[0], src, SIZE, 0);
	struct completion done;

	if (queue == NULL ||
		completion_queue_add(queue, FUTURE_AS_RUNNABLE(&f), NULL) !=
			0 ||
		completion_queue_wait(queue, &done, 1, 1, -1) != 1 ||
		done.future != FUTURE_AS_RUNNABLE(&f))
		return 6;
	completion_queue_delete(queue);
	return 0;
}

static int
use_other_library(void)
{
	struct vdm_segment segment = {dst[3], src, SIZE};
	struct vdm_operation_future f =
		vdm_memcpyv(&refusing_mover, &segment, 1, 0);

	if (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) != FUTURE_STATE_IDLE ||
		future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
			FUTURE_STATE_RUNNING)
		return 9;
	(void)future_has_property(&f, FUTURE_PROPERTY_ASYNC);
	FUTURE_BUSY_POLL(&f);
	if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
		return 10;
	return future_poll(&other_future, NULL) == FUTURE_STATE_COMPLETE ? 0
									 : 11;
}

static void
other_type(void)
{
}

static int
call_other_type(struct vdm *vdm)
{
	union {
		void (*other)(void);
		future_map_fn map;
	} u;

	u.other = other_type;

	struct chain_future chain = chain_new(vdm, u.map);

	FUTURE_BUSY_POLL(&chain);
	return 0;
}

int
main(int argc, char **argv)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct data_mover_threads *dmt =
		data_mover_threads_new(2, 16, FUTURE_NOTIFIER_WAKER);
	int wrong;

	if (dms == NULL || dmt == NULL)
		return 7;
	if (argc > 1 && strcmp(argv[1], "bad") == 0)
		return call_other_type(data_mover_sync_get_vdm(dms));
	wrong = use(data_mover_sync_get_vdm(dms));
	if (wrong == 0)
		wrong = use(data_mover_threads_get_vdm(dmt));
	if (wrong == 0)
		wrong = use_queue(data_mover_threads_get_vdm(dmt));
	if (wrong == 0)
		wrong = use_other_library();
	data_mover_threads_set_memset_fn(dmt, set_of_ours);
	if (wrong == 0)
		wrong = use(data_mover_threads_get_vdm(dmt));
	if (wrong == 0 && nset == 0)
		wrong = 8;
	data_mover_threads_delete(dmt);
	data_mover_sync_delete(dms);
	return wrong;
}
