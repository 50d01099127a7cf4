/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_abi.c -- tests the layout of the public structs, against measurements of
 * libminiasync 0.2.1 on 64-bit machines
 *
 * scripts/abi/layout.awk makes the assertions.
 */

#include "test.h"

#include "libminiasync.h"

FUTURE(int_future, int, int);

struct int_entries {
	FUTURE_CHAIN_ENTRY(struct int_future, a);
	FUTURE_CHAIN_ENTRY_LAST(struct int_future, b);
};

FUTURE(int_chain, struct int_entries, int);

struct entry_probe {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, entry);
};

#if UINTPTR_MAX == UINT64_MAX
#include "abi_layout.h"
#endif

/* On any target: a declared entry lies as the chain sees it. */
_Static_assert(offsetof(struct entry_probe, entry.fut) ==
		offsetof(struct future_chain_entry, future),
	"future");
_Static_assert(offsetof(struct entry_probe, entry.flags) ==
		offsetof(struct future_chain_entry, flags),
	"flags");
_Static_assert(sizeof(((struct future_chain_entry *)0)->flags) == 8, "width");

static void
layout_is_checked_by_the_compiler(void **state)
{
	(void)state;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_is_checked_by_the_compiler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
