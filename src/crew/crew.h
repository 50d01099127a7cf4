/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * crew.h -- worker threads: start, search, run, sleep, stop
 *
 * A crew takes items from its backlog, and helps with work that is shared. It
 * knows nothing of items: functions of its user run and help. Workers sleep
 * while there is nothing to do.
 *
 * Threads: any thread submits. Workers call run() and help(), several at once.
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
	/* Does an item of the backlog. It may be gone afterwards. */
	void (*run)(void *arg, struct mia_backlog_node *node);
	/* Helps with work that the worker has joined, and leaves it soon. */
	void (*help)(void *arg, struct mia_shared *shared);
	/*
	 * One of these ends the calling thread, and does not return. Submits
	 * what it has left. Another thread goes on: see system/lasting.h.
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
 * nworkers       from 1 to MIA_IDLE_MAX_WORKERS
 * ncpus          that the workers may use: bounds how many are woken
 * ring_capacity  see mia_backlog_init()
 * Returns        0, or -errno with nothing left behind
 */
int mia_crew_init(struct mia_crew *crew, size_t nworkers, size_t ncpus,
	size_t ring_capacity, struct mia_work_fns fns);

/*
 * Whether this is a process that was forked later. It has no workers, and their
 * locks may be locked for ever. So only mia_crew_fini() may be called there.
 */
static inline bool
mia_crew_is_lost(const struct mia_crew *crew)
{
	return mia_forked_since(crew->forks);
}

/*
 * Waits until the workers have done all submitted items, and have ended. They
 * also do shared work whose thread has gone away; nobody completes that. Of a
 * lost crew it frees the memory, and waits for nothing.
 */
void mia_crew_fini(struct mia_crew *crew);

/* Which workers a new item wakes, if they sleep; see idle.c for the reasons. */
enum mia_crew_wake {
	MIA_CREW_WAKE_ONE,         /* one, which wakes the next */
	MIA_CREW_WAKE_EACH,        /* one for each item that waits */
	MIA_CREW_WAKE_EACH_SHARED, /* and one more, which helps */
};

void mia_crew_submit(struct mia_crew *crew, struct mia_backlog_node *node,
	enum mia_crew_wake wake);

/*
 * Opens shared work, see mia_sharing_open(), and wakes a worker to help. For a
 * thread that is no worker only if that is worth a wake, and there is a CPU for
 * the worker.
 */
void mia_crew_share(struct mia_crew *crew, struct mia_shared *shared,
	size_t total, size_t show_min, enum mia_opener opener);

/* Wakes a worker to help if work is shown and there is a CPU for the worker. */
void mia_crew_want_help(struct mia_crew *crew);

#endif /* LIBMINIASYNC_CREW_H */
