/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_threads_stack.c -- tests system/stack: the stack on which
 * wakers and functions of the program run, beside TEST_TLS_BYTES of
 * thread-local variables
 */

#include "test.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libminiasync.h"
#include "threads_mover.h"

/* What is left for the library, and more of it for a sanitizer. */
#define LIBRARY_BYTES ((TEST_SLOWDOWN > 1 ? 32 : 8) * KIB)

static _Thread_local volatile char large[TEST_TLS_BYTES];

static size_t stack_bytes; /* of the last worker that noted it */
static atomic_int done;
static int refusal; /* of each thread with a size of its own */
static int creates;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg)
{
	creates++;
	if (refusal != 0 && attr != NULL)
		return refusal;
	return __real_pthread_create(thread, attr, run, arg);
}

static void
note_stack(void)
{
	pthread_attr_t attr;
	void *lowest;

	assert_int_equal(pthread_getattr_np(pthread_self(), &attr), 0);
	pthread_attr_getstack(&attr, &lowest, &stack_bytes);
	pthread_attr_destroy(&attr);
}

/* Writes so many bytes below the caller. */
static __attribute__((noinline)) char
use_stack(size_t n)
{
	volatile char bytes[n];

	for (size_t i = 0; i < n; i += 1024)
		bytes[i] = (char)i;
	bytes[n - 1] = 1;
	return bytes[n / 2];
}

static void
use_all(void)
{
	large[0] = large[TEST_TLS_BYTES - 1] = 1;
	use_stack(TEST_STACK_BYTES - LIBRARY_BYTES);
}

static void *
greedy_memset(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	note_stack();
	use_all();
	return memset(str, c, n);
}

static void
greedy_wake(void *data)
{
	(void)data;
	note_stack();
	use_all();
	/* Release: pairs with the acquire below, and publishes stack_bytes. */
	atomic_store_explicit(&done, 1, memory_order_release);
}

/* Neither less than the documented size, nor much more. */
static void
assert_size(void)
{
	printf("%zu bytes of stack\n", stack_bytes);
	assert_true(stack_bytes >= TEST_STACK_BYTES);
	/* ThreadSanitizer adds its own. */
	if (TEST_SLOWDOWN == 1)
		assert_true(stack_bytes <=
			TEST_STACK_BYTES + TEST_TLS_BYTES + 64 * KIB);
}

static int
setup(void **state)
{
	(void)state;
	refusal = creates = 0;
	stack_bytes = 0;
	atomic_store(&done, 0);
	return 0;
}

static void
function_may_use_the_stack(void **state)
{
	struct data_mover_threads *dmt = mover_new(1, 1);
	char a;

	(void)state;
	data_mover_threads_set_memset_fn(dmt, greedy_memset);
	struct vdm_operation_future f =
		vdm_memset(data_mover_threads_get_vdm(dmt), &a, 1, 1, 0);
	FUTURE_BUSY_POLL(&f);
	assert_int_equal(a, 1);
	assert_size();
	data_mover_threads_delete(dmt);
}

/* After the mover itself has shared, copied and completed. */
static void
waker_may_use_the_stack(void **state)
{
	struct data_mover_threads *dmt = mover_new(2, 1);
	struct future_notifier notifier = {.waker = {NULL, greedy_wake}};
	static char src[SHARED], dst[SHARED];

	(void)state;
	memset(src, 1, sizeof(src));
	struct vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(dmt), dst, src, SHARED, 0);
	if (future_poll(FUTURE_AS_RUNNABLE(&f), &notifier) !=
		FUTURE_STATE_COMPLETE)
		while (!atomic_load_explicit(&done, memory_order_acquire))
			test_sleep_ns(MS);
	FUTURE_BUSY_POLL(&f);
	assert_memory_equal(src, dst, SHARED);
	assert_size();
	data_mover_threads_delete(dmt);
}

static void
refused_size_means_the_default_stack(void **state)
{
	struct data_mover_threads *dmt;
	char a;

	(void)state;
	refusal = EINVAL;
	dmt = mover_new(3, 1);
	assert_int_equal(creates, 6);
	data_mover_threads_set_memset_fn(dmt, plain_memset);
	struct vdm_operation_future f =
		vdm_memset(data_mover_threads_get_vdm(dmt), &a, 1, 1, 0);
	FUTURE_BUSY_POLL(&f);
	data_mover_threads_delete(dmt);
}

static void
other_refusals_are_final(void **state)
{
	(void)state;
	refusal = EAGAIN;
	assert_null(data_mover_threads_new(3, 1, FUTURE_NOTIFIER_WAKER));
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(creates, 1);
}

static atomic_int in_loader, has_forked;

static int
stay_in_loader(struct dl_phdr_info *object, size_t size, void *arg)
{
	(void)object;
	(void)size;
	(void)arg;
	atomic_store(&in_loader, 1);
	test_sleep_ns(50 * MS);
	return 1;
}

static void *
use_loader(void *arg)
{
	(void)arg;
	while (!atomic_load(&has_forked))
		dl_iterate_phdr(stay_in_loader, NULL);
	return NULL;
}

/* The child has a copy of the loader's lock, which nobody leaves. */
static void
child_may_make_a_mover_whatever_the_loader_did(void **state)
{
	pthread_t thread;
	int status;

	(void)state;
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL)
		TEST_LEFT_OUT("forks beside threads");
	pthread_create(&thread, NULL, use_loader, NULL);
	while (atomic_load(&in_loader) == 0)
		test_sleep_ns(MS);

	const pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		data_mover_threads_delete(mover_new(1, 1));
		_exit(0);
	}
	atomic_store(&has_forked, 1);
	pthread_join(thread, NULL);

	/* A child that hangs there has all signals blocked. */
	for (int i = 0; waitpid(child, &status, WNOHANG) == 0; i++) {
		if (i == 10000)
			kill(child, SIGKILL);
		test_sleep_ns(MS);
	}
	assert_int_equal(status, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(function_may_use_the_stack),
		TEST(waker_may_use_the_stack),
		TEST(refused_size_means_the_default_stack),
		TEST(other_refusals_are_final),
		TEST(child_may_make_a_mover_whatever_the_loader_did),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
