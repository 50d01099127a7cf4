/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * program.c -- a program for ThreadSanitizer, with a library built without it
 *
 * program ROUNDS: no race. Each part uses plain data of its own, which a mover
 * must hand over between threads. Flags are relaxed, because the tool takes no
 * order from them. program: one race.
 */

#include "program.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define PARTS 8

struct data_mover_threads *dmt;
struct vdm *vdm;
char *src, *dst;

static void
busy_polls(int round)
{
	struct vdm_operation_future f = copy();

	fill(round);
	FUTURE_BUSY_POLL(&f);
	check(round);
}

/* Chunks of several threads, one of which is told that it was the last. */
static void
shared_copy(struct runtime *r, int round)
{
	const size_t n = 16 * SIZE;
	char *from = malloc(n), *to = calloc(1, n);

	assert(from != NULL && to != NULL);
	memset(from, round + 1, n);

	struct vdm_operation_future f = vdm_memcpy(vdm, to, from, n, 0);

	if (round % 2)
		FUTURE_BUSY_POLL(&f);
	else
		runtime_wait(r, FUTURE_AS_RUNNABLE(&f));
	for (size_t i = 0; i < n; i += 1000)
		assert(to[i]++ == (char)(round + 1));
	free(from);
	free(to);
}

static void
many_of_a_runtime(struct runtime *r, int round)
{
	struct vdm_operation_future f[PARTS];
	struct future *futs[PARTS];
	const size_t n = SIZE / PARTS;

	fill(round);
	for (size_t i = 0; i < PARTS; i++) {
		f[i] = vdm_memmove(vdm, dst + i * n, src + i * n, n, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	/* The first ones may end in a worker that the wait does not see. */
	runtime_wait_some(r, futs, PARTS, 1, 1000);
	runtime_wait_multiple(r, futs, PARTS);
	check(round);
}

static void
of_a_queue(int round)
{
	struct completion_queue *cq = completion_queue_new();
	struct pollfd fd = {.events = POLLIN};
	struct vdm_operation_future f[PARTS];
	struct completion done[PARTS];
	const size_t n = SIZE / PARTS;
	size_t i;

	assert(cq != NULL);
	fd.fd = completion_queue_fd(cq);
	fill(round);
	for (i = 0; i < PARTS; i++) {
		f[i] = vdm_memcpy(vdm, dst + i * n, src + i * n, n, 0);
		completion_queue_add(cq, FUTURE_AS_RUNNABLE(&f[i]), &f[i]);
	}
	while (completion_queue_pending(cq) > PARTS / 2) {
		if (fd.fd != -1)
			poll(&fd, 1, 10);
		i = completion_queue_reap(cq, done, 2);
		while (i-- > 0)
			assert(FUTURE_OUTPUT(
				       (struct vdm_operation_future *)done[i]
					       .user_data)
					->result == VDM_SUCCESS);
	}
	completion_queue_wait(cq, done, PARTS, PARTS, -1);
	check(round);
	completion_queue_delete(cq);
}

static void
lists_and_other_types(struct runtime *r, int round)
{
	struct vdm_segment *list = malloc(PARTS * sizeof(*list));
	const size_t n = SIZE / PARTS;

	assert(list != NULL);
	fill(round);
	for (size_t i = 0; i < PARTS; i++)
		list[i] = (struct vdm_segment){dst + i * n, src + i * n, n};

	struct vdm_operation_future f = vdm_memcpyv(vdm, list, PARTS, 0);

	if (round % 2)
		FUTURE_BUSY_POLL(&f);
	else
		runtime_wait(r, FUTURE_AS_RUNNABLE(&f));
	memset(list, 0, PARTS * sizeof(*list));
	free(list);
	check(round);

	f = vdm_memset(vdm, dst, 7, SIZE, VDM_F_MEM_DURABLE);
	FUTURE_BUSY_POLL(&f);
	dst[5]++;
	f = vdm_flush(vdm, dst, SIZE, 0);
	FUTURE_BUSY_POLL(&f);
	dst[5]++;
	/* Overlapping. */
	f = vdm_memmove(vdm, dst + 100, dst, SIZE - 100, 0);
	if (round % 2)
		future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	runtime_wait(r, FUTURE_AS_RUNNABLE(&f));
	assert(dst[5 + 100] == 9);
	f = copy();
	vdm_operation_cancel(&f);
}

struct twice_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, one);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, other);
};
FUTURE(twice, struct twice_data, int);

static void
between(struct future_context *from, struct future_context *to, void *arg)
{
	char **data = arg;

	(void)from;
	(void)to;
	data[0][3]++;
	data[1][3]--;
}

static void
a_chain(struct runtime *r, int round)
{
	char *other = malloc(SIZE);
	char *mapped[] = {dst, other};
	struct twice chain;

	assert(other != NULL);
	memset(other, 1, SIZE);
	fill(round);
	FUTURE_CHAIN_ENTRY_INIT(&chain.data.one, copy(), between, mapped);
	FUTURE_CHAIN_ENTRY_INIT(&chain.data.other,
		vdm_memcpy(vdm, other, dst, SIZE, 0), NULL, NULL);
	FUTURE_CHAIN_INIT(&chain);
	if (round % 2)
		FUTURE_BUSY_POLL(&chain);
	else
		runtime_wait(r, FUTURE_AS_RUNNABLE(&chain));
	dst[3]--;
	other[3]--;
	check(round);
	free(other);
}

/* A word says when to poll. */
static void
watched_word(int round)
{
	struct data_mover_threads *poller =
		data_mover_threads_new(1, 16, FUTURE_NOTIFIER_POLLER);
	struct future_notifier n = {.notifier_used = FUTURE_NOTIFIER_NONE};

	assert(poller != NULL);
	fill(round);

	struct vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(poller), dst, src, SIZE, 0);

	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) !=
		FUTURE_STATE_COMPLETE) {
		const uint64_t *word = n.poller.ptr_to_monitor;
		const uint64_t old = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		for (int i = 0; i < 1000 &&
			__atomic_load_n(word, __ATOMIC_ACQUIRE) == old;
			i++)
			usleep(1);
	}
	check(round);
	data_mover_threads_delete(poller);
}

/* Writes to the destination before the poll that completes. */
static void
race(void)
{
	struct vdm_operation_future f;

	/* The worker may be so fast that the first poll completes. */
	do
		f = copy();
	while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
		FUTURE_STATE_RUNNING);
	usleep(100000);
	dst[5] = 1;
	FUTURE_BUSY_POLL(&f);
}

int
main(int argc, char *argv[])
{
	const int rounds = argc > 1 ? atoi(argv[1]) : 0;
	struct runtime *r = runtime_new();

	dmt = data_mover_threads_new(2, 4, FUTURE_NOTIFIER_WAKER);
	src = malloc(SIZE);
	dst = malloc(SIZE);
	if (r == NULL || dmt == NULL || src == NULL || dst == NULL)
		return 1;
	vdm = data_mover_threads_get_vdm(dmt);
	fill(0);
	if (rounds == 0)
		race();
	for (int i = 0; i < rounds; i++) {
		busy_polls(i);
		shared_copy(r, i);
		many_of_a_runtime(r, i);
		of_a_queue(i);
		lists_and_other_types(r, i);
		a_chain(r, i);
		plain_waker(i);
		slow_waker();
		waker_called_again();
		replaced_waker(i);
		watched_word(i);
	}
	if (rounds > 0) {
		function_of_another_thread(0);
		many_threads(r);
#ifdef TEST_FAKE_DML
		recycled_slabs();
#endif
	}
	runtime_delete(r);
	data_mover_threads_delete(dmt);
	free(src);
	free(dst);
	puts("done");
	return 0;
}
