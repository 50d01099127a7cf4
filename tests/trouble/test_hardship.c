/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_hardship.c -- real trouble: workers without a CPU, stopped threads and
 * processes, storms of signals, one CPU, limits of threads and memory that are
 * reached, and a filter of system calls
 *
 * Linux only. What a system does not allow is skipped, and says so. All tests
 * have deadlines.
 */

#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* A C library need not come with the kernel's headers. */
#if defined(__has_include) && \
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ /* the filter's arguments */
#if __has_include(<linux/seccomp.h>)
#include <linux/filter.h>
#include <linux/seccomp.h>
#define HAS_FILTER 1
#endif
#endif

#include "libminiasync.h"
#include "wakers.h"

#define SKIPPED 77 /* a child's exit status */

static uint64_t seed;

/* By another timer than alarm(), which one of the storms needs. */
static void
deadline(int seconds)
{
	static timer_t timer;
	static bool has_timer;
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGABRT};
	const struct itimerspec end = {
		.it_value.tv_sec = seconds * (TEST_SLOWDOWN > 1 ? 3 : 1)};

	if (!has_timer)
		assert_int_equal(
			timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	has_timer = true;
	timer_settime(timer, 0, &end, NULL);
}

static void
sleep_ms(unsigned ms)
{
	struct timespec left = {
		.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) != 0)
		continue;
}

/*
 * Rounds: some operations at once, of all kinds, most of which workers do and
 * one of which they share; and whether memory holds what it must.
 */

#define N 24
#define SIZE 40000
#define BIG 2200000

struct rounds {
	struct runtime *runtime;
	struct data_mover_threads *dmt[3]; /* by notifier */
	uint64_t seed;
	unsigned char *src; /* BIG */
	unsigned char *dst; /* N * SIZE and BIG */
	unsigned long done;
	unsigned long wrong;
};

static void
rounds_init(struct rounds *r, size_t nthreads)
{
	memset(r, 0, sizeof(*r));
	r->seed = seed++;
	r->runtime = runtime_new();
	r->src = malloc(BIG);
	r->dst = malloc(N * SIZE + BIG);
	if (r->runtime == NULL || r->src == NULL || r->dst == NULL)
		abort();
	for (size_t i = 0; i < BIG; i++)
		r->src[i] = (unsigned char)test_random(&r->seed);
	for (int i = 0; i < 3; i++) {
		r->dmt[i] = data_mover_threads_new(
			nthreads, 8, (enum future_notifier_type)i);
		if (r->dmt[i] == NULL)
			abort();
	}
}

static void
rounds_fini(struct rounds *r)
{
	for (int i = 0; i < 3; i++)
		data_mover_threads_delete(r->dmt[i]);
	runtime_delete(r->runtime);
	free(r->src);
	free(r->dst);
}

static bool
is_all(const unsigned char *p, unsigned char c, size_t n)
{
	return n == 0 || (p[0] == c && memcmp(p, p + 1, n - 1) == 0);
}

static void
do_round(struct rounds *r)
{
	struct vdm *vdm =
		data_mover_threads_get_vdm(r->dmt[test_random(&r->seed) % 3]);
	const bool with_runtime = test_random(&r->seed) % 4 != 0;
	const bool with_big = test_random(&r->seed) % 4 == 0;
	const size_t n = with_big ? N + 1 : N;
	struct vdm_operation_future f[N + 1];
	struct future *futs[N + 1];
	size_t sizes[N + 1];

	for (size_t i = 0; i < n; i++) {
		struct future_notifier notifier = {
			.waker = {.wake = wake_nobody}};
		unsigned char *dst = r->dst + i * SIZE;

		sizes[i] = i == N ? BIG : test_random(&r->seed) % SIZE;
		memset(dst, 0, sizes[i]);
		switch (i % 3) {
		case 0:
			f[i] = vdm_memcpy(vdm, dst, r->src, sizes[i], 0);
			break;
		case 1:
			f[i] = vdm_memmove(vdm, dst, r->src, sizes[i],
				VDM_F_NO_CACHE_HINT);
			break;
		default:
			f[i] = vdm_memset(vdm, dst, (int)i, sizes[i], 0);
			break;
		}
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		if (test_random(&r->seed) % 2 == 0)
			future_poll(futs[i],
				test_random(&r->seed) % 2 == 0 ? &notifier
							       : NULL);
	}
	if (with_runtime)
		runtime_wait_multiple(r->runtime, futs, n);
	for (size_t i = 0; i < n; i++) {
		const unsigned char *dst = r->dst + i * SIZE;

		FUTURE_BUSY_POLL(&f[i]);
		r->done++;
		r->wrong += FUTURE_OUTPUT(&f[i])->result != VDM_SUCCESS ||
			!(i % 3 == 2 ? is_all(dst, (unsigned char)i, sizes[i])
				     : memcmp(dst, r->src, sizes[i]) == 0);
	}
}

/* For some time, but at least one. */
static void
do_rounds(struct rounds *r, unsigned ms)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	do
		do_round(r);
	while (test_clock_ns(CLOCK_MONOTONIC) - start < ms * MS);
}

static void
rounds_check(struct rounds *r, const char *what)
{
	printf("%s: %lu operations\n", what, r->done);
	assert_int_equal(r->wrong, 0);
	assert_true(r->done > 0);
}

/* The threads of this process that are workers. Returns how many. */
static int
find_workers(pid_t *tids, int max)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int n = 0;

	while (dir != NULL && n < max && (entry = readdir(dir)) != NULL) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			entry->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(name, sizeof(name), file) != NULL &&
			strncmp(name, "miniasync/", 10) == 0)
			tids[n++] = (pid_t)atoi(entry->d_name);
		fclose(file);
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* New workers have their names a moment later. */
static int
wait_for_workers(pid_t *tids, int n)
{
	int found = 0;

	for (int i = 0; i < 200 && (found = find_workers(tids, n)) < n; i++)
		sleep_ms(10);
	return found;
}

/* Runs a test in a child, which may limit itself. */
static void
in_child(int (*run)(void))
{
	int status = -1;

	deadline(120);
	fflush(stdout);
	const pid_t child = fork();

	if (child == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(100);
		_exit(run());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	deadline(0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		printf("not possible here\n");
		skip();
	}
	if (status != 0)
		print_error("child's status: 0x%x\n", (unsigned)status);
	assert_int_equal(status, 0);
}

static atomic_bool burn_stop;

static void *
burn(void *arg)
{
	while (!atomic_load_explicit(&burn_stop, memory_order_relaxed))
		continue;
	return arg;
}

static void
starved_workers_finish(void **state)
{
	enum { MAX = 16 };
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const int n = cpus > 0 && cpus < MAX / 2 ? (int)cpus * 2 : MAX;
	const struct sched_param param = {0};
	pthread_t burners[MAX];
	pid_t workers[6];
	struct rounds r;

	(void)state;
	deadline(200);
	rounds_init(&r, 2);
	const int nworkers = wait_for_workers(workers, 6);

	/* The call itself: musl refuses sched_setscheduler(). */
	int nidle = 0;

	for (int i = 0; i < nworkers; i++)
		nidle += syscall(SYS_sched_setscheduler, workers[i], SCHED_IDLE,
				 &param) == 0;
	if (nidle < 6) {
		rounds_fini(&r);
		printf("workers cannot be found or made idle here\n");
		skip();
	}
	atomic_store(&burn_stop, false);
	for (int i = 0; i < n; i++)
		pthread_create(&burners[i], NULL, burn, NULL);
	do_rounds(&r, 2000);
	atomic_store(&burn_stop, true);
	for (int i = 0; i < n; i++)
		pthread_join(burners[i], NULL);
	rounds_check(&r, "starved");
	rounds_fini(&r);
	deadline(0);
}

/* Stopped for longer than any time that the library waits. */
static void
stopped_process_loses_nothing(void **state)
{
	const pid_t parent = getpid();
	struct rounds r;
	int status = -1;

	(void)state;
	deadline(60);
	fflush(stdout);
	const pid_t child = fork();

	if (child == 0) {
		for (int i = 0; i < 3; i++) {
			sleep_ms(100);
			kill(parent, SIGSTOP);
			sleep_ms(700);
			kill(parent, SIGCONT);
		}
		_exit(0);
	}
	rounds_init(&r, 2);
	while (waitpid(child, &status, WNOHANG) == 0)
		do_round(&r);
	do_round(&r);
	assert_int_equal(status, 0);
	rounds_check(&r, "stopped three times");
	rounds_fini(&r);
	deadline(0);
}

/* The child: stops one worker after the other, wherever it is. */
static int
stop_workers(const pid_t *workers, int n, unsigned ms)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);
	int nstops = 0;

	for (int i = 0; i < n; i++)
		if (ptrace(PTRACE_SEIZE, workers[i], NULL, NULL) != 0)
			return SKIPPED;

	while (test_clock_ns(CLOCK_MONOTONIC) - start < ms * MS) {
		const pid_t worker = workers[test_random(&seed) % (unsigned)n];

		if (ptrace(PTRACE_INTERRUPT, worker, NULL, NULL) != 0 ||
			waitpid(worker, NULL, __WALL) != worker)
			return 1;
		nstops++;
		/* Mostly short; now and then longer than the net is wide. */
		sleep_ms(test_random(&seed) % 16 == 0
				? 200
				: (unsigned)(test_random(&seed) % 10));
		if (ptrace(PTRACE_CONT, worker, NULL, NULL) != 0)
			return 2;
		usleep((useconds_t)(test_random(&seed) % 2000));
	}
	printf("%d stops\n", nstops);
	fflush(stdout);
	return 0;
}

static void
workers_stopped_anywhere_lose_nothing(void **state)
{
	pid_t workers[6];
	struct rounds r;
	int status = -1;

	(void)state;
	deadline(60);
	rounds_init(&r, 2);
	const int nworkers = wait_for_workers(workers, 6);

	/* Where a parent may not be traced by its child. */
	prctl(PR_SET_PTRACER, (unsigned long)-1, 0, 0, 0);
	fflush(stdout);
	const pid_t child = nworkers == 6 ? fork() : -1;

	if (child == 0)
		_exit(stop_workers(workers, 6, 3000));
	while (child > 0 && waitpid(child, &status, WNOHANG) == 0)
		do_round(&r);
	do_round(&r);
	rounds_check(&r, "workers stopped anywhere");
	rounds_fini(&r);
	deadline(0);
	if (child < 0 ||
		(WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)) {
		printf("threads cannot be stopped here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static atomic_bool block_release;
static atomic_int nblocked;

static void *
block(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	atomic_fetch_add(&nblocked, 1);
	while (!atomic_load(&block_release))
		sleep_ms(1);
	return memcpy(dst, src, n);
}

/* Three of four stand still for long; the fourth does all the other work. */
static void
blocked_workers_keep_no_other_from_work(void **state)
{
	enum { BLOCKED = 3, OTHERS = 100 };
	static char src[SIZE], dst[BLOCKED][SIZE], set[OTHERS][SIZE];
	struct data_mover_threads *dmt =
		data_mover_threads_new(4, 8, FUTURE_NOTIFIER_WAKER);
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f[BLOCKED], g[OTHERS];
	struct future *futs[OTHERS];

	(void)state;
	deadline(60);
	memset(src, 's', SIZE);
	data_mover_threads_set_memcpy_fn(dmt, block);
	for (int i = 0; i < BLOCKED; i++) {
		f[i] = vdm_memcpy(vdm, dst[i], src, SIZE, 0);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
	while (atomic_load(&nblocked) < BLOCKED)
		sleep_ms(1);

	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	do {
		for (int i = 0; i < OTHERS; i++) {
			g[i] = vdm_memset(vdm, set[i], i, SIZE, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&g[i]);
		}
		runtime_wait_multiple(runtime, futs, OTHERS);
		for (int i = 0; i < OTHERS; i++)
			assert_int_equal(set[i][SIZE - 1], i);
	} while (test_clock_ns(CLOCK_MONOTONIC) - start < 1500 * MS);

	for (int i = 0; i < BLOCKED; i++) {
		assert_int_equal(future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL),
			FUTURE_STATE_RUNNING);
		assert_int_equal(dst[i][0], 0);
	}
	atomic_store(&block_release, true);
	for (int i = 0; i < BLOCKED; i++) {
		FUTURE_BUSY_POLL(&f[i]);
		assert_memory_equal(dst[i], src, SIZE);
	}
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	deadline(0);
}

/*
 * 10 kHz of signals on each of two threads that use movers, and as many again
 * on whatever thread takes them. The handler has no atomics: in it, those of
 * gcc 12's ThreadSanitizer run the handler of the next signal and then leave
 * all signals blocked.
 */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static _Thread_local bool takes_signals;
static _Thread_local volatile sig_atomic_t nsignals;
static volatile sig_atomic_t is_misled;

static void
on_signal(int number)
{
	(void)number;
	if (takes_signals)
		nsignals++;
	else
		is_misled = 1;
}

struct storm {
	struct rounds rounds;
	long nsignals;
	bool has_ended; /* a signal came late, and the mask is as it was */
};

static void *
storm_run(void *arg)
{
	struct storm *storm = arg;
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	const long ns = 107000L * TEST_SLOWDOWN;
	const struct itimerspec spec = {{0, ns}, {0, ns}};
	sigset_t none, mask;
	timer_t timer;

	sigemptyset(&none);
	takes_signals = true;
	nsignals = 0;
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
		return NULL;
	timer_settime(timer, 0, &spec, NULL);
	do_rounds(&storm->rounds, 1500);
	/* Workers are made, and movers deleted, in the storm, too. */
	for (int i = 0; i < 25; i++)
		data_mover_threads_delete(
			data_mover_threads_new(2, 8, FUTURE_NOTIFIER_WAKER));
	pthread_sigmask(SIG_BLOCK, NULL, &mask);

	const long before = nsignals;

	for (int i = 0; i < 1000 && nsignals == before; i++)
		sleep_ms(1);
	storm->has_ended = nsignals > before && !sigismember(&mask, SIGUSR1) &&
		!sigismember(&mask, SIGALRM);
	timer_delete(timer);
	storm->nsignals = nsignals;
	return NULL;
}

static void
storm_of_signals_loses_nothing(int flags)
{
	const struct sigaction action = {
		.sa_handler = on_signal, .sa_flags = flags};
	const long us = 100 * TEST_SLOWDOWN;
	const struct itimerval interval = {{0, us}, {0, us}}, off = {0};
	struct storm storms[2];
	sigset_t all, old;
	pthread_t thread;

	deadline(60);
	is_misled = 0;
	memset(storms, 0, sizeof(storms));
	rounds_init(&storms[0].rounds, 2);
	rounds_init(&storms[1].rounds, 1);
	takes_signals = true;
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);

	/* A thread that starts takes no signal before it says so. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	assert_int_equal(
		pthread_create(&thread, NULL, storm_run, &storms[1]), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	storm_run(&storms[0]);
	pthread_join(thread, NULL);
	setitimer(ITIMER_REAL, &off, NULL);
	for (int i = 0; i < 2; i++) {
		printf("%ld signals\n", storms[i].nsignals);
		rounds_check(&storms[i].rounds, "storm");
		rounds_fini(&storms[i].rounds);
		assert_true(storms[i].has_ended);
		/* Those that come while a thread has no CPU are one. */
		assert_true(storms[i].nsignals > 20 / TEST_SLOWDOWN);
	}
	assert_int_equal(is_misled, 0);
	deadline(0);
}

static void
storm_of_interrupting_signals_loses_nothing(void **state)
{
	(void)state;
	storm_of_signals_loses_nothing(0);
}

static void
storm_of_restarting_signals_loses_nothing(void **state)
{
	(void)state;
	storm_of_signals_loses_nothing(SA_RESTART);
}

/* Runs this thread on the first CPU of all that it may use; which that is. */
static int
use_first_cpu(cpu_set_t *all)
{
	cpu_set_t one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(*all), all) != 0)
		skip();
	while (!CPU_ISSET(cpu, all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	return cpu;
}

/* All on one CPU; and all sent from one to the other, again and again. */
static void
one_cpu_and_changing_ones_are_enough(void **state)
{
	cpu_set_t all, one;
	struct rounds r;
	pid_t workers[9];

	(void)state;
	deadline(60);
	int cpu = use_first_cpu(&all);

	rounds_init(&r, 3);
	do_rounds(&r, 1000);
	rounds_check(&r, "one CPU");

	const int n = wait_for_workers(workers, 9);

	for (int i = 0; i < TEST_ROUNDS(150); i++) {
		do
			cpu = (cpu + 1) % CPU_SETSIZE;
		while (!CPU_ISSET(cpu, &all));
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		for (int k = 0; k < n; k++)
			if ((k + i) % 3 != 0)
				sched_setaffinity(
					workers[k], sizeof(one), &one);
		if (i % 2 == 0)
			sched_setaffinity(0, sizeof(one), &one);
		do_round(&r);
	}
	sched_setaffinity(0, sizeof(all), &all);
	rounds_check(&r, "changing CPUs");
	rounds_fini(&r);
	deadline(0);
}

/*
 * A thread of real-time priority waits on the only CPU, which a worker of the
 * usual one needs to return from the wake-up. The kernel takes the CPU from
 * the first for 0.05 s of each second, so that a wait would end after one.
 */
static void
real_time_waiter_leaves_the_worker_its_cpu(void **state)
{
	enum { SIZE_COPIED = 65536 };
	static char src[SIZE_COPIED], dst[SIZE_COPIED];
	const struct sched_param real_time = {.sched_priority = 1}, usual = {0};
	uint64_t used = 0;
	cpu_set_t all;

	(void)state;
	deadline(60);
	use_first_cpu(&all);

	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 8, FUTURE_NOTIFIER_WAKER);

	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &real_time) ==
		0) {
		const uint64_t start = test_clock_ns(CLOCK_THREAD_CPUTIME_ID);

		for (int i = 0; i < TEST_ROUNDS(200); i++) {
			struct vdm_operation_future f =
				vdm_memcpy(data_mover_threads_get_vdm(dmt), dst,
					src, SIZE_COPIED, 0);

			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		}

		used = test_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
		pthread_setschedparam(pthread_self(), SCHED_OTHER, &usual);
		printf("waiter's CPU: %.1f ms\n", (double)used / MS);
	} else {
		printf("left out: real-time priority is not allowed\n");
	}
	sched_setaffinity(0, sizeof(all), &all);
	data_mover_threads_delete(dmt);
	runtime_delete(runtime);
	assert_true(used < 500 * MS);
	deadline(0);
}

static int
count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	int n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* Five threads, this one included, of a user that should have no others. */
static int
run_out_of_threads(void)
{
	const struct rlimit limit = {5, 5};
	const int before = count_threads();
	const uid_t user = 50000 + (uid_t)getpid() % 10000;
	char a = 0, b = 1;

	/* Root has no limit, and other users have other processes. */
	if (geteuid() != 0 || setresgid(user, user, user) != 0 ||
		setresuid(user, user, user) != 0 ||
		setrlimit(RLIMIT_NPROC, &limit) != 0)
		return SKIPPED;

	for (int i = 0; i < 20; i++) {
		struct data_mover_threads *dmt;

		errno = 0;
		dmt = data_mover_threads_new(64, 8, FUTURE_NOTIFIER_WAKER);
		if (dmt != NULL) /* no limit here, or not looked at */
			return count_threads() == before + 64 ? SKIPPED : 5;
		if (errno != EAGAIN)
			return 1;
		/* The kernel counts a joined thread for a moment longer. */
		for (int k = 0; k < 500 && count_threads() > before; k++)
			sleep_ms(2);
		if (count_threads() != before)
			return 2;

		for (int k = 0; k < 500; k++) {
			dmt = data_mover_threads_new(
				3, 8, FUTURE_NOTIFIER_WAKER);
			if (dmt != NULL)
				break;
			sleep_ms(2);
		}
		if (dmt == NULL)
			return 3;
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_threads_get_vdm(dmt), &a, &b, 1, 0);

		FUTURE_BUSY_POLL(&f);
		data_mover_threads_delete(dmt);
		if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS || a != 1)
			return 4;
	}
	return 0;
}

static void
limit_of_threads_is_eagain(void **state)
{
	const char *tool = getenv("MIA_TEST_EMULATED");

	(void)state;
	/* A thread that cannot be made is an error to them. */
	if (tool != NULL &&
		(strcmp(tool, "helgrind") == 0 || strcmp(tool, "drd") == 0))
		skip();
	in_child(run_out_of_threads);
}

/* More than have room in the limit and in what earlier tests have left. */
#define MANY 2000000

static int
run_out_of_memory(void)
{
	static struct vdm_operation_future f[MANY];
	static struct future *futs[MANY];
	static char a[MANY], b[MANY];
	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 8, FUTURE_NOTIFIER_WAKER);
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;
	size_t ndone = 0;

	if (file == NULL || fscanf(file, "%lu", &pages) != 1)
		return SKIPPED;
	fclose(file);
	memset(b, 1, sizeof(b));

	/* 24 MiB more than now. */
	const rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) +
		(rlim_t)24 * 1024 * 1024;
	const struct rlimit limit = {bytes, bytes};

	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return SKIPPED;

	errno = 0;
	if (data_mover_threads_new(1000, 8, FUTURE_NOTIFIER_WAKER) != NULL)
		return 1;
	if (errno != EAGAIN && errno != ENOMEM)
		return 2;
	errno = 0;
	if (data_mover_threads_new(1, (size_t)1 << 24, FUTURE_NOTIFIER_NONE) !=
			NULL ||
		errno != ENOMEM)
		return 3;

	/* Twice: what was refused is given when there is room again. */
	for (int round = 0; round < 2; round++) {
		ndone = 0;
		memset(a, 0, sizeof(a));
		for (size_t i = 0; i < MANY; i++) {
			f[i] = vdm_memcpy(data_mover_threads_get_vdm(dmt),
				&a[i], &b[i], 1, 0);
			futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
		}
		runtime_wait_multiple(runtime, futs, MANY);
		for (size_t i = 0; i < MANY; i++) {
			const enum vdm_operation_result result =
				FUTURE_OUTPUT(&f[i])->result;

			if (result == VDM_SUCCESS)
				ndone++;
			else if (result != VDM_ERROR_OUT_OF_MEMORY)
				return 4;
			if (a[i] != (result == VDM_SUCCESS))
				return 5;
		}
		printf("%zu of %d operations had memory\n", ndone, MANY);
		if (ndone < 1000 || ndone == MANY)
			return 6;
	}
	fflush(stdout);
	data_mover_threads_delete(dmt);
	runtime_delete(runtime);
	return 0;
}

static void
limit_of_memory_is_out_of_memory(void **state)
{
	(void)state;
	/* Both take more address space than any limit leaves. */
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL)
		skip();
	in_child(run_out_of_memory);
}

/*
 * A program that has filtered its system calls: no timed sleep on a futex, no
 * yielding, no names, no affinity. The C library does without these.
 */
static int futex_error;

#ifdef HAS_FILTER
#define FUTEX_WAIT_PRIVATE 128
#define LOAD(member) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
		offsetof(struct seccomp_data, member))
#define REFUSE_IF(number, error) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

static int
run_filtered(void)
{
	struct sock_filter code[] = {
		LOAD(nr),
		REFUSE_IF(SYS_sched_yield, ENOSYS),
		REFUSE_IF(SYS_sched_getaffinity, EPERM),
		REFUSE_IF(SYS_prctl, EPERM),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 5),
		LOAD(args[1]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAIT_PRIVATE, 0, 3),
		LOAD(args[3]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K,
			SECCOMP_RET_ERRNO | (unsigned)futex_error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		sizeof(code) / sizeof(code[0]), code};
	struct rounds r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return SKIPPED;

	struct data_mover_threads *dmt = data_mover_threads_default();

	if (dmt == NULL)
		return 1;
	data_mover_threads_delete(dmt);
	rounds_init(&r, 2);
	do_rounds(&r, 300);

	/* Others have the CPUs: this one has to sleep, and cannot. */
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; i < TEST_ROUNDS(100); i++) {
		nanosleep(&pause, NULL);
		do_round(&r);
	}
	rounds_fini(&r);
	return r.wrong == 0 ? 0 : 2;
}

#else

static int
run_filtered(void)
{
	return SKIPPED;
}

#endif

static void
filtered_system_calls_lose_nothing(void **state)
{
	const int errors[] = {ENOSYS, EPERM, EINTR, EAGAIN};

	(void)state;
	/* The sanitizers themselves cannot do without these calls. */
	if (TEST_SLOWDOWN > 1)
		skip();
	for (int i = 0; i < 4; i++) {
		futex_error = errors[i];
		in_child(run_filtered);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starved_workers_finish),
		cmocka_unit_test(stopped_process_loses_nothing),
		cmocka_unit_test(workers_stopped_anywhere_lose_nothing),
		cmocka_unit_test(blocked_workers_keep_no_other_from_work),
		cmocka_unit_test(storm_of_interrupting_signals_loses_nothing),
		cmocka_unit_test(storm_of_restarting_signals_loses_nothing),
		cmocka_unit_test(one_cpu_and_changing_ones_are_enough),
		cmocka_unit_test(real_time_waiter_leaves_the_worker_its_cpu),
		cmocka_unit_test(limit_of_threads_is_eagain),
		cmocka_unit_test(limit_of_memory_is_out_of_memory),
		cmocka_unit_test(filtered_system_calls_lose_nothing),
	};

	seed = test_seed("hardship");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
