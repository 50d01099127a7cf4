/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_lasting.c -- tests system/lasting: threads that end inside of run(), and
 * others that go on, also if the system refuses them
 *
 * The linker puts __wrap_mia_thread_start() before mia_thread_start(), and
 * __wrap_mia_thread_join() before mia_thread_join().
 */

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"
#include "system/lasting.h"

/* Whether the system refuses a thread: a bit for each start, the first is 0. */
static atomic_uint refused;
static atomic_int starts;

/* In a child no thread is started or joined. */
static bool is_child;

int __real_mia_thread_start(
	mia_thread *thread, void *(*run)(void *), void *arg);
int __wrap_mia_thread_start(
	mia_thread *thread, void *(*run)(void *), void *arg);

int
__wrap_mia_thread_start(mia_thread *thread, void *(*run)(void *), void *arg)
{
	const int start = atomic_fetch_add(&starts, 1);

	CHILD_CHECK(!is_child);
	if (atomic_load(&refused) >> start & 1)
		return -EAGAIN;
	return __real_mia_thread_start(thread, run, arg);
}

void __real_mia_thread_join(mia_thread thread);
void __wrap_mia_thread_join(mia_thread thread);

void
__wrap_mia_thread_join(mia_thread thread)
{
	CHILD_CHECK(!is_child);
	__real_mia_thread_join(thread);
}

/* Written by one thread after the other, without atomics: for TSan. */
struct job {
	struct mia_lasting lasting;
	int ends;              /* threads that shall end */
	int runs;              /* calls of run() */
	int exits;             /* calls of exited() */
	int returns;           /* from run() */
	int destroyed;         /* values of threads that have ended */
	pthread_t threads[32]; /* that called run() */
	pthread_key_t key;
};

static void
destroy_value(void *value)
{
	struct job *job = value;

	test_sleep_ns(2 * MS);
	job->destroyed++;
}

static MIA_NOINLINE void
end_thread(void)
{
	char stack[4096];

	memset(stack, 0xee, sizeof(stack));
	__asm__ __volatile__("" ::"r"(stack) : "memory");
	pthread_exit(NULL);
}

static void
job_run(void *arg)
{
	struct job *job = arg;

	job->threads[job->runs] = pthread_self();
	job->runs++;
	if (job->runs <= job->ends)
		end_thread();
	job->returns++;
}

static void
job_exited(void *arg)
{
	struct job *job = arg;

	job->exits++;
	/* In the thread that ends. */
	assert_true(pthread_equal(job->threads[job->runs - 1], pthread_self()));
}

static void
do_job(int ends, unsigned refusals)
{
	struct job job = {.ends = ends};

	atomic_store(&starts, 0);
	atomic_store(&refused, refusals);
	assert_int_equal(
		mia_lasting_start(&job.lasting, job_run, job_exited, &job), 0);
	mia_lasting_join(&job.lasting);
	assert_int_equal(job.runs, ends + 1);
	assert_int_equal(job.exits, ends);
	assert_int_equal(job.returns, 1);
	assert_int_equal(starts, ends + 1);
	for (int i = 1; i < job.runs; i++)
		if (refusals >> i & 1)
			assert_true(pthread_equal(
				job.threads[i], job.threads[i - 1]));
}

static void
run_is_called_again_after_each_thread_that_ends(void **state)
{
	(void)state;
	for (int ends = 0; ends < 20; ends++)
		do_job(ends, 0);
}

static void
thread_goes_on_if_the_system_refuses_another(void **state)
{
	(void)state;
	for (int ends = 1; ends < 6; ends++)
		for (unsigned refusals = 0; refusals < 2U << ends;
			refusals += 2)
			do_job(ends, refusals);
}

static void
start_that_is_refused_leaves_nothing_behind(void **state)
{
	struct job job = {.ends = 0};

	(void)state;
	atomic_store(&starts, 0);
	atomic_store(&refused, 1);
	assert_int_equal(
		mia_lasting_start(&job.lasting, job_run, job_exited, &job),
		-EAGAIN);
	assert_int_equal(job.runs, 0);
}

static void
value_run(void *arg)
{
	struct job *job = arg;

	assert_int_equal(pthread_setspecific(job->key, job), 0);
	job_run(job);
}

/* Join waits for them. */
static void
destructors_of_all_threads_have_run_after_the_join(void **state)
{
	(void)state;
	for (int ends = 0; ends < 10; ends++) {
		struct job job = {.ends = ends};

		atomic_store(&starts, 0);
		atomic_store(&refused, 0);
		assert_int_equal(
			pthread_key_create(&job.key, destroy_value), 0);
		assert_int_equal(mia_lasting_start(&job.lasting, value_run,
					 job_exited, &job),
			0);
		mia_lasting_join(&job.lasting);
		assert_int_equal(job.destroyed, ends + 1);
		pthread_key_delete(job.key);
	}
}

/* A cancellation point returns. */
static void
cancel_run(void *arg)
{
	struct job *job = arg;

	job->runs++;
	pthread_cancel(pthread_self());
	pthread_testcancel();
	test_sleep_ns(1);
	job->returns++;
}

static void
thread_cannot_be_cancelled(void **state)
{
	struct job job = {.ends = 0};

	(void)state;
	atomic_store(&starts, 0);
	atomic_store(&refused, 0);
	assert_int_equal(
		mia_lasting_start(&job.lasting, cancel_run, job_exited, &job),
		0);
	mia_lasting_join(&job.lasting);
	assert_int_equal(job.runs, 1);
	assert_int_equal(job.returns, 1);
}

/* What the forking thread does in the child. */
enum child_end { CHILD_RETURNS, CHILD_EXITS };

struct forking_job {
	struct job job;
	enum child_end end;
	pid_t child;
	pid_t first; /* the thread that ended, as the system calls it */
};

static pid_t
this_thread(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* A child would keep the lock of AddressSanitizer that the end takes. */
static void
await_end(pid_t thread)
{
	for (int i = 0; i < 10000; i++) {
		if (syscall(SYS_tgkill, getpid(), thread, 0) != 0)
			return;
		test_sleep_ns(MS);
	}
	fail_msg("the thread does not end");
}

/* The last thread of the child has ended, and so the process ends. */
static void
end_child(void)
{
	_exit(0);
}

/* Threads of the library block all signals. */
static void
begin_child(void)
{
	sigset_t signals;

	is_child = true;
	sigemptyset(&signals);
	sigaddset(&signals, SIGALRM);
	CHILD_CHECK(pthread_sigmask(SIG_UNBLOCK, &signals, NULL) == 0);
	alarm(CHILD_SECONDS);
	CHILD_CHECK(atexit(end_child) == 0);
}

/* The first thread ends. The one that takes its place forks. */
static void
fork_run(void *arg)
{
	struct forking_job *forking = arg;
	struct job *job = &forking->job;

	job->threads[job->runs] = pthread_self();
	job->runs++;
	if (job->runs == 1) {
		forking->first = this_thread();
		end_thread();
	}
	if (forking->first != this_thread())
		await_end(forking->first);
	fflush(NULL);
	forking->child = fork();
	if (forking->child != 0) {
		job->returns++;
		return;
	}
	begin_child();
	if (forking->end == CHILD_EXITS)
		end_thread();
}

static void
fork_exited(void *arg)
{
	struct forking_job *forking = arg;

	CHILD_CHECK(!is_child);
	job_exited(&forking->job);
}

static void
thread_that_took_a_place_may_fork(void **state)
{
	(void)state;
	if (!TEST_LATE_DESTRUCTORS)
		skip();
	for (int i = 0; i < 20; i++) {
		struct forking_job forking = {
			.end = i % 2 == 0 ? CHILD_RETURNS : CHILD_EXITS};

		atomic_store(&starts, 0);
		/* Every other time the thread takes its own place. */
		atomic_store(&refused, i % 4 < 2 ? 0 : 2);
		assert_int_equal(mia_lasting_start(&forking.job.lasting,
					 fork_run, fork_exited, &forking),
			0);
		mia_lasting_join(&forking.job.lasting);
		assert_int_equal(child_status(forking.child), 0);
		assert_int_equal(forking.job.runs, 2);
		assert_int_equal(forking.job.exits, 1);
		assert_int_equal(forking.job.returns, 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			run_is_called_again_after_each_thread_that_ends),
		cmocka_unit_test(thread_goes_on_if_the_system_refuses_another),
		cmocka_unit_test(start_that_is_refused_leaves_nothing_behind),
		cmocka_unit_test(
			destructors_of_all_threads_have_run_after_the_join),
		cmocka_unit_test(thread_cannot_be_cancelled),
		cmocka_unit_test(thread_that_took_a_place_may_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
