/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * host.c -- loads a plug-in again and again, uses it on living threads, and
 * unloads it; fails if memory grows
 *
 *	host PLUGIN CYCLES THREADS
 */

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_THREADS 8
#define WARM_UP 10 /* cycles */
#define HEAP_MAX_BYTES ((size_t)256 << 10)
#define MAPPED_MAX_BYTES ((size_t)16 << 20)

static int (*use)(void);
static int cycles;
static pthread_barrier_t barrier;

static void
use_it(void)
{
	if (!use())
		abort();
}

static void *
run(void *arg)
{
	for (int i = 0; i < cycles; i++) {
		pthread_barrier_wait(&barrier);
		use_it();
		pthread_barrier_wait(&barrier);
	}
	return arg;
}

static size_t
mapped(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	if (file == NULL || fscanf(file, "%zu", &pages) != 1)
		abort();
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

int
main(int argc, char **argv)
{
	pthread_t threads[MAX_THREADS];
	size_t heap = 0, all = 0;

	if (argc != 4)
		return 2;
	cycles = atoi(argv[2]);
	const int nthreads = atoi(argv[3]);

	alarm(300);
	/* mallinfo2() counts only the first arena. */
	mallopt(M_ARENA_MAX, 1);
	pthread_barrier_init(&barrier, NULL, (unsigned)nthreads + 1);
	for (int i = 0; i < nthreads; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	for (int i = 0; i < cycles; i++) {
		void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);

		if (plugin == NULL) {
			puts(dlerror());
			return 1;
		}
		use = (int (*)(void))dlsym(plugin, "use");
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		use_it();
		dlclose(plugin);
		if (dlopen(argv[1], RTLD_NOLOAD | RTLD_NOW) != NULL) {
			puts("still loaded");
			return 1;
		}
		if (i == WARM_UP) {
			heap = mallinfo2().uordblks;
			all = mapped();
		}
	}
	const long heap_growth = (long)(mallinfo2().uordblks - heap);
	const long all_growth = (long)(mapped() - all);

	printf("%d cycles, %d threads: heap %+ld bytes, mapped %+ld bytes\n",
		cycles, nthreads, heap_growth, all_growth);
	for (int i = 0; i < nthreads; i++)
		pthread_join(threads[i], NULL);
	return heap_growth > (long)HEAP_MAX_BYTES ||
		all_growth > (long)MAPPED_MAX_BYTES;
}
