/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * idle.h -- which workers search for work, which sleep, and which are woken
 *
 * The module does not access the work itself. The protocol has two sides:
 *
 *	producer                 worker that found no work
 *	publish the work         mia_idle_prepare()
 *	mia_idle_notify()        check for work once more
 *	                           found:   mia_idle_cancel()
 *	                           nothing: mia_idle_sleep()
 *
 * Publishing and checking must be sequentially consistent. Then at least one
 * side sees the other, and no work waits while all workers sleep. The Spin
 * model is tests/model/sleep.pml.
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
	size_t ncpus; /* CPUs that the workers may use */

	/* A: all threads; in a cache line of their own. */
	_Alignas(MIA_CACHE_LINE) atomic_size_t counts; /* see idle.c */
	mia_sem tokens; /* one for each sleeper that was woken */
};

/* The most workers that one struct can count. */
#define MIA_IDLE_MAX_WORKERS (((size_t)1 << (sizeof(size_t) * 4)) - 1)

/* Returns 0 or -errno. All workers are searchers at first. */
int mia_idle_init(struct mia_idle *idle, size_t nworkers, size_t ncpus);
void mia_idle_fini(struct mia_idle *idle);

/*
 * Any thread, after it has published work. searchers is the number of searchers
 * that the work needs, at least 1. Makes one sleeper a searcher if no worker
 * searches. Makes further sleepers searchers until there are enough, while
 * there are CPUs without an awake worker. Wakes at most this number of workers.
 */
void mia_idle_notify(struct mia_idle *idle, size_t searchers);

/*
 * Any thread, after it has published work that is done without workers too.
 * others is the number of other threads that work. Makes one sleeper a searcher
 * only if no worker searches, and if the awake workers and the others leave a
 * CPU free.
 */
void mia_idle_notify_spare(struct mia_idle *idle, size_t others);

/* Any thread: makes all sleepers searchers. */
void mia_idle_notify_all(struct mia_idle *idle);

/*
 * A searcher has found work. Returns true if it was the last searcher and other
 * workers sleep. If there is more work, the caller must then call
 * mia_idle_notify() or mia_idle_notify_spare().
 */
bool mia_idle_found(struct mia_idle *idle);

/* A worker has no more work, and becomes a searcher. */
void mia_idle_search(struct mia_idle *idle);

/* A searcher, a hint: whether no other worker searches. */
bool mia_idle_is_only_searcher(struct mia_idle *idle);

/*
 * A searcher becomes a sleeper. It must check for work once more afterwards,
 * and then call one of the next two functions.
 */
void mia_idle_prepare(struct mia_idle *idle);

/* There is work: a searcher again. If it was woken, takes its token. */
void mia_idle_cancel(struct mia_idle *idle);

/* There is no work: sleeps until woken, then a searcher. May change errno. */
void mia_idle_sleep(struct mia_idle *idle);

#endif /* LIBMINIASYNC_IDLE_H */
