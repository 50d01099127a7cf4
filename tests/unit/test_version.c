/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_version.c -- tests version.h: its macros, CMake and the library have the
 * same version
 */

#include "test.h"

#include "libminiasync.h"

/* CMake defines TEST_VERSION. */
static void
headers_library_and_cmake_have_one_version(void **state)
{
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "%d.%d.%d", MINIASYNC_VERSION_MAJOR,
		MINIASYNC_VERSION_MINOR, MINIASYNC_VERSION_PATCH);
	assert_string_equal(MINIASYNC_VERSION, text);
	assert_string_equal(MINIASYNC_VERSION, TEST_VERSION);
	assert_string_equal(MINIASYNC_VERSION, miniasync_version());
}

/* The other macros follow these three. */
#undef MINIASYNC_VERSION_MAJOR
#undef MINIASYNC_VERSION_MINOR
#undef MINIASYNC_VERSION_PATCH
#define MINIASYNC_VERSION_MAJOR 7
#define MINIASYNC_VERSION_MINOR 65
#define MINIASYNC_VERSION_PATCH 4

static void
number_has_two_digits_for_minor_and_for_patch(void **state)
{
	(void)state;
	assert_int_equal(MINIASYNC_VERSION_NUMBER, 76504);
	assert_string_equal(MINIASYNC_VERSION, "7.65.4");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_library_and_cmake_have_one_version),
		cmocka_unit_test(number_has_two_digits_for_minor_and_for_patch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
