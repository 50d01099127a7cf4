/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_fake.c -- tests the mover over libfabric with a fake
 * libfabric, which fails each call in each way
 *
 * The linker puts __wrap_malloc() before malloc().
 */

#include "test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include <libminiasync-vdm-fabric.h>

#include "child.h"
#include "fake_fabric.h"
#include "movers/fabric_operation.h"
#include "system.h"
#include "wakers.h"

#define REGION ((size_t)4 << 20)

static uint64_t seed;
static char *exposed;

/* A region and a mover to it. */
struct pair {
	struct data_mover_region *region;
	struct data_mover_fabric *dmf;
	struct vdm *vdm;
	char *window;
};

/* Returns false with errno if one of the two could not be made. */
static bool
pair_init(struct pair *pair, const struct data_mover_fabric_options *options)
{
	char token[DATA_MOVER_REGION_TOKEN_MAX];

	memset(pair, 0, sizeof(*pair));
	pair->region = data_mover_region_new(exposed, REGION,
		DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE, NULL, 0);
	if (pair->region == NULL)
		return false;
	assert_int_equal(
		data_mover_region_token(pair->region, token, sizeof(token)), 0);
	pair->dmf = data_mover_fabric_new(token, options);
	if (pair->dmf == NULL)
		return false;
	pair->vdm = data_mover_fabric_get_vdm(pair->dmf);
	pair->window = data_mover_fabric_addr(pair->dmf);
	return true;
}

static void
pair_fini(struct pair *pair)
{
	data_mover_fabric_delete(pair->dmf);
	data_mover_region_delete(pair->region);
	assert_int_equal(fake_fabric_open(), 0);
}

static struct data_mover_fabric_options
options_of(unsigned idle_ms, unsigned queue, unsigned no_thread)
{
	return (struct data_mover_fabric_options){
		.size = sizeof(struct data_mover_fabric_options),
		.connect_ms = 200,
		.idle_ms = idle_ms,
		.queue = queue,
		.no_thread = no_thread};
}

static int
setup(void **state)
{
	(void)state;
	fake_fabric_reset(test_random(&seed));
	memset(exposed, 0, REGION);
	return 0;
}

static enum vdm_operation_result
wait_for(struct vdm_operation_future *f)
{
	struct runtime *runtime = runtime_new();

	assert_non_null(runtime);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(f));
	runtime_delete(runtime);
	return FUTURE_OUTPUT(f)->result;
}

/* The same without sleep. */
static enum vdm_operation_result
poll_for(struct vdm_operation_future *f)
{
	FUTURE_BUSY_POLL(f);
	return FUTURE_OUTPUT(f)->result;
}

static void
without_library_there_is_no_mover(void **state)
{
	struct pair pair;

	(void)state;
	fake_fabric_set_absent(true);
	assert_false(pair_init(&pair, NULL));
	assert_int_equal(errno, ENOTSUP);
	assert_int_equal(fake_fabric_open(), 0);

	fake_fabric_set_absent(false);
	fake_fabric_set_provider("shm");
	assert_false(pair_init(&pair, NULL));
	assert_int_equal(errno, ENOTSUP);
	assert_int_equal(fake_fabric_open(), 0);
}

/* Each call that makes a region or a mover, the first time and later ones. */
static void
making_fails_cleanly(void **state)
{
	const struct data_mover_fabric_options options = options_of(0, 0, 0);
	unsigned failed = 0;

	(void)state;
	for (int call = 0; call < FAKE_FABRIC_CALLS; call++) {
		for (unsigned nth = 1;; nth++) {
			struct pair pair;

			fake_fabric_reset(test_random(&seed));
			fake_fabric_fail(call, nth, -EMFILE);
			errno = 0;

			const bool made = pair_init(&pair, &options);
			const int error = errno;

			pair_fini(&pair);
			if (made)
				break;
			assert_int_equal(error,
				call == FAKE_FABRIC_DUPINFO ? ENOMEM : EMFILE);
			failed++;
			assert_true(nth < 1000);
		}
	}
	/* DUPINFO 4 + 4, BIND 2 + 2, ENABLE and so on. */
	assert_true(failed >= 25);
}

/* An error of libfabric's own has no name in errno. */
static void
errors_of_libfabric_alone_are_eio(void **state)
{
	struct pair pair;

	(void)state;
	fake_fabric_fail(FAKE_FABRIC_DOMAIN, 1, -266);
	assert_false(pair_init(&pair, NULL));
	assert_int_equal(errno, EIO);
	pair_fini(&pair);
}

static void
no_answer_ends_the_making(void **state)
{
	const struct data_mover_fabric_options options = options_of(0, 0, 0);
	struct pair pair;

	(void)state;
	fake_fabric_stall(true);
	assert_false(pair_init(&pair, &options));
	assert_int_equal(errno, ETIMEDOUT);
	pair_fini(&pair);
}

/* Threads with slices of the region, and the same slices in local memory. */
struct worker {
	struct pair *pair;
	uint64_t seed;
	char *shadow;
	char *slice; /* in the window */
	size_t n;
	bool sleeps;
	pthread_t thread;
	unsigned wrong;
};

static struct vdm_operation_future
random_operation(struct worker *w, char *local)
{
	const size_t n = test_random(&w->seed) % (w->n / 2);
	const size_t to = test_random(&w->seed) % (w->n - n);
	const size_t from = test_random(&w->seed) % (w->n - n);
	const int c = (int)(test_random(&w->seed) & 255);

	switch (test_random(&w->seed) % 4) {
	case 0:
		for (size_t i = 0; i < n; i++)
			local[i] = (char)((size_t)c + i * 7);
		memcpy(w->shadow + to, local, n);
		return vdm_memcpy(w->pair->vdm, w->slice + to, local, n, 0);
	case 1:
		memset(w->shadow + to, c, n);
		return vdm_memset(w->pair->vdm, w->slice + to, c, n, 0);
	case 2:
		memmove(w->shadow + to, w->shadow + from, n);
		return vdm_memmove(
			w->pair->vdm, w->slice + to, w->slice + from, n, 0);
	default:
		memset(local, 0, w->n);
		return vdm_memcpy(w->pair->vdm, local, w->slice, w->n,
			VDM_F_NO_CACHE_HINT);
	}
}

static void *
do_random_operations(void *arg)
{
	struct worker *w = arg;
	char *local = malloc(w->n);

	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		memset(local, 1, w->n);

		struct vdm_operation_future f = random_operation(w, local);
		const bool is_read = f.data.operation.data.memcpy.dest == local;

		if ((w->sleeps ? wait_for(&f) : poll_for(&f)) != VDM_SUCCESS ||
			(is_read && memcmp(local, w->shadow, w->n) != 0))
			w->wrong++;
	}
	free(local);
	return NULL;
}

static void
run_workers(unsigned no_thread)
{
	enum { N = 8 };
	const struct data_mover_fabric_options options =
		options_of(0, 0, no_thread);
	struct worker workers[N];
	struct pair pair;

	fake_fabric_set_full(5);
	assert_true(pair_init(&pair, &options));
	for (int i = 0; i < N; i++) {
		workers[i] = (struct worker){.pair = &pair,
			.seed = test_random(&seed),
			.shadow = calloc(1, REGION / N),
			.slice = pair.window + (size_t)i * (REGION / N),
			.n = REGION / N - (size_t)i,
			.sleeps = i % 2 == 0};
		assert_int_equal(pthread_create(&workers[i].thread, NULL,
					 do_random_operations, &workers[i]),
			0);
	}
	for (int i = 0; i < N; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].wrong, 0);
		assert_memory_equal(workers[i].shadow,
			exposed + (size_t)i * (REGION / N), workers[i].n);
		free(workers[i].shadow);
	}
	assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
	pair_fini(&pair);
}

static void
many_threads_use_one_mover(void **state)
{
	(void)state;
	run_workers(0);
}

static void
many_threads_use_a_mover_without_thread(void **state)
{
	(void)state;
	run_workers(1);
}

static void
the_queue_is_not_longer_than_asked_for(void **state)
{
	const struct data_mover_fabric_options options = options_of(0, 5, 0);
	static char local[64];
	struct vdm_operation_future f[100];
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, &options));
	for (int i = 0; i < 100; i++) {
		f[i] = vdm_memcpy(pair.vdm, pair.window + 64 * i, local, 64, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(wait_for(&f[i]), VDM_SUCCESS);
	assert_true(fake_fabric_most() <= 5);
	pair_fini(&pair);
}

/* Starts n copies, each with a waker. */
static void
start(struct pair *pair, struct vdm_operation_future *f, int n,
	struct counter *counter, const char *local)
{
	struct future_notifier notifier = {
		.waker = {counter, wake_counter},
	};

	for (int i = 0; i < n; i++) {
		f[i] = vdm_memcpy(
			pair->vdm, pair->window + 64 * i, local, 64, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), &notifier);
	}
}

enum { N = 30 };

static char local_bytes[64];

/*
 * A failure of the kind that call says ends all operations, calls all wakers,
 * and the mover stays broken.
 */
static void
check_failure(enum fake_fabric_call call, int error, int expected, bool loses)
{
	const struct data_mover_fabric_options options = options_of(0, 0, 0);
	struct vdm_operation_future f[N];
	struct counter counter;
	struct pair pair;

	fake_fabric_reset(test_random(&seed));
	assert_true(pair_init(&pair, &options));
	counter_init(&counter);
	fake_fabric_set_loses(loses);
	fake_fabric_stall(true);
	start(&pair, f, N, &counter, local_bytes);
	fake_fabric_fail(call, 1, error);
	fake_fabric_stall(false);

	struct vdm_operation_future last =
		vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);

	assert_int_equal(poll_for(&last), VDM_ERROR_JOB_CORRUPTED);
	for (int i = 0; i < N; i++)
		assert_true(await(&counter.sem));
	for (int i = 0; i < N; i++)
		(void)wait_for(&f[i]);
	assert_int_equal(data_mover_fabric_error(pair.dmf), expected);

	/* Nothing is sent any more; what is local goes on. */
	const uint64_t parts = fake_fabric_parts();
	char copy[64];

	last = vdm_memcpy(pair.vdm, copy, pair.window, 64, 0);
	assert_int_equal(poll_for(&last), VDM_ERROR_JOB_CORRUPTED);
	last = vdm_memcpy(pair.vdm, copy, local_bytes, 64, 0);
	assert_int_equal(poll_for(&last), VDM_SUCCESS);
	last = vdm_memcpy(pair.vdm, copy, pair.window, 0, 0);
	assert_int_equal(poll_for(&last), VDM_SUCCESS);
	assert_int_equal(fake_fabric_parts(), parts);
	pair_fini(&pair);
	assert_int_equal(atomic_load(&counter.calls), N);
	counter_fini(&counter);
}

static void
one_failure_breaks_the_mover(void **state)
{
	(void)state;
	for (int i = 0; i < TEST_ROUNDS(50); i++) {
		check_failure(FAKE_FABRIC_POST, -ENOTCONN, ENOTCONN, false);
		check_failure(FAKE_FABRIC_PART, -ECANCELED, ECONNRESET, false);
		check_failure(FAKE_FABRIC_PART, -EFAULT, EFAULT, false);
		check_failure(FAKE_FABRIC_CQ_READ, -EBADF, EBADF, false);
		check_failure(FAKE_FABRIC_PART, -ECANCELED, ECONNRESET, true);
	}
}

/* libfabric listens on both sides: anybody may send remote data. */
static void
data_of_strangers_is_ignored(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(0, 0, no_thread);
		struct vdm_operation_future f[N];
		struct pair pair;

		fake_fabric_reset(test_random(&seed));
		assert_true(pair_init(&pair, &options));
		for (int round = 0; round < TEST_ROUNDS(100); round++) {
			fake_fabric_stall(true);
			for (int i = 0; i < N; i++) {
				f[i] = vdm_memcpy(pair.vdm,
					pair.window + 64 * i, local_bytes, 64,
					0);
				(void)future_poll(
					FUTURE_AS_RUNNABLE(&f[i]), NULL);
			}
			fake_fabric_send_data(3, test_random(&seed) % 300);
			fake_fabric_stall(false);
			for (int i = 0; i < N; i++)
				assert_int_equal(poll_for(&f[i]), VDM_SUCCESS);
		}
		/* Also in a queue whose connection is closed. */
		fake_fabric_stall(true);
		f[0] = vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[0]), NULL);
		fake_fabric_send_data(3, 0);
		pair_fini(&pair);
	}
}

static void
a_silent_peer_breaks_the_mover(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(100, 0, no_thread);
		struct vdm_operation_future f;
		struct pair pair;

		fake_fabric_reset(test_random(&seed));
		assert_true(pair_init(&pair, &options));
		fake_fabric_stall(true);
		f = vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);

		const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

		assert_int_equal(wait_for(&f), VDM_ERROR_JOB_CORRUPTED);

		const uint64_t past = test_clock_ns(CLOCK_MONOTONIC) - start;

		assert_int_equal(data_mover_fabric_error(pair.dmf), ETIMEDOUT);
		assert_true(past >= 99 * MS);
		if (TEST_IS_FAST)
			assert_true(past < 1000 * MS);
		pair_fini(&pair);
	}
}

/* What the peer has done is there, though nobody has read it yet. */
static void
a_program_that_only_starts_is_not_late(void **state)
{
	enum { STARTS = 40 };
	const struct data_mover_fabric_options options = options_of(400, 0, 1);
	struct vdm_operation_future f[STARTS];
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, &options));
	for (int i = 0; i < STARTS; i++) {
		f[i] = vdm_memcpy(
			pair.vdm, pair.window + 64 * i, local_bytes, 64, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		usleep(40000);
	}
	/* Nor is one that has not looked for long. */
	usleep(500000);
	for (int i = 0; i < STARTS; i++)
		assert_int_equal(poll_for(&f[i]), VDM_SUCCESS);
	assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
	pair_fini(&pair);
}

/* A program may look seldom. */
static void
a_silent_peer_is_found_by_few_looks(void **state)
{
	const struct data_mover_fabric_options options = options_of(200, 0, 1);
	struct vdm_operation_future f;
	struct pair pair;
	int looks = 0;

	(void)state;
	assert_true(pair_init(&pair, &options));
	fake_fabric_stall(true);
	f = vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);
	while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
		FUTURE_STATE_COMPLETE) {
		usleep(250000);
		assert_in_range(++looks, 1, 20);
	}
	/* Time in which nobody looked is not the peer's. */
	assert_true(looks >= 3);
	assert_int_equal(data_mover_fabric_error(pair.dmf), ETIMEDOUT);
	pair_fini(&pair);
}

/* The descriptor becomes readable at that time, and only then. */
static void
the_descriptor_tells_of_a_silent_peer(void **state)
{
	const struct data_mover_fabric_options options = options_of(100, 0, 1);
	struct vdm_operation_future f;
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, &options));

	struct pollfd ready = {data_mover_fabric_fd(pair.dmf), POLLIN, 0};

	assert_int_equal(data_mover_fabric_progress(pair.dmf), 0);
	assert_int_equal(poll(&ready, 1, 0), 0);
	fake_fabric_stall(true);
	f = vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);
	(void)future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	for (int i = 0; i < 10 && data_mover_fabric_error(pair.dmf) == 0; i++) {
		assert_int_equal(poll(&ready, 1, 60000), 1);
		(void)data_mover_fabric_progress(pair.dmf);
	}
	assert_int_equal(data_mover_fabric_progress(pair.dmf), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(poll_for(&f), VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(poll(&ready, 1, 0), 0);
	pair_fini(&pair);
}

/* Also futures that nobody polls any more. */
static void
deleting_ends_what_is_under_way(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(0, 0, no_thread);
		struct vdm_operation_future f[N];
		struct counter counter;
		struct pair pair;

		fake_fabric_reset(test_random(&seed));
		counter_init(&counter);
		assert_true(pair_init(&pair, &options));
		fake_fabric_stall(true);
		start(&pair, f, N, &counter, local_bytes);
		pair_fini(&pair);
		assert_int_equal(
			atomic_load(&counter.calls), no_thread ? 0 : N);
		counter_fini(&counter);
	}
}

/* A waker that starts and polls another future of the mover. */
struct nested {
	struct pair *pair;
	struct vdm_operation_future next;
	atomic_bool has_begun; /* a waker may be called more than once */
	sem_t begun;
};

static void
start_next(void *arg)
{
	struct nested *nested = arg;

	if (atomic_exchange(&nested->has_begun, true))
		return;
	nested->next = vdm_memset(
		nested->pair->vdm, nested->pair->window + 64, 3, 64, 0);
	(void)future_poll(FUTURE_AS_RUNNABLE(&nested->next), NULL);
	sem_post(&nested->begun);
}

static void
a_waker_may_start_the_next_operation(void **state)
{
	struct nested nested;
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, NULL));
	nested.pair = &pair;
	sem_init(&nested.begun, 0, 0);
	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		struct future_notifier n = {.waker = {&nested, start_next}};
		struct vdm_operation_future f =
			vdm_memset(pair.vdm, pair.window, i, 64, 0);

		memset(exposed, 0, 128);
		atomic_store(&nested.has_begun, false);
		fake_fabric_stall(true);
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), &n),
			FUTURE_STATE_RUNNING);
		fake_fabric_stall(false);
		assert_true(await(&nested.begun));
		assert_int_equal(poll_for(&f), VDM_SUCCESS);
		assert_int_equal(wait_for(&nested.next), VDM_SUCCESS);
		assert_int_equal(exposed[127], 3);
	}
	sem_destroy(&nested.begun);
	pair_fini(&pair);
}

/* Whoever polls may hold the lock that wakers take. */
static pthread_mutex_t executor = PTHREAD_MUTEX_INITIALIZER;

static void
wake_under_the_lock(void *arg)
{
	pthread_mutex_lock(&executor);
	wake_counter(arg);
	pthread_mutex_unlock(&executor);
}

static void
polls_call_no_wakers(void **state)
{
	struct counter counter;
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, NULL));
	counter_init(&counter);
	for (int i = 0; i < TEST_ROUNDS(200); i++) {
		struct future_notifier n = {
			.waker = {&counter, wake_under_the_lock}};
		struct vdm_operation_future f[N];
		int left = N;

		for (int k = 0; k < N; k++)
			f[k] = vdm_memset(
				pair.vdm, pair.window + 64 * k, i, 64, 0);
		while (left > 0) {
			left = 0;
			pthread_mutex_lock(&executor);
			for (int k = 0; k < N; k++)
				left += future_poll(FUTURE_AS_RUNNABLE(&f[k]),
						&n) != FUTURE_STATE_COMPLETE;
			pthread_mutex_unlock(&executor);
		}
	}
	pair_fini(&pair);
	counter_fini(&counter);
}

/* Sets and copies within the region need buffers, but not all at once. */
static void
pending_operations_take_little_memory(void **state)
{
	enum { MANY = 1000, SIZE = 256 * 1024 };
	static struct vdm_operation_future f[MANY];
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, NULL));

	const size_t before = test_allocated_bytes();

	fake_fabric_stall(true);
	for (int i = 0; i < MANY; i++) {
		char *dest = pair.window + (size_t)i % 8 * SIZE;

		f[i] = i % 16 == 0 ? vdm_memset(pair.vdm, dest, i, SIZE, 0)
				   : vdm_memcpy(pair.vdm, dest,
					     dest + REGION / 2, SIZE, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	assert_true(test_allocated_bytes() <= before + 5 * KIB * KIB);
	fake_fabric_stall(false);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(wait_for(&f[i]), VDM_SUCCESS);
	pair_fini(&pair);
}

/* Of the buffers of sets, which no other memory has. */
enum { SET = 64 * 1024 };

/* Buffers that get no memory. */
static atomic_int refused;

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *
__wrap_malloc(size_t n)
{
	if (n == SET && atomic_load(&refused) > 0 &&
		atomic_fetch_sub(&refused, 1) > 0)
		return NULL;
	return __real_malloc(n);
}

/*
 * The first sets have a buffer. The others find no memory, and wait for one of
 * these buffers: 2,000 refusals, and 16 more for each buffer that comes back.
 * When all have come back the next sets fail, for nothing would give them
 * another turn. Nor do the sets that still wait get one of a buffer.
 */
static void
operations_without_memory_fail_alone(void **state)
{
	enum { MANY = 2000, FIRST = 3000 };
	static struct vdm_operation_future f[MANY];

	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		/* Sets that nothing ends fail with the mover, after 5 s. */
		const struct data_mover_fabric_options options =
			options_of(5000, 0, no_thread);
		const int more = (int)(test_random(&seed) % 1000);
		int failed = 0;
		struct pair pair;

		assert_true(pair_init(&pair, &options));
		fake_fabric_stall(true);
		for (int i = 0; i < MANY; i++) {
			f[i] = vdm_memset(pair.vdm,
				pair.window + (size_t)i % 64 * SET, i, SET, 0);
			(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		}
		atomic_store(&refused, FIRST + more);
		fake_fabric_stall(false);
		for (int i = 0; i < MANY; i++) {
			const enum vdm_operation_result result =
				no_thread ? poll_for(&f[i]) : wait_for(&f[i]);

			if (result != VDM_SUCCESS) {
				assert_int_equal(
					result, VDM_ERROR_OUT_OF_MEMORY);
				failed++;
			}
		}
		printf("%d sets failed\n", failed);
		assert_in_range(failed, 1, MANY - 1);
		assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
		pair_fini(&pair);
	}
}

/* When the process forked the mover's thread was reading the waker. */
static struct vdm_operation_future begun;
static struct counter other;

static void
poll_with_another_waker(void)
{
	struct future_notifier n = {.waker = {&other, wake_counter}};
	struct mia_fabric_operation *op = begun.data.data;

	atomic_store(&op->completion.state, MIA_COMPLETION_LOCKED);
	CHILD_CHECK(future_poll(FUTURE_AS_RUNNABLE(&begun), &n) ==
		FUTURE_STATE_COMPLETE);
	CHILD_CHECK(FUTURE_OUTPUT(&begun)->result == VDM_ERROR_JOB_CORRUPTED);
}

static void
a_child_waits_for_no_thread_of_its_parent(void **state)
{
	struct counter counter;
	struct pair pair;

	(void)state;
	assert_true(pair_init(&pair, NULL));
	counter_init(&counter);
	fake_fabric_stall(true);
	start(&pair, &begun, 1, &counter, local_bytes);
	assert_int_equal(child_status(child_start(poll_with_another_waker)), 0);
	fake_fabric_stall(false);
	assert_int_equal(wait_for(&begun), VDM_SUCCESS);
	pair_fini(&pair);
	counter_fini(&counter);
}

static double
cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As one sleeps for it: by a runtime, or by the descriptor. */
static enum vdm_operation_result
sleep_for(struct pair *pair, struct vdm_operation_future *f, unsigned no_thread)
{
	struct pollfd ready = {
		.fd = data_mover_fabric_fd(pair->dmf), .events = POLLIN};

	while (no_thread &&
		future_poll(FUTURE_AS_RUNNABLE(f), NULL) !=
			FUTURE_STATE_COMPLETE) {
		assert_int_equal(poll(&ready, 1, 10000), 1);
		(void)data_mover_fabric_progress(pair->dmf);
	}
	return no_thread ? FUTURE_OUTPUT(f)->result : wait_for(f);
}

/*
 * The peer has ended while nothing was under way: libfabric takes no part, and
 * says nothing. The mover breaks in a second, and does not spin meanwhile.
 */
static void
a_connection_that_is_lost_breaks_the_mover(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(20000, 0, no_thread);
		struct pair pair;

		assert_true(pair_init(&pair, &options));
		fake_fabric_set_full(1);

		const double seconds = cpu_seconds();
		struct vdm_operation_future f =
			vdm_memcpy(pair.vdm, pair.window, local_bytes, 64, 0);

		assert_int_equal(sleep_for(&pair, &f, no_thread),
			VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(data_mover_fabric_error(pair.dmf), ECONNRESET);
		assert_true(cpu_seconds() - seconds < 0.3 * TEST_SLOWDOWN);
		fake_fabric_set_full(0);
		pair_fini(&pair);
	}
}

/* libfabric has made another connection after some looks. */
static void
a_connection_may_come_back(void **state)
{
	(void)state;
	for (unsigned no_thread = 0; no_thread < 2; no_thread++) {
		const struct data_mover_fabric_options options =
			options_of(20000, 0, no_thread);
		struct pair pair;

		assert_true(pair_init(&pair, &options));
		for (int round = 0; round < 8; round++) {
			struct vdm_operation_future f = vdm_memcpy(
				pair.vdm, pair.window, local_bytes, 64, 0);

			fake_fabric_set_full(1);
			(void)future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
			/* A program may look late, and then often. */
			usleep(no_thread && round == 3 ? 1500000 : 200000);
			for (int i = 0; no_thread && i < 1000; i++)
				(void)future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
			fake_fabric_set_full(0);
			assert_int_equal(
				sleep_for(&pair, &f, no_thread), VDM_SUCCESS);
		}
		pair_fini(&pair);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			without_library_there_is_no_mover, setup),
		cmocka_unit_test_setup(making_fails_cleanly, setup),
		cmocka_unit_test_setup(
			errors_of_libfabric_alone_are_eio, setup),
		cmocka_unit_test_setup(no_answer_ends_the_making, setup),
		cmocka_unit_test_setup(many_threads_use_one_mover, setup),
		cmocka_unit_test_setup(
			many_threads_use_a_mover_without_thread, setup),
		cmocka_unit_test_setup(
			the_queue_is_not_longer_than_asked_for, setup),
		cmocka_unit_test_setup(one_failure_breaks_the_mover, setup),
		cmocka_unit_test_setup(data_of_strangers_is_ignored, setup),
		cmocka_unit_test_setup(a_silent_peer_breaks_the_mover, setup),
		cmocka_unit_test_setup(
			a_program_that_only_starts_is_not_late, setup),
		cmocka_unit_test_setup(
			a_silent_peer_is_found_by_few_looks, setup),
		cmocka_unit_test_setup(
			the_descriptor_tells_of_a_silent_peer, setup),
		cmocka_unit_test_setup(
			a_connection_that_is_lost_breaks_the_mover, setup),
		cmocka_unit_test_setup(a_connection_may_come_back, setup),
		cmocka_unit_test_setup(
			a_child_waits_for_no_thread_of_its_parent, setup),
		cmocka_unit_test_setup(deleting_ends_what_is_under_way, setup),
		cmocka_unit_test_setup(
			a_waker_may_start_the_next_operation, setup),
		cmocka_unit_test_setup(polls_call_no_wakers, setup),
		cmocka_unit_test_setup(
			pending_operations_take_little_memory, setup),
		cmocka_unit_test_setup(
			operations_without_memory_fail_alone, setup),
	};

	seed = test_seed("data_mover_fabric_fake");
	exposed = malloc(REGION);

	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(exposed);
	return failed;
}
