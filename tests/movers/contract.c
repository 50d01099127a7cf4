/* SPDX-License-Identifier: BSD-3-Clause */

/* contract.c -- see contract.h */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "contract.h"
#include "libminiasync.h"
#include "operation.h"

#define SIZE 4096

static const struct contract_mover *mover_kind;

/* What a test has got, until it ends. */
static void *gotten[8];
static size_t n_gotten;

static int
setup(void **state)
{
	*state = mover_kind->make();
	n_gotten = 0;
	return *state == NULL;
}

static int
teardown(void **state)
{
	mover_kind->end(*state);
	while (n_gotten > 0)
		free(gotten[--n_gotten]);
	return 0;
}

/* Memory for operations, with the bytes at from, or with zeros. */
static void *
get(void **state, const void *from, size_t n)
{
	void *zeros = NULL;
	void *memory;

	if (from == NULL)
		from = zeros = calloc(1, n);
	assert_non_null(from);
	if (mover_kind->memory != NULL) {
		memory = mover_kind->memory->get(*state, n);
		mover_kind->memory->write(*state, memory, from, n);
	} else {
		memory = malloc(n);
		assert_true(memory != NULL && n_gotten < 8);
		gotten[n_gotten++] = memory;
		memcpy(memory, from, n);
	}
	free(zeros);
	return memory;
}

static void
put(void **state, void *memory, const void *from, size_t n)
{
	if (mover_kind->memory != NULL)
		mover_kind->memory->write(*state, memory, from, n);
	else
		memcpy(memory, from, n);
}

static void
look(void **state, void *to, const void *memory, size_t n)
{
	if (mover_kind->memory != NULL)
		mover_kind->memory->read(*state, to, memory, n);
	else
		memcpy(to, memory, n);
}

static bool
has_text(void **state, const void *memory, const char *text)
{
	char got[64];

	assert_true(strlen(text) < sizeof(got));
	look(state, got, memory, strlen(text) + 1);
	return strcmp(got, text) == 0;
}

static struct vdm *
vdm_of(void **state)
{
	return mover_kind->get_vdm(*state);
}

/* How often a test does something. */
static int
rounds(int n)
{
	const int all = TEST_ROUNDS(n);

	return mover_kind->is_slow && all > 1 ? all / 2 : all;
}

static sem_t woken;

static void
post(void *data)
{
	sem_post(data);
}

/* By its waker, if the mover answers WAKER. */
static void
finish_by_waker(struct future *fut)
{
	struct future_notifier n = {.waker = {&woken, post}};
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 60;
	while (future_poll(fut, &n) != FUTURE_STATE_COMPLETE) {
		const int saved_errno = errno;

		if (n.notifier_used != FUTURE_NOTIFIER_WAKER)
			sched_yield();
		else if (sem_timedwait(&woken, &deadline) != 0)
			fail_msg("the waker was not called in a minute");
		/* musl's waiting sets it also when it succeeds. */
		errno = saved_errno;
	}
}

static struct runtime *runtime;

/* In one of the three ways, in turn. */
static const struct vdm_operation_output *
finish(struct vdm_operation_future *f)
{
	static unsigned turn;

	switch (turn++ % 3) {
	case 0:
		FUTURE_BUSY_POLL(f);
		break;
	case 1:
		finish_by_waker(FUTURE_AS_RUNNABLE(f));
		break;
	default:
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(f));
		break;
	}
	assert_int_equal(FUTURE_STATE(f), FUTURE_STATE_COMPLETE);
	return FUTURE_OUTPUT(f);
}

static void
random_fill(unsigned char *p, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)test_random(seed);
}

/*
 * Random sizes below max, offsets, overlaps and flags: the whole arena, three
 * times as big, equals libc's after each step.
 */
static void
compare_to_libc(void **state, size_t max, size_t often, int steps)
{
	const size_t arena = 3 * max;
	unsigned char *libcs = malloc(arena), *looked = malloc(arena);
	struct vdm *vdm = vdm_of(state);
	uint64_t seed = test_seed(mover_kind->name);

	assert_true(libcs != NULL && looked != NULL);
	random_fill(libcs, arena, &seed);

	unsigned char *ours = get(state, libcs, arena);

	for (int i = 0; i < steps; i++) {
		const size_t n = test_random(&seed) %
			(test_random(&seed) % 4 == 0 ? max : often);
		const size_t half = arena / 2;
		size_t to = test_random(&seed) % (half - n);
		size_t from = half + test_random(&seed) % (half - n);
		const uint64_t flags =
			test_random(&seed) % (VDM_F_VALID_FLAGS + 1) &
			~(mover_kind->cannot_be_durable ? VDM_F_MEM_DURABLE
							: 0);
		const int c = (int)test_random(&seed);
		const enum vdm_operation_type type = (enum vdm_operation_type)(
			test_random(&seed) % VDM_OPERATION_FLUSH);

		if (type == VDM_OPERATION_MEMMOVE) {
			from = test_random(&seed) % (arena - n);
			to = test_random(&seed) % 2 == 0
				? test_random(&seed) % (arena - n)
				: (from + test_random(&seed) % 100) %
					(arena - n);
		}

		struct vdm_operation_future f = operation_new(
			vdm, type, ours + to, ours + from, c, n, flags);
		const struct vdm_operation_output *out = finish(&f);

		switch (type) {
		case VDM_OPERATION_MEMCPY:
			assert_ptr_equal(out->output.memcpy.dest, ours + to);
			memcpy(libcs + to, libcs + from, n);
			break;
		case VDM_OPERATION_MEMMOVE:
			assert_ptr_equal(out->output.memmove.dest, ours + to);
			memmove(libcs + to, libcs + from, n);
			break;
		case VDM_OPERATION_MEMSET:
			assert_ptr_equal(out->output.memset.str, ours + to);
			memset(libcs + to, c, n);
			break;
		case VDM_OPERATION_FLUSH: /* these two are not drawn */
		case VDM_OPERATION_MEMCPYV:
			break;
		}
		assert_int_equal(out->result, VDM_SUCCESS);
		assert_int_equal(out->type, type);
		look(state, looked, ours, arena);
		if (memcmp(looked, libcs, arena) != 0)
			fail_msg("step %d: type %d, %zu bytes", i, type, n);
	}
	free(libcs);
	free(looked);
}

static void
operations_equal_libc(void **state)
{
	compare_to_libc(state, SIZE, 200, rounds(5000));
}

/* Big enough for a mover that shares them among its workers. */
static void
big_operations_equal_libc(void **state)
{
	compare_to_libc(state, 5000000, 5000000, rounds(40));
}

/* The capabilities of the synchronous mover are those of the CPU. */
static bool
cpu_can_flush(void)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	const bool can =
		data_mover_sync_set_capabilities(dms, VDM_F_MEM_DURABLE) == 0;

	data_mover_sync_delete(dms);
	return can;
}

static void
flush_succeeds_where_the_cpu_can(void **state)
{
	char looked[300];
	memset(looked, 7, sizeof(looked));
	char *buf = get(state, looked, sizeof(looked));
	struct vdm_operation_future f =
		vdm_flush(vdm_of(state), buf + 3, 200, VDM_F_MEM_DURABLE);

	assert_int_equal(finish(&f)->result,
		cpu_can_flush() && !mover_kind->cannot_flush
			? VDM_SUCCESS
			: VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(FUTURE_OUTPUT(&f)->type, VDM_OPERATION_FLUSH);
	look(state, looked, buf, sizeof(looked));
	assert_int_equal(looked[100], 7);
}

static void
bad_input_is_refused_and_writes_nothing(void **state)
{
	struct vdm *vdm = vdm_of(state);
	char *a = get(state, "a", 2), *b = get(state, "b", 2);
	const uint64_t bad_flags[] = {
		4, 1u << 31, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX};
	struct vdm_operation_future f[32];
	size_t n = 0;

	for (size_t i = 0; i < 5; i++) {
		f[n++] = vdm_memcpy(vdm, a, b, 1, bad_flags[i]);
		f[n++] = vdm_memmove(vdm, a, b, 1, bad_flags[i]);
		f[n++] = vdm_memset(vdm, a, 'c', 1, bad_flags[i]);
		f[n++] = vdm_flush(vdm, a, 1, bad_flags[i]);
	}
	f[n++] = vdm_memcpy(vdm, a, NULL, 1, 0);
	f[n++] = vdm_memcpy(vdm, NULL, b, 1, 0);
	f[n++] = vdm_memmove(vdm, a, NULL, SIZE_MAX, 0);
	f[n++] = vdm_memmove(vdm, NULL, b, 1, 0);
	f[n++] = vdm_memset(vdm, NULL, 1, 1, 0);
	f[n++] = vdm_flush(vdm, NULL, 1, 0);
	f[n] = vdm_memset(vdm, a, 'c', 1, 0);
	f[n++].data.operation.type = (enum vdm_operation_type)77;

	for (size_t i = 0; i < n; i++) {
		const struct vdm_operation_output *out = finish(&f[i]);

		assert_int_equal(out->result, VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(out->type, f[i].data.operation.type);
	}
	assert_true(has_text(state, a, "a"));
	assert_true(has_text(state, b, "b"));
}

static void
zero_bytes_succeed_without_memory(void **state)
{
	struct vdm *vdm = vdm_of(state);
	struct vdm_operation_future f[] = {
		vdm_memcpy(vdm, NULL, NULL, 0, 0),
		vdm_memmove(vdm, NULL, NULL, 0, VDM_F_VALID_FLAGS),
		vdm_memset(vdm, NULL, 1, 0, VDM_F_MEM_DURABLE),
		vdm_flush(vdm, NULL, 0, 0),
		vdm_memcpy(vdm, (void *)8, (void *)8, 0, 0),
	};

	for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++)
		assert_int_equal(finish(&f[i])->result, VDM_SUCCESS);
}

static void
zero_bytes_with_unknown_flags_are_refused(void **state)
{
	struct vdm_operation_future f =
		vdm_memcpy(vdm_of(state), NULL, NULL, 0, 8);

	assert_int_equal(finish(&f)->result, VDM_ERROR_JOB_CORRUPTED);
}

/* An error of the caller. The destination is written all the same. */
static void
overlapping_memcpy_is_done(void **state)
{
	char *buf = get(state, "0123456789", 11);
	struct vdm_operation_future f =
		vdm_memcpy(vdm_of(state), buf + 1, buf, 5, 0);

	if (finish(&f)->result == VDM_SUCCESS)
		assert_false(has_text(state, buf, "0123456789"));
}

static void
creating_writes_nothing_and_polling_keeps_errno(void **state)
{
	char *a = get(state, "a\0______", 8), *b = get(state, "b\0______", 8);

	errno = 12345;
	struct vdm_operation_future f = vdm_memcpy(vdm_of(state), a, b, 8, 0);

	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_IDLE);
	assert_true(has_text(state, a, "a"));
	errno = 12345;
	finish(&f);
	assert_int_equal(errno, 12345);
	assert_true(has_text(state, a, "b"));
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	assert_int_equal(FUTURE_STATE(&f), FUTURE_STATE_COMPLETE);
}

static void
ignore_wake(void *data)
{
	(void)data;
}

/* A notifier that the poll brings is answered, unless the poll completes. */
static void
notifier_used_is_written(void **state)
{
	char *a = get(state, "a\0______", 8), *b = get(state, "b\0______", 8);
	struct vdm_operation_future f = vdm_memcpy(vdm_of(state), a, b, 8, 0);
	struct future_notifier n = {.waker = {NULL, ignore_wake},
		.notifier_used = (enum future_notifier_type)99};

	if (future_poll(FUTURE_AS_RUNNABLE(&f), &n) != FUTURE_STATE_COMPLETE)
		assert_true(n.notifier_used <= FUTURE_NOTIFIER_POLLER);
	finish(&f);
}

static void
future_may_move_between_polls(void **state)
{
	char *a = get(state, "a\0______", 8), *b = get(state, "b\0______", 8);
	struct vdm_operation_future f = vdm_memcpy(vdm_of(state), a, b, 8, 0);
	struct vdm_operation_future moved;

	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	memcpy(&moved, &f, sizeof(f));
	memset(&f, 0xff, sizeof(f));
	finish(&moved);
	assert_true(has_text(state, a, "b"));
}

static void
dropped_futures_block_nobody(void **state)
{
	char *a = get(state, "a\0______", 8), *b = get(state, "b\0______", 8);

	for (int i = 0; i < rounds(5000); i++) {
		const struct vdm_operation_future dropped =
			vdm_memcpy(vdm_of(state), a, b, 8, 0);
		struct vdm_operation_future f =
			vdm_memset(vdm_of(state), a, i, 8, 0);

		(void)dropped;
		char first;

		assert_int_equal(finish(&f)->result, VDM_SUCCESS);
		look(state, &first, a, 1);
		assert_int_equal(first, (char)i);
	}
}

static void
canceled_operation_writes_nothing(void **state)
{
	char *a = get(state, "a\0______", 8);
	struct vdm_operation_future f = vdm_memset(vdm_of(state), a, 'b', 8, 0);

	assert_int_equal(vdm_operation_cancel(&f), 1);
	assert_int_equal(finish(&f)->result, VDM_ERROR_CANCELED);
	assert_int_equal(vdm_operation_cancel(&f), 0);
	assert_true(has_text(state, a, "a"));
}

/* 200,000 futures before the first poll. They finish in reverse order. */
static void
many_pending_operations_all_complete(void **state)
{
	const size_t n = (size_t)rounds(200000);
	unsigned char *dst = get(state, NULL, n), *looked = malloc(n);
	struct vdm_operation_future *f = malloc(n * sizeof(*f));

	assert_true(looked != NULL && f != NULL);

	for (size_t i = 0; i < n; i++) {
		f[i] = vdm_memset(vdm_of(state), dst + i, (int)i, 1, 0);
		assert_int_equal(FUTURE_STATE(&f[i]), FUTURE_STATE_IDLE);
	}
	for (size_t i = n; i-- > 0;) {
		if (i % 64 == 0)
			finish(&f[i]);
		FUTURE_BUSY_POLL(&f[i]);
		assert_int_equal(FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
	}
	look(state, looked, dst, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(looked[i], (unsigned char)i);
	free(f);
	free(looked);
}

static void
runtime_waits_for_many(void **state)
{
	enum { N = 1000 };
	static struct vdm_operation_future f[N];
	static char want[N][64], looked[N][64];
	struct future *futs[N];
	for (size_t i = 0; i < N; i++)
		memset(want[i], (int)i, 64);
	char *src = get(state, want, sizeof(want));
	char *dst = get(state, NULL, sizeof(want));
	for (size_t i = 0; i < N; i++) {
		f[i] = vdm_memcpy(
			vdm_of(state), dst + i * 64, src + i * 64, 64, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	runtime_wait_multiple(runtime, futs, N);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(finish(&f[i])->result, VDM_SUCCESS);
	look(state, looked, dst, sizeof(looked));
	assert_memory_equal(looked, want, sizeof(want));
}

/* Threads create futures, and complete those of other threads. */
#define RELAY_THREADS 4
#define RELAY_DEPTH 100

typedef uint64_t relay_row[RELAY_DEPTH];

struct relay {
	struct vdm *vdm;
	void **state;
	pthread_barrier_t barrier;
	struct vdm_operation_future f[RELAY_THREADS][RELAY_DEPTH];
	relay_row *dst, *src; /* of operations */
	relay_row want[RELAY_THREADS];
	unsigned failures[RELAY_THREADS];
};

struct relay_runner {
	struct relay *relay;
	size_t me;
};

static void *
relay_run(void *arg)
{
	struct relay_runner *runner = arg;
	struct relay *r = runner->relay;
	const size_t me = runner->me;

	for (uint64_t round = 0; round < (uint64_t)rounds(200); round++) {
		for (size_t i = 0; i < RELAY_DEPTH; i++) {
			r->want[me][i] = round * 1000 + i + me * 7;
			r->f[me][i] = vdm_memcpy(r->vdm, &r->dst[me][i],
				&r->src[me][i], sizeof(uint64_t), 0);
		}
		put(r->state, r->src[me], r->want[me], sizeof(relay_row));
		pthread_barrier_wait(&r->barrier);

		const size_t other = (me + 1) % RELAY_THREADS;

		relay_row looked;

		for (size_t i = 0; i < RELAY_DEPTH; i++) {
			FUTURE_BUSY_POLL(&r->f[other][i]);
			if (FUTURE_OUTPUT(&r->f[other][i])->result !=
				VDM_SUCCESS)
				r->failures[me]++;
		}
		look(r->state, looked, r->dst[other], sizeof(looked));
		if (memcmp(looked, r->want[other], sizeof(looked)) != 0)
			r->failures[me]++;
		pthread_barrier_wait(&r->barrier);
	}
	return NULL;
}

static void
created_on_one_thread_completed_on_another(void **state)
{
	static struct relay r;
	struct relay_runner runners[RELAY_THREADS];
	pthread_t threads[RELAY_THREADS];

	memset(&r, 0, sizeof(r));
	r.vdm = vdm_of(state);
	r.state = state;
	r.dst = get(state, NULL, sizeof(r.want));
	r.src = get(state, NULL, sizeof(r.want));
	pthread_barrier_init(&r.barrier, NULL, RELAY_THREADS);
	for (size_t i = 0; i < RELAY_THREADS; i++) {
		runners[i] = (struct relay_runner){&r, i};
		assert_int_equal(pthread_create(&threads[i], NULL, relay_run,
					 &runners[i]),
			0);
	}
	for (size_t i = 0; i < RELAY_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(r.failures[i], 0);
	}
	pthread_barrier_destroy(&r.barrier);
}

int
contract_run(const struct contract_mover *mover)
{
#define CONTRACT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest contract[] = {
		CONTRACT(operations_equal_libc),
		CONTRACT(big_operations_equal_libc),
		CONTRACT(flush_succeeds_where_the_cpu_can),
		CONTRACT(bad_input_is_refused_and_writes_nothing),
		CONTRACT(zero_bytes_succeed_without_memory),
		CONTRACT(zero_bytes_with_unknown_flags_are_refused),
		CONTRACT(overlapping_memcpy_is_done),
		CONTRACT(creating_writes_nothing_and_polling_keeps_errno),
		CONTRACT(notifier_used_is_written),
		CONTRACT(future_may_move_between_polls),
		CONTRACT(dropped_futures_block_nobody),
		CONTRACT(canceled_operation_writes_nothing),
		CONTRACT(many_pending_operations_all_complete),
		CONTRACT(runtime_waits_for_many),
		CONTRACT(created_on_one_thread_completed_on_another),
	};

	mover_kind = mover;
	sem_init(&woken, 0, 0);
	runtime = runtime_new();
	const int failed =
		cmocka_run_group_tests_name(mover->name, contract, NULL, NULL);

	runtime_delete(runtime);
	sem_destroy(&woken);
	return failed;
}
