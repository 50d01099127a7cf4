/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_errors.c -- tests movers/data_mover_fabric with the
 * installed libfabric: regions that are deleted, movers that are broken, busy
 * or idle, and their connections
 */

#include "fabric_pair.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define MIB (1024 * KIB)

/* The window is no memory, and no other mapping lies in it. */
static void
the_window_is_reserved(void **state)
{
	struct pair p;
	int out[2];

	(void)state;
	pair_init(&p, (struct pair_of){.size = 10000});
	assert_int_equal(pipe(out), 0);
	for (size_t i = 0; i < 10000; i += 999) {
		assert_int_equal(write(out[1], p.window + i, 1), -1);
		assert_int_equal(errno, EFAULT);
	}
	close(out[0]);
	close(out[1]);
	pair_fini(&p);
}

/* Returns whether it was deleted before everything was done. */
static bool
revoke_under_way(bool no_region_thread)
{
	enum { N = 60 };
	struct vdm_operation_future f[N];
	char *copy = malloc(8 * MIB);
	struct pair p;
	bool is_cut = false;

	assert_non_null(copy);
	pair_init(&p,
		(struct pair_of){
			.size = 8 * MIB, .no_region_thread = no_region_thread});
	for (int i = 0; i < N; i++) {
		f[i] = vdm_memset(p.vdm, p.window, i, 8 * MIB, 0);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	if (no_region_thread)
		data_mover_region_progress(p.region);
	data_mover_region_delete(p.region);
	p.region = NULL;
	memcpy(copy, p.memory, 8 * MIB);
	for (int i = 0; i < N; i++) {
		pair_wait(&p, FUTURE_AS_RUNNABLE(&f[i]));
		is_cut |= FUTURE_OUTPUT(&f[i])->result != VDM_SUCCESS;
	}
	if (is_cut)
		assert_int_equal(data_mover_fabric_error(p.dmf), ECONNRESET);
	test_sleep_ns(20 * MS);
	assert_memory_equal(copy, p.memory, 8 * MIB);
	pair_fini(&p);
	free(copy);
	return is_cut;
}

static void
nothing_is_written_after_the_region_is_deleted(void **state)
{
	int cut = 0;

	(void)state;
	for (int round = 0; round < 8; round++)
		cut += revoke_under_way(round % 2 != 0);
	assert_true(cut > 0);
}

/* An event loop must not spin on a mover that is broken. */
static void
a_broken_mover_is_quiet(void **state)
{
	struct pair p;
	char byte = 1;

	(void)state;
	pair_init(&p,
		(struct pair_of){.size = 1000,
			.idle_ms = 200,
			.no_mover_thread = true,
			.no_region_thread = true});

	struct vdm_operation_future f =
		vdm_memcpy(p.vdm, p.window, &byte, 1, 0);

	/* The region sees none of it; the time runs already. */
	future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
	data_mover_region_delete(p.region);
	p.region = NULL;
	pair_wait(&p, FUTURE_AS_RUNNABLE(&f));
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);

	struct pollfd ready = {
		.fd = data_mover_fabric_fd(p.dmf), .events = POLLIN};

	while (poll(&ready, 1, 0) == 1) {
		errno = 0;
		assert_int_equal(data_mover_fabric_progress(p.dmf), -1);
		assert_int_equal(errno, ECONNRESET);
	}
	assert_int_equal(poll(&ready, 1, 500), 0);
	pair_fini(&p);
}

/* The time in which the program itself did not look is not the peer's. */
static void
a_program_may_be_busy_for_longer_than_idle_ms(void **state)
{
	const size_t n = 64 * MIB;
	char *local = calloc(1, n);
	struct pair p;

	(void)state;
	pair_init(&p,
		(struct pair_of){
			.size = n, .idle_ms = 200, .no_mover_thread = true});
	for (int i = 0; i < 3; i++) {
		struct vdm_operation_future f =
			vdm_memcpy(p.vdm, local, p.window, n, 0);

		future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		test_sleep_ns(500 * MS);
		future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		test_sleep_ns(500 * MS);
		pair_wait(&p, FUTURE_AS_RUNNABLE(&f));
		assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
	}
	pair_fini(&p);
	free(local);
}

/* Idle for a long time, a mover is not late. */
static void
an_idle_mover_does_not_break(void **state)
{
	struct pair p;

	(void)state;
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		pair_init(&p,
			(struct pair_of){.size = 1000,
				.idle_ms = 100,
				.no_mover_thread = no_thread != 0});
		for (int i = 0; i < 3; i++) {
			assert_int_equal(
				pair_finish(&p,
					vdm_memset(p.vdm, p.window, i, 10, 0)),
				VDM_SUCCESS);
			test_sleep_ns(300 * MS);
			while (pair_step(&p, 0))
				continue;
		}
		pair_fini(&p);
	}
}

/* Connections that end leave nothing behind in the region. */
static unsigned
descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
connections_leave_no_descriptors(void **state)
{
	struct pair p;
	unsigned before = 0;

	(void)state;
	pair_init(&p, (struct pair_of){.size = 1000});
	for (int i = 0; i < 30; i++) {
		struct data_mover_fabric *dmf =
			pair_connect(p.region, true, NULL);

		assert_non_null(dmf);
		data_mover_fabric_delete(dmf);
		assert_int_equal(
			pair_finish(&p, vdm_memset(p.vdm, p.window, i, 10, 0)),
			VDM_SUCCESS);
		if (i == 4)
			before = descriptors();
	}
	/* The last ones may not have been closed yet. */
	for (int i = 0; i < 500 && descriptors() > before; i++)
		test_sleep_ns(10 * MS);
	assert_in_range(descriptors(), 1, before);
	pair_fini(&p);
}

/* The region's ends of its connections. Returns how many are kept alive. */
static int
count_kept(const struct pair *pair, int *all)
{
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	int kept = 0;

	assert_int_equal(
		data_mover_region_token(pair->region, token, sizeof(token)), 0);
	const int port = atoi(strchr(token, ':') + 1);

	*all = 0;
	for (int fd = 3; fd < 1024; fd++) {
		struct sockaddr_in name = {0}, peer;
		socklen_t size = sizeof(name), peer_size = sizeof(peer);
		int on = 0, idle = 0;
		socklen_t on_size = sizeof(on), idle_size = sizeof(idle);

		if (getsockname(fd, (struct sockaddr *)&name, &size) != 0 ||
			ntohs(name.sin_port) != port ||
			getpeername(fd, (struct sockaddr *)&peer, &peer_size) !=
				0)
			continue;
		(*all)++;
		getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &on_size);
		getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &idle_size);
		kept += on != 0 && idle == 60;
	}
	return kept;
}

/* So that a region gets rid of a peer whose machine has vanished. */
static void
the_system_looks_after_connections(void **state)
{
	(void)state;
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		struct pair pair;
		int all = 0, looks = 0;

		pair_init(&pair,
			(struct pair_of){
				.size = 4096, .no_region_thread = no_thread});
		while (count_kept(&pair, &all) < 1 && ++looks < 200) {
			usleep(50000);
			if (no_thread)
				data_mover_region_progress(pair.region);
		}
		assert_true(looks < 200);
		assert_int_equal(all, 1);
		pair_fini(&pair);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_is_reserved),
		cmocka_unit_test(
			nothing_is_written_after_the_region_is_deleted),
		cmocka_unit_test(a_broken_mover_is_quiet),
		cmocka_unit_test(a_program_may_be_busy_for_longer_than_idle_ms),
		cmocka_unit_test(the_system_looks_after_connections),
		cmocka_unit_test(an_idle_mover_does_not_break),
		cmocka_unit_test(connections_leave_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
