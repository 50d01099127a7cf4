/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * twenty.c -- twenty copies, for helgrind and drd
 *
 * twenty: no race. twenty race: a write to the destination
 * of one more, before it is complete.
 */

#include <libminiasync.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE ((size_t)65536)

/* Of a waker: the library calls it, and the program waits for it. */
struct event {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int is_woken;
	int calls; /* not under the lock: of the waker, until it is complete */
};

static void
wake(void *data)
{
	struct event *event = data;

	event->calls++;
	pthread_mutex_lock(&event->lock);
	event->is_woken = 1;
	pthread_cond_signal(&event->cond);
	pthread_mutex_unlock(&event->lock);
}

static int
wait_for_waker(struct future *fut)
{
	struct event event = {
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	struct future_notifier n = {.waker = {&event, wake}};

	while (future_poll(fut, &n) != FUTURE_STATE_COMPLETE) {
		pthread_mutex_lock(&event.lock);
		while (!event.is_woken)
			pthread_cond_wait(&event.cond, &event.lock);
		event.is_woken = 0;
		pthread_mutex_unlock(&event.lock);
	}
	return event.calls;
}

static int calls;

static void *
counting_copy(void *to, const void *from, size_t n, unsigned flags)
{
	(void)flags;
	calls++;
	return memcpy(to, from, n);
}

static void
race(struct vdm *vdm, char *dst, const char *src)
{
	struct vdm_operation_future f;

	/* The worker may be so fast that the first poll completes. */
	do
		f = vdm_memcpy(vdm, dst, src, SIZE, 0);
	while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
		FUTURE_STATE_RUNNING);
	usleep(100000);
	dst[0] = 1;
	FUTURE_BUSY_POLL(&f);
}

int
main(int argc, char *argv[])
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(2, 16, FUTURE_NOTIFIER_WAKER);
	struct runtime *r = runtime_new();
	struct completion_queue *cq = completion_queue_new();
	char *src = malloc(SIZE), *dst = malloc(SIZE);

	if (dmt == NULL || r == NULL || cq == NULL || src == NULL ||
		dst == NULL)
		return 1;
	for (int i = 0; i < 20; i++) {
		struct completion done;

		memset(src, i, SIZE);
		if (i == 15)
			data_mover_threads_set_memcpy_fn(dmt, counting_copy);

		struct vdm_operation_future f = vdm_memcpy(
			data_mover_threads_get_vdm(dmt), dst, src, SIZE, 0);
		struct future *fut = FUTURE_AS_RUNNABLE(&f);

		switch (i % 4) {
		case 0:
			FUTURE_BUSY_POLL(&f);
			break;
		case 1:
			runtime_wait(r, fut);
			break;
		case 2:
			wait_for_waker(fut);
			break;
		default:
			completion_queue_add(cq, fut, NULL);
			while (completion_queue_wait(cq, &done, 1, 1, -1) != 1)
				continue;
		}
		if (dst[0] != i || dst[SIZE - 1] != i)
			return 1;
		dst[0] = 99;
	}
	calls -= 5;
	if (argc > 1)
		race(data_mover_threads_get_vdm(dmt), dst, src);
	completion_queue_delete(cq);
	runtime_delete(r);
	data_mover_threads_delete(dmt);
	free(src);
	free(dst);
	return argc > 1 ? 0 : calls;
}
