/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_frames.c -- tests that a profiler can walk the stack of a thread that
 * moves memory by frame pointers, as perf record -g does
 *
 * A copy faults. The handler walks the stack by frame pointers, and compares
 * with the walk of the C library, which uses the unwind tables.
 */

#include "test.h"

#if defined(__linux__) && defined(__GLIBC__) && \
	(defined(__x86_64__) || defined(__aarch64__))

#include <execinfo.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "libminiasync.h"
#include "wakers.h"

#define SIZE ((size_t)1 << 20)
#define MAX_FRAMES 64
#define STACK_MAX_BYTES ((uintptr_t)1 << 20) /* of all frames */

static char *src, *dst, *barred;

/* The handler writes them. The copy is complete when the test reads them. */
static int nfaults;
static int nequal;           /* frames that both walks have found */
static bool is_different;    /* a frame of the program is missing */
static bool is_left_program; /* the walk ends outside of the program */

static bool
is_in_program(uintptr_t address)
{
	/* The linker defines both. */
	extern const char __executable_start[], etext[];

	return address >= (uintptr_t)__executable_start &&
		address < (uintptr_t)etext;
}

/* Finds the return addresses of all frames but the first. Returns how many. */
static int
walk(uintptr_t frame, uintptr_t stack, uintptr_t *found)
{
	const uintptr_t end = stack + STACK_MAX_BYTES;
	int n = 0;

	while (n < MAX_FRAMES && frame >= stack && frame < end &&
		frame % sizeof(frame) == 0) {
		const uintptr_t *words = (const uintptr_t *)frame;

		found[n++] = words[1];
		stack = frame + 1; /* frames do not go back */
		frame = words[0];
	}
	return n;
}

static void
on_fault(int number, siginfo_t *info, void *context)
{
	const mcontext_t *m = &((const ucontext_t *)context)->uc_mcontext;
#if defined(__x86_64__)
	const uintptr_t at = (uintptr_t)m->gregs[REG_RIP];
	const uintptr_t frame = (uintptr_t)m->gregs[REG_RBP];
	const uintptr_t stack = (uintptr_t)m->gregs[REG_RSP];
#else
	const uintptr_t at = m->pc, frame = m->regs[29], stack = m->sp;
#endif
	void *expected[MAX_FRAMES];
	uintptr_t found[MAX_FRAMES];
	const int nexpected = backtrace(expected, MAX_FRAMES);
	const int nfound = walk(frame, stack, found);
	int i = 0;

	(void)number;
	if ((char *)info->si_addr < barred ||
		(char *)info->si_addr >= barred + sysconf(_SC_PAGESIZE))
		_exit(1);

	while (i < nexpected && (uintptr_t)expected[i] != at)
		i++;
	/* The C library's memmove() has no frame. That hides its caller. */
	i += is_in_program(at) ? 1 : 2;
	nequal = 0;
	is_different = false;
	for (is_left_program = false; i < nexpected && !is_left_program; i++) {
		is_left_program = !is_in_program((uintptr_t)expected[i]);
		if (nequal < nfound && found[nequal] == (uintptr_t)expected[i])
			nequal++;
		else
			is_different = true;
	}
	nfaults++;
	mprotect(barred, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE);
}

static int
setup(void **state)
{
	void *loaded[1];

	(void)state;
	/* Its first call allocates memory. */
	(void)backtrace(loaded, 1);
	src = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (src == MAP_FAILED)
		return -1;
	dst = src + SIZE;
	barred = src + SIZE / 2;
	return 0;
}

static void
bar(void)
{
	const struct sigaction action = {
		.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	nfaults = 0;
	/* Here, because cmocka sets its own handler for each test. */
	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
	assert_int_equal(
		mprotect(barred, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE), 0);
}

static void
check(int min_frames)
{
	assert_int_equal(nfaults, 1);
	print_message("%d frames\n", nequal);
	assert_false(is_different);
	assert_true(is_left_program);
	assert_true(nequal >= min_frames);
}

static void
copy_by_worker_is_walked_to_start_of_thread(void **state)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 8, FUTURE_NOTIFIER_WAKER);
	struct future_notifier n = {.waker = {.wake = wake_nobody}};

	(void)state;
	assert_non_null(dmt);
	bar();

	struct vdm_operation_future f =
		vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src, SIZE, 0);

	assert_int_equal(
		future_poll(FUTURE_AS_RUNNABLE(&f), &n), FUTURE_STATE_RUNNING);
	FUTURE_BUSY_POLL(&f);
	data_mover_threads_delete(dmt);
	check(4);
}

static void
copy_by_waiting_thread_is_walked_to_caller(void **state)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 8, FUTURE_NOTIFIER_WAKER);
	struct runtime *runtime = runtime_new();

	(void)state;
	assert_non_null(dmt);
	assert_non_null(runtime);
	bar();

	struct vdm_operation_future f =
		vdm_memcpy(data_mover_threads_get_vdm(dmt), dst, src, SIZE, 0);

	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	check(4);
}

static void
copy_past_caches_is_walked_to_caller(void **state)
{
	struct data_mover_sync *dms = data_mover_sync_new();

	(void)state;
	assert_non_null(dms);
	bar();

	struct vdm_operation_future f = vdm_memcpy(data_mover_sync_get_vdm(dms),
		dst, src, SIZE, VDM_F_NO_CACHE_HINT);

	FUTURE_BUSY_POLL(&f);
	data_mover_sync_delete(dms);
	check(3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_by_worker_is_walked_to_start_of_thread),
		cmocka_unit_test(copy_by_waiting_thread_is_walked_to_caller),
		cmocka_unit_test(copy_past_caches_is_walked_to_caller),
	};

	/* The sanitizers and emulators copy by functions of their own. */
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL) {
		printf("left out: this tool has frames of its own\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, NULL);
}

#else

int
main(void)
{
	printf("left out: this system has other frames\n");
	return 77;
}

#endif
