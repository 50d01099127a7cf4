/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_buffers.c -- tests movers/data_mover_fabric with the
 * installed libfabric: what goes through buffers, sets and moves within the
 * window
 */

#include "test.h"

#include "fabric_pair.h"

/* Of a move, of a set, and of all together. */
#define MOVE_BYTES (256 * KIB)
#define SET_BYTES (64 * KIB)
#define ALL_BYTES (4096 * KIB)

struct window {
	struct pair pair;
	char *want;
};

/* Each byte differs from those at all distances of the tests. */
static void
window_init(struct window *w, size_t size, unsigned queue, bool no_thread)
{
	uint64_t seed = test_seed("window");

	pair_init(&w->pair,
		(struct pair_of){.size = size,
			.queue = queue,
			.no_mover_thread = no_thread});
	w->want = malloc(size);
	assert_non_null(w->want);
	for (size_t i = 0; i < size; i++)
		w->want[i] = (char)test_random(&seed);
	memcpy(w->pair.memory, w->want, size);
}

static void
window_check(struct window *w, const char *what, size_t n, size_t distance)
{
	if (memcmp(w->pair.memory, w->want, w->pair.size) != 0)
		fail_msg("%s of %zu bytes by %zu", what, n, distance);
}

static void
window_fini(struct window *w)
{
	pair_fini(&w->pair);
	free(w->want);
}

static void
check(struct pair *p, struct future *future, struct vdm_operation_output *out)
{
	pair_wait(p, future);
	assert_int_equal(out->result, VDM_SUCCESS);
}

/* Around one buffer and two, by distances around one: up and down. */
static void
moves_with_overlaps(void **state)
{
	static const size_t distances[] = {1, 2, 63, 64 * KIB, 255 * KIB,
		MOVE_BYTES - 1, MOVE_BYTES, MOVE_BYTES + 1, 257 * KIB,
		2 * MOVE_BYTES - 1, 2 * MOVE_BYTES, 2 * MOVE_BYTES + 1};
	static const size_t sizes[] = {1, 2, 255 * KIB, MOVE_BYTES - 1,
		MOVE_BYTES, MOVE_BYTES + 1, 257 * KIB, 2 * MOVE_BYTES - 1,
		2 * MOVE_BYTES, 2 * MOVE_BYTES + 1, 3 * MOVE_BYTES + 77};
	const size_t at = 11;

	(void)state;
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		struct window w;

		window_init(&w, 6 * MOVE_BYTES, 0, no_thread != 0);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			for (size_t d = 0;
				d < sizeof(distances) / sizeof(*distances);
				d++) {
				const size_t n = sizes[i], by = distances[d];
				char *window = w.pair.window + at;
				struct vdm_operation_future f;

				f = vdm_memmove(
					w.pair.vdm, window + by, window, n, 0);
				check(&w.pair, FUTURE_AS_RUNNABLE(&f),
					FUTURE_OUTPUT(&f));
				memmove(w.want + at + by, w.want + at, n);
				window_check(&w, "up", n, by);
				f = vdm_memmove(
					w.pair.vdm, window, window + by, n, 0);
				check(&w.pair, FUTURE_AS_RUNNABLE(&f),
					FUTURE_OUTPUT(&f));
				memmove(w.want + at, w.want + at + by, n);
				window_check(&w, "down", n, by);
			}
		window_fini(&w);
	}
}

/* Sets of all values at once: none gets the buffer of another one. */
static void
sets_of_different_values_at_once(void **state)
{
	enum { N = 250 };
	static const size_t sizes[] = {1, 100, SET_BYTES - 1, SET_BYTES,
		SET_BYTES + 1, 2 * SET_BYTES - 1, 2 * SET_BYTES,
		2 * SET_BYTES + 1, 3 * SET_BYTES + 5};
	const size_t slice = 4 * SET_BYTES;
	static const unsigned queues[] = {0, 1, 7};

	(void)state;
	for (size_t q = 0; q < sizeof(queues) / sizeof(*queues); q++) {
		struct vdm_operation_future f[N];
		struct window w;

		window_init(&w, N * slice, queues[q], q == 1);
		for (size_t i = 0; i < N; i++) {
			const size_t n =
				sizes[i % (sizeof(sizes) / sizeof(*sizes))];

			f[i] = vdm_memset(w.pair.vdm,
				w.pair.window + i * slice + i, (int)i + 3, n,
				0);
			memset(w.want + i * slice + i, (int)i + 3, n);
			future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		}
		for (size_t i = 0; i < N; i++)
			check(&w.pair, FUTURE_AS_RUNNABLE(&f[i]),
				FUTURE_OUTPUT(&f[i]));
		window_check(&w, "sets", 0, 0);
		window_fini(&w);
	}
}

/* Three times as many as there are buffers for; all get their turn. */
static void
more_moves_than_buffers(void **state)
{
	enum { N = 3 * ALL_BYTES / MOVE_BYTES };
	const size_t slice = 4 * MOVE_BYTES;

	(void)state;
	for (int no_thread = 0; no_thread < 2; no_thread++) {
		struct vdm_operation_future f[2 * N];
		struct window w;

		window_init(&w, N * slice, 0, no_thread != 0);
		for (size_t i = 0; i < N; i++) {
			const size_t at = i * slice + i;
			const size_t n = MOVE_BYTES + MOVE_BYTES / 2 + i;
			const size_t up = i % 2 * 1000, down = 1000 - up;

			f[2 * i] =
				vdm_memmove(w.pair.vdm, w.pair.window + at + up,
					w.pair.window + at + down, n, 0);
			memmove(w.want + at + up, w.want + at + down, n);
			f[2 * i + 1] = vdm_memset(w.pair.vdm,
				w.pair.window + at + 2 * MOVE_BYTES, (int)i,
				MOVE_BYTES, 0);
			memset(w.want + at + 2 * MOVE_BYTES, (int)i,
				MOVE_BYTES);
		}
		for (size_t i = 0; i < 2 * N; i++)
			future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		for (size_t i = 0; i < 2 * N; i++)
			check(&w.pair, FUTURE_AS_RUNNABLE(&f[i]),
				FUTURE_OUTPUT(&f[i]));
		window_check(&w, "moves", 0, 0);
		window_fini(&w);
	}
}

/* The program changes local memory after the end, and not before. */
static void
puts_of_the_same_buffer(void **state)
{
	enum { N = 200 };
	static char local[3 * SET_BYTES];
	struct window w;

	(void)state;
	window_init(&w, N * sizeof(local), 0, false);
	for (size_t i = 0; i < N; i++) {
		struct vdm_operation_future f;

		memset(local, (int)i, sizeof(local));
		f = vdm_memcpy(w.pair.vdm, w.pair.window + i * sizeof(local),
			local, sizeof(local), 0);
		check(&w.pair, FUTURE_AS_RUNNABLE(&f), FUTURE_OUTPUT(&f));
		memset(w.want + i * sizeof(local), (int)i, sizeof(local));
	}
	window_check(&w, "puts", 0, 0);
	window_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_with_overlaps),
		cmocka_unit_test(sets_of_different_values_at_once),
		cmocka_unit_test(more_moves_than_buffers),
		cmocka_unit_test(puts_of_the_same_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
