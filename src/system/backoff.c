/* SPDX-License-Identifier: BSD-3-Clause */

/* backoff.c -- see backoff.h */

#include "system/backoff.h"

#include "libminiasync/future.h"
#include "system/platform.h"

/* The length of a nap, if yields do not help. */
#define NAP_NS UINT64_C(50000)

/* A longer yield has run a thread of another program for a time slice. */
#define YIELD_LONG_NS UINT64_C(500000)

/* Yields that are left out after a long yield: each time twice as many. */
#define YIELD_MIN_SKIPS 16
#define YIELD_MAX_SKIPS 1024

#define LINGER_PAUSES 64

/*
 * A backoff has three phases. SPIN_PASSES passes make 1, 2, 4, ... and then
 * SPIN_MAX_PAUSES CPU pauses of about 40 ns. YIELD_PASSES passes yield the CPU.
 * Then each pass is a nap. Naps grow by a quarter up to NAP_SLOW_NS, after 5
 * ms. Then they grow by a 32nd up to NAP_MAX_NS, after 100 ms. A nap costs
 * about 15 us of CPU on a virtual machine.
 */
#define SPIN_PASSES 32
#define SPIN_MAX_PAUSES 32u
#define YIELD_PASSES 32
#define NAP_MIN_NS UINT64_C(20000)
#define NAP_SLOW_NS UINT64_C(1000000)
#define NAP_MAX_NS UINT64_C(4000000)

bool
mia_spin(struct mia_spin *spin)
{
	if (spin->pauses > 0) {
		spin->pauses--;
		future_cpu_pause_impl();
		return false;
	}

	if (spin->yields > 0) {
		spin->yields--;
		mia_thread_yield();
	} else {
		mia_sleep(NAP_NS);
	}
	return true;
}

#if defined(__ELF__)
MIA_PUBLIC void
future_nap_impl(void)
{
	mia_sleep(NAP_NS);
}
#endif

bool
mia_yield(struct mia_yields *yields)
{
	if (yields->left_out > 0) {
		yields->left_out--;
		return false;
	}

	const uint64_t start = mia_clock_ns();

	mia_thread_yield();
	if (mia_clock_ns() - start < YIELD_LONG_NS) {
		if (yields->next > YIELD_MIN_SKIPS)
			yields->next--;
		return true;
	}

	if (yields->next < YIELD_MIN_SKIPS)
		yields->next = YIELD_MIN_SKIPS;
	yields->left_out = yields->next;
	if (yields->next < YIELD_MAX_SKIPS)
		yields->next *= 2;
	return true;
}

void
mia_linger_begin(struct mia_linger *linger, struct mia_yields *yields,
	enum mia_linger_start start, uint64_t max_ns)
{
	linger->yields = yields;
	linger->pauses = start == MIA_LINGER_BY_PAUSES ? LINGER_PAUSES : 0;
	linger->start_ns = 0;
	linger->max_ns = max_ns;
}

bool
mia_linger(struct mia_linger *linger)
{
	if (linger->pauses > 0) {
		linger->pauses--;
		future_cpu_pause_impl();
		return true;
	}

	const uint64_t now = mia_clock_ns();

	if (linger->start_ns == 0)
		linger->start_ns = now;
	return now - linger->start_ns < linger->max_ns &&
		mia_yield(linger->yields);
}

void
mia_backoff_init(struct mia_backoff *backoff, struct mia_yields *yields)
{
	backoff->yields = yields;
	mia_backoff_reset(backoff);
}

void
mia_backoff_reset(struct mia_backoff *backoff)
{
	backoff->passes = 0;
	backoff->nap_ns = NAP_MIN_NS;
}

/* Makes the CPU pauses of a pass: 1, 2, 4, ... */
static void
pause_cpu(unsigned passes)
{
	unsigned pauses = SPIN_MAX_PAUSES;

	if (passes < 5)
		pauses = 1u << passes;
	while (pauses-- > 0)
		future_cpu_pause_impl();
}

uint64_t
mia_backoff_pause(struct mia_backoff *backoff)
{
	const unsigned passes = backoff->passes;

	if (passes < SPIN_PASSES) {
		pause_cpu(passes);
		backoff->passes++;
		return 0;
	}
	if (passes < SPIN_PASSES + YIELD_PASSES && mia_yield(backoff->yields)) {
		backoff->passes++;
		return 0;
	}

	const uint64_t nap_ns = backoff->nap_ns;

	backoff->nap_ns += nap_ns / (nap_ns < NAP_SLOW_NS ? 4 : 32);
	if (backoff->nap_ns > NAP_MAX_NS)
		backoff->nap_ns = NAP_MAX_NS;
	return nap_ns;
}
