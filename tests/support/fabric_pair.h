/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_pair.h -- a region and a mover to it, in one process, with and without
 * their threads
 *
 * Whatever has no thread is served by pair_finish(), an event loop over the
 * descriptors. Every wait has a time limit.
 */

#ifndef LIBMINIASYNC_TEST_FABRIC_PAIR_H
#define LIBMINIASYNC_TEST_FABRIC_PAIR_H 1

#include "test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libminiasync-vdm-fabric.h"

#define PAIR_BOTH (DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE)

/* No wait of a test is longer. A lost wake costs a quarter of idle_ms. */
#define PAIR_LIMIT_MS 20000
#define PAIR_IDLE_MS 120000

/* Bytes around the region that nothing may touch. */
#define PAIR_GUARD ((size_t)4096)

struct pair {
	struct data_mover_region *region;
	struct data_mover_fabric *dmf;
	struct vdm *vdm;
	char *memory; /* of the region */
	char *window;
	size_t size;
	bool region_thread;
	bool mover_thread;
	int woken; /* an eventfd */
};

/* A longer wait has lost a wake: see PAIR_IDLE_MS. */
#define PAIR_LOST_NS (5000 * MS)

static inline void
pair_check_time(uint64_t start_ns)
{
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start_ns < PAIR_LOST_NS);
}

/* What a pair is made of. All zero but size: both threads, both rights. */
struct pair_of {
	size_t size;
	unsigned access;
	bool is_pmem;
	bool no_region_thread;
	bool no_mover_thread;
	unsigned idle_ms;
	unsigned queue;
	const char *listen;
	int away,
		here; /* network namespaces: the region's, the mover's, or 0 */
};

/* Threads and sockets are in the namespace of the thread that makes them. */
static inline void
pair_enter(int netns)
{
	if (netns != 0)
		assert_int_equal(setns(netns, CLONE_NEWNET), 0);
}

static inline void
pair_wake(void *data)
{
	const uint64_t one = 1;
	const struct pair *pair = data;

	if (write(pair->woken, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* A mover can only be made while the region is served: by another thread. */
static inline void *
pair_serve(void *arg)
{
	struct data_mover_region *region = *(struct data_mover_region **)arg;

	for (;;) {
		struct pollfd ready = {
			.fd = data_mover_region_fd(region), .events = POLLIN};

		pthread_testcancel();
		if (poll(&ready, 1, PAIR_LIMIT_MS) == 1)
			data_mover_region_progress(region);
	}
	return NULL;
}

static inline struct data_mover_fabric *
pair_connect(struct data_mover_region *region, bool is_served,
	const struct data_mover_fabric_options *options)
{
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	struct data_mover_fabric *dmf;
	pthread_t server;

	assert_int_equal(
		data_mover_region_token(region, token, sizeof(token)), 0);
	if (!is_served)
		assert_int_equal(
			pthread_create(&server, NULL, pair_serve, &region), 0);
	dmf = data_mover_fabric_new(token, options);
	if (!is_served) {
		pthread_cancel(server);
		pthread_join(server, NULL);
	}
	return dmf;
}

static inline void
pair_init(struct pair *pair, struct pair_of of)
{
	const struct data_mover_fabric_options options = {
		.size = sizeof(options),
		.idle_ms = of.idle_ms != 0 ? of.idle_ms : PAIR_IDLE_MS,
		.queue = of.queue,
		.no_thread = of.no_mover_thread};
	char *all = malloc(of.size + 2 * PAIR_GUARD);

	assert_non_null(all);
	memset(all, 0x5a, of.size + 2 * PAIR_GUARD);
	*pair = (struct pair){.memory = all + PAIR_GUARD,
		.size = of.size,
		.region_thread = !of.no_region_thread,
		.mover_thread = !of.no_mover_thread,
		.woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	assert_true(pair->woken >= 0);
	pair_enter(of.away);
	pair->region = data_mover_region_new(pair->memory, of.size,
		of.access != 0 ? of.access : PAIR_BOTH, of.listen,
		(of.no_region_thread ? DATA_MOVER_REGION_NO_THREAD : 0) |
			(of.is_pmem ? DATA_MOVER_REGION_PMEM : 0));
	pair_enter(of.here);
	if (pair->region == NULL)
		fail_msg("no region: %s", strerror(errno));
	pair->dmf = pair_connect(pair->region, pair->region_thread, &options);
	if (pair->dmf == NULL)
		fail_msg("no mover: %s", strerror(errno));
	pair->vdm = data_mover_fabric_get_vdm(pair->dmf);
	pair->window = data_mover_fabric_addr(pair->dmf);
	assert_int_equal(data_mover_fabric_size(pair->dmf), of.size);
}

static inline void
pair_check_guards(const struct pair *pair)
{
	for (size_t i = 1; i <= PAIR_GUARD; i++) {
		assert_int_equal(pair->memory[-(ptrdiff_t)i], 0x5a);
		assert_int_equal(pair->memory[pair->size + i - 1], 0x5a);
	}
}

static inline void
pair_fini(struct pair *pair)
{
	data_mover_fabric_delete(pair->dmf);
	data_mover_region_delete(pair->region);
	pair_check_guards(pair);
	free(pair->memory - PAIR_GUARD);
	close(pair->woken);
}

/*
 * Sleeps until a waker or a descriptor asks for something, and does that.
 * Returns false if nothing comes in this time.
 */
static inline bool
pair_step(struct pair *pair, int ms)
{
	struct pollfd ready[] = {
		{.fd = pair->woken, .events = POLLIN},
		{.fd = -1, .events = POLLIN},
		{.fd = -1, .events = POLLIN},
	};
	uint64_t wakes;

	if (!pair->mover_thread)
		ready[1].fd = data_mover_fabric_fd(pair->dmf);
	if (!pair->region_thread && pair->region != NULL)
		ready[2].fd = data_mover_region_fd(pair->region);
	if (poll(ready, 3, ms) <= 0)
		return false;
	if (ready[0].revents != 0)
		(void)!read(pair->woken, &wakes, sizeof(wakes));
	if (ready[1].revents != 0)
		(void)data_mover_fabric_progress(pair->dmf);
	if (ready[2].revents != 0)
		data_mover_region_progress(pair->region);
	return true;
}

/* Until the future is complete. It is polled only when something happened. */
static inline void
pair_wait(struct pair *pair, struct future *future)
{
	struct future_notifier n = {.waker = {pair, pair_wake}};

	while (future_poll(future, &n) != FUTURE_STATE_COMPLETE) {
		assert_int_equal(n.notifier_used,
			pair->mover_thread ? FUTURE_NOTIFIER_WAKER
					   : FUTURE_NOTIFIER_NONE);
		if (!pair_step(pair, PAIR_LIMIT_MS))
			fail_msg("nothing happens");
	}
}

static inline enum vdm_operation_result
pair_finish(struct pair *pair, struct vdm_operation_future f)
{
	pair_wait(pair, FUTURE_AS_RUNNABLE(&f));
	return FUTURE_OUTPUT(&f)->result;
}

#endif /* LIBMINIASYNC_TEST_FABRIC_PAIR_H */
