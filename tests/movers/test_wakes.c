/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_wakes.c -- how many workers the thread wakes that starts an operation
 *
 * The linker puts __wrap_sem_post in the place of what wakes a worker. Others may
 * come in between: a worker that has slept again is woken again, and one that has
 * not slept yet is not. So what counts is a quartile of many rounds, the one that
 * a busy machine does not move past what is right.
 */

#include "test.h"

#include <semaphore.h>

#include "libminiasync.h"
#include "system/platform.h"

#define ROUNDS 41
#define FEWER (ROUNDS / 4)
#define MORE (ROUNDS * 3 / 4)
#define MAX_COPIES 101

static _Thread_local unsigned posts; /* by this thread */

int __real_sem_post(sem_t *sem);
int __wrap_sem_post(sem_t *sem);

int
__wrap_sem_post(sem_t *sem)
{
	posts++;
	return __real_sem_post(sem);
}

/* All read the same; each writes a range of its own. */
static char src[2048 * 1024], dst[8192 * 1024];

static int
compare(const void *a, const void *b)
{
	const unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

/*
 * Starts count copies of n bytes on a mover whose workers sleep, and one of
 * last bytes, if that is not 0. Returns the wakes, or those of the last poll if
 * there is one; the quartile FEWER or MORE of all rounds.
 */
static unsigned
wakes(size_t nworkers, size_t count, size_t n, size_t last, int quartile)
{
	static struct vdm_operation_future f[MAX_COPIES];
	struct data_mover_threads *dmt = data_mover_threads_new(
		nworkers, MAX_COPIES, FUTURE_NOTIFIER_WAKER);
	unsigned found[ROUNDS];

	assert_non_null(dmt);
	for (int round = 0; round < ROUNDS; round++) {
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);
		const size_t all = count + (last > 0);

		for (size_t i = 0; i < all; i++)
			f[i] = vdm_memcpy(
				vdm, dst + i * n, src, i < count ? n : last, 0);
		mia_sleep(3000000); /* until they sleep */

		posts = 0;
		for (size_t i = 0; i < all; i++) {
			if (i == count)
				posts = 0;
			future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
		}
		found[round] = posts;
		for (size_t i = 0; i < all; i++) {
			FUTURE_BUSY_POLL(&f[i]);
			assert_int_equal(
				FUTURE_OUTPUT(&f[i])->result, VDM_SUCCESS);
		}
	}
	data_mover_threads_delete(dmt);
	qsort(found, ROUNDS, sizeof(*found), compare);
	printf("%zu workers, %zu x %zu KiB, %zu KiB: %u to %u wakes, mostly "
	       "%u to %u\n",
		nworkers, count, n / KIB, last / KIB, found[0],
		found[ROUNDS - 1], found[FEWER], found[MORE]);
	return found[quartile];
}

/* With one CPU nobody is woken who would take the caller's. */
static unsigned
two(void)
{
	return mia_usable_cpus() > 1 ? 2 : 1;
}

static void
each_big_copy_wakes_a_worker(void **state)
{
	(void)state;
	assert_true(wakes(2, 2, 256 * KIB, 0, MORE) >= two());
}

static void
one_shared_copy_wakes_two(void **state)
{
	(void)state;
	assert_true(wakes(2, 1, 2048 * KIB, 0, MORE) >= two());
}

static void
smaller_copies_wake_one_at_a_time(void **state)
{
	(void)state;
	assert_true(wakes(2, 2, 64 * KIB, 0, FEWER) <= 1);
}

static void
no_poll_wakes_more_than_there_are_cpus(void **state)
{
	(void)state;
	assert_true(wakes(mia_usable_cpus() * 16, MAX_COPIES - 1, 64 * KIB,
			    256 * KIB, FEWER) <= mia_usable_cpus());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_big_copy_wakes_a_worker),
		cmocka_unit_test(one_shared_copy_wakes_two),
		cmocka_unit_test(smaller_copies_wake_one_at_a_time),
		cmocka_unit_test(no_poll_wakes_more_than_there_are_cpus),
	};

	/* There a thread runs when the tool says so. */
	if (getenv("MIA_TEST_EMULATED") != NULL)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
