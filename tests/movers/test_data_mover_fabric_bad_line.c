/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_bad_line.c -- tests movers/data_mover_fabric with the
 * installed libfabric: a network that delays, loses, swaps and damages packets
 */

#include "test.h"

#include "bad_line.h"
#include "fabric_pair.h"
#include "netns.h"
#include "operation.h"

#define MIB (1024 * KIB)
#define AT_ONCE 8
#define SLICE (192 * KIB)
#define SIZE (AT_ONCE * SLICE)

static struct netns net;

/* The region, local memory, and what both have to become. */
struct model {
	struct pair pair;
	char *local, *want_local, *want_memory;
};

static void
model_init(struct model *m, uint64_t *seed, bool no_thread, const char *listen)
{
	pair_init(&m->pair,
		(struct pair_of){.size = SIZE,
			.no_mover_thread = no_thread,
			.no_region_thread = no_thread,
			.listen = listen,
			.away = net.fds[NETNS_AWAY],
			.here = net.fds[NETNS_HERE]});
	m->local = malloc(SIZE);
	m->want_local = malloc(SIZE);
	m->want_memory = malloc(SIZE);
	assert_true(m->local != NULL && m->want_local != NULL &&
		m->want_memory != NULL);
	for (size_t i = 0; i < SIZE; i++) {
		m->local[i] = m->want_local[i] = (char)test_random(seed);
		m->want_memory[i] = m->pair.memory[i] = (char)test_random(seed);
	}
}

static void
model_fini(struct model *m)
{
	pair_fini(&m->pair);
	free(m->local);
	free(m->want_local);
	free(m->want_memory);
}

enum way { PUT, GET, MOVE, SET };

#define WAYS (SET + 1)

/* An operation within the slice i of both sides, and its model. */
static struct vdm_operation_future
draw(struct model *m, size_t i, enum way way, uint64_t *seed)
{
	static const size_t usual[] = {
		1, 8, 63, 4097, 64 * KIB - 1, 64 * KIB + 1, SLICE};
	const size_t n =
		usual[test_random(seed) % (sizeof(usual) / sizeof(*usual))];
	const size_t to = i * SLICE + test_random(seed) % (SLICE - n + 1);
	const size_t from = i * SLICE + test_random(seed) % (SLICE - n + 1);
	const int c = (int)(test_random(seed) % 256);
	char *const window = m->pair.window;
	struct vdm *vdm = m->pair.vdm;

	switch (way) {
	case PUT:
		memcpy(m->want_memory + to, m->want_local + from, n);
		return vdm_memcpy(vdm, window + to, m->local + from, n, 0);
	case GET:
		memcpy(m->want_local + to, m->want_memory + from, n);
		return vdm_memcpy(vdm, m->local + to, window + from, n, 0);
	case MOVE:
		memmove(m->want_memory + to, m->want_memory + from, n);
		return vdm_memmove(vdm, window + to, window + from, n, 0);
	case SET:
		break;
	}
	memset(m->want_memory + to, c, n);
	return vdm_memset(vdm, window + to, c, n, 0);
}

static void
one_round(struct model *m, uint64_t *seed)
{
	struct vdm_operation_future f[AT_ONCE];

	for (size_t i = 0; i < AT_ONCE; i++) {
		f[i] = draw(m, i, (enum way)(test_random(seed) % WAYS), seed);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	for (size_t i = 0; i < AT_ONCE; i++) {
		pair_wait(&m->pair, FUTURE_AS_RUNNABLE(&f[i]));
		if (FUTURE_OUTPUT(&f[i])->result != VDM_SUCCESS)
			fail_msg("%s",
				strerror(data_mover_fabric_error(m->pair.dmf)));
	}
	assert_memory_equal(m->local, m->want_local, SIZE);
	assert_memory_equal(m->pair.memory, m->want_memory, SIZE);
}

/* Data arrive intact, also if the connection is made over such a line. */
static void
all_arrives(const char *what, struct bad_line *line, bool no_thread,
	const char *listen, int rounds)
{
	uint64_t seed = test_seed(what);
	struct model m;

	bad_line_start(line, net.tuns, seed);
	model_init(&m, &seed, no_thread, listen);
	for (int i = 0; i < rounds; i++)
		one_round(&m, &seed);
	model_fini(&m);
	bad_line_stop(line);
	printf("%s: %llu packets, %llu lost, %llu damaged, %llu overtaken\n",
		what, (unsigned long long)line->packets,
		(unsigned long long)line->losses,
		(unsigned long long)line->damages,
		(unsigned long long)line->overtakings);
	assert_true(line->packets > 0);
}

static void
a_long_line(void **state)
{
	struct bad_line line = {.delay_ns = 20 * MS};

	(void)state;
	all_arrives("20 ms", &line, false, NETNS_AWAY_V4, TEST_ROUNDS(8));
	assert_int_equal(line.losses, 0);
}

static void
a_line_that_loses_and_damages(void **state)
{
	(void)state;
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		struct bad_line line = {
			.delay_ns = 5 * MS, .damaged = 50, .lost = 100};

		all_arrives("1 % lost", &line, no_thread != 0, NETNS_AWAY_V4,
			TEST_ROUNDS(20));
		/* 0.5 % are damaged: of few packets perhaps none. */
		assert_true(line.packets < 2000 ||
			(line.losses > 0 && line.damages > 0));
	}
}

static void
a_line_that_swaps(void **state)
{
	struct bad_line line = {
		.delay_ns = 2 * MS, .jitter_ns = 4 * MS, .lost = 20};

	(void)state;
	all_arrives("jitter", &line, false,
		net.has_v6 ? "[" NETNS_AWAY_V6 "]" : NETNS_AWAY_V4,
		TEST_ROUNDS(20));
	assert_true(line.overtakings > 0);
}

/* Nothing arrives any more, and no system says so. */
static void
a_line_that_goes_dead(void **state)
{
	(void)state;
	for (int way = 0; way < WAYS; way++) {
		struct bad_line line = {.delay_ns = 5 * MS};
		struct vdm_operation_future f;
		uint64_t seed = test_seed("dead"), start_ns;
		const struct data_mover_fabric_options options = {
			.size = sizeof(options),
			.idle_ms = 400,
			.no_thread = way % 2 == 0};
		struct model m;

		bad_line_start(&line, net.tuns, seed);
		model_init(&m, &seed, false, NETNS_AWAY_V4);
		data_mover_fabric_delete(m.pair.dmf);
		m.pair.dmf = pair_connect(m.pair.region, true, &options);
		assert_non_null(m.pair.dmf);
		m.pair.mover_thread = way % 2 != 0;
		m.pair.vdm = data_mover_fabric_get_vdm(m.pair.dmf);
		m.pair.window = data_mover_fabric_addr(m.pair.dmf);
		atomic_store(&line.lost, 10000);
		start_ns = test_clock_ns(CLOCK_MONOTONIC);
		f = draw(&m, 0, (enum way)way, &seed);
		pair_wait(&m.pair, FUTURE_AS_RUNNABLE(&f));
		assert_in_range(test_clock_ns(CLOCK_MONOTONIC) - start_ns,
			400 * MS, 4000 * MS);
		assert_int_equal(
			FUTURE_OUTPUT(&f)->result, VDM_ERROR_JOB_CORRUPTED);
		assert_int_equal(
			data_mover_fabric_error(m.pair.dmf), ETIMEDOUT);
		model_fini(&m);
		bad_line_stop(&line);
	}
}

/* It is dead for a shorter time than idle_ms. */
static void
a_line_that_comes_back(void **state)
{
	struct bad_line line = {.delay_ns = 5 * MS};
	struct vdm_operation_future f[AT_ONCE];
	uint64_t seed = test_seed("back");
	struct model m;

	(void)state;
	bad_line_start(&line, net.tuns, seed);
	model_init(&m, &seed, false, NETNS_AWAY_V4);
	for (size_t i = 0; i < AT_ONCE; i++) {
		f[i] = draw(&m, i, (enum way)(i % WAYS), &seed);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	atomic_store(&line.lost, 10000);
	test_sleep_ns(600 * MS);
	atomic_store(&line.lost, 0);
	for (size_t i = 0; i < AT_ONCE; i++) {
		pair_wait(&m.pair, FUTURE_AS_RUNNABLE(&f[i]));
		assert_int_equal(FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
	}
	assert_memory_equal(m.local, m.want_local, SIZE);
	assert_memory_equal(m.pair.memory, m.want_memory, SIZE);
	model_fini(&m);
	bad_line_stop(&line);
}

int
main(void)
{
	if (!netns_init(&net, NETNS_TUN))
		return 77;

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_line),
		cmocka_unit_test(a_line_that_loses_and_damages),
		cmocka_unit_test(a_line_that_swaps),
		cmocka_unit_test(a_line_that_goes_dead),
		cmocka_unit_test(a_line_that_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
