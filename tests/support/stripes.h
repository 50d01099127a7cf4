/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * stripes.h -- shared work in several stripes, on simulated CPUs
 *
 * The linker puts __wrap_mia_cpu() and __wrap_mia_cpu_leave() before the
 * functions.
 */

#ifndef LIBMINIASYNC_TEST_STRIPES_H
#define LIBMINIASYNC_TEST_STRIPES_H 1

#include "test.h"

#include <pthread.h>
#include <stdbool.h>

#include "crew/sharing.h"

/* Stripes for other threads; the workers' is the last. */
enum { STRIPES = 4, WORKERS = STRIPES, SHOW_MIN = 100, NONE = -2 };

static struct mia_sharing sharing;

/* CPUs, as the functions of system/cpus tell and change them. */
static _Thread_local int fake_cpu = -1;
static int left_cpu;
static int opener_cpu; /* as the last join() was told */

int __wrap_mia_cpu(void);
void __wrap_mia_cpu_leave(int cpu);

int
__wrap_mia_cpu(void)
{
	return fake_cpu;
}

void
__wrap_mia_cpu_leave(int cpu)
{
	left_cpu = cpu;
}

static inline int
setup(void **state)
{
	(void)state;
	fake_cpu = -1;
	return mia_sharing_init(&sharing, STRIPES / 2);
}

static inline int
teardown(void **state)
{
	(void)state;
	mia_sharing_fini(&sharing);
	return 0;
}

static inline bool
open_here(struct mia_shared *work, size_t total)
{
	return mia_sharing_open(
		&sharing, work, total, SHOW_MIN, MIA_OPENER_OTHER);
}

static inline bool
open_as_worker(struct mia_shared *work, size_t total)
{
	return mia_sharing_open(
		&sharing, work, total, SHOW_MIN, MIA_OPENER_WORKER);
}

/* The only sharer ends the work. */
static inline void
end(struct mia_shared *work)
{
	while (mia_sharing_claim(&sharing, work, 1000, MIA_RANGE_FRONT).n > 0)
		continue;
	assert_true(mia_sharing_leave(work));
}

static inline struct mia_shared *
join(unsigned turn)
{
	struct mia_shared *work = mia_sharing_join(&sharing, turn, &opener_cpu);

	if (work != NULL)
		assert_false(mia_sharing_leave(work));
	return work;
}

#define STRIPES_TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* LIBMINIASYNC_TEST_STRIPES_H */
