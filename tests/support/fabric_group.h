/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_group.h -- a region of persistent memory and movers to it, with the
 * fake libfabric
 *
 * __wrap_mia_memory_flush() copies the bytes that it writes back into an image.
 * The bytes that an operation has made durable must be in the image.
 */

#ifndef LIBMINIASYNC_TEST_FABRIC_GROUP_H
#define LIBMINIASYNC_TEST_FABRIC_GROUP_H 1

#include "test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <libminiasync-vdm-fabric.h>

#include "fake_fabric.h"

#define BOTH (DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE)
#define REGION ((size_t)1 << 20)
#define MOVERS 4

static uint64_t seed;

static char *exposed;
static char *image;
static size_t exposed_bytes;
static size_t longest; /* that was written back at once */

/* A slow CPU, and how often it wrote something back. */
static atomic_uint flush_ms;
static atomic_uint flushes;

int __real_mia_memory_flush(const void *address, size_t n);
int __wrap_mia_memory_flush(const void *address, size_t n);

int
__wrap_mia_memory_flush(const void *address, size_t n)
{
	const size_t at = (size_t)((const char *)address - exposed);

	/* Local memory that a get has written is none of the region. */
	if ((uintptr_t)address - (uintptr_t)exposed >= exposed_bytes)
		return __real_mia_memory_flush(address, n);
	if (n > exposed_bytes - at)
		fail_msg("%zu bytes at %zu are not all in the region", n, at);
	memcpy(image + at, exposed + at, n);
	test_sleep_ns(atomic_load(&flush_ms) * MS);
	atomic_fetch_add(&flushes, 1);
	if (longest < n)
		longest = n;
	return 0;
}

/* A region, and movers to it. */
struct group {
	struct data_mover_region *region;
	struct data_mover_fabric *dmf[MOVERS];
	struct vdm *vdm[MOVERS];
	char *window[MOVERS];
};

static inline struct data_mover_fabric_options
options_of(unsigned idle_ms, unsigned no_thread)
{
	return (struct data_mover_fabric_options){
		.size = sizeof(struct data_mover_fabric_options),
		.connect_ms = 200,
		.idle_ms = idle_ms,
		.no_thread = no_thread};
}

/* Returns false with errno if one of them could not be made. */
static inline bool
group_init(struct group *group, unsigned access, unsigned flags, int movers,
	const struct data_mover_fabric_options *options)
{
	char token[DATA_MOVER_REGION_TOKEN_MAX];

	memset(group, 0, sizeof(*group));
	group->region = data_mover_region_new(
		exposed, exposed_bytes, access, NULL, flags);
	if (group->region == NULL)
		return false;
	assert_int_equal(
		data_mover_region_token(group->region, token, sizeof(token)),
		0);
	for (int i = 0; i < movers; i++) {
		group->dmf[i] = data_mover_fabric_new(token, options);
		if (group->dmf[i] == NULL)
			return false;
		group->vdm[i] = data_mover_fabric_get_vdm(group->dmf[i]);
		group->window[i] = data_mover_fabric_addr(group->dmf[i]);
	}
	return true;
}

static inline void
group_fini(struct group *group)
{
	for (int i = 0; i < MOVERS; i++)
		data_mover_fabric_delete(group->dmf[i]);
	data_mover_region_delete(group->region);
	assert_int_equal(fake_fabric_open(), 0);
}

static inline void
expose(size_t n)
{
	free(exposed);
	free(image);
	exposed = calloc(1, n);
	image = calloc(1, n);
	assert_true(exposed != NULL && image != NULL);
	exposed_bytes = n;
	longest = 0;
}

static inline int
setup(void **state)
{
	(void)state;
	fake_fabric_reset(test_random(&seed));
	expose(REGION);
	return 0;
}

/* Of all tests of a program. */
static inline int
group_teardown(void **state)
{
	(void)state;
	free(exposed);
	free(image);
	return 0;
}

static inline enum vdm_operation_result
result_of(struct vdm_operation_future f)
{
	FUTURE_BUSY_POLL(&f);
	return FUTURE_OUTPUT(&f)->result;
}

#define GROUP_TEST(name) cmocka_unit_test_setup(name, setup)

#endif /* LIBMINIASYNC_TEST_FABRIC_GROUP_H */
