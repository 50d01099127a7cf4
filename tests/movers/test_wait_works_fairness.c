/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wait_works_fairness.c -- tests waits whose thread works: the work holds
 * up neither the other futures of the wait, nor other threads
 *
 * Other programs may use the CPUs too. Therefore most tests compare CPU time of
 * the waiting thread, and print the time that has passed. No test compares
 * times under tools that slow the program down.
 */

#include "works.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "steps.h"

#define MIB (1024 * KIB)

static uint64_t
now_ns(void)
{
	return test_clock_ns(CLOCK_MONOTONIC);
}

static uint64_t
cpu_ns(void)
{
	return test_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* 1 GiB, with MIA_STRESS, which takes seconds on a virtual machine. */
static size_t
huge_bytes(void)
{
	const size_t bytes = 256 * MIB * works_rounds(1);

	return bytes < 1024 * MIB ? bytes : 1024 * MIB;
}

/* Touched memory, of about so many bytes, or of less if memory is short. */
struct room {
	unsigned char *src, *dst;
	size_t size;
};

static struct room
room_new(size_t size)
{
	struct room room = {NULL, NULL, size / TEST_SLOWDOWN};

	for (;; room.size /= 2) {
		room.src = malloc(room.size);
		room.dst = malloc(room.size);
		if (room.src != NULL && room.dst != NULL)
			break;
		free(room.src);
		free(room.dst);
	}
	works_fill(room.src, room.size, 1);
	memset(room.dst, 0xee, room.size); /* 0 may leave pages untouched */
	return room;
}

static void
room_fini(struct room *room)
{
	WORKS_CHECK(memcmp(room->dst, room->src, room->size) == 0);
	free(room->src);
	free(room->dst);
}

/* Timers */

#define PERIOD_NS MS
#define MAX_EXPIRIES 4096

/* How late the expiries of a timer were seen. */
struct delays {
	unsigned n;
	uint64_t cpu_ns[MAX_EXPIRIES];  /* of the waiting thread */
	uint64_t wall_ns[MAX_EXPIRIES]; /* of a ticker's only */
};

struct moment {
	uint64_t cpu_ns, wall_ns;
};

/* Expires again and again, until the copy is complete. */
struct timer_data {
	const struct future *copy;
	struct ticker *ticker; /* wakes; NULL: only polls tell */
	struct moment due;
	struct delays *delays;
};

FUTURE(timer_future, struct timer_data, char);

/* A thread that wakes at every period. */
struct ticker {
	pthread_mutex_t lock;
	struct future_waker waker; /* L: lock, these four */
	clockid_t waiting;         /* CPU clock of the waiting thread */
	struct moment due;
	bool is_due;
	atomic_bool stop;
};

static void *
tick(void *arg)
{
	struct ticker *ticker = arg;

	while (!atomic_load(&ticker->stop)) {
		test_sleep_ns(PERIOD_NS);
		pthread_mutex_lock(&ticker->lock);
		if (!ticker->is_due) {
			ticker->due.cpu_ns = test_clock_ns(ticker->waiting);
			ticker->due.wall_ns = now_ns();
			ticker->is_due = true;
		}
		if (ticker->waker.wake != NULL)
			FUTURE_WAKER_WAKE(&ticker->waker);
		pthread_mutex_unlock(&ticker->lock);
	}
	return NULL;
}

static void
add_delay(struct delays *delays, struct moment due)
{
	if (delays->n == MAX_EXPIRIES)
		return;
	delays->cpu_ns[delays->n] = cpu_ns() - due.cpu_ns;
	delays->wall_ns[delays->n++] = now_ns() - due.wall_ns;
}

/* Each period of CPU time. A late poll counts for all of them. */
static void
look_at_clock(struct timer_data *data)
{
	for (; data->due.cpu_ns <= cpu_ns(); data->due.cpu_ns += PERIOD_NS) {
		data->due.wall_ns = now_ns();
		add_delay(data->delays, data->due);
	}
}

static void
look_at_ticker(struct timer_data *data, struct future_notifier *n)
{
	struct ticker *ticker = data->ticker;

	pthread_mutex_lock(&ticker->lock);
	ticker->waker = n->waker;
	if (ticker->is_due)
		add_delay(data->delays, ticker->due);
	ticker->is_due = false;
	pthread_mutex_unlock(&ticker->lock);
}

static enum future_state
timer_task(struct future_context *context, struct future_notifier *n)
{
	struct timer_data *data = future_context_get_data(context);

	if (data->ticker != NULL) {
		look_at_ticker(data, n);
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	} else {
		look_at_clock(data);
		n->notifier_used = FUTURE_NOTIFIER_NONE;
	}
	return data->copy->context.state == FUTURE_STATE_COMPLETE
		? FUTURE_STATE_COMPLETE
		: FUTURE_STATE_RUNNING;
}

static int
compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
check_delays(const char *what, struct delays *delays, size_t copied)
{
	const unsigned n = delays->n;

	printf("%s beside %zu MiB: %u expiries, late in us:", what,
		copied / MIB, n);
	for (int i = 0; i < 2 && n > 0; i++) {
		uint64_t *ns = i == 0 ? delays->cpu_ns : delays->wall_ns;

		qsort(ns, n, sizeof(*ns), compare);
		printf("%s p50 %.0f, p99 %.0f, max %.0f",
			i == 0 ? " CPU time" : "; wall",
			(double)ns[n / 2] / 1e3, (double)ns[n * 99 / 100] / 1e3,
			(double)ns[n - 1] / 1e3);
	}
	printf("\n");
	/* A piece takes some 12 us, and up to 300 if memory is slow. */
	if (TEST_IS_FAST && n > 0)
		assert_true(delays->cpu_ns[n / 2] < MS);
}

enum timer { SILENT, WOKEN };

/* n copies of the room's parts beside a timer. */
static void
time_beside_copies(enum timer kind, size_t n)
{
	enum { MAX = 64 };
	static struct vdm_operation_future copies[MAX];
	static struct delays delays;
	struct ticker ticker = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct timer_future timer;
	struct data_mover_threads *dmt = works_mover(2, FUTURE_NOTIFIER_WAKER);
	struct room room = room_new(huge_bytes());
	struct future *futs[MAX + 1];
	const size_t size = room.size / n;
	pthread_t thread;

	room.size = size * n;
	for (size_t i = 0; i < n; i++) {
		copies[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
			room.dst + i * size, room.src + i * size, size, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&copies[i]);
	}
	delays.n = 0;
	timer.data.copy = futs[n - 1];
	timer.data.ticker = kind == WOKEN ? &ticker : NULL;
	timer.data.delays = &delays;
	timer.data.due.cpu_ns = cpu_ns() + PERIOD_NS;
	FUTURE_INIT(&timer, timer_task);
	futs[n] = FUTURE_AS_RUNNABLE(&timer);

	if (kind == WOKEN) {
		WORKS_CHECK(pthread_getcpuclockid(
				    pthread_self(), &ticker.waiting) == 0);
		WORKS_CHECK(pthread_create(&thread, NULL, tick, &ticker) == 0);
	}
	works_wait(runtime, futs, n + 1);
	atomic_store(&ticker.stop, true);
	if (kind == WOKEN)
		pthread_join(thread, NULL);
	check_delays(kind == WOKEN ? "woken timer" : "silent timer", &delays,
		room.size);
	data_mover_threads_delete(dmt);
	room_fini(&room);
}

static void
silent_timer_is_on_time(void **state)
{
	(void)state;
	time_beside_copies(SILENT, 1);
	time_beside_copies(SILENT, 64);
}

static void
woken_timer_is_on_time(void **state)
{
	(void)state;
#ifdef _WIN32
	TEST_LEFT_OUT("winpthreads has no CPU clocks of other threads");
#endif
	time_beside_copies(WOKEN, 1);
	time_beside_copies(WOKEN, 64);
}

/* Two threads wait, on one mover. */

#define BATCH 16

/* One waits for many small copies, the other for one huge copy. */
struct many {
	struct vdm *vdm;
	size_t ncopies;
	uint64_t ns;
};

struct huge {
	struct vdm *vdm;
	struct room *room;
	uint64_t ns;
};

static void *
wait_for_many(void *arg)
{
	static unsigned char src[64 * KIB], dst[BATCH][64 * KIB];
	struct many *many = arg;
	uint64_t seed = 1;
	struct vdm_operation_future f[BATCH];
	struct future *futs[BATCH];

	works_fill(src, sizeof(src), 3);
	many->ns = 0;
	for (size_t done = 0; done < many->ncopies; done += BATCH) {
		for (size_t i = 0; i < BATCH; i++) {
			const size_t n =
				20 * KIB + test_random(&seed) % (44 * KIB);

			dst[i][n - 1] = (unsigned char)~src[n - 1];
			f[i] = vdm_memcpy(many->vdm, dst[i], src, n, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		many->ns += works_wait(runtime, futs, BATCH);
		for (size_t i = 0; i < BATCH; i++) {
			const size_t n = f[i].data.operation.data.memcpy.n;

			WORKS_CHECK(dst[i][n - 1] == src[n - 1]);
		}
	}
	return NULL;
}

static void *
wait_for_huge(void *arg)
{
	struct huge *huge = arg;
	struct vdm_operation_future f = vdm_memcpy(huge->vdm, huge->room->dst,
		huge->room->src, huge->room->size, 0);
	struct future *fut = FUTURE_AS_RUNNABLE(&f);

	huge->ns = works_wait(runtime, &fut, 1);
	return NULL;
}

static void
many_small_and_one_huge_get_their_share(void **state)
{
	struct data_mover_threads *dmt = works_mover(2, FUTURE_NOTIFIER_WAKER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct room room = room_new(huge_bytes() / 2);
	struct many many = {.vdm = vdm, .ncopies = TEST_ROUNDS(10000)};
	struct huge huge = {.vdm = vdm, .room = &room};
	bool fair = false;

	(void)state;
	/* Another program may take the CPUs in one of the measurements. */
	for (int try = 0; try < 5 && !fair; try++) {
		pthread_t threads[2];

		wait_for_many(&many);
		wait_for_huge(&huge);

		const uint64_t many_alone = many.ns, huge_alone = huge.ns;

		pthread_create(&threads[0], NULL, wait_for_huge, &huge);
		pthread_create(&threads[1], NULL, wait_for_many, &many);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		printf("alone and together: %zu small %.0f, %.0f ms, huge "
		       "%.0f, %.0f ms\n",
			many.ncopies, (double)many_alone / MS,
			(double)many.ns / MS, (double)huge_alone / MS,
			(double)huge.ns / MS);
		fair = many.ns < 3 * many_alone + 20 * MS &&
			huge.ns < 3 * huge_alone + 20 * MS;
	}
	if (TEST_IS_FAST)
		assert_true(fair);
	data_mover_threads_delete(dmt);
	room_fini(&room);
}

/*
 * A future whose polls work gets the thread, and workers get the copies. So the
 * thread takes no more CPU time than for the future alone.
 */
static void
polls_that_work_are_not_slowed_down(void **state)
{
	enum { COPIES = 64 };
	static struct vdm_operation_future copies[COPIES];
	struct data_mover_threads *dmt = works_mover(2, FUTURE_NOTIFIER_WAKER);
	struct room room = room_new(128 * MIB);
	const size_t size = room.size / COPIES;
	const unsigned polls = TEST_ROUNDS(2000);
	unsigned nfair = 0;

	(void)state;
	room.size = size * COPIES;
	for (int try = 0; try < 5; try++) {
		struct steps_future alone = steps(polls, 3000);
		struct steps_future beside = steps(polls, 3000);
		struct future *futs[COPIES + 1] = {FUTURE_AS_RUNNABLE(&alone)};
		uint64_t start = cpu_ns();

		works_wait(runtime, futs, 1);

		const uint64_t alone_ns = cpu_ns() - start;

		for (size_t i = 0; i < COPIES; i++) {
			copies[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				room.dst + i * size, room.src + i * size, size,
				0);
			futs[i] = FUTURE_AS_RUNNABLE(&copies[i]);
		}
		futs[COPIES] = FUTURE_AS_RUNNABLE(&beside);
		start = cpu_ns();

		const uint64_t wall_ns = works_wait(runtime, futs, COPIES + 1);
		const uint64_t beside_ns = cpu_ns() - start;

		printf("%u polls that work: CPU time alone %.1f ms, beside "
		       "copies %.1f ms, wall %.1f ms\n",
			polls, (double)alone_ns / MS, (double)beside_ns / MS,
			(double)wall_ns / MS);
		nfair += beside_ns < alone_ns * 3 / 2 + MS;
	}
	if (TEST_IS_FAST)
		assert_true(nfair >= 3);
	data_mover_threads_delete(dmt);
	room_fini(&room);
}

/*
 * The synchronous mover copies in its first poll. Meanwhile a worker does what
 * the thread has kept for itself.
 */
static void
synchronous_copy_goes_beside_workers(void **state)
{
	enum { COPIES = 16 };
	static struct vdm_operation_future copies[COPIES + 1];
	struct data_mover_threads *dmt = works_mover(2, FUTURE_NOTIFIER_WAKER);
	struct data_mover_sync *dms = data_mover_sync_new();
	struct room one = room_new(huge_bytes() / 4), many = room_new(16 * MIB);
	struct future *futs[COPIES + 1];
	const size_t size = many.size / COPIES;
	bool fair = false;

	(void)state;
	assert_non_null(dms);
	many.size = size * COPIES;
	futs[0] = FUTURE_AS_RUNNABLE(&copies[0]);
	for (int try = 0; try < 5 && !fair; try++) {
		struct vdm *sync = data_mover_sync_get_vdm(dms);

		copies[0] = vdm_memcpy(sync, one.dst, one.src, one.size, 0);

		const uint64_t alone_ns = works_wait(runtime, futs, 1);

		copies[0] = vdm_memcpy(sync, one.dst, one.src, one.size, 0);
		for (size_t i = 0; i < COPIES; i++) {
			copies[i + 1] =
				vdm_memcpy(data_mover_threads_get_vdm(dmt),
					many.dst + i * size,
					many.src + i * size, size, 0);
			futs[i + 1] = FUTURE_AS_RUNNABLE(&copies[i + 1]);
		}

		const uint64_t all_ns = works_wait(runtime, futs, COPIES + 1);

		printf("synchronous copy: alone %.1f ms, with copies %.1f ms\n",
			(double)alone_ns / MS, (double)all_ns / MS);
		fair = all_ns < 2 * alone_ns + 2 * MS;
	}
	if (TEST_IS_FAST)
		assert_true(fair);
	data_mover_threads_delete(dmt);
	data_mover_sync_delete(dms);
	room_fini(&one);
	room_fini(&many);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silent_timer_is_on_time),
		cmocka_unit_test(woken_timer_is_on_time),
		cmocka_unit_test(many_small_and_one_huge_get_their_share),
		cmocka_unit_test(polls_that_work_are_not_slowed_down),
		cmocka_unit_test(synchronous_copy_goes_beside_workers),
	};

	return cmocka_run_group_tests(tests, works_set_up, works_tear_down);
}
