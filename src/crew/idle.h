/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * idle.h -- which workers search for work, which sleep, and who is woken
 *
 * The module knows nothing of the work itself. The protocol has two sides:
 *
 *	producer                 worker that found nothing
 *	publish the work         mia_idle_prepare()
 *	mia_idle_notify()        look for work once more
 *	                           found:   mia_idle_cancel()
 *	                           nothing: mia_idle_sleep()
 *
 * Publishing and looking must be sequentially consistent. Then one of the two
 * sides sees the other, and no work is left beside a sleeper. The Spin model is
 * tests/model/sleep.pml.
 *
 * A worker searches, works or sleeps. It begins as a searcher.
 */

#ifndef LIBMINIASYNC_IDLE_H
#define LIBMINIASYNC_IDLE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "system/platform.h"

struct mia_idle {
	/* I: init only */
	size_t nworkers;
	size_t ncpus; /* that the workers may run on */

	/* A: every producer and worker; on a line of their own. */
	_Alignas(MIA_CACHE_LINE) atomic_size_t counts; /* see idle.c */
	mia_sem tokens; /* one for each sleeper that was woken */
};

/* Workers that one struct can count. */
#define MIA_IDLE_MAX_WORKERS (((size_t)1 << (sizeof(size_t) * 4)) - 1)

/* Returns 0 or -errno. All workers are searchers then. */
int mia_idle_init(struct mia_idle *idle, size_t nworkers, size_t ncpus);
void mia_idle_fini(struct mia_idle *idle);

/*
 * Any thread, after it published work. Makes up to so many sleepers searchers,
 * at least 1. The first one only if nobody searches; the others only while
 * there are CPUs without an awake worker.
 */
void mia_idle_notify(struct mia_idle *idle, size_t searchers);

/*
 * Any thread, after it published work that is done without workers too. Makes
 * one sleeper a searcher, but only if nobody searches and there is a CPU beside
 * the awake workers and so many other threads at work.
 */
void mia_idle_notify_spare(struct mia_idle *idle, size_t others);

/* Any thread: makes all sleepers searchers. */
void mia_idle_notify_all(struct mia_idle *idle);

/*
 * A searcher goes to work. Returns true if it was the last searcher and others
 * sleep: the caller must call mia_idle_notify() if there is more work.
 */
bool mia_idle_found(struct mia_idle *idle);

/* A worker has nothing to do any more, and searches. */
void mia_idle_search(struct mia_idle *idle);

/* A hint: whether no other worker searches. */
bool mia_idle_is_only_searcher(struct mia_idle *idle);

/*
 * A searcher becomes a sleeper. It must look for work once more afterwards, and
 * then call one of the next two functions.
 */
void mia_idle_prepare(struct mia_idle *idle);

/* There is work: a searcher again. Takes its token if it was woken. */
void mia_idle_cancel(struct mia_idle *idle);

/* There is no work: sleeps until woken, as a searcher. May change errno. */
void mia_idle_sleep(struct mia_idle *idle);

#endif /* LIBMINIASYNC_IDLE_H */
