/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_fork.c -- tests the mover over libfabric and its
 * regions in children that are forked
 */

#include "test.h"

#include <stdatomic.h>

#include "child.h"
#include "fabric_pair.h"
#include "operation.h"

#define MIB ((size_t)1 << 20)
#define SIZE (8 * MIB)

static struct pair pair;
static char *local;
static struct vdm_operation_future begun[3]; /* before the fork */
static bool is_complete[3];                  /* even in its first poll */

static enum vdm_operation_result
result_of(struct vdm_operation_future f)
{
	FUTURE_BUSY_POLL(&f);
	return FUTURE_OUTPUT(&f)->result;
}

/* Child: local memory alone can be moved. */
static void
use(void)
{
	struct vdm *vdm = pair.vdm;
	char *window = pair.window;

	CHILD_CHECK(result_of(vdm_memcpy(vdm, window, local, 64, 0)) ==
		VDM_ERROR_JOB_CORRUPTED);
	CHILD_CHECK(result_of(vdm_memcpy(vdm, local, window, MIB, 0)) ==
		VDM_ERROR_JOB_CORRUPTED);
	CHILD_CHECK(result_of(vdm_memset(vdm, window, 0, MIB, 0)) ==
		VDM_ERROR_JOB_CORRUPTED);
	CHILD_CHECK(
		result_of(vdm_memset(vdm, local, 'c', 10, 0)) == VDM_SUCCESS);
	CHILD_CHECK(result_of(vdm_memcpy(vdm, local + 10, local, 10, 0)) ==
		VDM_SUCCESS);
	CHILD_CHECK(memcmp(local, "cccccccccccccccccccc", 20) == 0);
	CHILD_CHECK(data_mover_fabric_error(pair.dmf) == ENOTCONN);
	errno = 0;
	CHILD_CHECK(data_mover_fabric_progress(pair.dmf) == -1);
	CHILD_CHECK(errno == ENOTCONN);
	errno = 0;
	CHILD_CHECK(data_mover_region_progress(pair.region) == -1);
	CHILD_CHECK(errno == ENOTCONN);
}

static void
delete_both(void)
{
	data_mover_fabric_delete(pair.dmf);
	data_mover_region_delete(pair.region);
}

/* Child: a pair of its own. */
static void
make_another(void)
{
	static char memory[4096];
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	struct data_mover_region *region = data_mover_region_new(
		memory, sizeof(memory), PAIR_BOTH, NULL, 0);

	CHILD_CHECK(region != NULL);
	CHILD_CHECK(data_mover_region_token(region, token, sizeof(token)) == 0);

	struct data_mover_fabric *dmf = data_mover_fabric_new(token, NULL);

	CHILD_CHECK(dmf != NULL);
	CHILD_CHECK(result_of(vdm_memset(data_mover_fabric_get_vdm(dmf),
			    data_mover_fabric_addr(dmf), 'n', sizeof(memory),
			    0)) == VDM_SUCCESS);
	CHILD_CHECK(memory[0] == 'n' && memory[sizeof(memory) - 1] == 'n');
	data_mover_fabric_delete(dmf);
	data_mover_region_delete(region);
}

/* Child. */
static void
use_and_delete(void)
{
	struct future_notifier n = {.waker = {&pair, pair_wake}};

	CHILD_CHECK(result_of(begun[0]) ==
		(is_complete[0] ? VDM_SUCCESS : VDM_ERROR_JOB_CORRUPTED));
	CHILD_CHECK(future_poll(FUTURE_AS_RUNNABLE(&begun[1]), &n) ==
		FUTURE_STATE_COMPLETE);
	use(); /* begun[2] is dropped */
	delete_both();
	make_another();
}

/* Child of a child. */
static void
fork_again(void)
{
	CHILD_CHECK(child_status(child_start(use_and_delete)) == 0);
	use_and_delete();
}

/* A daemon that closes everything, and opens files of its own. */
static void
close_all(void)
{
	for (int fd = 3; fd < 256; fd++)
		close(fd);

	const int files[] = {dup(2), dup(2), dup(2), dup(2), dup(2), dup(2)};

	delete_both();
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		CHILD_CHECK(write(files[i], "", 0) == 0);
}

/* Operations of the parent go on, and those begun end well. */
static void
check_parent(void)
{
	for (size_t i = 0; i < sizeof(begun) / sizeof(*begun); i++)
		if (!is_complete[i])
			assert_int_equal(
				pair_finish(&pair, begun[i]), VDM_SUCCESS);
	memset(local, 'x', MIB);
	assert_int_equal(
		pair_finish(&pair,
			vdm_memcpy(pair.vdm, pair.window + 3, local, MIB, 0)),
		VDM_SUCCESS);
	assert_memory_equal(pair.memory + 3, local, MIB);
	assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
}

static void
run(void (*child)(void), struct pair_of of)
{
	of.size = SIZE;
	pair_init(&pair, of);
	for (size_t i = 0; i < sizeof(begun) / sizeof(*begun); i++) {
		begun[i] = vdm_memcpy(pair.vdm, pair.window + i * 2 * MIB,
			local + i * 2 * MIB, 2 * MIB, 0);
		is_complete[i] = future_poll(FUTURE_AS_RUNNABLE(&begun[i]),
					 NULL) == FUTURE_STATE_COMPLETE;
		assert_false(is_complete[i] && of.no_region_thread);
	}
	ASSERT_CHILD(child);
	check_parent();
	pair_fini(&pair);
}

static void
a_child_has_no_connection(void **state)
{
	static void (*const children[])(void) = {
		use_and_delete, use, delete_both, fork_again, close_all};

	(void)state;
	local = malloc(SIZE);
	assert_non_null(local);
	for (size_t i = 0; i < sizeof(children) / sizeof(*children); i++)
		for (unsigned kind = 0; kind < 4; kind++)
			run(children[i],
				(struct pair_of){.no_mover_thread = kind & 1,
					.no_region_thread = kind >> 1,
					.is_pmem = i % 2 == 0});
	free(local);
}

/* A waker that forks, and returns in both processes. */
static atomic_int nchildren;
static pid_t children[1000];

/* LeakSanitizer would find what cmocka has. */
static void
end_child(void)
{
	_exit(0);
}

static void
fork_and_wake(void *data)
{
	const pid_t child = fork();

	if (child == 0) {
		alarm(CHILD_SECONDS);
		atexit(end_child);
	} else {
		children[atomic_fetch_add(&nchildren, 1)] = child;
	}
	pair_wake(data);
}

static void
the_child_of_a_waker_ends(void **state)
{
	(void)state;
	local = malloc(SIZE);
	assert_non_null(local);
	pair_init(&pair, (struct pair_of){.size = SIZE});
	for (int i = 0; i < TEST_ROUNDS(20); i++) {
		struct vdm_operation_future f =
			vdm_memcpy(pair.vdm, pair.window, local, MIB, 0);
		struct future_notifier n = {.waker = {&pair, fork_and_wake}};

		while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) !=
			FUTURE_STATE_COMPLETE)
			assert_true(pair_step(&pair, PAIR_LIMIT_MS));
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	}
	assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
	pair_fini(&pair);
	/* Each ends with the thread that is its last. */
	for (int i = 0; i < atomic_load(&nchildren); i++)
		assert_int_equal(child_status(children[i]), 0);
	assert_true(atomic_load(&nchildren) > 0);
	free(local);
}

/* Threads of the parent are anywhere when it forks. */
static atomic_bool is_over;

static void *
move_always(void *arg)
{
	uint64_t own = *(uint64_t *)arg;
	char *bytes = malloc(100000);
	intptr_t wrong = 0;

	while (!atomic_load(&is_over)) {
		const size_t n = 1 + test_random(&own) % 100000;

		memset(bytes, (int)n, n);
		if (result_of(vdm_memcpy(pair.vdm, pair.window + own % 4 * MIB,
			    bytes, n, 0)) != VDM_SUCCESS)
			wrong++;
	}
	free(bytes);
	return (void *)wrong;
}

static void
forks_at_any_moment(void **state)
{
	enum { THREADS = 3 };
	uint64_t seed = test_seed("fork");
	uint64_t seeds[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	local = malloc(SIZE);
	assert_non_null(local);
	pair_init(&pair, (struct pair_of){.size = SIZE, .is_pmem = true});
	atomic_store(&is_over, false);
	for (int i = 0; i < THREADS; i++) {
		seeds[i] = test_random(&seed);
		assert_int_equal(pthread_create(&threads[i], NULL, move_always,
					 &seeds[i]),
			0);
	}
	for (int i = 0; i < TEST_ROUNDS(100); i++) {
		ASSERT_CHILD(use);
		ASSERT_CHILD(delete_both);
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	assert_int_equal(data_mover_fabric_error(pair.dmf), 0);
	pair_fini(&pair);
	free(local);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_has_no_connection),
		cmocka_unit_test(the_child_of_a_waker_ends),
		cmocka_unit_test(forks_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
