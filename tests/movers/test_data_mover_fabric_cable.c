/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_cable.c -- tests movers/data_mover_fabric with the
 * installed libfabric: the region in another network namespace, and a cable
 * that is pulled out, put back, or slow
 */

#include "test.h"

#include "fabric_pair.h"
#include "netns.h"

#define MIB (1024 * KIB)
#define SIZE (16 * MIB)

/* More than a cable carries before it is pulled out. */
#define UNDER_WAY 64

/* A mover breaks after this time without a byte, and not much later. */
#define IDLE_MS 300
#define BROKEN_NS (2 * IDLE_MS * MS)

/* Sanitizers, and other tests on the same CPUs. */
#define SLACK_NS (3000 * MS)

/* Bytes: of the region, of what is sent, and of what is never sent. */
#define OLD 0x5a
#define SENT 0x11
#define SET 0x22
#define NEVER 0x77

static struct netns net;

enum way { PUTS, GETS, MIXED };

struct line {
	struct pair pair;
	char *local;
	struct runtime *runtime;
	struct vdm_operation_future f[UNDER_WAY];
	struct future *futs[UNDER_WAY];
};

static void
line_init(struct line *l, unsigned idle_ms, bool no_mover_thread)
{
	pair_init(&l->pair,
		(struct pair_of){.size = SIZE,
			.idle_ms = idle_ms,
			.no_mover_thread = no_mover_thread,
			.listen = NETNS_AWAY_V4,
			.away = net.fds[NETNS_AWAY],
			.here = net.fds[NETNS_HERE]});
	l->local = malloc(SIZE);
	l->runtime = runtime_new();
	assert_true(l->local != NULL && l->runtime != NULL);
	memset(l->local, SENT, SIZE);
}

static void
line_fini(struct line *l)
{
	pair_fini(&l->pair);
	runtime_delete(l->runtime);
	free(l->local);
}

static void
line_start(struct line *l, enum way way)
{
	struct vdm *vdm = l->pair.vdm;
	char *window = l->pair.window;

	for (size_t i = 0; i < UNDER_WAY; i++) {
		if (way == PUTS || (way == MIXED && i % 4 == 0))
			l->f[i] = vdm_memcpy(vdm, window, l->local, SIZE, 0);
		else if (way == GETS || i % 4 == 1)
			l->f[i] = vdm_memcpy(vdm, l->local, window, SIZE, 0);
		else if (i % 4 == 2)
			l->f[i] = vdm_memset(vdm, window, SET, SIZE, 0);
		else
			l->f[i] = vdm_memmove(
				vdm, window, window + 1, SIZE - 1, 0);
		l->futs[i] = FUTURE_AS_RUNNABLE(&l->f[i]);
		future_poll(l->futs[i], NULL);
	}
}

/* All end soon after start_ns. Returns how many failed. */
static size_t
line_end(struct line *l, uint64_t start_ns)
{
	const size_t done = runtime_wait_some(l->runtime, l->futs, UNDER_WAY,
		UNDER_WAY, (int64_t)(PAIR_LIMIT_MS * MS));
	const uint64_t ns = test_clock_ns(CLOCK_MONOTONIC) - start_ns;
	size_t failed = 0;

	if (done < UNDER_WAY)
		fail_msg("%zu of %d have ended", done, UNDER_WAY);
	if (ns > BROKEN_NS + SLACK_NS)
		fail_msg("ended after %u ms", (unsigned)(ns / MS));
	for (size_t i = 0; i < UNDER_WAY; i++)
		failed += FUTURE_OUTPUT(&l->f[i])->result ==
			VDM_ERROR_JOB_CORRUPTED;
	return failed;
}

static void
line_check_broken(struct line *l)
{
	for (int i = 0; i < 3; i++) {
		struct vdm_operation_future f =
			vdm_memset(l->pair.vdm, l->pair.window, 1, 1, 0);

		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f), NULL),
			FUTURE_STATE_COMPLETE);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(
			data_mover_fabric_error(l->pair.dmf), ETIMEDOUT);
	}
}

static void
delete_soon(struct line *l)
{
	const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

	data_mover_fabric_delete(l->pair.dmf);
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start_ns < SLACK_NS);
	l->pair.dmf = NULL;
}

/*
 * What is sent already may still be written, into the destinations of the
 * operations that failed. Nothing else is, and local memory is not touched.
 */
static void
check_late_bytes(struct line *l)
{
	/* Each byte once: the region may still be writing. */
	const volatile char *memory = l->pair.memory;

	for (size_t i = 0; i < SIZE; i++) {
		const char byte = memory[i];

		assert_int_equal(l->local[i], NEVER);
		if (byte != OLD && byte != SENT && byte != SET)
			fail_msg("0x%02x at %zu was never sent", byte, i);
	}
}

/* Nothing is written once the region is deleted, whatever the network has. */
static void
check_region_after_delete(struct line *l, const char *copy)
{
	test_sleep_ns(300 * MS);
	assert_memory_equal(copy, l->pair.memory, SIZE);
}

/* Returns how many operations failed. */
static size_t
pull_out(enum way way, enum netns_side side, bool no_mover_thread)
{
	const bool revoke_first = no_mover_thread;
	char *copy = malloc(SIZE);
	struct line l;

	assert_non_null(copy);
	line_init(&l, IDLE_MS, no_mover_thread);
	line_start(&l, way);
	test_sleep_ns(2 * MS);
	netns_plug(&net, side, false);

	const size_t failed = line_end(&l, test_clock_ns(CLOCK_MONOTONIC));

	if (failed > 0)
		line_check_broken(&l);
	/* The program's memory is its own again. */
	memset(l.local, NEVER, SIZE);
	if (side == NETNS_HERE)
		delete_soon(&l);
	if (revoke_first) {
		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

		data_mover_region_delete(l.pair.region);
		assert_true(
			test_clock_ns(CLOCK_MONOTONIC) - start_ns < SLACK_NS);
		l.pair.region = NULL;
		memcpy(copy, l.pair.memory, SIZE);
	}
	netns_plug(&net, side, true);
	test_sleep_ns(300 * MS);
	check_late_bytes(&l);
	if (!revoke_first) {
		data_mover_region_delete(l.pair.region);
		l.pair.region = NULL;
		memcpy(copy, l.pair.memory, SIZE);
	}
	check_region_after_delete(&l, copy);
	delete_soon(&l);
	line_fini(&l);
	free(copy);
	return failed;
}

static void
pulled_out_while_puts_are_under_way(void **state)
{
	(void)state;
	assert_true(pull_out(PUTS, NETNS_HERE, false) +
			pull_out(PUTS, NETNS_AWAY, true) >
		0);
}

static void
pulled_out_while_gets_are_under_way(void **state)
{
	(void)state;
	assert_true(pull_out(GETS, NETNS_HERE, true) +
			pull_out(GETS, NETNS_AWAY, false) >
		0);
}

static void
pulled_out_while_all_are_under_way(void **state)
{
	size_t failed = 0;

	(void)state;
	for (int side = 0; side < 2; side++)
		for (int no_thread = 0; no_thread < 2; no_thread++)
			failed += pull_out(
				MIXED, (enum netns_side)side, no_thread != 0);
	assert_true(failed > 0);
}

/* A delete with operations under way does not wait for the cable. */
static void
deleted_while_it_is_pulled_out(void **state)
{
	struct line l;

	(void)state;
	for (int way = PUTS; way <= MIXED; way++) {
		line_init(&l, 0, false);
		line_start(&l, (enum way)way);
		netns_plug(&net, NETNS_AWAY, false);
		delete_soon(&l);
		memset(l.local, NEVER, SIZE);
		netns_plug(&net, NETNS_AWAY, true);
		test_sleep_ns(300 * MS);
		check_late_bytes(&l);
		line_fini(&l);
	}
}

/* The network comes back before idle_ms: nobody notices. */
static void
a_short_break_is_no_failure(void **state)
{
	struct line l;

	(void)state;
	for (int side = 0; side < 2; side++) {
		line_init(&l, 15000, side == 0);
		line_start(&l, MIXED);
		netns_plug(&net, (enum netns_side)side, false);
		test_sleep_ns(700 * MS);
		netns_plug(&net, (enum netns_side)side, true);
		runtime_wait_multiple(l.runtime, l.futs, UNDER_WAY);
		for (size_t i = 0; i < UNDER_WAY; i++)
			assert_int_equal(
				FUTURE_OUTPUT(&l.f[i])->result, VDM_SUCCESS);
		line_fini(&l);
	}
}

/* Nobody is reached, for no longer than connect_ms. */
static void
no_mover_while_it_is_pulled_out(void **state)
{
	const struct data_mover_fabric_options options = {
		.size = sizeof(options), .connect_ms = 400};
	struct line l;

	(void)state;
	line_init(&l, 0, false);
	for (int side = 0; side < 2; side++) {
		netns_plug(&net, (enum netns_side)side, false);

		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

		errno = 0;
		assert_null(pair_connect(l.pair.region, true, &options));
		if (errno != ETIMEDOUT && errno != EHOSTUNREACH &&
			errno != ENETUNREACH)
			fail_msg("side %d: %s", side, strerror(errno));
		assert_true(
			test_clock_ns(CLOCK_MONOTONIC) - start_ns < SLACK_NS);
		netns_plug(&net, (enum netns_side)side, true);
	}
	line_fini(&l);
}

/*
 * One transfer takes eight times idle_ms, and is not late: its bytes go on. The
 * rate is that of a put and a get of 1 MiB in two seconds and more.
 */
static void
a_slow_network_is_not_dead(void **state)
{
	(void)state;
	if (!netns_limit(&net, NETNS_HERE, "6mbit") ||
		!netns_limit(&net, NETNS_AWAY, "6mbit"))
		TEST_LEFT_OUT("tc(8)");
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		struct vdm_operation_future put, get;
		struct line l;

		line_init(&l, IDLE_MS, no_thread != 0);

		const uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

		put = vdm_memcpy(l.pair.vdm, l.pair.window, l.local, MIB, 0);
		get = vdm_memcpy(
			l.pair.vdm, l.local + MIB, l.pair.window + MIB, MIB, 0);
		future_poll(FUTURE_AS_RUNNABLE(&put), NULL);
		pair_wait(&l.pair, FUTURE_AS_RUNNABLE(&get));
		pair_wait(&l.pair, FUTURE_AS_RUNNABLE(&put));
		assert_true(test_clock_ns(CLOCK_MONOTONIC) - start_ns >
			4 * IDLE_MS * MS);
		assert_int_equal(data_mover_fabric_error(l.pair.dmf), 0);
		assert_int_equal(FUTURE_OUTPUT(&put)->result, VDM_SUCCESS);
		assert_int_equal(FUTURE_OUTPUT(&get)->result, VDM_SUCCESS);
		assert_memory_equal(l.pair.memory, l.local, MIB);
		assert_int_equal(l.local[2 * MIB - 1], OLD);
		line_fini(&l);
	}
	netns_limit(&net, NETNS_HERE, NULL);
	netns_limit(&net, NETNS_AWAY, NULL);
}

/* What has crept for a while is late soon after the last byte. */
static void
a_slow_network_that_is_pulled_out_is_dead(void **state)
{
	struct line l;

	(void)state;
	if (!netns_limit(&net, NETNS_HERE, "6mbit"))
		TEST_LEFT_OUT("tc(8)");
	line_init(&l, IDLE_MS, false);
	line_start(&l, PUTS);
	test_sleep_ns(3 * IDLE_MS * MS);
	assert_int_equal(data_mover_fabric_error(l.pair.dmf), 0);
	netns_plug(&net, NETNS_AWAY, false);
	assert_int_equal(
		line_end(&l, test_clock_ns(CLOCK_MONOTONIC)), UNDER_WAY);
	line_check_broken(&l);
	delete_soon(&l);
	netns_plug(&net, NETNS_AWAY, true);
	netns_limit(&net, NETNS_HERE, NULL);
	line_fini(&l);
}

int
main(void)
{
	if (!netns_init(&net, NETNS_CABLE))
		return 77;

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pulled_out_while_puts_are_under_way),
		cmocka_unit_test(pulled_out_while_gets_are_under_way),
		cmocka_unit_test(pulled_out_while_all_are_under_way),
		cmocka_unit_test(deleted_while_it_is_pulled_out),
		cmocka_unit_test(a_short_break_is_no_failure),
		cmocka_unit_test(no_mover_while_it_is_pulled_out),
		cmocka_unit_test(a_slow_network_is_not_dead),
		cmocka_unit_test(a_slow_network_that_is_pulled_out_is_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
