/* SPDX-License-Identifier: BSD-3-Clause */

/* threads.c -- the parts of program.c with more threads of the program */

#include "program.h"

#include <pthread.h>
#include <string.h>
#ifdef TEST_FAKE_DML
#include <libminiasync-vdm-dml.h>
#endif

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
void
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

void
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
void
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
