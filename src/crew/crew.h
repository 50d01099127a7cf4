/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * crew.h -- worker threads: start, search, run, sleep, stop
 *
 * The workers of a crew take items from its backlog, and help with shared work.
 * A crew does not read items: functions of its user run items and help. Workers
 * sleep while there is no work.
 *
 * Threads: any thread may submit. Several workers call run() and help() at the
 * same time.
 */

#ifndef LIBMINIASYNC_CREW_H
#define LIBMINIASYNC_CREW_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crew/backlog.h"
#include "crew/idle.h"
#include "crew/sharing.h"
#include "system/forks.h"
#include "system/platform.h"

struct mia_worker;

struct mia_work_fns {
	/* Does an item of the backlog. The item may then be freed. */
	void (*run)(void *arg, struct mia_backlog_node *node);
	/* Helps with work that the worker has joined, and leaves the work. */
	void (*help)(void *arg, struct mia_shared *shared);
	/*
	 * Called on a thread that run() or help() has ended. Submits the
	 * unfinished part of the work. Another thread continues, or this thread
	 * if none can be started: see system/lasting.h.
	 */
	void (*exited)(void *arg);
	void *arg;
};

struct mia_crew {
	/* I: init only */
	struct mia_work_fns fns;
	size_t nworkers;
	struct mia_worker *workers;
	uint32_t forks; /* mia_forks() of the process that has the workers */

	struct mia_backlog backlog;
	struct mia_sharing sharing;
	struct mia_idle idle;
	atomic_bool stop;
};

/*
 * nworkers       1 to MIA_IDLE_MAX_WORKERS
 * ncpus          CPUs that the workers may use; limits the number of wakes
 * ring_capacity  see mia_backlog_init()
 * Returns        0, or -errno with nothing left allocated
 */
int mia_crew_init(struct mia_crew *crew, size_t nworkers, size_t ncpus,
	size_t ring_capacity, struct mia_work_fns fns);

/*
 * Whether this process was forked after mia_crew_init(). Such a process has no
 * workers, and the crew's locks may be locked for ever. So only mia_crew_fini()
 * may be called there.
 */
static inline bool
mia_crew_is_lost(const struct mia_crew *crew)
{
	return mia_forked_since(crew->forks);
}

/*
 * Waits until the workers have done all submitted items, and have ended. The
 * workers also do shared work whose thread has gone away, but no thread
 * completes that work. If the crew is lost, frees the memory without waiting.
 */
void mia_crew_fini(struct mia_crew *crew);

/* The sleeping workers that a new item wakes; see idle.c for the reasons. */
enum mia_crew_wake {
	MIA_CREW_WAKE_ONE,         /* one, which wakes the next */
	MIA_CREW_WAKE_EACH,        /* one for each item that waits */
	MIA_CREW_WAKE_EACH_SHARED, /* and one more, which helps */
};

void mia_crew_submit(struct mia_crew *crew, struct mia_backlog_node *node,
	enum mia_crew_wake wake);

/*
 * Opens shared work, see mia_sharing_open(), and wakes a worker to help. For a
 * thread other than a worker, wakes only if the work is worth a wake and a CPU
 * is free for the worker.
 */
void mia_crew_share(struct mia_crew *crew, struct mia_shared *shared,
	size_t total, size_t show_min, enum mia_opener opener);

/* Wakes a worker to help if work is shown and a CPU is free for the worker. */
void mia_crew_want_help(struct mia_crew *crew);

#endif /* LIBMINIASYNC_CREW_H */
