/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * crew.c -- see crew.h
 *
 * A worker ends if it finds stop set, and then finds no work. The search after
 * the read of stop finds each item that was submitted before stop, with two
 * exceptions. Another worker may have taken the item, or may be moving it from
 * the overflow to the ring. So the worker checks the backlog once more.
 */

#include "crew/crew.h"

#include <errno.h>
#include <stdlib.h>

#include "system/backoff.h"
#include "system/cpus.h"
#include "system/lasting.h"

struct mia_worker {
	struct mia_crew *crew; /* I */
	size_t number;         /* I */
	struct mia_lasting thread;
	struct mia_yields yields;
	unsigned turn;  /* of mia_sharing_join() */
	int opener_cpu; /* of the thread that it helped last, or -1 */
};

/* Work to do: at most one member is not NULL. */
struct work {
	struct mia_backlog_node *node;
	struct mia_shared *shared;
};

static bool
is_nothing(struct work work)
{
	return work.node == NULL && work.shared == NULL;
}

/* Sequentially consistent with submit and share: see idle.h. */
static bool
has_work(struct mia_crew *crew)
{
	return !mia_backlog_is_empty(&crew->backlog) ||
		mia_sharing_has_work(&crew->sharing);
}

/* Seq_cst: pairs with the store in stop_workers(), as idle.h says. */
static bool
is_stopped(struct mia_crew *crew)
{
	return atomic_load_explicit(&crew->stop, memory_order_seq_cst);
}

static struct work
take_work(struct mia_worker *worker)
{
	struct mia_crew *crew = worker->crew;
	struct work work = {mia_backlog_pop(&crew->backlog), NULL};

	if (work.node == NULL)
		work.shared = mia_sharing_join(
			&crew->sharing, worker->turn++, &worker->opener_cpu);
	return work;
}

/* Searches once, or for MIA_SLEEP_COST_NS while it is the only searcher. */
static struct work
search(struct mia_worker *worker)
{
	struct mia_crew *crew = worker->crew;
	struct mia_linger linger;
	struct work work;

	mia_linger_begin(&linger, &worker->yields,
		crew->idle.ncpus > 1 ? MIA_LINGER_BY_PAUSES
				     : MIA_LINGER_BY_YIELDS,
		MIA_SLEEP_COST_NS);
	do
		work = take_work(worker);
	while (is_nothing(work) && mia_idle_is_only_searcher(&crew->idle) &&
		mia_linger(&linger));
	return work;
}

/*
 * A searcher sleeps until it is notified, unless there is work. The thread that
 * it helped last usually wakes it, so it avoids the CPU of that thread.
 */
static void
sleep_until_notified(struct mia_worker *worker)
{
	struct mia_crew *crew = worker->crew;
	struct mia_avoidance *avoidance = worker->opener_cpu == -1
		? NULL
		: mia_cpu_avoid(worker->opener_cpu);

	mia_idle_prepare(&crew->idle);
	if (has_work(crew) || is_stopped(crew))
		mia_idle_cancel(&crew->idle);
	else
		mia_idle_sleep(&crew->idle);
	mia_cpu_allow(avoidance);
	worker->opener_cpu = -1;
}

/*
 * The last searcher has found work. The backlog needs another searcher. Shared
 * work has a thread already, and gets help only if a CPU is free.
 */
static void
replace_searcher(struct mia_crew *crew)
{
	if (!mia_backlog_is_empty(&crew->backlog))
		mia_idle_notify(&crew->idle, 1);
	else
		mia_crew_want_help(crew);
}

/* Works until no work is left, or until run() or help() returns in a child. */
static void
run_all(struct mia_worker *worker, struct work work)
{
	struct mia_crew *crew = worker->crew;

	if (mia_idle_found(&crew->idle))
		replace_searcher(crew);
	for (; !is_nothing(work); work = take_work(worker)) {
		if (work.node != NULL)
			crew->fns.run(crew->fns.arg, work.node);
		else
			crew->fns.help(crew->fns.arg, work.shared);
		if (mia_crew_is_lost(crew))
			return;
	}
	mia_idle_search(&crew->idle);
}

static void
worker_run(void *arg)
{
	struct mia_worker *worker = arg;
	struct mia_crew *crew = worker->crew;

	mia_thread_name(worker->number);

	while (!mia_crew_is_lost(crew)) {
		/* Read before the search: see the head of this file. */
		const bool stopped = is_stopped(crew);
		const struct work work = search(worker);

		if (!is_nothing(work))
			run_all(worker, work);
		else if (stopped && mia_backlog_is_empty(&crew->backlog))
			return;
		else
			sleep_until_notified(worker);
	}
}

/* The thread has ended in run() or help(). The next begins as a searcher. */
static void
worker_exited(void *arg)
{
	struct mia_worker *worker = arg;
	struct mia_crew *crew = worker->crew;

	crew->fns.exited(crew->fns.arg);
	mia_idle_search(&crew->idle);
}

/* Ends the first n workers, after they have done all submitted items. */
static void
stop_workers(struct mia_crew *crew, size_t n)
{
	/* Seq_cst: published before the sleepers are read. */
	atomic_store_explicit(&crew->stop, true, memory_order_seq_cst);
	mia_idle_notify_all(&crew->idle);
	for (size_t i = 0; i < n; i++)
		mia_lasting_join(&crew->workers[i].thread);
}

/* Starts the workers. Returns 0, or -errno; then no worker runs. */
static int
start_workers(struct mia_crew *crew)
{
	for (size_t i = 0; i < crew->nworkers; i++) {
		struct mia_worker *worker = &crew->workers[i];

		worker->crew = crew;
		worker->number = i;
		worker->opener_cpu = -1;

		const int error = mia_lasting_start(
			&worker->thread, worker_run, worker_exited, worker);

		if (error != 0) {
			stop_workers(crew, i);
			return error;
		}
	}

	return 0;
}

int
mia_crew_init(struct mia_crew *crew, size_t nworkers, size_t ncpus,
	size_t ring_capacity, struct mia_work_fns fns)
{
	crew->fns = fns;
	crew->nworkers = nworkers;
	crew->forks = mia_forks();
	atomic_init(&crew->stop, false);

	int error = mia_backlog_init(&crew->backlog, ring_capacity);

	if (error != 0)
		return error;

	error = mia_sharing_init(&crew->sharing, ncpus);
	if (error != 0)
		goto fini_backlog;

	error = mia_idle_init(&crew->idle, nworkers, ncpus);
	if (error != 0)
		goto fini_sharing;

	error = -ENOMEM;
	crew->workers = calloc(nworkers, sizeof(*crew->workers));
	if (crew->workers != NULL)
		error = start_workers(crew);
	if (error == 0)
		return 0;

	free(crew->workers);
	mia_idle_fini(&crew->idle);
fini_sharing:
	mia_sharing_fini(&crew->sharing);
fini_backlog:
	mia_backlog_fini(&crew->backlog);
	return error;
}

void
mia_crew_fini(struct mia_crew *crew)
{
	if (mia_crew_is_lost(crew)) {
		/* Keeps the locks: destroying a locked lock is undefined. */
		mia_aligned_free(crew->sharing.stripes);
		mia_queue_fini(&crew->backlog.ring);
	} else {
		mia_sharing_show_all(&crew->sharing);
		stop_workers(crew, crew->nworkers);
		mia_idle_fini(&crew->idle);
		mia_sharing_fini(&crew->sharing);
		mia_backlog_fini(&crew->backlog);
	}
	free(crew->workers);
}

void
mia_crew_submit(struct mia_crew *crew, struct mia_backlog_node *node,
	enum mia_crew_wake wake)
{
	size_t searchers = 1;

	mia_backlog_push(&crew->backlog, node);
	if (wake != MIA_CREW_WAKE_ONE) {
		const size_t waiting = mia_backlog_length(&crew->backlog);

		if (waiting > 0)
			searchers = waiting;
		if (wake == MIA_CREW_WAKE_EACH_SHARED)
			searchers++;
	}
	mia_idle_notify(&crew->idle, searchers);
}

void
mia_crew_share(struct mia_crew *crew, struct mia_shared *shared, size_t total,
	size_t show_min, enum mia_opener opener)
{
	const enum mia_showing showing = mia_sharing_open(
		&crew->sharing, shared, total, show_min, opener);

	if (opener == MIA_OPENER_WORKER)
		mia_idle_notify(&crew->idle, 1);
	else if (showing == MIA_WORTH_A_WAKE)
		mia_crew_want_help(crew);
}

void
mia_crew_want_help(struct mia_crew *crew)
{
	if (mia_sharing_has_work(&crew->sharing))
		mia_idle_notify_spare(
			&crew->idle, mia_sharing_others(&crew->sharing));
}
