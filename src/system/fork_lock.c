/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fork_lock.c -- see fork_lock.h
 *
 * One compare-exchange takes the lock and names its owner. So at every
 * instruction a signal handler finds either that its thread holds the lock, or
 * that it does not.
 *
 * The owner's identity is the same in the child. So a fork handler of the
 * program can enter the lock there without any repair before.
 */

#include "system/fork_lock.h"

#include <stdint.h>

#include "system/backoff.h"
#include "system/happens.h"
#include "system/platform.h"

/*
 * Acquire: pairs with the release in mia_fork_lock_leave(), and makes the data
 * of the last owner visible. Relaxed on failure: only the owner is read.
 */
static bool
take(struct mia_fork_lock *lock, uintptr_t *owner)
{
	*owner = 0;
	if (!atomic_compare_exchange_strong_explicit(&lock->owner, owner,
		    mia_thread_id(), memory_order_acquire,
		    memory_order_relaxed))
		return false;

	mia_happens_after(lock);
	return true;
}

/* Relaxed: only this thread wrote the flag, maybe in a signal handler. */
static bool
is_forking(const struct mia_fork_lock *lock)
{
	return atomic_load_explicit(&lock->forking, memory_order_relaxed);
}

void
mia_fork_lock_enter(struct mia_fork_lock *lock)
{
	struct mia_spin spin = MIA_SPIN_LOCK;
	uintptr_t owner;

	while (!take(lock, &owner)) {
		if (owner == mia_thread_id() && is_forking(lock))
			return;
		/* Relaxed: take() checks again. */
		do
			(void)mia_spin(&spin);
		while (atomic_load_explicit(
			       &lock->owner, memory_order_relaxed) != 0);
	}
}

bool
mia_fork_lock_try_enter(struct mia_fork_lock *lock)
{
	uintptr_t owner;

	return take(lock, &owner);
}

void
mia_fork_lock_leave(struct mia_fork_lock *lock)
{
	/* While forking, mia_fork_lock_after_fork() releases the lock. */
	if (is_forking(lock))
		return;

	mia_happens_before(lock);
	/* Release: pairs with the acquire in take(); our data. */
	atomic_store_explicit(&lock->owner, 0, memory_order_release);
}

/* Relaxed, here and below: only the owner writes and reads these fields. */
void
mia_fork_lock_before_fork(struct mia_fork_lock *lock)
{
	if (atomic_load_explicit(&lock->owner, memory_order_relaxed) ==
		mia_thread_id()) {
		atomic_fetch_add_explicit(
			&lock->nested, 1, memory_order_relaxed);
		return;
	}

	mia_fork_lock_enter(lock);
	atomic_store_explicit(&lock->forking, true, memory_order_relaxed);
}

void
mia_fork_lock_after_fork(struct mia_fork_lock *lock)
{
	if (atomic_load_explicit(&lock->nested, memory_order_relaxed) > 0) {
		atomic_fetch_sub_explicit(
			&lock->nested, 1, memory_order_relaxed);
		return;
	}

	atomic_store_explicit(&lock->forking, false, memory_order_relaxed);
	mia_fork_lock_leave(lock);
}
