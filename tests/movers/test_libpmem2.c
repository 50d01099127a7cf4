/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_libpmem2.c -- tests all movers with a client of other authors, Debian's
 * libpmem2
 *
 * libpmem2 was compiled with libminiasync's headers, and calls movers from
 * inside its shared object. PMEM2_FORCE_GRANULARITY makes it take a file for
 * page cache, or for persistent memory with or without flushing.
 */

#include "test.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#define PMEM2_USE_MINIASYNC 1
#include <libpmem2.h>

#include "libminiasync.h"
#ifdef TEST_DML
#include "libminiasync-vdm-dml.h"
#endif

#define SIZE ((size_t)4 << 20)
#define IN_FLIGHT 32

/* A file that libpmem2 has mapped, and its expected content. */
struct file {
	char path[64];
	int fd;
	struct pmem2_map *map;
	unsigned char *mapped;
	unsigned char *want;
	unsigned char *src;
	uint64_t seed;
};

static void
file_open(struct file *file, struct vdm *vdm)
{
	struct pmem2_config *config;
	struct pmem2_source *source;

	memset(file, 0, sizeof(*file));
	strcpy(file->path, "/tmp/test_libpmem2.XXXXXX");
	file->fd = mkstemp(file->path);
	assert_true(file->fd >= 0);
	assert_int_equal(ftruncate(file->fd, (off_t)SIZE), 0);

	assert_int_equal(pmem2_config_new(&config), 0);
	assert_int_equal(pmem2_config_set_required_store_granularity(
				 config, PMEM2_GRANULARITY_PAGE),
		0);
	if (vdm != NULL)
		assert_int_equal(pmem2_config_set_vdm(config, vdm), 0);
	assert_int_equal(pmem2_source_from_fd(&source, file->fd), 0);
	if (pmem2_map_new(&file->map, config, source) != 0)
		fail_msg("pmem2_map_new: %s", pmem2_errormsg());
	pmem2_source_delete(&source);
	pmem2_config_delete(&config);

	file->mapped = pmem2_map_get_address(file->map);
	assert_int_equal(pmem2_map_get_size(file->map), SIZE);
	file->want = calloc(1, SIZE);
	file->src = malloc(SIZE);
	assert_true(file->want != NULL && file->src != NULL);
	file->seed = test_seed("libpmem2");
	for (size_t i = 0; i < SIZE; i++)
		file->src[i] = (unsigned char)test_random(&file->seed);
}

/* Closes the file, opens it again, and compares its content. */
static void
file_close(struct file *file)
{
	assert_memory_equal(file->mapped, file->want, SIZE);
	assert_int_equal(pmem2_map_delete(&file->map), 0);
	close(file->fd);

	const int fd = open(file->path, O_RDONLY);

	assert_true(fd >= 0);
	for (size_t at = 0; at < SIZE;) {
		const ssize_t n = read(fd, file->src + at, SIZE - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
	close(fd);
	unlink(file->path);
	assert_memory_equal(file->src, file->want, SIZE);
	free(file->want);
	free(file->src);
}

/* A random operation on [at, at + n); does it to want. */
static struct pmem2_future
operation(struct file *file, size_t at, size_t n, const void **dest)
{
	unsigned char *to = file->mapped + at;
	const size_t from = test_random(&file->seed) % (SIZE - n + 1);
	const int c = (int)test_random(&file->seed);

	*dest = to;
	switch (test_random(&file->seed) % 3) {
	case 0:
		memcpy(file->want + at, file->src + from, n);
		return pmem2_memcpy_async(
			file->map, to, file->src + from, n, 0);
	case 1: {
		/* Within the range, so that several may be in flight. */
		const size_t half = n / 2;

		memmove(file->want + at, file->want + at + half / 2, half);
		return pmem2_memmove_async(
			file->map, to, to + half / 2, half, 0);
	}
	default:
		memset(file->want + at, c, n);
		return pmem2_memset_async(file->map, to, c, n, 0);
	}
}

static void
check(struct pmem2_future *f, const void *dest)
{
	assert_int_equal(FUTURE_STATE(f), FUTURE_STATE_COMPLETE);
	assert_ptr_equal(FUTURE_OUTPUT(f)->dest, dest);
	assert_int_equal(FUTURE_DATA(f)->op.fut.output.result, VDM_SUCCESS);
}

static void
use(struct vdm *vdm)
{
	struct runtime *runtime = runtime_new();
	struct file file;
	struct pmem2_future f[IN_FLIGHT];
	struct future *futs[IN_FLIGHT];
	const void *dest[IN_FLIGHT];

	file_open(&file, vdm);
	for (int i = 0; i < 100; i++) {
		const size_t n = 1 + test_random(&file.seed) % 300000;

		f[0] = operation(&file, test_random(&file.seed) % (SIZE - n), n,
			&dest[0]);
		FUTURE_BUSY_POLL(&f[0]);
		check(&f[0], dest[0]);
	}
	for (int i = 0; i < 30; i++) {
		const size_t part = SIZE / IN_FLIGHT;

		for (size_t k = 0; k < IN_FLIGHT; k++) {
			const size_t n =
				1 + test_random(&file.seed) % (part - 1);

			f[k] = operation(&file, k * part, n, &dest[k]);
			futs[k] = FUTURE_AS_RUNNABLE(&f[k]);
		}
		runtime_wait_multiple(runtime, futs, IN_FLIGHT);
		for (size_t k = 0; k < IN_FLIGHT; k++)
			check(&f[k], dest[k]);
	}
	file_close(&file);
	runtime_delete(runtime);
}

static void
default_mover_of_libpmem2(void **state)
{
	(void)state;
	use(NULL);
}

static void
synchronous_mover(void **state)
{
	struct data_mover_sync *dms = data_mover_sync_new();

	(void)state;
	use(data_mover_sync_get_vdm(dms));
	if (data_mover_sync_set_capabilities(dms, VDM_F_MEM_DURABLE) == 0)
		use(data_mover_sync_get_vdm(dms));
	data_mover_sync_delete(dms);
}

static void
mover_with_threads(void **state)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(3, 16, FUTURE_NOTIFIER_WAKER);

	(void)state;
	use(data_mover_threads_get_vdm(dmt));
	if (data_mover_threads_set_capabilities(dmt, VDM_F_MEM_DURABLE) == 0)
		use(data_mover_threads_get_vdm(dmt));
	data_mover_threads_delete(dmt);
}

static void
mover_over_dml(void **state)
{
	(void)state;
#ifdef TEST_DML
	struct data_mover_dml *dmd = data_mover_dml_new(DATA_MOVER_DML_AUTO);

	use(data_mover_dml_get_vdm(dmd));
	data_mover_dml_delete(dmd);
#else
	skip();
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_mover_of_libpmem2),
		cmocka_unit_test(synchronous_mover),
		cmocka_unit_test(mover_with_threads),
		cmocka_unit_test(mover_over_dml),
	};
	const char *granularity = getenv("PMEM2_FORCE_GRANULARITY");

	printf("granularity: %s\n", granularity != NULL ? granularity : "any");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
