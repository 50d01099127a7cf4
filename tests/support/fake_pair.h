/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fake_pair.h -- a region and a mover to it, with the fake libfabric in the
 * place of libfabric
 */

#ifndef LIBMINIASYNC_TEST_FAKE_PAIR_H
#define LIBMINIASYNC_TEST_FAKE_PAIR_H 1

#include "test.h"

#include <errno.h>
#include <stdbool.h>

#include <libminiasync-vdm-fabric.h>

#include "fake_fabric.h"
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
static inline bool
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

static inline void
pair_fini(struct pair *pair)
{
	data_mover_fabric_delete(pair->dmf);
	data_mover_region_delete(pair->region);
	assert_int_equal(fake_fabric_open(), 0);
}

static inline struct data_mover_fabric_options
options_of(unsigned idle_ms, unsigned queue, unsigned no_thread)
{
	return (struct data_mover_fabric_options){
		.size = sizeof(struct data_mover_fabric_options),
		.connect_ms = 200,
		.idle_ms = idle_ms,
		.queue = queue,
		.no_thread = no_thread};
}

static inline int
setup(void **state)
{
	(void)state;
	fake_fabric_reset(test_random(&seed));
	memset(exposed, 0, REGION);
	return 0;
}

/* Of all tests of a program. */
static inline int
group_setup(void **state)
{
	(void)state;
	seed = test_seed("data_mover_fabric_fake");
	exposed = malloc(REGION);
	return exposed == NULL;
}

static inline int
group_teardown(void **state)
{
	(void)state;
	free(exposed);
	return 0;
}

static inline enum vdm_operation_result
wait_for(struct vdm_operation_future *f)
{
	struct runtime *runtime = runtime_new();

	assert_non_null(runtime);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(f));
	runtime_delete(runtime);
	return FUTURE_OUTPUT(f)->result;
}

/* The same without sleep. */
static inline enum vdm_operation_result
poll_for(struct vdm_operation_future *f)
{
	FUTURE_BUSY_POLL(f);
	return FUTURE_OUTPUT(f)->result;
}

enum { COPIES = 30 };

static char local_bytes[64];

/* Starts n copies, each with a waker. */
static inline void
start(struct pair *pair, struct vdm_operation_future *f, int n,
	struct counter *counter)
{
	struct future_notifier notifier = {
		.waker = {counter, wake_counter},
	};

	for (int i = 0; i < n; i++) {
		f[i] = vdm_memcpy(
			pair->vdm, pair->window + 64 * i, local_bytes, 64, 0);
		(void)future_poll(FUTURE_AS_RUNNABLE(&f[i]), &notifier);
	}
}

#define FAKE_TEST(name) cmocka_unit_test_setup(name, setup)

#endif /* LIBMINIASYNC_TEST_FAKE_PAIR_H */
