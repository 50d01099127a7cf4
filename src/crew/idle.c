/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * idle.c -- see idle.h
 *
 * counts has two halves: the number of searchers, and the number of sleepers.
 * The other workers work. A producer reads counts after it has published work.
 * If no worker searches and a worker sleeps, the producer makes one sleeper a
 * searcher and posts a token. A searcher that has found work does the same if
 * it was the last searcher and there is more work. So a system call is made
 * only in two cases: no awake worker would find the work, or the producer asks
 * for more searchers.
 *
 * No work is missed. A producer publishes, then reads counts. A worker writes
 * counts, then checks for work. These two stores and two loads are sequentially
 * consistent, so at least one side sees the other (Dekker).
 *
 * Why a producer may ask for more than one searcher: one is enough for all work
 * to be done, because each searcher that finds work wakes the next. But the
 * kernel may put the next worker on the CPU of the worker that woke it. The
 * first worker then works for long, and the next waits for milliseconds, even
 * if another CPU is idle. A thread that starts operations usually waits soon,
 * and leaves its CPU to a worker that it woke. The searchers beyond the first
 * are woken only while fewer workers are awake than there are CPUs. Otherwise
 * they would take the producer's CPU.
 */

#include "crew/idle.h"

#include "system/probe.h"

#define SEARCHER ((size_t)1)
#define SLEEPER ((size_t)1 << (sizeof(size_t) * 4))

static size_t
searchers_of(size_t counts)
{
	return counts % SLEEPER;
}

static size_t
sleepers_of(size_t counts)
{
	return counts / SLEEPER;
}

int
mia_idle_init(struct mia_idle *idle, size_t nworkers, size_t ncpus)
{
	idle->nworkers = nworkers;
	idle->ncpus = ncpus;
	atomic_init(&idle->counts, nworkers * SEARCHER);
	return mia_sem_init(&idle->tokens);
}

void
mia_idle_fini(struct mia_idle *idle)
{
	mia_sem_fini(&idle->tokens);
}

/*
 * Makes a sleeper a searcher. Seq_cst: in one order with the workers' checks.
 * Returns false if counts may have changed, and stores its value in *counts.
 */
static bool
wake_one(struct mia_idle *idle, size_t *counts)
{
	if (!atomic_compare_exchange_weak_explicit(&idle->counts, counts,
		    *counts - SLEEPER + SEARCHER, memory_order_seq_cst,
		    memory_order_seq_cst))
		return false;

	MIA_PROBE1(wake, idle);
	mia_sem_post(&idle->tokens);
	*counts += SEARCHER - SLEEPER;
	return true;
}

void
mia_idle_notify(struct mia_idle *idle, size_t searchers)
{
	size_t counts =
		atomic_load_explicit(&idle->counts, memory_order_seq_cst);
	size_t woken = 0; /* a bound: woken workers may sleep again */

	while (woken < searchers && sleepers_of(counts) > 0) {
		const bool is_first_wake =
			woken == 0 && searchers_of(counts) == 0;
		const size_t awake = idle->nworkers - sleepers_of(counts);
		const bool has_spare_cpu = awake < idle->ncpus;

		if (!is_first_wake &&
			(searchers_of(counts) >= searchers || !has_spare_cpu))
			return;
		if (wake_one(idle, &counts))
			woken++;
	}
}

void
mia_idle_notify_spare(struct mia_idle *idle, size_t others)
{
	size_t counts =
		atomic_load_explicit(&idle->counts, memory_order_seq_cst);

	while (sleepers_of(counts) > 0 && searchers_of(counts) == 0) {
		const size_t awake = idle->nworkers - sleepers_of(counts);

		if (awake + others >= idle->ncpus || wake_one(idle, &counts))
			return;
	}
}

void
mia_idle_notify_all(struct mia_idle *idle)
{
	size_t counts =
		atomic_load_explicit(&idle->counts, memory_order_seq_cst);

	while (sleepers_of(counts) > 0)
		(void)wake_one(idle, &counts);
}

/* Seq_cst, here and below: see the head of this file. */
bool
mia_idle_found(struct mia_idle *idle)
{
	const size_t counts = atomic_fetch_sub_explicit(
		&idle->counts, SEARCHER, memory_order_seq_cst);

	return searchers_of(counts) == 1 && sleepers_of(counts) > 0;
}

void
mia_idle_search(struct mia_idle *idle)
{
	atomic_fetch_add_explicit(
		&idle->counts, SEARCHER, memory_order_seq_cst);
}

bool
mia_idle_is_only_searcher(struct mia_idle *idle)
{
	/* Relaxed: a hint. */
	return searchers_of(atomic_load_explicit(
		       &idle->counts, memory_order_relaxed)) == 1;
}

void
mia_idle_prepare(struct mia_idle *idle)
{
	atomic_fetch_add_explicit(
		&idle->counts, SLEEPER - SEARCHER, memory_order_seq_cst);
}

void
mia_idle_cancel(struct mia_idle *idle)
{
	size_t counts =
		atomic_load_explicit(&idle->counts, memory_order_seq_cst);

	while (sleepers_of(counts) > 0) {
		if (atomic_compare_exchange_weak_explicit(&idle->counts,
			    &counts, counts - SLEEPER + SEARCHER,
			    memory_order_seq_cst, memory_order_seq_cst))
			return;
	}

	/* All sleepers were woken, this one too: takes its token. */
	mia_sem_wait(&idle->tokens);
}

void
mia_idle_sleep(struct mia_idle *idle)
{
	MIA_PROBE1(sleep, idle);
	mia_sem_wait(&idle->tokens);
	MIA_PROBE1(awake, idle);
}
