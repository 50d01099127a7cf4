/* SPDX-License-Identifier: BSD-3-Clause */

/* rounds.c -- see rounds.h */

#include "rounds.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "operation.h"
#include "test.h"
#include "wakers.h"

#define N 24
#define SIZE 40000
#define BIG 2200000

uint64_t rounds_seed;

/* Not alarm(), because one of the storms needs that timer. */
void
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

void
sleep_ms(unsigned ms)
{
	test_sleep_ns(ms * MS);
}

void
rounds_init(struct rounds *r, size_t nthreads)
{
	memset(r, 0, sizeof(*r));
	r->seed = rounds_seed++;
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

void
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

static enum vdm_operation_type
type_of(size_t i)
{
	static const enum vdm_operation_type types[] = {VDM_OPERATION_MEMCPY,
		VDM_OPERATION_MEMMOVE, VDM_OPERATION_MEMSET};

	return types[i % 3];
}

void
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
		f[i] = operation_new(vdm, type_of(i), dst, r->src, (int)i,
			sizes[i],
			type_of(i) == VDM_OPERATION_MEMMOVE
				? VDM_F_NO_CACHE_HINT
				: 0);
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
			!(type_of(i) == VDM_OPERATION_MEMSET
					? is_all(dst, (unsigned char)i,
						  sizes[i])
					: memcmp(dst, r->src, sizes[i]) == 0);
	}
}

/* Runs rounds for this time, and at least one round. */
void
do_rounds(struct rounds *r, unsigned ms)
{
	const uint64_t start = test_clock_ns(CLOCK_MONOTONIC);

	do
		do_round(r);
	while (test_clock_ns(CLOCK_MONOTONIC) - start < ms * MS);
}

void
rounds_check(struct rounds *r, const char *what)
{
	printf("%s: %lu operations\n", what, r->done);
	assert_int_equal(r->wrong, 0);
	assert_true(r->done > 0);
}

/* Finds the workers among the threads of this process. Returns how many. */
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
int
wait_for_workers(pid_t *tids, int n)
{
	int found = 0;

	for (int i = 0; i < 200 && (found = find_workers(tids, n)) < n; i++)
		sleep_ms(10);
	return found;
}

/* Runs a test in a child, which may limit itself. */
void
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
