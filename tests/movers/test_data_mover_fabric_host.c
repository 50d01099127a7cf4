/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_host.c -- tests movers/data_mover_fabric with the
 * installed libfabric: what a program finds changed afterwards
 *
 * Each test is a process of its own: this program, with the name of a role.
 */

#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libminiasync-vdm-fabric.h"
#include "token.h"

#define MIB (1024 * KIB)
#define SIZE (4 * MIB)

static char memory[SIZE], local[SIZE];

struct ends {
	struct data_mover_region *region;
	struct data_mover_fabric *dmf;
};

/* In a role nothing may be printed, so its exit status is the line. */
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			_exit(__LINE__ % 200 + 1); \
	} while (0)

static struct ends
ends_new(void)
{
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	struct ends e;

	e.region = data_mover_region_new(memory, SIZE,
		DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE, NULL, 0);
	EXPECT(e.region != NULL);
	EXPECT(data_mover_region_token(e.region, token, sizeof(token)) == 0);
	e.dmf = data_mover_fabric_new(token, NULL);
	EXPECT(e.dmf != NULL);
	return e;
}

static void
ends_delete(struct ends e)
{
	data_mover_fabric_delete(e.dmf);
	data_mover_region_delete(e.region);
}

static void
move(struct ends e)
{
	struct vdm *vdm = data_mover_fabric_get_vdm(e.dmf);
	char *window = data_mover_fabric_addr(e.dmf);
	struct runtime *runtime = runtime_new();

	for (int i = 0; i < 20; i++) {
		struct vdm_operation_future f = i % 2 == 0
			? vdm_memcpy(vdm, window, local, SIZE, 0)
			: vdm_memcpy(vdm, local, window, 100, 0);

		/* Polls keep errno. */
		errno = 4711;
		future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		EXPECT(errno == 4711);
		if (i % 3 == 0)
			FUTURE_BUSY_POLL(&f);
		else
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
		EXPECT(errno == 4711);
		EXPECT(FUTURE_OUTPUT(&f)->result == VDM_SUCCESS);
	}
	runtime_delete(runtime);
}

static void
move_once(void)
{
	const struct ends e = ends_new();

	move(e);
	ends_delete(e);
}

/* Role: signals. */

static void
handle(int number)
{
	(void)number;
}

/* The C library's own: set once a signal had a handler. */
#define RESTORER 0x04000000

static void
keep_signals(void)
{
	static const int own[] = {SIGSEGV, SIGBUS, SIGTERM, SIGUSR1};
	struct sigaction before[65], after,
		ours = {.sa_handler = handle, .sa_flags = SA_RESTART};
	sigset_t mask_before, mask_after;

	sigaddset(&ours.sa_mask, SIGUSR2);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		EXPECT(sigaction(own[i], &ours, NULL) == 0);
	signal(SIGPIPE, SIG_DFL);
	for (int i = 1; i < 65; i++)
		(void)sigaction(i, NULL, &before[i]);
	pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
	move_once();
	pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
	for (int i = 1; i < 65; i++) {
		EXPECT(sigismember(&mask_before, i) ==
			sigismember(&mask_after, i));
		if (sigaction(i, NULL, &after) != 0)
			continue;
		EXPECT(after.sa_handler == before[i].sa_handler);
		EXPECT(((after.sa_flags ^ before[i].sa_flags) & ~RESTORER) ==
			0);
		for (int k = 1; k < 65; k++)
			EXPECT(sigismember(&after.sa_mask, k) ==
				sigismember(&before[i].sa_mask, k));
	}
}

/* Role: environment. */

static void
keep_environment(void)
{
	char *before[1000];
	size_t n = 0;

	for (; environ[n] != NULL; n++) {
		EXPECT(n < 1000);
		before[n] = strdup(environ[n]);
	}
	move_once();
	for (size_t i = 0; i < n; i++) {
		EXPECT(environ[i] != NULL);
		EXPECT(strcmp(environ[i], before[i]) == 0);
		free(before[i]);
	}
	EXPECT(environ[n] == NULL);
}

/* Role: resources. */

static unsigned
entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	EXPECT(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* A thread of a mover has ended when the delete returns; its entry later. */
static bool
becomes(const char *path, unsigned n)
{
	for (int i = 0; i < 500; i++) {
		if (entries(path) <= n)
			return true;
		test_sleep_ns(10 * MS);
	}
	return false;
}

static void
leave_nothing(void)
{
	const unsigned fds = entries("/proc/self/fd");
	const unsigned threads = entries("/proc/self/task");
	const struct ends e = ends_new();

	EXPECT(entries("/proc/self/task") == threads + 2);
	EXPECT(fcntl(data_mover_fabric_fd(e.dmf), F_GETFD) == FD_CLOEXEC);
	EXPECT(fcntl(data_mover_region_fd(e.region), F_GETFD) == FD_CLOEXEC);
	move(e);
	ends_delete(e);

	/* What libfabric has opened while it was loaded may stay. */
	const unsigned loaded = entries("/proc/self/fd");

	EXPECT(becomes("/proc/self/task", threads));
	EXPECT(loaded <= fds + 4);
	for (int i = 0; i < 5; i++)
		move_once();
	EXPECT(becomes("/proc/self/fd", loaded));
	EXPECT(becomes("/proc/self/task", threads));
}

/* Role: exit, with all under way. */

static void
exit_meanwhile(void)
{
	static struct vdm_operation_future f[64];
	const struct ends e = ends_new();

	for (size_t i = 0; i < 64; i++) {
		struct vdm *vdm = data_mover_fabric_get_vdm(e.dmf);
		char *window = data_mover_fabric_addr(e.dmf);

		f[i] = i % 2 == 0 ? vdm_memcpy(vdm, window, local, SIZE, 0)
				  : vdm_memcpy(vdm, local, window, SIZE, 0);
		future_poll(FUTURE_AS_RUNNABLE(&f[i]), NULL);
	}
}

/* Role: cancel. A thread that is cancelled while it polls blocks nobody. */

static atomic_bool is_stopped;

static void *
poll_until_cancelled(void *arg)
{
	const struct ends *e = arg;
	struct vdm *vdm = data_mover_fabric_get_vdm(e->dmf);
	char *window = data_mover_fabric_addr(e->dmf);

	while (!atomic_load(&is_stopped)) {
		struct vdm_operation_future f =
			vdm_memcpy(vdm, window, local, 100 * KIB, 0);

		for (int i = 0; i < 10; i++)
			future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		pthread_testcancel();
	}
	return NULL;
}

static void
cancel(void)
{
	const struct ends e = ends_new();

	for (int i = 0; i < 50; i++) {
		pthread_t thread;
		void *result;

		EXPECT(pthread_create(&thread, NULL, poll_until_cancelled,
			       (void *)(uintptr_t)&e) == 0);
		test_sleep_ns((uint64_t)(i % 7) * MS / 2);
		EXPECT(pthread_cancel(thread) == 0);
		EXPECT(pthread_join(thread, &result) == 0);
		EXPECT(result == PTHREAD_CANCELED);
	}
	move(e);
	ends_delete(e);
}

/* Role: providers. The user has left those that do not check, or none. */

static void
find_no_provider(void)
{
	errno = 0;
	EXPECT(data_mover_region_new(
		       memory, SIZE, DATA_MOVER_REGION_READ, NULL, 0) == NULL);
	EXPECT(errno == ENOTSUP);
	errno = 0;
	EXPECT(data_mover_fabric_new(
		       token_of("miniasync-region-1,127.0.0.1:9,64,3,1,"),
		       NULL) == NULL);
	EXPECT(errno == ENOTSUP);
}

static const struct role {
	const char *name;
	void (*run)(void);
} roles[] = {
	{"signals", keep_signals},
	{"environment", keep_environment},
	{"resources", leave_nothing},
	{"exit", exit_meanwhile},
	{"cancel", cancel},
	{"providers", find_no_provider},
};

/* Runs this program in a role. It must succeed, and print nothing. */
static void
check_role(char *role)
{
	char name[] = "/proc/self/exe", printed[4096];
	char *argv[] = {name, role, NULL};
	posix_spawn_file_actions_t actions;
	size_t n = 0;
	int out[2], status = -1;
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
	assert_int_equal(
		posix_spawn(&pid, name, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	while (n + 1 < sizeof(printed)) {
		struct pollfd ready = {.fd = out[0], .events = POLLIN};

		if (poll(&ready, 1, 60000) != 1) {
			kill(pid, SIGKILL);
			fail_msg("%s: does not end", role);
		}

		const ssize_t got =
			read(out[0], printed + n, sizeof(printed) - n - 1);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	printed[n] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0 || n > 0)
		fail_msg("%s: status 0x%x (exit status %d), printed: %s", role,
			(unsigned)status, WEXITSTATUS(status), printed);
}

static void
handlers_and_masks_stay(void **state)
{
	char role[] = "signals";

	(void)state;
	/* ThreadSanitizer has handlers and a thread of its own. */
	if (TEST_TSAN)
		TEST_LEFT_OUT("signals under ThreadSanitizer");
	check_role(role);
}

static void
the_environment_stays(void **state)
{
	char role[] = "environment";

	(void)state;
	check_role(role);
}

static void
threads_and_descriptors_go(void **state)
{
	char role[] = "resources";

	(void)state;
	if (TEST_TSAN)
		TEST_LEFT_OUT("resources under ThreadSanitizer");
	check_role(role);
}

static void
a_program_may_exit_meanwhile(void **state)
{
	char role[] = "exit";

	(void)state;
	for (int i = 0; i < TEST_ROUNDS(10); i++)
		check_role(role);
}

static void
cancelled_threads_block_nobody(void **state)
{
	char role[] = "cancel";

	(void)state;
	check_role(role);
}

static void
other_providers_are_refused(void **state)
{
	static const char *const providers[] = {
		"net", "shm", "sockets", "udp", "verbs", "^tcp", "none"};
	char role[] = "providers";

	(void)state;
	for (size_t i = 0; i < sizeof(providers) / sizeof(*providers); i++) {
		setenv("FI_PROVIDER", providers[i], 1);
		check_role(role);
	}
	unsetenv("FI_PROVIDER");
}

int
main(int argc, char *argv[])
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++)
		if (argc > 1 && strcmp(argv[1], roles[i].name) == 0) {
			roles[i].run();
			return 0;
		}

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handlers_and_masks_stay),
		cmocka_unit_test(the_environment_stays),
		cmocka_unit_test(threads_and_descriptors_go),
		cmocka_unit_test(a_program_may_exit_meanwhile),
		cmocka_unit_test(cancelled_threads_block_nobody),
		cmocka_unit_test(other_providers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
