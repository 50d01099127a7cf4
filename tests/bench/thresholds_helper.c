/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * thresholds_helper.c -- copies alone, and with a helper
 */

#include "thresholds.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINGER_NS 70e3

/*
 * One copy by the caller and a helper. Both take chunks from a shared counter.
 * The caller writes the job before posted, and reuses it after finished.
 */
enum { CHUNK = 64 * 1024 };

static struct helper {
	pthread_t thread;
	sem_t wake;
	double linger_ns;
	size_t at, size;    /* the job. 0: end */
	atomic_size_t next; /* chunk */
	atomic_size_t done; /* chunks */
	atomic_uint posted, finished;
	atomic_uint is_asleep; /* who clears it decides about the semaphore */
} helper;

static void
take_chunks(struct helper *h)
{
	size_t i;

	while ((i = CHUNK * atomic_fetch_add(&h->next, 1)) < h->size) {
		copy(dst + h->at + i, src + h->at + i,
			h->size - i < CHUNK ? h->size - i : CHUNK);
		atomic_fetch_add(&h->done, 1);
	}
}

/* Returns when another job than the one seen is posted. */
static unsigned
next_job(struct helper *h, unsigned seen)
{
	const double end = now_ns() + h->linger_ns;

	while (atomic_load(&h->posted) == seen && now_ns() < end)
		cpu_pause();
	while (atomic_load(&h->posted) == seen) {
		atomic_store(&h->is_asleep, 1);
		if (atomic_load(&h->posted) == seen ||
			!atomic_exchange(&h->is_asleep, 0))
			sem_wait_always(&h->wake);
	}
	return atomic_load(&h->posted);
}

static void *
helper_run(void *arg)
{
	struct helper *h = arg;
	unsigned seen = 0;

	bind_thread(1);
	for (;;) {
		seen = next_job(h, seen);
		if (h->size == 0)
			return NULL;
		take_chunks(h);
		atomic_store(&h->finished, seen);
	}
}

static void
post_job(struct helper *h, size_t at, size_t size)
{
	h->at = at;
	h->size = size;
	atomic_store(&h->next, 0);
	atomic_store(&h->done, 0);
	atomic_fetch_add(&h->posted, 1);
	if (atomic_exchange(&h->is_asleep, 0))
		sem_post(&h->wake);
}

static double
copy_helped(struct helper *h, size_t at, size_t size)
{
	const double start = now_ns();

	post_job(h, at, size);
	take_chunks(h);
	while (atomic_load(&h->done) < (size + CHUNK - 1) / CHUNK)
		cpu_pause();

	const double ns = now_ns() - start;

	while (atomic_load(&h->finished) != atomic_load(&h->posted))
		cpu_pause(); /* it may have come too late for a chunk */
	return ns;
}

static double
copy_alone(size_t at, size_t size)
{
	const double start = now_ns();

	for (size_t i = 0; i < size; i += CHUNK)
		copy(dst + at + i, src + at + i,
			size - i < CHUNK ? size - i : CHUNK);
	return now_ns() - start;
}

/* A copy alone and with a helper. */
struct pair {
	double alone_ns, helped_ns;
};

enum use { REPEATED, SINGLE };

/*
 * The sides take turns in blocks, because a repeated use follows another one.
 * The first copies of a block do not count.
 */
enum { BLOCK = 20, NOT_COUNTED = 5 };

static struct pair
measure_pair(size_t size, bool is_cold, enum use use)
{
	static double ns[2][MAX_SAMPLES];
	static size_t at; /* goes on, so that cold bytes stay cold */
	int n = 0;

	if (!is_cold)
		at = 0;
	for (; n < samples; n += BLOCK) {
		for (int helped = 0; helped < 2; helped++) {
			for (int i = -NOT_COUNTED; i < BLOCK; i++) {
				if (use == SINGLE)
					sleep_us(300); /* it falls asleep */
				if (is_cold)
					at = at + 2 * size <= buffer_size
						? at + size
						: 0;

				const double t = helped
					? copy_helped(&helper, at, size)
					: copy_alone(at, size);

				if (i >= 0)
					ns[helped][n + i] = t;
			}
		}
	}
	return (struct pair){median(ns[0], n), median(ns[1], n)};
}

static void
report_helper(enum use use)
{
	size_t pays[2] = {0, 0};

	printf("\n%-34s%12s%24s\n",
		use == REPEATED ? "a helper that lingers for 70 us"
				: "a helper that sleeps",
		"hot, us", "cold, us");
	printf("%16s%12s%12s%12s%12s\n", "", "alone", "helped", "alone",
		"helped");
	for (size_t size = 128 * KIB; size <= largest_copy; size *= 2) {
		struct pair p[2];

		for (int cold = 0; cold < 2; cold++) {
			p[cold] = measure_pair(size, cold, use);
			if (p[cold].helped_ns >= p[cold].alone_ns)
				pays[cold] = 0;
			else if (pays[cold] == 0)
				pays[cold] = size;
		}
		printf("%5zu KiB%7s%12.1f%12.1f%12.1f%12.1f\n", size / KIB, "",
			p[0].alone_ns / 1e3, p[0].helped_ns / 1e3,
			p[1].alone_ns / 1e3, p[1].helped_ns / 1e3);
		fflush(stdout);
	}
	printf("pays from, KiB  ");
	for (int cold = 0; cold < 2; cold++) {
		if (pays[cold] != 0)
			printf("%24zu", pays[cold] / KIB);
		else
			printf("%24s", "never");
	}
	putchar('\n');
}

static void
verify_helped(void)
{
	memset(dst, 1, largest_copy);
	copy_helped(&helper, 0, largest_copy);
	if (memcmp(dst, src, largest_copy) != 0)
		fail("wrong bytes after a copy with a helper");
}

void
report_helpers(void)
{
	for (int use = REPEATED; use <= SINGLE; use++) {
		helper = (struct helper){
			.linger_ns = use == REPEATED ? LINGER_NS : 0};
		if (sem_init(&helper.wake, 0, 0) != 0)
			fail("cannot make a semaphore");
		start_thread(&helper.thread, helper_run, &helper);
		verify_helped();
		report_helper((enum use)use);
		post_job(&helper, 0, 0);
		pthread_join(helper.thread, NULL);
		sem_destroy(&helper.wake);
	}
}
