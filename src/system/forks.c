/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * forks.c -- see forks.h
 *
 * Why this needs no model: no thread waits for another one here. The number
 * changes only in a child that has one thread. In the parent the word differs
 * from the number while a fork is under way, and then the identity of the
 * process tells the two processes apart.
 *
 * A child that comes from a fork handler, and then goes on with the fork of its
 * parent, does not count that fork as under way. Only fork handlers that run in
 * its child before this module's find the old number.
 */

#include "system/forks.h"

#define UNDER_WAY (MIA_FORKS_ONE - 1)

_Atomic uint32_t mia_forks_word;

/* A: of the process in which a fork is under way. */
static _Atomic uint32_t parent;

static uint32_t
next_number(uint32_t word)
{
	return (word | UNDER_WAY) + 1;
}

uint32_t
mia_forks(void)
{
	/* Acquire: pairs with the release in before_fork(): parent. */
	const uint32_t word =
		atomic_load_explicit(&mia_forks_word, memory_order_acquire);

	if ((word & UNDER_WAY) == 0)
		return word;
	/* Relaxed: two threads that fork at once write the same. */
	return atomic_load_explicit(&parent, memory_order_relaxed) ==
			mia_process_id()
		? word & ~UNDER_WAY
		: next_number(word);
}

static void
before_fork(void)
{
	atomic_store_explicit(&parent, mia_process_id(), memory_order_relaxed);
	/* Release: pairs with the acquire in mia_forks(). */
	atomic_fetch_add_explicit(&mia_forks_word, 1, memory_order_release);
}

static void
after_fork_in_parent(void)
{
	/*
	 * Not counted: see the head of this file. Relaxed, both: publishes
	 * nothing.
	 */
	if ((atomic_load_explicit(&mia_forks_word, memory_order_relaxed) &
		    UNDER_WAY) != 0)
		atomic_fetch_sub_explicit(
			&mia_forks_word, 1, memory_order_relaxed);
}

/* Relaxed, both: this is the only thread. */
static void
after_fork_in_child(void)
{
	atomic_store_explicit(&mia_forks_word,
		next_number(atomic_load_explicit(
			&mia_forks_word, memory_order_relaxed)),
		memory_order_relaxed);
}

/*
 * Before main(), because a thread could fork while another one registers them.
 * Without memory for the handlers forks are not noticed.
 */
__attribute__((constructor)) static void
init_early(void)
{
	(void)mia_at_fork(
		before_fork, after_fork_in_parent, after_fork_in_child);
}
