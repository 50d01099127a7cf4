/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * backoff.h -- how a thread passes a short time
 *
 * A waiting thread pauses its CPU at first, while the other thread probably
 * runs on another CPU. Then it yields, because the other thread may need this
 * CPU. Then it sleeps. Four forms:
 *
 *	mia_spin     waits for a few instructions of another thread
 *	mia_yield    yields the CPU, as long as that is a short wait
 *	mia_linger   stays awake for a moment before a sleep
 *	mia_backoff  passes the time between attempts, longer and longer
 *
 * Threads: each struct belongs to one thread. All functions keep errno.
 */

#ifndef LIBMINIASYNC_BACKOFF_H
#define LIBMINIASYNC_BACKOFF_H 1

#include <stdbool.h>
#include <stdint.h>

/*
 * Nanoseconds that falling asleep and being woken take together. A thread that
 * finds something to do within this time was right not to sleep.
 */
#define MIA_SLEEP_COST_NS UINT64_C(70000)

/*
 * A lock that is held for some hundred instructions. 4 threads on 2 CPUs that
 * all enter one took 13.4 ns an operation with 16 pauses, 16.5 with 128, 17.8
 * with 1,000 (medians of 5 runs).
 */
#define MIA_SPIN_LOCK ((struct mia_spin){.pauses = 16, .yields = 64})

/* A function of the program that another thread is inside of. */
#define MIA_SPIN_CALL ((struct mia_spin){.pauses = 128, .yields = 64})

/* Turns that are left. */
struct mia_spin {
	unsigned pauses;
	unsigned yields;
};

/*
 * One turn: a CPU pause of some 40 ns, later a yield, at last a nap. A thread
 * of real-time priority yields to no other, so the nap is needed. Returns false
 * for a pause: reading the clock then would take longer than the turn.
 */
bool mia_spin(struct mia_spin *spin);

/* Zero at first; for the whole life of a thread, because it adapts. */
struct mia_yields {
	unsigned left_out; /* so many more */
	unsigned next;     /* to leave out after the next yield that is long */
};

/*
 * Yields once. If another program's thread takes the CPU, it keeps the CPU for
 * milliseconds. After a yield that took long the next ones are therefore left
 * out. Returns false if this one was: the caller should sleep.
 */
bool mia_yield(struct mia_yields *yields);

struct mia_linger {
	struct mia_yields *yields;
	unsigned pauses;   /* left */
	uint64_t start_ns; /* 0: not yet */
	uint64_t max_ns;
};

/* Pauses make sense if another CPU may make the work. */
enum mia_linger_start { MIA_LINGER_BY_PAUSES, MIA_LINGER_BY_YIELDS };

/* max_ns is MIA_SLEEP_COST_NS, or less if that was in vain before. */
void mia_linger_begin(struct mia_linger *linger, struct mia_yields *yields,
	enum mia_linger_start start, uint64_t max_ns);

/*
 * One turn; the caller looks for work between two. False: the time is over, or
 * yields are too long.
 */
bool mia_linger(struct mia_linger *linger);

struct mia_backoff {
	struct mia_yields *yields;
	unsigned passes;
	uint64_t nap_ns; /* the next */
};

void mia_backoff_init(struct mia_backoff *backoff, struct mia_yields *yields);

/* An attempt made progress: the pauses are short again. */
void mia_backoff_reset(struct mia_backoff *backoff);

/*
 * Between two attempts. Returns 0 when it has passed the time by itself.
 * Otherwise returns the nanoseconds, from 20,000 to 4,000,000, that the caller
 * should sleep in its own way.
 */
uint64_t mia_backoff_pause(struct mia_backoff *backoff);

#endif /* LIBMINIASYNC_BACKOFF_H */
