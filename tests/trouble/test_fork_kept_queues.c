/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_fork_kept_queues.c -- tests wait/completion_queue: queues that were made
 * before a fork, in the child
 *
 * Linux only: elsewhere queues have no descriptor.
 */

#include "test.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "kept_child.h"
#include "libminiasync.h"
#include "wait/ready.h"

enum { BEGUN = 4 };

static struct completion_queue *cq; /* made before the fork */
static int fd;
static struct completion out[BEGUN + 1];

static int
is_readable(int ms)
{
	struct pollfd watched = {.fd = fd, .events = POLLIN};

	return poll(&watched, 1, ms) == 1 && (watched.revents & POLLIN) != 0;
}

/* The queue has copies of which none is complete, and a descriptor. */
static void
set_up(void)
{
	dmt = gated_mover(1, 1);
	cq = completion_queue_new();
	assert_non_null(cq);
	fd = completion_queue_fd(cq);
	assert_true(fd >= 0);
	for (int i = 0; i < BEGUN; i++) {
		f[i] = vdm_memcpy(vdm(), dst[i], src, N, 0);
		assert_int_equal(completion_queue_add(
					 cq, FUTURE_AS_RUNNABLE(&f[i]), NULL),
			0);
	}
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	assert_false(is_readable(0));
}

/* The descriptor of the parent tells of each copy, whatever the child did. */
static void
complete_and_end(void)
{
	size_t n = 0;

	assert_false(is_readable(0));
	open_gate(BEGUN);
	while (n < BEGUN) {
		assert_true(is_readable(CHILD_SECONDS * 1000));
		n += completion_queue_reap(cq, out, BEGUN);
	}
	for (int i = 0; i < BEGUN; i++)
		assert_int_equal(FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
	completion_queue_delete(cq);
	data_mover_threads_delete(dmt);
}

static void
check_all_lost(size_t n)
{
	CHILD_CHECK(n == BEGUN && completion_queue_pending(cq) == 0);
	for (int i = 0; i < BEGUN; i++)
		CHILD_CHECK(FUTURE_OUTPUT(&f[i])->result ==
			VDM_ERROR_JOB_CORRUPTED);
}

/* Child: the queue works, by its descriptor alone. */
static void
use_queue_and_delete(void)
{
	struct data_mover_threads *first = dmt;

	fd = completion_queue_fd(cq);
	CHILD_CHECK(fd >= 0 && !is_readable(0));
	if (CHILD_HAS_THREADS)
		dmt = data_mover_threads_new(2, 4, FUTURE_NOTIFIER_WAKER);
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 2; j++) {
			f[j] = vdm_memcpy(vdm(), dst[j], src, N, 0);
			CHILD_CHECK(
				completion_queue_add(cq,
					FUTURE_AS_RUNNABLE(&f[j]), NULL) == 0);
		}
		for (size_t n = 0; n < 2;) {
			CHILD_CHECK(is_readable(CHILD_SECONDS * 1000));
			n += completion_queue_reap(cq, out, BEGUN);
		}
		CHILD_CHECK(FUTURE_OUTPUT(&f[1])->result == VDM_SUCCESS);
	}
	completion_queue_delete(cq);
	if (dmt != first)
		data_mover_threads_delete(dmt);
	data_mover_threads_delete(first);
}

static void
reap_all(void)
{
	check_all_lost(completion_queue_reap(cq, out, BEGUN));
	CHILD_CHECK(completion_queue_fd(cq) == fd);
	use_queue_and_delete();
}

static void
wait_for_all(void)
{
	check_all_lost(completion_queue_wait(cq, out, BEGUN, BEGUN, -1));
	use_queue_and_delete();
}

static void
ask_for_the_descriptor(void)
{
	CHILD_CHECK(completion_queue_fd(cq) == fd);
	CHILD_CHECK(is_readable(0));
	check_all_lost(completion_queue_reap(cq, out, BEGUN));
	use_queue_and_delete();
}

static void
add_one(void)
{
	struct vdm_operation_future new = vdm_memcpy(vdm(), dst[5], src, N, 0);

	CHILD_CHECK(
		completion_queue_add(cq, FUTURE_AS_RUNNABLE(&new), &new) == 0);
	CHILD_CHECK(is_readable(0));
	CHILD_CHECK(completion_queue_reap(cq, out, BEGUN + 1) == BEGUN + 1);
	CHILD_CHECK(FUTURE_OUTPUT(&new)->result == VDM_SUCCESS);
	use_queue_and_delete();
}

static void
delete_at_once(void)
{
	completion_queue_delete(cq);
	data_mover_threads_delete(dmt);
}

static void
child_reaps_what_is_lost(void **state)
{
	static void (*const runs[])(void) = {reap_all, wait_for_all,
		ask_for_the_descriptor, add_one, delete_at_once};

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		set_up();
		ASSERT_CHILD(runs[i]);
		complete_and_end();
	}
}

/* A waker has set its bit, and not pushed its group. */
static void
waker_was_half_way(void **state)
{
	struct mia_ready *ready;

	(void)state;
	set_up();
	ready = (struct mia_ready *)(void *)cq; /* the first member */
	atomic_store(&ready->groups[0]->bits, 1);
	ASSERT_CHILD(reap_all);
	atomic_store(&ready->groups[0]->bits, 0);
	complete_and_end();
}

/* A daemon closes everything, and opens files of its own. */
static void
close_and_open(void)
{
	int ends[2];
	char byte = 0;

	for (int i = 3; i < 64; i++)
		close(i);
	for (int i = 0; i < 8; i++)
		CHILD_CHECK(pipe(ends) == 0);
	CHILD_CHECK(completion_queue_fd(cq) >= 0);
	check_all_lost(completion_queue_reap(cq, out, BEGUN));
	for (int i = 3; i < 3 + 16; i += 2) {
		CHILD_CHECK(write(i + 1, "!", 1) == 1);
		CHILD_CHECK(read(i, &byte, 1) == 1 && byte == '!');
	}
	use_queue_and_delete();
}

static void
files_of_others_are_left_alone(void **state)
{
	(void)state;
	set_up();
	ASSERT_CHILD(close_and_open);
	complete_and_end();
}

static void
use_without_descriptors(void)
{
	struct rlimit limit = {.rlim_cur = 3, .rlim_max = 64};

	CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	check_all_lost(completion_queue_reap(cq, out, BEGUN));
	CHILD_CHECK(completion_queue_fd(cq) == -1 && errno == EMFILE);
	limit.rlim_cur = 64;
	CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	use_queue_and_delete();
}

static void
no_descriptors_are_left(void **state)
{
	(void)state;
	set_up();
	ASSERT_CHILD(use_without_descriptors);
	complete_and_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_reaps_what_is_lost),
		cmocka_unit_test(waker_was_half_way),
		cmocka_unit_test(files_of_others_are_left_alone),
		cmocka_unit_test(no_descriptors_are_left),
	};

	/* A worker may be inside of the sanitizer's allocator at the fork. */
	if (TEST_SLOWDOWN > 1) {
		printf("left out: children that allocate\n");
		return 77;
	}
	kept_child_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
