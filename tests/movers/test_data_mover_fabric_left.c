/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_left.c -- tests that a mover is quiet when it has left
 * libfabric's objects alone, because reads did not return
 *
 * __wrap_mia_sockets_shut() shuts nothing: an older libfabric returns no reads
 * then. A newer one returns them.
 */

#include "test.h"

#include <errno.h>

#include "fabric_pair.h"
#include "fabric_peer.h"

#define SIZE ((size_t)32 << 20)

void __wrap_mia_sockets_shut(int epoll);

void
__wrap_mia_sockets_shut(int epoll)
{
	(void)epoll;
}

/* What is left alone is a leak. */
const char *__lsan_default_options(void);

const char *
__lsan_default_options(void)
{
	return "detect_leaks=0";
}

static uint64_t
cpu_ns(void)
{
	return test_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* The peer ends when the mover is broken: its connection becomes readable. */
static void
run(unsigned no_thread)
{
	const struct data_mover_fabric_options options = {
		.size = sizeof(options),
		.idle_ms = 500,
		.no_thread = no_thread};
	char *local = malloc(SIZE);
	struct peer peer;
	int status;

	assert_non_null(local);
	peer_init(&peer, SIZE, PAIR_BOTH);

	struct data_mover_fabric *dmf =
		data_mover_fabric_new(peer.token, &options);

	assert_non_null(dmf);
	assert_int_equal(kill(peer.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(peer.pid, &status, WUNTRACED), peer.pid);

	struct vdm_operation_future f =
		vdm_memcpy(data_mover_fabric_get_vdm(dmf), local,
			data_mover_fabric_addr(dmf), SIZE, 0);

	FUTURE_BUSY_POLL(&f);
	assert_int_equal(FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
	assert_int_equal(data_mover_fabric_error(dmf), ETIMEDOUT);
	kill(peer.pid, SIGKILL);
	(void)peer_fini(&peer);

	struct pollfd ready = {data_mover_fabric_fd(dmf), POLLIN, 0};
	const uint64_t start_ns = cpu_ns();

	test_sleep_ns(500 * MS);
	assert_true(cpu_ns() - start_ns < 100 * MS);
	(void)data_mover_fabric_progress(dmf);
	assert_int_equal(poll(&ready, 1, 0), 0);
	data_mover_fabric_delete(dmf);
	free(local);
}

static void
a_broken_mover_is_quiet(void **state)
{
	(void)state;
	run(0);
	run(1);
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_mover_is_quiet),
	};

	peer_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
