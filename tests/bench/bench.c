/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bench.c -- what an operation, a wait and a wake-up cost, beside what they
 * cost without the library
 *
 *	bench [--quick]
 *
 * Each row is measured in rounds that take turns with the row it is compared
 * to, so that a machine that drifts disturbs both; the median of the rounds is
 * printed.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libminiasync.h>

#define MAX_ROUNDS 101
#define BUFFER 4096

static int rounds = 41;
static int operations = 100000;

static double
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
quantile(double *v, int n, double q)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[(int)(q * (n - 1))];
}

/* The interface's floor: a mover that remembers and checks nothing. */
static void *
empty_new(struct vdm *vdm, const enum vdm_operation_type type)
{
	(void)type;
	return vdm;
}

static int
empty_start(void *data, const struct vdm_operation *op,
	struct future_notifier *n)
{
	(void)data;
	(void)n;
	memcpy(op->data.memcpy.dest, op->data.memcpy.src, op->data.memcpy.n);
	return 0;
}

static enum future_state
empty_check(void *data, const struct vdm_operation *op)
{
	(void)data;
	(void)op;
	return FUTURE_STATE_COMPLETE;
}

static void
empty_delete(void *data, const struct vdm_operation *op,
	struct vdm_operation_output *output)
{
	(void)data;
	output->type = op->type;
	output->result = VDM_SUCCESS;
	output->output.memcpy.dest = op->data.memcpy.dest;
}

static struct vdm empty_vdm = { empty_new, empty_delete, empty_start,
	empty_check, 0, NULL };

struct worker {
	struct vdm *vdm; /* NULL: plain memcpy */
	size_t size;
	pthread_barrier_t *barrier;
	double ns; /* per operation */
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	char *src = malloc(BUFFER), *dst = malloc(BUFFER);
	volatile size_t size = w->size; /* memcpy must not be unrolled */

	if (src == NULL || dst == NULL)
		abort();
	memset(src, 1, BUFFER);
	memset(dst, 2, BUFFER);
	pthread_barrier_wait(w->barrier);

	const double start = clock_ns(CLOCK_MONOTONIC);

	if (w->vdm == NULL) {
		for (int i = 0; i < operations; i++) {
			memcpy(dst, src, size);
			__asm__ __volatile__("" ::"r"(dst) : "memory");
		}
	} else {
		for (int i = 0; i < operations; i++) {
			struct vdm_operation_future f =
				vdm_memcpy(w->vdm, dst, src, size, 0);

			FUTURE_BUSY_POLL(&f);
			if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
				abort();
		}
	}
	w->ns = (clock_ns(CLOCK_MONOTONIC) - start) / operations;
	free(src);
	free(dst);
	return NULL;
}

static double
run_workers(struct vdm *vdm, size_t size, int nthreads)
{
	struct worker workers[4];
	pthread_t threads[4];
	pthread_barrier_t barrier;
	double sum = 0;

	pthread_barrier_init(&barrier, NULL, (unsigned)nthreads);
	for (int i = 0; i < nthreads; i++) {
		workers[i] = (struct worker){ vdm, size, &barrier, 0 };
		if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
			abort();
	}
	for (int i = 0; i < nthreads; i++) {
		pthread_join(threads[i], NULL);
		sum += workers[i].ns;
	}
	pthread_barrier_destroy(&barrier);
	return sum / nthreads;
}

static void
bench_operations(struct vdm *sync)
{
	static double plain[MAX_ROUNDS], floor_[MAX_ROUNDS], ours[MAX_ROUNDS];

	puts("one operation, ns: create, poll, complete (medians)");
	puts("   size threads   memcpy    empty mover     sync mover   over");
	for (size_t size = 64; size <= 4096; size *= 64) {
		for (int nthreads = 1; nthreads <= 4; nthreads *= 2) {
			for (int i = 0; i < rounds; i++) {
				plain[i] = run_workers(NULL, size, nthreads);
				floor_[i] = run_workers(
					&empty_vdm, size, nthreads);
				ours[i] = run_workers(sync, size, nthreads);
			}

			const double p = quantile(plain, rounds, 0.5);
			const double f = quantile(floor_, rounds, 0.5);
			const double o = quantile(ours, rounds, 0.5);

			printf("%7zu %7d %8.1f %14.1f %14.1f %6.1f\n", size,
				nthreads, p, f, o, o - f);
		}
	}
}

/* Futures that do nothing but complete: what the runtime adds to each. */
static void
bench_wait_cost(struct vdm *sync, struct runtime *runtime)
{
	static double v[MAX_ROUNDS];
	char a = 0, b = 1;

	puts("\nruntime_wait_multiple, ns per future (median)");
	for (size_t n = 10; n <= 10000; n *= 10) {
		struct vdm_operation_future *f = malloc(n * sizeof(*f));
		struct future **futs = malloc(n * sizeof(*futs));

		if (f == NULL || futs == NULL)
			abort();
		for (int r = 0; r < rounds; r++) {
			const int repeats = (int)(10000 / n);
			double ns = 0;

			for (int k = 0; k < repeats; k++) {
				for (size_t i = 0; i < n; i++) {
					f[i] = vdm_memcpy(sync, &a, &b, 1, 0);
					futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
				}
				const double start = clock_ns(CLOCK_MONOTONIC);

				runtime_wait_multiple(runtime, futs, n);
				ns += clock_ns(CLOCK_MONOTONIC) - start;
			}
			v[r] = ns / (double)(n * (size_t)repeats);
		}
		printf("%7zu %8.1f\n", n, quantile(v, rounds, 0.5));
		free(f);
		free(futs);
	}
}

/* A sleeper, and the thread that wakes it after it fell asleep. */
struct wake {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct future_waker waker; /* under the lock */
	bool bare; /* by the condition variable, without the runtime */
	bool done; /* under the lock */
	double at_ns;
	long delay_ns;
};

struct wake_data {
	struct wake *wake;
};

FUTURE(wake_future, struct wake_data, char);

static enum future_state
wake_task(struct future_context *context, struct future_notifier *n)
{
	struct wake_data *data = future_context_get_data(context);
	struct wake *w = data->wake;

	pthread_mutex_lock(&w->lock);
	const bool done = w->done;

	if (n != NULL) {
		w->waker = n->waker;
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	}
	pthread_mutex_unlock(&w->lock);
	return done ? FUTURE_STATE_COMPLETE : FUTURE_STATE_RUNNING;
}

static void *
waker_run(void *arg)
{
	struct wake *w = arg;
	const struct timespec delay = { 0, w->delay_ns };

	nanosleep(&delay, NULL);
	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->at_ns = clock_ns(CLOCK_MONOTONIC);
	if (w->bare)
		pthread_cond_signal(&w->cond);
	struct future_waker waker = w->waker;
	pthread_mutex_unlock(&w->lock);
	if (!w->bare && waker.wake != NULL)
		FUTURE_WAKER_WAKE(&waker);
	return NULL;
}

/* Nanoseconds from the wake to the return of the wait; the CPU used by it. */
static double
one_wake(struct runtime *runtime, bool bare, long delay_ns, double *cpu_ns)
{
	struct wake w = { .bare = bare, .delay_ns = delay_ns };
	struct wake_future f = { .data = { &w } };
	pthread_t thread;

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	FUTURE_INIT(&f, wake_task);
	if (pthread_create(&thread, NULL, waker_run, &w) != 0)
		abort();

	const double cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (bare) {
		pthread_mutex_lock(&w.lock);
		while (!w.done)
			pthread_cond_wait(&w.cond, &w.lock);
		pthread_mutex_unlock(&w.lock);
	} else {
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}

	const double end = clock_ns(CLOCK_MONOTONIC);

	*cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	pthread_join(thread, NULL);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return end - w.at_ns;
}

static void
bench_wake(struct runtime *runtime, int n)
{
	double *bare = malloc((size_t)n * sizeof(double));
	double *ours = malloc((size_t)n * sizeof(double));
	double cpu;

	if (bare == NULL || ours == NULL)
		abort();
	for (int i = 0; i < n; i++) {
		bare[i] = one_wake(runtime, true, 300000, &cpu);
		ours[i] = one_wake(runtime, false, 300000, &cpu);
	}
	puts("\nwake-up of a sleeper, us              median     p99");
	for (int i = 0; i < 2; i++) {
		double *v = i == 0 ? bare : ours;

		printf("%-34s %9.1f %7.1f\n",
			i == 0 ? "condition variable" : "runtime_wait",
			quantile(v, n, 0.5) / 1e3, quantile(v, n, 0.99) / 1e3);
	}
	free(bare);
	free(ours);

	double used[9];
	const int waits = n < 9 ? 3 : 9;

	for (int i = 0; i < waits; i++)
		one_wake(runtime, false, 50000000, &used[i]);
	cpu = quantile(used, waits, 0.5);
	printf("\nCPU used by a wait of 50 ms: %.0f us, %.2f %% of a core\n",
		cpu / 1e3, cpu / 50e6 * 100);
}

int
main(int argc, char *argv[])
{
	const bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
	struct data_mover_sync *dms = data_mover_sync_new();
	struct runtime *runtime = runtime_new();

	if (argc > 1 && !quick) {
		fputs("usage: bench [--quick]\n", stderr);
		return 2;
	}
	if (dms == NULL || runtime == NULL) {
		perror("bench");
		return 1;
	}
	if (quick) {
		rounds = 3;
		operations = 1000;
	}

	struct vdm *sync = data_mover_sync_get_vdm(dms);

	bench_operations(sync);
	bench_wait_cost(sync, runtime);
	bench_wake(runtime, quick ? 3 : 1000);

	runtime_delete(runtime);
	data_mover_sync_delete(dms);
	return 0;
}
