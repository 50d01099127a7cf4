/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_dml_real.c -- tests movers/data_mover_dml with the installed
 * DML: its software path, and the device of this machine, if any
 */

#include "test.h"

#include <dml/dml.h>
#include <errno.h>

#include "contract.h"
#include "libminiasync-vdm-dml.h"
#include "libminiasync.h"
#include "segments.h"

static enum data_mover_dml_type type;

static void *
make(void)
{
	return data_mover_dml_new(type);
}

static struct vdm *
get_vdm(void *mover)
{
	return data_mover_dml_get_vdm(mover);
}

static void
end(void *mover)
{
	data_mover_dml_delete(mover);
}

/* Every length around DML's own limits of lines and patterns. */
static void
short_fills_and_moves(void **state)
{
	struct data_mover_dml *dmd =
		data_mover_dml_new(DATA_MOVER_DML_SOFTWARE);
	struct vdm *vdm = data_mover_dml_get_vdm(dmd);
	unsigned char src[300], dst[300], want[300];

	(void)state;
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (unsigned char)(i * 7 + 1);
	for (size_t n = 0; n < 260; n++)
		for (size_t at = 0; at < 9; at++) {
			memset(dst, 0, sizeof(dst));
			memset(want, 0, sizeof(want));
			struct vdm_operation_future f =
				vdm_memset(vdm, dst + at, 0xa5, n, 0);

			FUTURE_BUSY_POLL(&f);
			assert_int_equal(
				FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
			memset(want + at, 0xa5, n);
			assert_memory_equal(dst, want, sizeof(dst));

			f = vdm_memcpy(vdm, dst + at, src + 2, n, 0);
			FUTURE_BUSY_POLL(&f);
			assert_int_equal(
				FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
			memcpy(want + at, src + 2, n);
			assert_memory_equal(dst, want, sizeof(dst));
		}
	data_mover_dml_delete(dmd);
}

static void
lists_are_equal_to_a_loop(void **state)
{
	uint64_t seed = test_seed("lists");

	(void)state;
	for (int t = 0; t < 3; t++) {
		struct data_mover_dml *dmd =
			data_mover_dml_new((enum data_mover_dml_type)t);

		if (dmd == NULL) {
			assert_int_equal(t, DATA_MOVER_DML_HARDWARE);
			continue;
		}
		for (size_t i = 0; i < 200; i++) {
			struct segments s = segments_random(
				i % 40, i % 10 == 0 ? 40000 : 500, &seed);
			struct vdm_operation_future f =
				vdm_memcpyv(data_mover_dml_get_vdm(dmd), s.list,
					s.n, i % 4);

			FUTURE_BUSY_POLL(&f);
			assert_int_equal(
				FUTURE_OUTPUT(&f)->result, VDM_SUCCESS);
			assert_int_equal(
				FUTURE_OUTPUT(&f)->output.memcpyv.copied, s.n);
			segments_check(&s);
			segments_free(&s);
		}
		data_mover_dml_delete(dmd);
	}
}

int
main(void)
{
	const struct contract_mover mover = {
		.name = "DML", .make = make, .get_vdm = get_vdm, .end = end};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_fills_and_moves),
		cmocka_unit_test(lists_are_equal_to_a_loop),
	};
	const dml_library_version_t *version = dml_get_library_version();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	printf("DML %u.%u.%u\n", (unsigned)version->major,
		(unsigned)version->minor, (unsigned)version->patch);
	for (int t = 0; t < 3; t++) {
		static const char *const names[] = {
			"software", "hardware", "auto"};

		type = (enum data_mover_dml_type)t;
		if (t == DATA_MOVER_DML_HARDWARE) {
			struct data_mover_dml *dmd = data_mover_dml_new(type);

			data_mover_dml_delete(dmd);
			if (dmd == NULL) {
				printf("hardware: %s\n", strerror(errno));
				failed += errno != ENODEV;
				continue;
			}
		}
		printf("contract, %s path\n", names[t]);
		failed += contract_run(&mover);
	}

	return failed != 0;
}
