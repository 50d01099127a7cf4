/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_peers.c -- tests movers/data_mover_fabric with a
 * region in another process, which is killed, stopped, or deletes the region
 */

#include "test.h"

#include <errno.h>

#include "fabric_peer.h"
#include "libminiasync-vdm-fabric.h"

#define MIB (1024 * KIB)
#define SIZE (32 * MIB)
#define BOTH (DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE)

/* Every end of a peer is noticed in this time. */
#define SOON_NS (5000 * MS)

enum way { PUT, GET, RELAY, SET, ALL };

static const char *const way_names[] = {"put", "get", "relay", "set", "all"};

#define WAYS (ALL + 1)
#define UNDER_WAY 64

struct side {
	struct peer peer;
	struct data_mover_fabric *dmf;
	struct vdm *vdm;
	char *window;
	char *local;
	struct runtime *runtime;
	struct vdm_operation_future f[UNDER_WAY];
	struct future *futs[UNDER_WAY];
};

static struct data_mover_fabric *
mover_to(const char *token, unsigned idle_ms, bool no_thread)
{
	const struct data_mover_fabric_options options = {
		.size = sizeof(options),
		.idle_ms = idle_ms,
		.no_thread = no_thread};

	return data_mover_fabric_new(token, &options);
}

static void
side_init(struct side *s, unsigned idle_ms, bool no_thread)
{
	peer_init(&s->peer, SIZE, BOTH);
	s->dmf = mover_to(s->peer.token, idle_ms, no_thread);
	if (s->dmf == NULL)
		fail_msg("no mover: %s", strerror(errno));
	s->vdm = data_mover_fabric_get_vdm(s->dmf);
	s->window = data_mover_fabric_addr(s->dmf);
	s->local = malloc(SIZE);
	s->runtime = runtime_new();
	assert_true(s->local != NULL && s->runtime != NULL);
	memset(s->local, 1, SIZE);
}

static void
side_fini(struct side *s)
{
	data_mover_fabric_delete(s->dmf);
	runtime_delete(s->runtime);
	free(s->local);
}

/* More than fits into the buffers of the system, so it is under way. */
static void
side_start(struct side *s, enum way which)
{
	for (size_t i = 0; i < UNDER_WAY; i++) {
		const enum way way = which == ALL ? (enum way)(i % ALL) : which;

		switch (way) {
		case PUT:
			s->f[i] = vdm_memcpy(
				s->vdm, s->window, s->local, SIZE, 0);
			break;
		case GET:
			s->f[i] = vdm_memcpy(
				s->vdm, s->local, s->window, SIZE, 0);
			break;
		case RELAY:
			s->f[i] = vdm_memcpy(s->vdm, s->window + SIZE / 2,
				s->window, SIZE / 2, 0);
			break;
		case SET:
		case ALL:
			s->f[i] = vdm_memset(s->vdm, s->window, 3, SIZE, 0);
			break;
		}
		s->futs[i] = FUTURE_AS_RUNNABLE(&s->f[i]);
		future_poll(s->futs[i], NULL);
	}
}

/*
 * All end, soon. Returns how many have failed: none if this process got no CPU
 * meanwhile, and all were done before.
 */
static size_t
side_end(struct side *s, const char *what)
{
	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);
	const size_t done = runtime_wait_some(s->runtime, s->futs, UNDER_WAY,
		UNDER_WAY, (int64_t)(2 * SOON_NS));
	size_t failed = 0;

	if (done < UNDER_WAY)
		fail_msg("%s: %zu of %d have ended", what, done, UNDER_WAY);
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start_ns < SOON_NS);
	for (size_t i = 0; i < UNDER_WAY; i++)
		failed += FUTURE_OUTPUT(&s->f[i])->result ==
			VDM_ERROR_JOB_CORRUPTED;
	return failed;
}

/* The mover stays broken, and still does what needs no network. */
static void
side_check_broken(struct side *s, int error)
{
	char byte = 5;

	for (int i = 0; i < 3; i++) {
		struct vdm_operation_future f =
			vdm_memcpy(s->vdm, s->window, &byte, 1, 0);

		assert_int_equal(data_mover_fabric_error(s->dmf), error);
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
			FUTURE_STATE_COMPLETE);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
		f = vdm_memcpy(s->vdm, s->window, &byte, 0, 0);
		FUTURE_BUSY_POLL(&f);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		f = vdm_memcpy(s->vdm, s->local, &byte, 1, 0);
		FUTURE_BUSY_POLL(&f);
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
		assert_int_equal(s->local[0], 5);
	}
}

static void
killed(enum way way)
{
	size_t failed = 0;

	for (int no_thread = 0; no_thread < 2; no_thread++)
		for (int round = 0; round < TEST_ROUNDS(2); round++) {
			struct side s;
			size_t now;

			side_init(&s, 0, no_thread != 0);
			side_start(&s, way);
			test_sleep_ns((uint64_t)round * 2 * MS);
			kill(s.peer.pid, SIGKILL);
			now = side_end(&s, way_names[way]);
			if (now > 0)
				side_check_broken(&s, ECONNRESET);
			failed += now;
			assert_true(WIFSIGNALED(peer_fini(&s.peer)));
			side_fini(&s);
		}
	assert_true(failed > 0);
}

static void
killed_while_puts_are_under_way(void **state)
{
	(void)state;
	killed(PUT);
	killed(SET);
}

static void
killed_while_gets_are_under_way(void **state)
{
	(void)state;
	killed(GET);
}

static void
killed_while_all_are_under_way(void **state)
{
	(void)state;
	killed(RELAY);
	killed(ALL);
}

/* The memory of gets is the program's again, whatever the peer does later. */
static void
stopped(enum way way)
{
	size_t failed = 0;

	for (int no_thread = 0; no_thread < 2; no_thread++) {
		struct side s;
		char line[16];
		size_t now;

		side_init(&s, 300, no_thread != 0);
		side_start(&s, way);
		kill(s.peer.pid, SIGSTOP);
		now = side_end(&s, way_names[way]);
		failed += now;

		const uint64_t before = peer_sum(s.local, SIZE);

		kill(s.peer.pid, SIGCONT);
		peer_tell(&s.peer, 'p');
		peer_line(&s.peer, line, sizeof(line));
		assert_string_equal(line, "alive");
		test_sleep_ns(100 * MS);
		assert_true(peer_sum(s.local, SIZE) == before);
		if (now > 0)
			side_check_broken(&s, ETIMEDOUT);
		side_fini(&s);
		assert_int_equal(peer_fini(&s.peer), 0);
	}
	assert_true(failed > 0);
}

static void
stopped_while_puts_are_under_way(void **state)
{
	(void)state;
	stopped(PUT);
}

static void
stopped_while_gets_are_under_way(void **state)
{
	(void)state;
	stopped(GET);
}

static void
stopped_while_all_are_under_way(void **state)
{
	(void)state;
	stopped(ALL);
}

/* Nothing is written once the delete has returned. */
static void
region_is_deleted_meanwhile(void **state)
{
	(void)state;
	for (int round = 0; round < TEST_ROUNDS(4); round++) {
		struct side s;
		char line[16];

		side_init(&s, 0, round % 2 == 0);
		side_start(&s, round % 3 == 0 ? ALL : PUT);
		peer_tell(&s.peer, 'd');
		peer_line(&s.peer, line, sizeof(line));
		assert_string_equal(line, "deleted");

		const uint64_t sum = peer_ask_sum(&s.peer);

		if (side_end(&s, "delete") > 0)
			side_check_broken(&s, ECONNRESET);
		test_sleep_ns(50 * MS);
		assert_true(peer_ask_sum(&s.peer) == sum);
		assert_null(mover_to(s.peer.token, 0, false));
		assert_true(errno == ECONNREFUSED || errno == EACCES);
		side_fini(&s);
		assert_int_equal(peer_fini(&s.peer), 0);
	}
}

static void
region_exits_without_a_delete(void **state)
{
	struct side s;

	(void)state;
	side_init(&s, 0, false);
	side_start(&s, PUT);
	peer_tell(&s.peer, 'e');
	(void)side_end(&s, "exit");
	side_fini(&s);
	assert_int_equal(peer_fini(&s.peer), 0);
}

/* 200,000 puts under way at once; the peer sums up what has arrived. */
static void
many_puts_arrive(void **state)
{
	const size_t n = TEST_ROUNDS(200000), each = SIZE / 200000;
	struct vdm_operation_future *f = malloc(n * sizeof(*f));
	struct future **futs = malloc(n * sizeof(struct future *));
	struct side s;
	char line[16];

	(void)state;
	assert_true(f != NULL && futs != NULL);
	side_init(&s, 0, false);
	for (size_t i = 0; i < SIZE; i++)
		s.local[i] = (char)(i * 5 + i / 1021);
	for (size_t i = 0; i < n; i++) {
		f[i] = vdm_memcpy(s.vdm, s.window + i * each,
			s.local + i * each, each, 0);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	assert_int_equal(
		runtime_wait_some(s.runtime, futs, n, n, (int64_t)(60000 * MS)),
		n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);

	const uint64_t sum = peer_sum(s.local, SIZE);
	struct vdm_operation_future rest = vdm_memcpy(s.vdm,
		s.window + n * each, s.local + n * each, SIZE - n * each, 0);

	runtime_wait(s.runtime, FUTURE_AS_RUNNABLE(&rest));
	assert_int_equal(FUTURE_OUTPUT(&rest)->result, VDM_SUCCESS);
	side_fini(&s);
	/* After a delete: ThreadSanitizer there does not see this process. */
	peer_tell(&s.peer, 'd');
	peer_line(&s.peer, line, sizeof(line));
	assert_true(peer_ask_sum(&s.peer) == sum);
	assert_int_equal(peer_fini(&s.peer), 0);
	free(f);
	free(futs);
}

int
main(int argc, char *argv[])
{
	peer_main(argc, argv);

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_puts_arrive),
		cmocka_unit_test(killed_while_puts_are_under_way),
		cmocka_unit_test(killed_while_gets_are_under_way),
		cmocka_unit_test(killed_while_all_are_under_way),
		cmocka_unit_test(stopped_while_puts_are_under_way),
		cmocka_unit_test(stopped_while_gets_are_under_way),
		cmocka_unit_test(stopped_while_all_are_under_way),
		cmocka_unit_test(region_is_deleted_meanwhile),
		cmocka_unit_test(region_exits_without_a_delete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
