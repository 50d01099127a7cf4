/* SPDX-License-Identifier: BSD-3-Clause */

/* platform.c -- see platform.h. Windows has platform_windows.c instead. */

#include "system/platform.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "system/stack.h"

/* LeakSanitizer does not search mapped pages for pointers by itself. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_LSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_LSAN 1
#endif
#endif
#if defined(HAS_LSAN)
#include <sanitizer/lsan_interface.h>
#define LSAN_ADD(memory, size) __lsan_register_root_region(memory, size)
#define LSAN_REMOVE(memory, size) __lsan_unregister_root_region(memory, size)
#else
#define LSAN_ADD(memory, size) ((void)0)
#define LSAN_REMOVE(memory, size) ((void)0)
#endif

/*
 * Nanoseconds that each call of mia_clock_ns() adds, if the system has no
 * clock.
 */
#define LOOK_NS 1000

MIA_THREAD_LOCAL char mia_thread_mark;

uint64_t
mia_clock_ns(void)
{
	const int saved_errno = errno;
	struct timespec ts;

	/*
	 * Without a clock, each call advances the time by LOOK_NS. So every
	 * timeout ends. Relaxed: the number publishes nothing.
	 */
	if (MIA_UNLIKELY(clock_gettime(CLOCK_MONOTONIC, &ts) != 0)) {
		static _Atomic uint64_t looks;

		mia_restore_errno(saved_errno);
		return LOOK_NS *
			atomic_fetch_add_explicit(
				&looks, 1, memory_order_relaxed);
	}
	return (uint64_t)ts.tv_sec * MIA_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/*
 * mia_sleep() and mia_cond_wait_until() are not cancellation points. A thread
 * that ended in one of them would leave a locked lock, or a waker that others
 * call.
 */
void
mia_sleep(uint64_t ns)
{
	const int saved_errno = errno;
	int state;
	const struct timespec ts = {
		.tv_sec = (time_t)(ns / MIA_NS_PER_S),
		.tv_nsec = (long)(ns % MIA_NS_PER_S),
	};

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	(void)nanosleep(&ts, NULL);
	pthread_setcancelstate(state, &state);
	mia_restore_errno(saved_errno);
}

size_t
mia_last_cache_bytes(void)
{
	long bytes = 0;

#ifdef _SC_LEVEL3_CACHE_SIZE
	bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
	return bytes > 0 ? (size_t)bytes : 0;
}

const char *
mia_environment(const char *name)
{
#if defined(__linux__)
	return secure_getenv(name);
#else
	return issetugid() ? NULL : getenv(name);
#endif
}

/* Uses the default stack if the system refuses the size of ours. */
static int
create(mia_thread *thread, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	int error = pthread_attr_init(&attr);

	if (error != 0)
		return error;

	error = pthread_attr_setstacksize(&attr, mia_stack_bytes());
	if (error == 0)
		error = pthread_create(thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return error != EINVAL ? error : pthread_create(thread, NULL, run, arg);
}

int
mia_thread_start(mia_thread *thread, void *(*run)(void *), void *arg)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	sigset_t blocked, old;

	/* A new thread inherits the mask of its creator. */
	sigfillset(&blocked);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&blocked, faults[i]);

	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	const int error = -create(thread, run, arg);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

void
mia_thread_join(mia_thread thread)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_join(thread, NULL);
	pthread_setcancelstate(state, &state);
}

void
mia_thread_yield(void)
{
	const int saved_errno = errno;

	sched_yield();
	mia_restore_errno(saved_errno);
}

uint32_t
mia_process_id(void)
{
	return (uint32_t)getpid();
}

void
mia_thread_name(size_t number)
{
#if defined(__linux__)
	char name[16]; /* the limit of the kernel */

	/* Truncated for number 100,000 and larger. */
	(void)snprintf(name, sizeof(name), "miniasync/%zu", number);
	pthread_setname_np(pthread_self(), name);
#else
	(void)number;
#endif
}

void *
mia_aligned_alloc(size_t alignment, size_t size)
{
	return aligned_alloc(alignment, size);
}

void
mia_aligned_free(void *memory)
{
	free(memory);
}

static void *
map(size_t size)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return pages != MAP_FAILED ? pages : NULL;
}

static bool
is_aligned(const void *pages, size_t size)
{
	return ((uintptr_t)pages & (size - 1)) == 0;
}

/*
 * The system usually places mappings side by side, so the mapping after an
 * aligned one is aligned too. Otherwise an area of twice the size contains an
 * aligned part.
 */
static char *
map_aligned(size_t size)
{
	char *pages = map(size);

	if (pages == NULL || is_aligned(pages, size))
		return pages;
	munmap(pages, size);

	pages = map(2 * size);
	if (pages == NULL)
		return NULL;

	const size_t before = -(uintptr_t)pages & (size - 1);

	if (before > 0)
		munmap(pages, before);
	munmap(pages + before + size, size - before);
	return pages + before;
}

void *
mia_pages_map(size_t size, enum mia_pages kind)
{
	const int saved_errno = errno;
	void *pages = map_aligned(size);

#if defined(MADV_NOHUGEPAGE)
	if (pages != NULL && kind == MIA_PAGES_SMALL)
		(void)madvise(pages, size, MADV_NOHUGEPAGE);
#else
	(void)kind;
#endif
	if (pages != NULL)
		LSAN_ADD(pages, size);
	mia_restore_errno(saved_errno);
	return pages;
}

bool
mia_pages_unmap(void *pages, size_t size)
{
	const int saved_errno = errno;
	const bool unmapped = munmap(pages, size) == 0;

	if (unmapped)
		LSAN_REMOVE(pages, size);
	mia_restore_errno(saved_errno);
	return unmapped;
}

int
mia_cond_init(mia_cond *cond)
{
	pthread_condattr_t attr;
	int error = -pthread_condattr_init(&attr);

	if (error != 0)
		return error;

	error = -pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (error == 0)
		error = -pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return error;
}

bool
mia_cond_wait_until(mia_cond *cond, mia_mutex *mutex, uint64_t until_ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / MIA_NS_PER_S),
		.tv_nsec = (long)(until_ns % MIA_NS_PER_S),
	};
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);

	const int error = pthread_cond_timedwait(cond, mutex, &until);

	pthread_setcancelstate(state, &state);
	return error == 0;
}
