/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * backoff.h -- how a thread waits for a short time: pause, yield, nap
 *
 * A waiting thread first pauses its CPU, because the other thread probably runs
 * on another CPU. Then it yields, because the other thread may need this CPU.
 * Then it sleeps. There are four forms:
 *
 *	mia_spin     waits for a few instructions of another thread
 *	mia_yield    yields the CPU, as long as yields are short
 *	mia_linger   stays awake for a short time before a sleep
 *	mia_backoff  waits between attempts, each time longer
 *
 * Threads: each struct belongs to one thread. All functions keep errno.
 */

#ifndef LIBMINIASYNC_BACKOFF_H
#define LIBMINIASYNC_BACKOFF_H 1

#include <stdbool.h>
#include <stdint.h>

/*
 * The time to fall asleep and to be woken, together. If work arrives within
 * this time, a thread should stay awake.
 */
#define MIA_SLEEP_COST_NS UINT64_C(70000)

/*
 * For a lock that is held for some hundred instructions. Measured: 4 threads on
 * 2 CPUs all enter one lock. An operation takes 13.4 ns with 16 pauses, 16.5
 * with 128, and 17.8 with 1,000 (medians of 5 runs).
 */
#define MIA_SPIN_LOCK ((struct mia_spin){.pauses = 16, .yields = 64})

/* For a function of the program that another thread is running. */
#define MIA_SPIN_CALL ((struct mia_spin){.pauses = 128, .yields = 64})

/* The remaining turns. */
struct mia_spin {
	unsigned pauses;
	unsigned yields;
};

/*
 * Makes one turn: a CPU pause of about 40 ns, later a yield, and at last a nap.
 * The nap is needed because a real-time thread does not yield to other threads.
 * Returns false for a pause: reading the clock after each pause would cost too
 * much.
 */
bool mia_spin(struct mia_spin *spin);

/*
 * All zero at first. Keep it for the whole life of a thread, because it adapts.
 */
struct mia_yields {
	unsigned left_out; /* still to leave out */
	unsigned next;     /* to leave out after the next long yield */
};

/*
 * Yields once. If a thread of another program gets the CPU, it keeps the CPU
 * for milliseconds. Therefore the yields after a long yield are left out.
 * Returns false if this yield was left out. Then the caller should sleep.
 */
bool mia_yield(struct mia_yields *yields);

struct mia_linger {
	struct mia_yields *yields;
	unsigned pauses;   /* still to make */
	uint64_t start_ns; /* 0: not started */
	uint64_t max_ns;
};

/* Begin with pauses if another CPU may provide the work. */
enum mia_linger_start { MIA_LINGER_BY_PAUSES, MIA_LINGER_BY_YIELDS };

/* max_ns is MIA_SLEEP_COST_NS, or less if earlier lingers were in vain. */
void mia_linger_begin(struct mia_linger *linger, struct mia_yields *yields,
	enum mia_linger_start start, uint64_t max_ns);

/*
 * Makes one turn. The caller checks for work between two turns. Returns false
 * if the time is over, or if yields are too long.
 */
bool mia_linger(struct mia_linger *linger);

struct mia_backoff {
	struct mia_yields *yields;
	unsigned passes;
	uint64_t nap_ns; /* of the next nap */
};

void mia_backoff_init(struct mia_backoff *backoff, struct mia_yields *yields);

/* Call this after an attempt that made progress: the pauses are short again. */
void mia_backoff_reset(struct mia_backoff *backoff);

/*
 * Call this between two attempts. Returns 0 if the call has waited itself.
 * Otherwise returns the nanoseconds that the caller should sleep in its own
 * way, 20,000 to 4,000,000.
 */
uint64_t mia_backoff_pause(struct mia_backoff *backoff);

#endif /* LIBMINIASYNC_BACKOFF_H */
