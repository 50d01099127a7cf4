/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * program.c -- a program for ThreadSanitizer, with a library built without it
 *
 * program ROUNDS: no race. Each part uses plain data of its own, which a mover
 * must hand over between threads. Flags are relaxed, because the tool takes no
 * order from them. program: one race.
 */

#include <assert.h>
#include <libminiasync.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef TEST_FAKE_DML
#include <libminiasync-vdm-dml.h>
#endif

#define SIZE ((size_t)262144)
#define PARTS 8

static struct data_mover_threads *dmt;
static struct vdm *vdm;
static char *src, *dst;

static void
fill(int round)
{
	for (size_t i = 0; i < SIZE; i++) {
		src[i] = (char)(i + (size_t)round);
		dst[i] = 0;
	}
}

/* The program's own reads and writes, byte by byte. */
static void
check(int round)
{
	for (size_t i = 0; i < SIZE; i++) {
		assert(dst[i] == (char)(i + (size_t)round));
		dst[i] = 1;
	}
}

static void
await(atomic_int *flag)
{
	while (!atomic_load_explicit(flag, memory_order_relaxed))
		usleep(10);
}

static void
raise_flag(atomic_int *flag)
{
	atomic_store_explicit(flag, 1, memory_order_relaxed);
}

static struct vdm_operation_future
copy(void)
{
	return vdm_memcpy(vdm, dst, src, SIZE, 0);
}

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

/*
 * A waker writes data of the program. Its owner reads that when complete. On a
 * busy machine a poll may wait for it in vain, and it is called once more.
 */
struct woken {
	int calls;
	int before; /* written before the poll that brings the waker */
	atomic_int inside;
	atomic_int asked;
};

/* Not on the stack, where clang does not let the tool see all accesses. */
static struct woken *
woken_new(void)
{
	struct woken *woken = calloc(1, sizeof(*woken));

	assert(woken != NULL);
	return woken;
}

static void
wake(void *data)
{
	struct woken *woken = data;

	woken->calls += woken->before;
}

static void
plain_waker(int round)
{
	struct woken *woken = woken_new();
	struct future_notifier n = {.waker = {woken, wake}};
	struct vdm_operation_future f = copy();

	fill(round);
	woken->before = 2;
	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		continue;
	assert(woken->calls % 2 == 0);
	woken->calls++;
	free(woken);
	check(round);
}

/* Returns some time after it began. */
static void
wake_slowly(void *data)
{
	struct woken *woken = data;

	raise_flag(&woken->inside);
	usleep(3000);
	woken->calls++;
}

/* The poll that completes finds the waker running. */
static void
slow_waker(void)
{
	struct woken *woken = woken_new();
	struct future_notifier n = {.waker = {woken, wake_slowly}};
	struct vdm_operation_future f = copy();

	if (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		await(&woken->inside);
	FUTURE_BUSY_POLL(&f);
	assert(woken->calls++ > 0);
	free(woken);
}

/* Stays until a poll has returned RUNNING, and is therefore called again. */
static void
wake_again(void *data)
{
	struct woken *woken = data;

	if (!atomic_load_explicit(&woken->asked, memory_order_relaxed)) {
		raise_flag(&woken->inside);
		await(&woken->asked);
	} else {
		woken->calls += woken->before;
	}
}

static void
waker_called_again(void)
{
	struct woken *woken = woken_new();
	struct future_notifier n = {.waker = {woken, wake_again}};
	struct vdm_operation_future f = copy();

	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	await(&woken->inside);
	woken->before = 1;
	if (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_RUNNING)
		abort();
	raise_flag(&woken->asked);
	FUTURE_BUSY_POLL(&f);
	assert(woken->calls++ > 0);
	free(woken);
}

static atomic_int may_copy;

static void *
copy_when_told(void *to, const void *from, size_t n, unsigned flags)
{
	(void)flags;
	await(&may_copy);
	return memcpy(to, from, n);
}

/* The second waker is newer than the operation. */
static void
replaced_waker(int round)
{
	struct woken *first = woken_new(), *second = woken_new();
	struct future_notifier n = {.waker = {first, wake}};
	struct vdm_operation_future f = copy();

	fill(round);
	atomic_store_explicit(&may_copy, 0, memory_order_relaxed);
	data_mover_threads_set_memcpy_fn(dmt, copy_when_told);
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	second->before = 1;
	n.waker.data = second;
	future_poll(FUTURE_AS_RUNNABLE(&f), &n);
	free(first);
	raise_flag(&may_copy);
	FUTURE_BUSY_POLL(&f);
	assert(second->calls++ > 0);
	free(second);
	check(round);
}

static size_t shift; /* of the function that the other thread sets */
static atomic_int is_set, was_used;

static void *
shifting_copy(void *to, const void *from, size_t n, unsigned flags)
{
	(void)flags;
	for (size_t i = 0; i < n; i++)
		((char *)to)[i] = (char)(((const char *)from)[i] + shift);
	return to;
}

static void *
set_function(void *arg)
{
	shift = *(size_t *)arg;
	data_mover_threads_set_memcpy_fn(dmt, shifting_copy);
	raise_flag(&is_set);
	await(&was_used);
	return NULL;
}

/* What a thread did before it set a function. */
static void
function_of_another_thread(int round)
{
	size_t by = 3;
	pthread_t thread;

	atomic_store_explicit(&is_set, 0, memory_order_relaxed);
	atomic_store_explicit(&was_used, 0, memory_order_relaxed);
	if (pthread_create(&thread, NULL, set_function, &by) != 0)
		abort();
	await(&is_set);
	fill(round);

	struct vdm_operation_future f = copy();

	FUTURE_BUSY_POLL(&f);
	check(round + (int)by);
	raise_flag(&was_used);
	pthread_join(thread, NULL);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
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

/* Threads that use the mover and the runtime, and their memory, in turns. */
static void *
one_of_many(void *arg)
{
	struct runtime *r = arg;
	enum { N = 300 };
	static const size_t sizes[] = {64, 4096, 70000};
	struct data_mover_sync *dms = data_mover_sync_new();

	assert(dms != NULL);
	for (int i = 0; i < N; i++) {
		const size_t n = sizes[i % 3];
		char *from = malloc(n), *to = malloc(n);

		assert(from != NULL && to != NULL);
		memset(from, i, n);

		struct vdm_operation_future f = vdm_memcpy(
			i % 10 == 0 ? data_mover_sync_get_vdm(dms) : vdm, to,
			from, n, 0);

		if (i % 2)
			FUTURE_BUSY_POLL(&f);
		else
			runtime_wait(r, FUTURE_AS_RUNNABLE(&f));
		assert(to[0] == (char)i && to[n - 1] == (char)i);
		to[0] = 0;
		free(from);
		free(to);
	}
	data_mover_sync_delete(dms);
	return NULL;
}

static void
many_threads(struct runtime *r)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, one_of_many, r) != 0)
			abort();
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

#ifdef TEST_FAKE_DML

static struct vdm *dml;
static atomic_int burst_is_over;

/* More slots at once than the thread keeps: the pool gets and returns slabs. */
static void
burst(void)
{
	static __thread struct vdm_operation_future f[2000];

	for (size_t i = 0; i < 2000; i++)
		f[i] = vdm_memcpy(dml, dst, src, 1, 0);
	for (size_t i = 0; i < 2000; i++)
		vdm_operation_cancel(&f[i]);
}

static void *
burst_first(void *arg)
{
	burst();
	burst();
	raise_flag(&burst_is_over);
	return arg;
}

static void *
burst_later(void *arg)
{
	await(&burst_is_over);
	burst();
	return arg;
}

/* The pool clears a slab that another thread has cleared and returned. */
static void
recycled_slabs(void)
{
	struct data_mover_dml *dmd =
		data_mover_dml_new(DATA_MOVER_DML_SOFTWARE);
	pthread_t threads[2];

	assert(dmd != NULL);
	dml = data_mover_dml_get_vdm(dmd);
	atomic_store_explicit(&burst_is_over, 0, memory_order_relaxed);
	if (pthread_create(&threads[0], NULL, burst_first, NULL) != 0 ||
		pthread_create(&threads[1], NULL, burst_later, NULL) != 0)
		abort();
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	data_mover_dml_delete(dmd);
}

#endif

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
