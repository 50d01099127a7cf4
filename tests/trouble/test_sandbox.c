/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_sandbox.c -- tests the table of system calls in miniasync_sandbox(7)
 *
 * TEST_PAGE is the page. The test reads the table there, so each row is tested.
 */

#include "test.h"

#include "sandboxed.h"

#if defined(HAS_TABLE)

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ROWS 60
#define NEVER_ENDS_SECONDS 2
#define DEADLINE_SECONDS 60

enum made { NEVER, MAYBE, ALWAYS };
enum refused { WORKS, ERROR, DESCRIPTOR, NEEDED };

static const char *const made_words[] = {"-", "maybe", "always"};
static const char *const refused_words[] = {
	"works", "error", "descriptor", "needed"};

#define NERRORS 2
static const int errors[NERRORS] = {EPERM, ENOSYS};

struct row {
	char name[24];
	long call;
	enum made made[NPHASES];
	enum refused refused[NERRORS];
};

static struct row rows[MAX_ROWS];
static size_t nrows;

#define CALL(name) \
	{ \
#name, SYS_##name \
	}
static const struct {
	const char *name;
	long call;
} calls[] = {CALL(brk), CALL(clock_gettime), CALL(clock_nanosleep), CALL(clone),
	CALL(clone3), CALL(close), CALL(epoll_create1), CALL(epoll_ctl),
	CALL(eventfd2), CALL(exit), CALL(futex), CALL(getcpu), CALL(madvise),
	CALL(mmap), CALL(mprotect), CALL(mremap), CALL(munmap), CALL(openat),
	CALL(prctl), CALL(read), CALL(restart_syscall), CALL(rseq),
	CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(sched_getaffinity),
	CALL(sched_setaffinity), CALL(sched_yield), CALL(set_robust_list),
	CALL(timerfd_create), CALL(timerfd_settime), CALL(write)};
#define NCALLS (sizeof(calls) / sizeof(calls[0]))

static long
call_named(const char *name)
{
	for (size_t i = 0; i < NCALLS; i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].call;
	fail_msg("the table has an unknown call: %s", name);
	return -1;
}

static int
find(const char *word, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	fail_msg("the table has an unknown word: %s", word);
	return -1;
}

/* The table is in the first block that begins with its header. */
static void
read_table(void)
{
	FILE *file = fopen(TEST_PAGE, "r");
	char line[200], word[NPHASES + NERRORS][24];
	bool is_inside = false;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		struct row *row = &rows[nrows];

		if (strncmp(line, "call  ", 6) == 0) {
			is_inside = true;
			continue;
		}
		if (!is_inside)
			continue;
		if (strcmp(line, "```\n") == 0)
			break;
		assert_true(nrows < MAX_ROWS);
		assert_int_equal(
			sscanf(line, "%23s %23s %23s %23s %23s %23s", row->name,
				word[0], word[1], word[2], word[3], word[4]),
			1 + NPHASES + NERRORS);
		row->call = call_named(row->name);
		for (int i = 0; i < NPHASES; i++)
			row->made[i] = (enum made)find(word[i], made_words, 3);
		for (int i = 0; i < NERRORS; i++)
			row->refused[i] = (enum refused)find(
				word[NPHASES + i], refused_words, 4);
		nrows++;
	}
	fclose(file);
	assert_int_equal(nrows, NCALLS);
}

/* Lists the calls of a phase and of all later ones, but not without. */
static void
list(struct filter *filter, long *listed, enum phase phase, long without)
{
	*filter = (struct filter){.calls = listed, .refused = -1};
	for (size_t i = 0; i < nrows; i++) {
		bool is_made = false;

		for (int k = (int)phase; k < NPHASES; k++)
			is_made |= rows[i].made[k] != NEVER;
		if (is_made && rows[i].call != without)
			listed[filter->ncalls++] = rows[i].call;
	}
}

enum stops { NO_STOPS, STOPS };

/* Runs the phases in a child. Returns its status, as that of waitpid(). */
static int
run(const struct filter *const filters[NPHASES], unsigned seconds,
	enum stops stops)
{
	int status = 0;

	fflush(stdout);
	const pid_t child = fork();

	if (child == 0) {
		/* cmocka's handler would go on with the next test. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGALRM, SIG_DFL);
		alarm(seconds);
		/* What the C library says of a refused call is no result. */
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(NOT_POSSIBLE);
		_exit(sandboxed_run(filters));
	}
	assert_true(child > 0);
	while (waitpid(child, &status, stops == STOPS ? WNOHANG : 0) == 0) {
		kill(child, SIGSTOP);
		test_sleep_ns(MS);
		kill(child, SIGCONT);
		test_sleep_ns(3 * MS);
	}
	return status;
}

static bool
is_killed_by_filter(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* Reads the table. Filters may not be possible here. */
static bool is_possible;

static int
setup(void **state)
{
	const struct filter *filters[NPHASES] = {NULL};
	long listed[MAX_ROWS];
	struct filter filter;

	(void)state;
	read_table();
	assert_int_equal(run(filters, DEADLINE_SECONDS, NO_STOPS), 0);

	list(&filter, listed, MAKE, -1);
	filters[MAKE] = &filter;

	const int status = run(filters, DEADLINE_SECONDS, NO_STOPS);

	is_possible =
		!WIFEXITED(status) || (WEXITSTATUS(status) & NOT_POSSIBLE) == 0;
	return 0;
}

static void
skip_if_not_possible(void)
{
	if (!is_possible)
		TEST_LEFT_OUT("filters of system calls");
}

/* Each phase has the calls of its column and of those on its right. */
static void
run_with_table(enum stops stops)
{
	long listed[NPHASES][MAX_ROWS];
	struct filter filter[NPHASES];
	const struct filter *filters[NPHASES];

	skip_if_not_possible();
	for (int i = 0; i < NPHASES; i++) {
		list(&filter[i], listed[i], (enum phase)i, -1);
		filters[i] = &filter[i];
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(run(filters, DEADLINE_SECONDS, stops), 0);
}

static void
no_call_is_missing_in_table(void **state)
{
	(void)state;
	run_with_table(NO_STOPS);
}

static void
no_call_of_stopped_process_is_missing_in_table(void **state)
{
	(void)state;
	run_with_table(STOPS);
}

static void
calls_that_are_always_made_are_made(void **state)
{
	long listed[MAX_ROWS];
	struct filter filter;
	int nwrong = 0;

	(void)state;
	skip_if_not_possible();
	for (size_t i = 0; i < nrows; i++)
		for (int k = 0; k < NPHASES; k++) {
			const struct filter *filters[NPHASES] = {NULL};

			if (rows[i].made[k] != ALWAYS)
				continue;
			list(&filter, listed, (enum phase)k, rows[i].call);
			filters[k] = &filter;
			if (is_killed_by_filter(
				    run(filters, DEADLINE_SECONDS, NO_STOPS)))
				continue;
			print_error(
				"%s: not made in phase %d\n", rows[i].name, k);
			nwrong++;
		}
	assert_int_equal(nwrong, 0);
}

/* Whether a status is what the table says. */
static bool
is_as_said(enum refused refused, int status)
{
	const int troubles = WIFEXITED(status) ? WEXITSTATUS(status) : WRONG;

	switch (refused) {
	case WORKS:
		return status == 0;
	case ERROR:
		return troubles != 0 &&
			(troubles & ~(NOT_MADE | NO_DESCRIPTOR | NO_MEMORY)) ==
			0;
	case DESCRIPTOR:
		return troubles != 0 && (troubles & ~(SILENT | READABLE)) == 0;
	case NEEDED:
		return WIFSIGNALED(status) && WTERMSIG(status) != SIGSEGV;
	}
	return false;
}

/* Refuses a call from this phase on. Returns whether that ends as it should. */
static bool
refuse(const struct row *row, enum phase phase, int error)
{
	const enum refused refused = row->refused[error];
	const struct filter *filters[NPHASES] = {NULL};
	long listed[MAX_ROWS];
	struct filter filter;

	list(&filter, listed, phase, -1);
	filter.refused = row->call;
	filter.error = errors[error];
	filters[phase] = &filter;

	const int status = run(filters,
		refused == NEEDED ? NEVER_ENDS_SECONDS : DEADLINE_SECONDS,
		row->call == SYS_restart_syscall ? STOPS : NO_STOPS);

	/* A call that is not needed any more does no harm. */
	if (is_as_said(refused, status) || (phase == USE && status == 0))
		return true;
	print_error("%s with %s in phase %d: status 0x%x, and not %s\n",
		row->name, strerror(errors[error]), (int)phase,
		(unsigned)status, refused_words[refused]);
	return false;
}

static void
refused_calls_do_what_table_says(void **state)
{
	int nwrong = 0;

	(void)state;
	skip_if_not_possible();
	for (size_t i = 0; i < nrows; i++)
		for (int k = 0; k < NERRORS; k++)
			nwrong += !refuse(&rows[i], MAKE, k);
	assert_int_equal(nwrong, 0);
}

static void
calls_refused_later_do_what_table_says(void **state)
{
	int nwrong = 0;

	(void)state;
	skip_if_not_possible();
	for (size_t i = 0; i < nrows; i++)
		for (int k = 0; k < NERRORS; k++)
			if (rows[i].made[USE] != NEVER &&
				(rows[i].refused[k] == WORKS ||
					rows[i].refused[k] == ERROR))
				nwrong += !refuse(&rows[i], USE, k);
	assert_int_equal(nwrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_call_is_missing_in_table),
		cmocka_unit_test(
			no_call_of_stopped_process_is_missing_in_table),
		cmocka_unit_test(calls_that_are_always_made_are_made),
		cmocka_unit_test(refused_calls_do_what_table_says),
		cmocka_unit_test(calls_refused_later_do_what_table_says),
	};

	/* The sanitizers and emulators make calls of their own. */
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL) {
		printf("left out: this tool makes calls of its own\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, NULL);
}

#else

int
main(void)
{
	printf("left out: the table is for another C library or CPU\n");
	return 77;
}

#endif
