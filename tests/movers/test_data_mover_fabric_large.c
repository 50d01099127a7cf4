/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_large.c -- tests movers/data_mover_fabric with the
 * installed libfabric: a region of more than 4 GiB, and operations as large
 *
 * Most of the region, and of local memory, is one block again and again. So
 * little memory is needed. What is compared lies around 0, around 4 GiB and at
 * the end, and is memory of its own.
 */

#include "test.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libminiasync-vdm-fabric.h"

#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SIZE (5 * GIB)
#define EDGE (4 * GIB)
#define LIMIT_NS (int64_t)(120000 * MS)

/* Own memory at each end of the middle. 4 GiB are no multiple of the block. */
#define OWN (64 * MIB)
#define BLOCK (32 * MIB + 4 * KIB)

struct large {
	char *memory; /* of the region */
	char *local;
	char *window;
	struct data_mover_region *region;
	struct data_mover_fabric *dmf;
	struct vdm *vdm;
	struct runtime *runtime;
};

/* From from to to it is the block. Reserved are addresses, and no memory. */
static char *
map(size_t from, size_t to)
{
	const int fd = memfd_create("block", MFD_CLOEXEC);
	char *all = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (all == MAP_FAILED || fd < 0 || ftruncate(fd, BLOCK) != 0)
		fail_msg("no addresses: %s", strerror(errno));
	while (from < to) {
		const size_t n = to - from < BLOCK ? to - from : BLOCK;

		assert_ptr_equal(mmap(all + from, n, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_FIXED, fd, 0),
			all + from);
		from += n;
	}
	close(fd);
	return all;
}

static int
setup(void **state)
{
	static struct large l;
	char token[DATA_MOVER_REGION_TOKEN_MAX];

	l.memory = map(OWN, EDGE - OWN);
	l.local = map(OWN, EDGE - OWN);
	l.region = data_mover_region_new(l.memory, SIZE,
		DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE, NULL, 0);
	if (l.region == NULL)
		fail_msg("no region: %s", strerror(errno));
	data_mover_region_token(l.region, token, sizeof(token));
	l.dmf = data_mover_fabric_new(token, NULL);
	l.runtime = runtime_new();
	assert_true(l.dmf != NULL && l.runtime != NULL);
	assert_true(data_mover_fabric_size(l.dmf) == SIZE);
	l.window = data_mover_fabric_addr(l.dmf);
	l.vdm = data_mover_fabric_get_vdm(l.dmf);
	*state = &l;
	return 0;
}

static int
teardown(void **state)
{
	struct large *l = *state;

	data_mover_fabric_delete(l->dmf);
	data_mover_region_delete(l->region);
	runtime_delete(l->runtime);
	munmap(l->memory, SIZE);
	munmap(l->local, SIZE);
	return 0;
}

static void
finish(struct large *l, struct vdm_operation_future f)
{
	struct future *fut = FUTURE_AS_RUNNABLE(&f);

	if (runtime_wait_some(l->runtime, &fut, 1, 1, LIMIT_NS) != 1)
		fail_msg("it does not end");
	if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
		fail_msg("%s, %s", vdm_result_string(FUTURE_OUTPUT(&f)->result),
			strerror(data_mover_fabric_error(l->dmf)));
}

/* Differs at each distance that is not a multiple of 2^32 * 251 or so. */
static void
fill(char *memory, size_t at, size_t n, unsigned salt)
{
	for (size_t i = at; i < at + n; i++)
		memory[i] = (char)(i * 7 + i / 251 + (i >> 32) * 101 + salt);
}

static void
check_equal(const char *a, const char *b, size_t n, const char *what)
{
	if (memcmp(a, b, n) != 0)
		fail_msg("%s", what);
}

static void
check_only(const char *memory, size_t at, size_t n, char byte)
{
	for (size_t i = at; i < at + n; i++)
		if (memory[i] != byte)
			fail_msg("at %zu: %d", i, memory[i]);
}

/* Some MiB over the edge, there and back. */
static void
put_and_get_across_4_gib(void **state)
{
	struct large *l = *state;
	const size_t n = 10 * MIB + 3, at = EDGE - 5 * MIB - 1;

	fill(l->local, at, n, 1);
	finish(l, vdm_memcpy(l->vdm, l->window + at, l->local + at, n, 0));
	check_equal(l->memory + at, l->local + at, n, "put");
	check_only(l->memory, 0, OWN, 0);
	check_only(l->memory, at - MIB, MIB, 0);
	check_only(l->memory, at + n, OWN, 0);
	finish(l, vdm_memcpy(l->vdm, l->local, l->window + at, n, 0));
	check_equal(l->local, l->memory + at, n, "get");
	check_only(l->local, n, MIB, 0);
}

static void
set_across_4_gib(void **state)
{
	struct large *l = *state;
	const size_t n = 3 * MIB + 7, at = EDGE - MIB - 3;

	finish(l, vdm_memset(l->vdm, l->window + at, 'x', n, 0));
	check_only(l->memory, at, n, 'x');
	check_only(l->memory, at - MIB, MIB, 0);
	check_only(l->memory, at + n, MIB, 0);
	check_only(l->memory, 0, OWN, 0);
	/* The last byte, and the one at the edge. */
	finish(l, vdm_memset(l->vdm, l->window + SIZE - 1, 'y', 1, 0));
	finish(l, vdm_memset(l->vdm, l->window + EDGE, 'z', 1, 0));
	check_only(l->memory, SIZE - 1, 1, 'y');
	check_only(l->memory, EDGE, 1, 'z');
	check_only(l->memory, EDGE - 1, 1, 'x');
	check_only(l->memory, EDGE + 1, 1, 'x');
}

/* With overlaps, in both directions, and from the one side to the other. */
static void
move_across_4_gib(void **state)
{
	static const ptrdiff_t distances[] = {1, -1, 300001, -300001,
		(ptrdiff_t)(2 * MIB), -(ptrdiff_t)(2 * MIB),
		(ptrdiff_t)(20 * MIB), -(ptrdiff_t)(20 * MIB)};
	struct large *l = *state;
	const size_t n = 3 * MIB + 1, at = EDGE - MIB;
	const size_t start = EDGE - 30 * MIB, all = 60 * MIB;
	char *want = malloc(all);

	assert_non_null(want);
	for (size_t i = 0; i < sizeof(distances) / sizeof(*distances); i++) {
		const size_t to = at + (size_t)distances[i];

		fill(l->memory, start, all, (unsigned)i);
		memcpy(want, l->memory + start, all);
		finish(l,
			vdm_memmove(
				l->vdm, l->window + to, l->window + at, n, 0));
		memmove(want + (to - start), want + (at - start), n);
		check_equal(l->memory + start, want, all, "move");
	}
	fill(l->memory, 0, MIB, 99);
	finish(l, vdm_memcpy(l->vdm, l->window + EDGE + 9, l->window, MIB, 0));
	check_equal(l->memory + EDGE + 9, l->memory, MIB, "up");
	fill(l->memory, EDGE + 20 * MIB, MIB, 98);
	finish(l,
		vdm_memcpy(l->vdm, l->window + MIB, l->window + EDGE + 20 * MIB,
			MIB, 0));
	check_equal(l->memory + MIB, l->memory + EDGE + 20 * MIB, MIB, "down");
	free(want);
}

/* What is its own memory of a range that begins at 0. */
static void
check_whole(const char *got, const char *want, size_t n, const char *what)
{
	check_equal(got, want, OWN, what);
	check_equal(got + OWN, want + OWN, BLOCK, what);
	check_equal(
		got + EDGE - OWN, want + EDGE - OWN, n - (EDGE - OWN), what);
}

/* One operation of 4 GiB and 100 MiB. */
static void
one_operation_of_more_than_4_gib(void **state)
{
	struct large *l = *state;
	const size_t n = EDGE + 100 * MIB + 1;

	fill(l->local, 0, OWN, 5);
	fill(l->local, OWN, BLOCK, 6);
	fill(l->local, EDGE - OWN, n - (EDGE - OWN), 7);
	finish(l, vdm_memcpy(l->vdm, l->window, l->local, n, 0));
	check_whole(l->memory, l->local, n, "put");
	check_only(l->memory, n, MIB, 0);
	fill(l->memory, 0, OWN, 8);
	fill(l->memory, OWN, BLOCK, 9);
	fill(l->memory, EDGE - OWN, n - (EDGE - OWN), 10);
	finish(l, vdm_memcpy(l->vdm, l->local, l->window, n, 0));
	check_whole(l->local, l->memory, n, "get");
	check_only(l->local, n, MIB, 0);
}

static void
a_set_of_more_than_4_gib(void **state)
{
	struct large *l = *state;
	const size_t n = EDGE + 3 * MIB + 5;

	if (TEST_SLOWDOWN > 1)
		TEST_LEFT_OUT("a set of 4 GiB in a slow build");
	finish(l, vdm_memset(l->vdm, l->window + 1, 's', n, 0));
	check_only(l->memory, 0, 1, 0);
	check_only(l->memory, 1, OWN + BLOCK, 's');
	check_only(l->memory, EDGE - OWN, OWN + 3 * MIB + 6, 's');
	check_only(l->memory, n + 1, MIB, 0);
}

/* Edges of the window, with numbers that do not fit into 32 bits. */
static void
ranges_over_the_edges_are_refused(void **state)
{
	struct large *l = *state;
	const struct {
		size_t at, n;
	} wrong[] = {
		{0, SIZE + 1},
		{1, SIZE},
		{EDGE, SIZE - EDGE + 1},
		{SIZE - 1, 2},
		{SIZE - 1, EDGE + 1},
		{(size_t)-1, EDGE},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		/* Also below the window, which is no sum of a pointer. */
		char *at = (char *)((uintptr_t)l->window + wrong[i].at);
		struct vdm_operation_future f =
			vdm_memset(l->vdm, at, 1, wrong[i].n, 0);

		FUTURE_BUSY_POLL(&f);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
	}
	check_only(l->memory, 0, MIB, 0);
	check_only(l->memory, EDGE - MIB, 2 * MIB, 0);
	check_only(l->memory, SIZE - MIB, MIB, 0);
	assert_int_equal(data_mover_fabric_error(l->dmf), 0);
}

/* The region, local memory, and the window. */
static bool
system_has_addresses(void)
{
	void *all = mmap(NULL, 3 * SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (all != MAP_FAILED)
		munmap(all, 3 * SIZE);
	return all != MAP_FAILED;
}

int
main(void)
{
#define LARGE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		LARGE(put_and_get_across_4_gib),
		LARGE(set_across_4_gib),
		LARGE(move_across_4_gib),
		LARGE(one_operation_of_more_than_4_gib),
		LARGE(a_set_of_more_than_4_gib),
		LARGE(ranges_over_the_edges_are_refused),
	};

	if (getenv("MIA_TEST_EMULATED") != NULL || !system_has_addresses()) {
		printf("left out: too slow here, or no 15 GiB of addresses\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
