/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_old_headers.c -- tests waits for futures of programs that were compiled
 * with earlier headers: on every notifier, of every size, alone, among others
 * and in chains, without the safety net
 */

#include "works.h"

#include "old_headers.h"

enum age { OLD, OLDER, NEW };

#define AGES (NEW + 1)
#define MANY 16

/* In the padding of contexts, which earlier headers may not have set. */
#define GARBAGE UINT32_C(0xa5a5a5a5)

static const enum future_notifier_type kinds[] = {
	FUTURE_NOTIFIER_WAKER, FUTURE_NOTIFIER_POLLER, FUTURE_NOTIFIER_NONE};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Done in the poll; in one piece; in some; by workers too. */
static const size_t sizes[] = {0, 1, 16 * KIB, 16 * KIB + 1, 64 * KIB,
	256 * KIB, 1024 * KIB + 3, 5 * 1024 * KIB};

/* Under helgrind and drd a wait for 16 copies of the last ones takes long. */
#define SIZES (sizeof(sizes) / sizeof(sizes[0]) - (TEST_SLOWDOWN > 10 ? 3 : 0))
#define MAX_SIZE (5 * 1024 * KIB)

static unsigned char *src, *dst[MANY];

static int
set_up(void **state)
{
	src = works_filled(MAX_SIZE + MANY, 1);
	for (int i = 0; i < MANY; i++)
		dst[i] = works_memory(MAX_SIZE);
	return works_set_up(state);
}

static int
tear_down(void **state)
{
	for (int i = 0; i < MANY; i++)
		free(dst[i]);
	free(src);
	return works_tear_down(state);
}

static struct vdm_operation_future
age(struct vdm_operation_future f, enum age age)
{
	switch (age) {
	case OLD:
		f.base.task = old_operation_poll;
		f.base.context.padding = GARBAGE;
		break;
	case OLDER:
		f.base.task = older_operation_poll;
		break;
	case NEW:
		break;
	}
	return f;
}

/* Copies to each of the first so many places, with polls of these ages. */
static void
copy(struct vdm *vdm, size_t places, size_t size, const enum age ages[])
{
	static struct vdm_operation_future f[MANY];
	struct future *futs[MANY];

	for (size_t i = 0; i < places; i++) {
		memset(dst[i], 0, size);
		f[i] = age(vdm_memcpy(vdm, dst[i], src + i, size, 0),
			ages[i % AGES]);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	works_wait(runtime, futs, places);
	for (size_t i = 0; i < places; i++) {
		assert_int_equal(f[i].output.result, VDM_SUCCESS);
		assert_memory_equal(dst[i], src + i, size);
	}
}

static void
copy_on_each_mover(size_t places, const enum age ages[])
{
	for (size_t k = 0; k < KINDS; k++)
		for (size_t workers = 1; workers <= 4; workers += 3) {
			struct data_mover_threads *dmt =
				works_mover(workers, kinds[k]);

			for (size_t i = 0; i < SIZES; i++)
				copy(data_mover_threads_get_vdm(dmt), places,
					sizes[i], ages);
			data_mover_threads_delete(dmt);
		}
}

static void
one_old_future_finishes(void **state)
{
	static const enum age old[] = {OLD, OLD, OLD};
	static const enum age older[] = {OLDER, OLDER, OLDER};

	(void)state;
	copy_on_each_mover(1, old);
	copy_on_each_mover(1, older);
}

static void
many_old_futures_finish(void **state)
{
	static const enum age old[] = {OLD, OLD, OLD};
	static const enum age older[] = {OLDER, OLDER, OLDER};

	(void)state;
	copy_on_each_mover(MANY, old);
	copy_on_each_mover(MANY, older);
}

static void
old_and_new_futures_finish_together(void **state)
{
	static const enum age old_first[] = {OLD, OLDER, NEW};
	static const enum age new_first[] = {NEW, OLD, OLDER};

	(void)state;
	copy_on_each_mover(MANY, old_first);
	copy_on_each_mover(MANY, new_first);
	copy_on_each_mover(2, new_first);
}

/* Old overlapping moves: a worker goes on where the waiting thread stopped. */
static void
old_overlapping_moves_finish(void **state)
{
	const size_t n = (TEST_SLOWDOWN > 10 ? 300 : 3 * 1024) * KIB;
	const size_t shift = 100;
	unsigned char *wanted = works_memory(n + shift);

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (int up = 0; up < 2; up++)
			for (int a = 0; a < AGES; a++) {
				struct data_mover_threads *dmt =
					works_mover(2, kinds[k]);
				const size_t from = up ? 0 : shift;

				works_fill(dst[0], n + shift, 7);
				memcpy(wanted, dst[0], n + shift);
				memmove(wanted + shift - from, wanted + from,
					n);

				struct vdm_operation_future f = age(
					vdm_memmove(
						data_mover_threads_get_vdm(dmt),
						dst[0] + shift - from,
						dst[0] + from, n, 0),
					(enum age)a);
				struct future *fut = FUTURE_AS_RUNNABLE(&f);

				works_wait(runtime, &fut, 1);
				assert_memory_equal(dst[0], wanted, n + shift);
				data_mover_threads_delete(dmt);
			}
	free(wanted);
}

/* Chains: the first entry fills what the second copies, and the third too. */

struct relay_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, second);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, third);
};

FUTURE(relay_future, struct relay_data, char);

static void
relay_init(struct relay_future *relay, struct vdm *vdm, size_t i, size_t size,
	enum age chain, const enum age ages[])
{
	FUTURE_CHAIN_ENTRY_INIT(&relay->data.first,
		age(vdm_memcpy(vdm, dst[i], src + i, size, 0), ages[0]), NULL,
		NULL);
	FUTURE_CHAIN_ENTRY_INIT(&relay->data.second,
		age(vdm_memcpy(vdm, dst[i + 1], dst[i], size, 0), ages[1]),
		NULL, NULL);
	FUTURE_CHAIN_ENTRY_INIT(&relay->data.third,
		age(vdm_memcpy(vdm, dst[i + 2], dst[i + 1], size, 0), ages[2]),
		NULL, NULL);
	FUTURE_CHAIN_INIT(relay);
	if (chain == OLD) {
		relay->base.task = old_chain_poll;
		relay->base.context.padding = GARBAGE;
	}
}

static void
relay(struct vdm *vdm, size_t size, enum age chain, const enum age ages[])
{
	enum { RELAYS = 4, PLACES = 3 };
	static struct relay_future relays[RELAYS];
	struct future *futs[RELAYS];

	for (size_t i = 0; i < RELAYS; i++) {
		for (size_t k = 0; k < PLACES; k++)
			memset(dst[i * PLACES + k], 0, size);
		relay_init(&relays[i], vdm, i * PLACES, size, chain, ages);
		futs[i] = FUTURE_AS_RUNNABLE(&relays[i]);
	}
	works_wait(runtime, futs, RELAYS);
	for (size_t i = 0; i < RELAYS; i++)
		for (size_t k = 0; k < PLACES; k++)
			assert_memory_equal(
				dst[i * PLACES + k], src + i * PLACES, size);
}

static void
chains_of_all_ages_finish(void **state)
{
	static const enum age mixes[][3] = {{OLD, OLD, OLD},
		{OLDER, OLDER, OLDER}, {OLD, NEW, OLD}, {NEW, OLD, NEW},
		{NEW, OLDER, OLD}, {NEW, NEW, NEW}};
	static const size_t chained[] = {
		1, 20 * KIB, 64 * KIB, 300 * KIB, 1024 * KIB};

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct data_mover_threads *dmt = works_mover(2, kinds[k]);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);

		for (size_t m = 0; m < sizeof(mixes) / sizeof(mixes[0]); m++)
			for (size_t i = 0; i < (TEST_SLOWDOWN > 10 ? 3 : 5);
				i++) {
				relay(vdm, chained[i], NEW, mixes[m]);
				relay(vdm, chained[i], OLD, mixes[m]);
			}
		data_mover_threads_delete(dmt);
	}
}

/* A poll by hand comes first, without a notifier. */
static void
old_futures_that_were_polled_before_finish(void **state)
{
	enum { POLLS = 3 };

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (int polls = 1; polls <= POLLS; polls++)
			for (size_t i = 0; i < SIZES; i++) {
				struct data_mover_threads *dmt =
					works_mover(2, kinds[k]);
				struct vdm_operation_future f = age(
					vdm_memcpy(
						data_mover_threads_get_vdm(dmt),
						dst[0], src, sizes[i], 0),
					polls % 2 ? OLDER : NEW);
				struct future *fut = FUTURE_AS_RUNNABLE(&f);

				memset(dst[0], 0, sizes[i]);
				for (int p = 0; p < polls; p++)
					future_poll(fut, NULL);
				works_wait(runtime, &fut, 1);
				assert_memory_equal(dst[0], src, sizes[i]);
				data_mover_threads_delete(dmt);
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_old_future_finishes),
		cmocka_unit_test(many_old_futures_finish),
		cmocka_unit_test(old_and_new_futures_finish_together),
		cmocka_unit_test(old_overlapping_moves_finish),
		cmocka_unit_test(chains_of_all_ages_finish),
		cmocka_unit_test(old_futures_that_were_polled_before_finish),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
