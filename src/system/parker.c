/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * parker.c -- see parker.h
 *
 *   EMPTY     no token, no sleeper
 *   PARKED    no token, and a thread sleeps or is about to sleep
 *   NOTIFIED  a token
 *
 * Each change of state is one atomic operation on one word, so all changes have
 * one order. Either the parking thread finds NOTIFIED, or the unparking thread
 * finds PARKED and wakes the sleeper. The futex call compares the word again,
 * so a wake between PARKED and the sleep is not lost.
 */

#include "system/parker.h"

#include <errno.h>

#include "system/platform.h"
#include "system/probe.h"

#ifndef MIA_PARKER_PORTABLE
#include <sys/syscall.h>
#include <unistd.h>

/*
 * From futex(2), for threads of one process. Not from the header of the kernel,
 * because some C libraries come without it.
 */
#define WAIT_PRIVATE (0 | 128)
#define WAKE_PRIVATE (1 | 128)
#endif

enum { EMPTY, PARKED, NOTIFIED };

/* Relaxed: only a hint. The exchange in mia_parker_park() acquires. */
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
	/* The lock waits for a thread between its check and its sleep. */
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
 * futex(2) may return early because of a signal, or because of a late
 * FUTEX_WAKE for an earlier token. Under a system call filter it may return
 * early every time. So the clock also ends the sleep. The call gets a duration,
 * because the kernel's clock may differ from the clock of the program.
 */
static void
sleep_while_parked(struct mia_parker *parker, uint64_t ns)
{
	const int saved_errno = errno;
	const uint64_t start = mia_clock_ns();
	uint64_t slept = 0;
	long result;

	do {
		/* The call takes longs, whatever time_t is. */
		const long left[2] = {(long)((ns - slept) / MIA_NS_PER_S),
			(long)((ns - slept) % MIA_NS_PER_S)};

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

	/* Relaxed: publishes nothing. The exchange below acquires. */
	if (atomic_compare_exchange_strong_explicit(&parker->state, &state,
		    PARKED, memory_order_relaxed, memory_order_relaxed)) {
		MIA_PROBE1(sleep, parker);
		sleep_while_parked(parker, ns);
		MIA_PROBE1(awake, parker);
	}

	/*
	 * The state is NOTIFIED, or after a timeout still PARKED.
	 * Acquire: pairs with the release in mia_parker_unpark().
	 */
	return atomic_exchange_explicit(
		       &parker->state, EMPTY, memory_order_acquire) == NOTIFIED;
}

void
mia_parker_unpark(struct mia_parker *parker)
{
	/*
	 * Release: pairs with the acquire in mia_parker_park(). After the
	 * exchange the sleeper may have left already. Then wake_parked() wakes
	 * no thread. The parker must still exist.
	 */
	if (atomic_exchange_explicit(
		    &parker->state, NOTIFIED, memory_order_release) == PARKED) {
		MIA_PROBE1(wake, parker);
		wake_parked(parker);
	}
}
