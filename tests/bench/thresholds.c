/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * thresholds.c -- measures on this machine what the threads mover's thresholds
 * depend on
 *
 *	thresholds [--quick]
 *
 * The threads mover cuts copies into pieces of about 12 us, and wakes a thread
 * to help with a copy if enough of the copy is left. This program tells how
 * many bytes that is: from the times of a wake and of memcpy(), and directly,
 * by copies with and without a helper. The program needs nothing of the
 * library. All figures are medians. Each of the two threads is bound to a CPU,
 * so that the system does not put both on one.
 *
 * Hot: the same bytes again and again. Cold: each copy has other bytes, from
 * more memory than the last cache holds.
 */

#include "thresholds.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE_NS 15e3

int samples = 200;
static size_t most_memory = 512 * MIB; /* for one of two buffers */
size_t largest_copy = 8 * MIB;

_Noreturn void
fail(const char *what)
{
	fprintf(stderr, "thresholds: %s\n", what);
	exit(1);
}

double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

void
sleep_us(long us)
{
	const struct timespec ts = {0, us * 1000};

	nanosleep(&ts, NULL);
}

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

void
sem_wait_always(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		continue;
}

/* CPUs for the caller and the other thread: the first two that are usable. */
static size_t cpus[2], ncpus;

void
bind_thread(int which)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus[which], &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("cannot bind a thread to a CPU");
}

static void
choose_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		fail("cannot read which CPUs are usable");
	for (size_t i = 0; i < CPU_SETSIZE && ncpus < 2; i++) {
		if (CPU_ISSET(i, &set))
			cpus[ncpus++] = i;
	}
	bind_thread(0);
}

void
start_thread(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	if (pthread_create(thread, NULL, run, arg) != 0)
		fail("cannot start a thread");
}

void
copy(char *to, const char *from, size_t size)
{
	memcpy(to, from, size);
	__asm__ __volatile__("" : : "r"(to) : "memory");
}

char *dst, *src;
size_t buffer_size;

struct caches {
	size_t l2, last;
};

static struct caches
caches_of_cpu(void)
{
	struct caches c = {MIB, 32 * MIB};

#ifdef _SC_LEVEL2_CACHE_SIZE
	if (sysconf(_SC_LEVEL2_CACHE_SIZE) > 0)
		c.l2 = (size_t)sysconf(_SC_LEVEL2_CACHE_SIZE);
	if (sysconf(_SC_LEVEL3_CACHE_SIZE) > 0)
		c.last = (size_t)sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
	return c;
}

static void
make_buffers(struct caches caches)
{
	buffer_size = 4 * caches.last / MIB * MIB;
	if (buffer_size > most_memory)
		buffer_size = most_memory;
	dst = malloc(buffer_size);
	src = malloc(buffer_size);
	if (dst == NULL || src == NULL)
		fail("out of memory");
	memset(dst, 1, buffer_size);
	memset(src, 2, buffer_size);
}

/* The clock and a wake */

static double
clock_cost(void)
{
	enum { READS = 100000 };
	const double start = now_ns();

	for (int i = 0; i < READS; i++)
		now_ns();
	return (now_ns() - start) / READS;
}

struct sleeper {
	sem_t wake;
	_Atomic uint64_t woken_ns; /* 0: asleep */
	int wakes;
};

static void *
sleeper_run(void *arg)
{
	struct sleeper *s = arg;

	bind_thread(1);
	for (int i = 0; i < s->wakes; i++) {
		sem_wait_always(&s->wake);
		atomic_store(&s->woken_ns, (uint64_t)now_ns());
	}
	return NULL;
}

struct wake {
	double call_ns;  /* the caller's time in sem_post() */
	double start_ns; /* from the call until the thread runs */
};

/* The caller stays awake meanwhile, as if it had other work. */
static struct wake
wake_cost(long asleep_us)
{
	static double call[MAX_SAMPLES], start[MAX_SAMPLES];
	struct sleeper s = {.wakes = samples};
	pthread_t thread;

	if (sem_init(&s.wake, 0, 0) != 0)
		fail("cannot make a semaphore");
	start_thread(&thread, sleeper_run, &s);
	for (int i = 0; i < samples; i++) {
		uint64_t woken;

		sleep_us(asleep_us);
		atomic_store(&s.woken_ns, 0);

		const double begin = now_ns();

		sem_post(&s.wake);
		call[i] = now_ns() - begin;
		while ((woken = atomic_load(&s.woken_ns)) == 0)
			cpu_pause();
		start[i] = (double)woken - begin;
	}
	pthread_join(thread, NULL);
	sem_destroy(&s.wake);
	return (struct wake){median(call, samples), median(start, samples)};
}

/* memcpy() */

/* Bytes per ns of copies of one size that go through a range in turn. */
static double
speed(size_t size, size_t range)
{
	static double ns[MAX_SAMPLES];
	size_t at = 0;

	if (range > buffer_size)
		range = buffer_size;
	for (size_t i = 0; i + size <= range; i += size)
		copy(dst + i, src + i, size);
	for (int i = 0; i < samples; i++) {
		const double start = now_ns();

		copy(dst + at, src + at, size);
		ns[i] = now_ns() - start;
		at = at + 2 * size <= range ? at + size : 0;
	}
	return (double)size / median(ns, samples);
}

struct speeds {
	double l2, last, cold;
};

static struct speeds
report_speeds(struct caches caches)
{
	struct speeds s = {0, 0, 0};

	printf("\nmemcpy(), bytes per ns%30s%10s%10s\n", "in L2", "in LLC",
		"cold");
	for (size_t size = 64 * KIB; size <= 256 * KIB; size *= 4) {
		/* Source and destination together are half the L2 cache, or
		 * four L2 caches. */
		s.l2 = speed(size, size);
		s.last = speed(size, 2 * caches.l2);
		s.cold = speed(size, buffer_size);
		printf("pieces of %3zu KiB%34.1f%10.1f%10.1f\n", size / KIB,
			s.l2, s.last, s.cold);
	}
	printf("bytes that take %2.0f us, KiB%25.0f%10.0f%10.0f\n",
		PIECE_NS / 1e3, PIECE_NS * s.l2 / (double)KIB,
		PIECE_NS * s.last / (double)KIB,
		PIECE_NS * s.cold / (double)KIB);
	return s;
}

int
main(int argc, char *argv[])
{
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--quick") != 0)) {
		fputs("usage: thresholds [--quick]\n"
		      "  --quick  run briefly, as a test of the program: the "
		      "figures have no meaning\n"
		      "Example: thresholds\n",
			stderr);
		return 2;
	}
	if (argc == 2) {
		samples = 5;
		most_memory = 4 * MIB;
		largest_copy = MIB;
	}

	const struct caches caches = caches_of_cpu();

	choose_cpus();
	make_buffers(caches);
	printf("caches, MiB: L2 %.1f, last (LLC) %.0f; buffers 2 x %zu MiB\n",
		(double)caches.l2 / (double)MIB,
		(double)caches.last / (double)MIB, buffer_size / MIB);
	printf("\none read of the clock, ns%37.0f\n", clock_cost());

	if (ncpus < 2) {
		puts("\nOne usable CPU: no thread can help.");
		return 0;
	}

	const struct wake shortly = wake_cost(200), wake = wake_cost(2000);

	printf("\n%-42s%10s%10s\n", "wake-up of a thread that slept for, ms",
		"0.2", "2");
	printf("%-42s%10.0f%10.0f\n", "the caller's part, ns", shortly.call_ns,
		wake.call_ns);
	printf("%-42s%10.0f%10.0f\n", "until the thread runs, ns",
		shortly.start_ns, wake.start_ns);

	const struct speeds speeds = report_speeds(caches);
	/* Both would be done after (rest + call + start) / 2. */
	const double rest_ns = wake.call_ns + wake.start_ns;

	printf("\nA helper should pay if the rest takes %.1f us or more. This "
	       "is "
	       "the caller's\npart of a wake plus the time until the thread "
	       "runs.\n",
		rest_ns / 1e3);
	printf("bytes copied in this time, KiB%22.0f%10.0f%10.0f\n",
		rest_ns * speeds.l2 / (double)KIB,
		rest_ns * speeds.last / (double)KIB,
		rest_ns * speeds.cold / (double)KIB);

	report_helpers();
	free(dst);
	free(src);
	return 0;
}
