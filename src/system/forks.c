/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * forks.c -- see forks.h
 *
 * This needs no model, because no thread waits for another thread here. The
 * number changes only in a child, while the child has one thread. While a fork
 * is under way, the word differs from the number in the parent too. Then the
 * identity of the process distinguishes parent and child.
 *
 * A fork handler may fork itself. Its child then continues with the fork of the
 * parent, and does not count this fork as under way. In one case mia_forks()
 * then returns the old number: in fork handlers that run in the next child
 * before the handler of this module.
 */

#include "system/forks.h"

#define UNDER_WAY (MIA_FORKS_ONE - 1)

_Atomic uint32_t mia_forks_word;

/* A: the identity of the process in which a fork is under way. */
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
	/* Relaxed: two threads that fork at once write the same value. */
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
	 * The fork may be uncounted: see the head of this file. Relaxed, both:
	 * publishes nothing.
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
 * Runs before main(), because a thread could fork while another thread
 * registers the handlers. Without memory for the handlers, forks are not
 * detected.
 */
__attribute__((constructor)) static void
init_early(void)
{
	(void)mia_at_fork(
		before_fork, after_fork_in_parent, after_fork_in_child);
}
