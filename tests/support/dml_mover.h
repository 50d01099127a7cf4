/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dml_mover.h -- movers over the fake DML, the check of its jobs after each
 * test, and helpers for operations
 */

#ifndef LIBMINIASYNC_TEST_DML_MOVER_H
#define LIBMINIASYNC_TEST_DML_MOVER_H 1

#include "test.h"

#include <errno.h>
#include <stdbool.h>

#include "fake_dml.h"
#include "libminiasync-vdm-dml.h"
#include "libminiasync.h"
#include "operation/memory.h"

#define ALL_OUTCOMES (FAKE_DML_OUTCOMES - 1) /* but SILENT, the last */

static inline int
setup(void **state)
{
	(void)state;
	fake_dml_reset();
	return 0;
}

/* After every test: all jobs were ended, none was used against the rules. */
static inline int
teardown(void **state)
{
	const struct fake_dml_seen seen = fake_dml_seen();

	(void)state;
	if (seen.misuses != 0 || seen.in_flight != 0 ||
		seen.inits != seen.finalizes) {
		printf("misuses %zu, in flight %zu, "
		       "initialised %zu, finalized %zu\n",
			seen.misuses, seen.in_flight, seen.inits,
			seen.finalizes);
		return 1;
	}
	return 0;
}

static inline struct data_mover_dml *
mover_new(enum data_mover_dml_type type)
{
	struct data_mover_dml *dmd = data_mover_dml_new(type);

	assert_non_null(dmd);
	return dmd;
}

static inline enum vdm_operation_result
run(struct vdm_operation_future *f)
{
	FUTURE_BUSY_POLL(f);
	return FUTURE_OUTPUT(f)->result;
}

static inline void
fill_random(unsigned char *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)test_random(&seed);
}

/* The jobs of the probe by which a hardware mover is made. */
static inline size_t
jobs_so_far(void)
{
	return fake_dml_seen().submits;
}

/*
 * Ends the program on a CPU that cannot write its caches back. No mover can be
 * made there.
 */
static inline void
exit_without_mover(void)
{
	if (mia_memory_capabilities() == VDM_F_VALID_FLAGS)
		return;
	errno = 0;
	printf("this CPU cannot write its caches back: no such mover\n");
	exit(data_mover_dml_new(DATA_MOVER_DML_AUTO) != NULL ||
		errno != ENOTSUP);
}

#define DML_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif /* LIBMINIASYNC_TEST_DML_MOVER_H */
