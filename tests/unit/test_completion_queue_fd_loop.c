/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_completion_queue_fd_loop.c -- tests wait/completion_queue: event loops
 * that wait only for the descriptor, with a mover over threads
 */

#include "queue_fd.h"

#include "libminiasync/data_mover_threads.h"
#include "system.h"
#include "system/cpus.h"

struct later_data {
	FUTURE_CHAIN_ENTRY(struct event_future, event);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, copy);
};

FUTURE(later_future, struct later_data, char);

/* A copy starts during a wait, which ends while its thread makes the copy. */
static void
workers_do_what_a_wait_leaves(void **state)
{
	enum { BIG = 8 << 20 };
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 16, FUTURE_NOTIFIER_WAKER);
	char *src = calloc(1, BIG);
	char *dst = calloc(1, BIG);
	static struct later_future later;

	(void)state;
	assert_non_null(dmt);
	src[BIG - 1] = 1;
	for (int64_t limit_ns = 0; limit_ns < 200000; limit_ns += 10000) {
		dst[BIG - 1] = 0;
		FUTURE_CHAIN_ENTRY_INIT(&later.data.event,
			event_future(&events[0], FUTURE_NOTIFIER_WAKER), NULL,
			NULL);
		FUTURE_CHAIN_ENTRY_INIT(&later.data.copy,
			vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src,
				BIG, 0),
			NULL, NULL);
		FUTURE_CHAIN_INIT(&later);
		completion_queue_add(cq, FUTURE_AS_RUNNABLE(&later), NULL);
		complete(0);
		completion_queue_wait(cq, out, N, 1, limit_ns);
		while (completion_queue_pending(cq) > 0) {
			assert_true(is_readable_within(20000));
			reap(N);
		}
		assert_int_equal(dst[BIG - 1], 1);
	}
	free(src);
	free(dst);
	data_mover_threads_delete(dmt);
}

/*
 * An event loop waits for the descriptor alone, without a time limit of its
 * own, while threads of a mover and of the test complete futures. Sometimes it
 * waits otherwise, or takes few.
 */
enum { COPIES = 40, BYTES = 70000 };

static struct {
	struct vdm_operation_future copy;
	char dst[BYTES];
	bool is_added;
} slots[COPIES];

static struct completion some[COPIES];
static char source[BYTES];

static void
add_copy(struct vdm *vdm, size_t i, uint64_t *seed)
{
	const size_t n = test_random(seed) % 2 ? (size_t)BYTES : 1000;

	slots[i].dst[n - 1] = 0;
	slots[i].copy = vdm_memcpy(vdm, slots[i].dst, source, n, 0);
	slots[i].is_added = true;
	assert_int_equal(completion_queue_add(cq,
				 FUTURE_AS_RUNNABLE(&slots[i].copy), &slots[i]),
		0);
}

static void
take(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (some[i].user_data == &events[0])
			continue;

		const size_t at =
			(size_t)((char *)some[i].user_data - (char *)slots) /
			sizeof(slots[0]);
		const struct vdm_operation_future *copy = &slots[at].copy;

		assert_true(slots[at].is_added);
		assert_ptr_equal(some[i].future, FUTURE_AS_RUNNABLE(copy));
		assert_int_equal(copy->output.result, VDM_SUCCESS);
		slots[at].is_added = false;
	}
}

static void
run_event_loop(enum future_notifier_type notifier, uint64_t *seed)
{
	const size_t nworkers = 2 * mia_usable_cpus() + 1;
	struct data_mover_threads *dmt =
		data_mover_threads_new(nworkers, 16, notifier);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	atomic_bool stop = false;
	pthread_t waker;

	assert_non_null(dmt);
	add(0, FUTURE_NOTIFIER_WAKER);
	pthread_create(&waker, NULL, wake_in_vain, &stop);
	for (int turn = 0; turn < TEST_ROUNDS(20000); turn++) {
		const size_t i = (size_t)(test_random(seed) % COPIES);

		if (!slots[i].is_added)
			add_copy(vdm, i, seed);
		switch (test_random(seed) % 8) {
		case 0:
			take(completion_queue_wait(cq, some, COPIES, 1,
				(int64_t)(test_random(seed) % 100000)));
			break;
		case 1:
			take(completion_queue_reap(cq, some, 1));
			break;
		case 2:
		case 3:
			break;
		default:
			if (completion_queue_pending(cq) == 1)
				break;
			assert_true(is_readable_within(20000));
			take(completion_queue_reap(
				cq, some, 1 + test_random(seed) % COPIES));
			break;
		}
		if (turn % 1000 == 999) {
			while (completion_queue_pending(cq) > 1) {
				assert_true(is_readable_within(20000));
				take(completion_queue_reap(cq, some, COPIES));
			}
		}
	}
	atomic_store(&stop, true);
	pthread_join(waker, NULL);
	complete(0);
	while (completion_queue_pending(cq) > 0) {
		assert_true(is_readable_within(20000));
		take(completion_queue_reap(cq, some, COPIES));
	}
	assert_false(is_readable_within(10));
	data_mover_threads_delete(dmt);
}

static void
event_loop_finds_every_completion(void **state)
{
	uint64_t seed = test_seed("event loop");

	(void)state;
	memset(source, 1, sizeof(source));
	for (int kind = FUTURE_NOTIFIER_NONE; kind <= FUTURE_NOTIFIER_POLLER;
		kind++)
		run_event_loop((enum future_notifier_type)kind, &seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_FD_TEST(workers_do_what_a_wait_leaves),
		QUEUE_FD_TEST(event_loop_finds_every_completion),
	};

	/* A lost wake is a loop that waits for ever. */
	test_deadline(250);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
