/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * unload.c -- see unload.h
 *
 * A function of atexit() and a destructor both run at the end. The first of the
 * two decides:
 *
 *   exit()   calls the functions of atexit() first, then the destructors.
 *   unload   calls the destructor first. The function of atexit() comes later,
 *            with the destructors of C++. The first entry of .fini_array calls
 *            these, so they are the last.
 *
 * If a system cannot distinguish the two, every end counts as an exit.
 */

#include "system/unload.h"

#include <stdatomic.h>

#include "system/platform.h"

/* 1 in our own shared libraries, which stay loaded. */
#ifndef MIA_NEVER_UNLOADED
#define MIA_NEVER_UNLOADED 0
#endif

/*
 * The first thread to leave RUNNING decides. Relaxed everywhere: no other
 * memory depends on this word.
 */
enum end { RUNNING, EXITING, UNLOADING };
static _Atomic enum end ending;

static void
end_by(enum end how)
{
	enum end running = RUNNING;

	(void)atomic_compare_exchange_strong_explicit(&ending, &running, how,
		memory_order_relaxed, memory_order_relaxed);
}

static void
at_exit(void)
{
	end_by(EXITING);
}

/*
 * A library that is loaded at the start of the process runs its constructors
 * before main(). exit() calls the functions that were registered there after
 * the destructors. So a constructor would be too early for atexit().
 *
 * Not pthread_once(), which allocates memory on some systems.
 */
void
mia_unload_watch(void)
{
	/* Not an atomic_bool: see operation_pool.c. */
	static atomic_uint registered;

	/* Relaxed: no thread waits for the registration of another. */
	if (!atomic_exchange_explicit(&registered, 1, memory_order_relaxed) &&
		(MIA_NEVER_UNLOADED || mia_at_exit(at_exit) != 0))
		end_by(EXITING);
}

__attribute__((destructor)) static void
at_unload(void)
{
	end_by(UNLOADING);
}

bool
mia_is_unload(void)
{
	return atomic_load_explicit(&ending, memory_order_relaxed) == UNLOADING;
}
