/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_hardship_limits.c -- tests the threads mover and the runtime at limits
 * of threads and memory, and under a filter of system calls
 *
 * Linux only. A test that the system does not allow is skipped, and reports
 * that.
 */

#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Not every C library has the headers of the kernel. */
#if defined(__has_include) && \
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ /* the filter's arguments */
#if __has_include(<linux/seccomp.h>)
#include <linux/filter.h>
#include <linux/seccomp.h>
#define HAS_FILTER 1
#endif
#endif

#include "libminiasync.h"
#include "rounds.h"

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

/* Five threads, with this one, of a user that should have no others. */
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
		if (dmt != NULL) /* no limit here, or the kernel ignores it */
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
	/* These tools report a refused thread as an error. */
	if (tool != NULL &&
		(strcmp(tool, "helgrind") == 0 || strcmp(tool, "drd") == 0))
		skip();
	/* A sanitizer may start a thread together with the first one. */
	data_mover_threads_delete(
		data_mover_threads_new(1, 8, FUTURE_NOTIFIER_WAKER));
	in_child(run_out_of_threads);
}

/* More than fit into the limit and into the free memory of earlier tests. */
#define MANY 2000000

/* Leaves 24 MiB more than now. Returns 0, or -1. */
static int
limit_memory(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;
	struct rlimit limit;

	if (file == NULL || fscanf(file, "%lu", &pages) != 1 ||
		getrlimit(RLIMIT_AS, &limit) != 0)
		return -1;
	fclose(file);
	limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) +
		(rlim_t)24 * 1024 * 1024;
	return setrlimit(RLIMIT_AS, &limit);
}

static int
run_out_of_memory(void)
{
	static struct vdm_operation_future f[MANY];
	static struct future *futs[MANY];
	static char a[MANY], b[MANY];
	struct runtime *runtime = runtime_new();
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 8, FUTURE_NOTIFIER_WAKER);
	size_t ndone = 0;

	memset(b, 1, sizeof(b));
	if (limit_memory() != 0)
		return SKIPPED;

	errno = 0;
	if (data_mover_threads_new(1000, 8, FUTURE_NOTIFIER_WAKER) != NULL)
		return 1;
	if (errno != EAGAIN && errno != ENOMEM)
		return 2;
	/* The C library keeps the stacks of threads that have ended. */
	if (limit_memory() != 0)
		return SKIPPED;
	errno = 0;
	if (data_mover_threads_new(1, (size_t)1 << 24, FUTURE_NOTIFIER_NONE) !=
			NULL ||
		errno != ENOMEM)
		return 3;

	/* Twice: a refused call succeeds when there is room again. */
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
 * A program that filters its system calls: no timed sleep on a futex, no yield,
 * no names, no affinity. The C library does not need these.
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
		REFUSE_IF(SYS_sched_setaffinity, EPERM),
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
	for (int i = 0; i < TEST_ROUNDS(100); i++) {
		test_sleep_ns(MS);
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
	/* The sanitizers need these calls. */
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
		cmocka_unit_test(limit_of_threads_is_eagain),
		cmocka_unit_test(limit_of_memory_is_out_of_memory),
		cmocka_unit_test(filtered_system_calls_lose_nothing),
	};

	rounds_seed = test_seed("hardship_limits");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
