/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * parker.c -- see parker.h
 *
 *   EMPTY     no token, nobody sleeps
 *   PARKED    no token, a thread sleeps or is about to
 *   NOTIFIED  a token
 *
 * All changes of state are single atomic operations on one word, so there is
 * one order of them: a parking thread either finds NOTIFIED, or the unparking
 * one finds PARKED and wakes it. The futex call itself compares the word once
 * more, which closes the gap between PARKED and the sleep.
 */

#include "system/parker.h"

#include <errno.h>

#include "system/platform.h"

#ifndef MIA_PARKER_PORTABLE
#include <sys/syscall.h>
#include <unistd.h>

/*
 * From futex(2), for threads of one process. Its header is the kernel's, which
 * a C library need not come with.
 */
#define WAIT_PRIVATE (0 | 128)
#define WAKE_PRIVATE (1 | 128)

#define NS_PER_S 1000000000u
#endif

enum { EMPTY, PARKED, NOTIFIED };

/* Relaxed: the exchange in mia_parker_park() acquires. */
static bool
is_parked(struct mia_parker *parker)
{
	return atomic_load_explicit(&parker->state, memory_order_relaxed) ==
		PARKED;
}

#ifdef MIA_PARKER_PORTABLE

int
mia_parker_init(struct mia_parker *parker)
{
	int error = mia_mutex_init(&parker->mutex);

	if (error != 0)
		return error;

	error = mia_cond_init(&parker->cond);
	if (error != 0)
		mia_mutex_fini(&parker->mutex);

	atomic_init(&parker->state, EMPTY);
	return error;
}

void
mia_parker_fini(struct mia_parker *parker)
{
	mia_cond_fini(&parker->cond);
	mia_mutex_fini(&parker->mutex);
}

static void
sleep_while_parked(struct mia_parker *parker, uint64_t ns)
{
	const uint64_t start = mia_clock_ns();

	mia_mutex_lock(&parker->mutex);
	while (is_parked(parker) &&
		mia_cond_wait_until(
			&parker->cond, &parker->mutex, start + ns) &&
		mia_clock_ns() - start < ns)
		continue;
	mia_mutex_unlock(&parker->mutex);
}

static void
wake_parked(struct mia_parker *parker)
{
	/* The lock waits out a sleeper between its look and its sleep. */
	mia_mutex_lock(&parker->mutex);
	mia_cond_signal(&parker->cond);
	mia_mutex_unlock(&parker->mutex);
}

#else

int
mia_parker_init(struct mia_parker *parker)
{
	atomic_init(&parker->state, EMPTY);
	return 0;
}

void
mia_parker_fini(struct mia_parker *parker)
{
	(void)parker;
}

/*
 * futex(2). It may return early for a signal, or for the FUTEX_WAKE that
 * belongs to an earlier token and was late; under a filter of system calls it
 * may do so every time. So the clock ends the sleep too. The call is told how
 * long and not until when, for the kernel's clock may not be the program's.
 */
static void
sleep_while_parked(struct mia_parker *parker, uint64_t ns)
{
	const int saved_errno = errno;
	const uint64_t start = mia_clock_ns();
	uint64_t slept = 0;
	long result;

	do {
		/* Longs, whatever time_t the C library has. */
		const long left[2] = {(long)((ns - slept) / NS_PER_S),
			(long)((ns - slept) % NS_PER_S)};

		result = syscall(SYS_futex, &parker->state, WAIT_PRIVATE,
			PARKED, left, NULL, 0);
	} while ((result == 0 || errno == EINTR) && is_parked(parker) &&
		(slept = mia_clock_ns() - start) < ns);
	mia_restore_errno(saved_errno);
}

static void
wake_parked(struct mia_parker *parker)
{
	const int saved_errno = errno;

	syscall(SYS_futex, &parker->state, WAKE_PRIVATE, 1, NULL, NULL, 0);
	mia_restore_errno(saved_errno);
}

#endif

bool
mia_parker_park(struct mia_parker *parker, uint64_t ns)
{
	uint32_t state = EMPTY;

	/* Relaxed: publishes nothing, and the exchange below acquires. */
	if (atomic_compare_exchange_strong_explicit(&parker->state, &state,
		    PARKED, memory_order_relaxed, memory_order_relaxed))
		sleep_while_parked(parker, ns);

	/*
	 * NOTIFIED, or still PARKED after a time-out.
	 * Acquire: pairs with the release in mia_parker_unpark().
	 */
	return atomic_exchange_explicit(
		       &parker->state, EMPTY, memory_order_acquire) == NOTIFIED;
}

void
mia_parker_unpark(struct mia_parker *parker)
{
	/*
	 * Release: pairs with the acquire in mia_parker_park(). After this
	 * the sleeper may be on its way already, so wake_parked() may wake
	 * nobody; the parker must not be freed under it.
	 */
	if (atomic_exchange_explicit(
		    &parker->state, NOTIFIED, memory_order_release) == PARKED)
		wake_parked(parker);
}
