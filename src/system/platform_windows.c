/* SPDX-License-Identifier: BSD-3-Clause */

/* platform_windows.c -- see platform.h and platform_windows.h */

#include "system/platform.h"

#include <malloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define NS_PER_MS UINT64_C(1000000)

uint64_t
mia_clock_ns(void)
{
	LARGE_INTEGER ticks, per_second;

	/* These two cannot fail. */
	QueryPerformanceCounter(&ticks);
	QueryPerformanceFrequency(&per_second);

	const uint64_t count = (uint64_t)ticks.QuadPart;
	const uint64_t hz = (uint64_t)per_second.QuadPart;

	return count / hz * MIA_NS_PER_S + count % hz * MIA_NS_PER_S / hz;
}

/* Sleeps whole milliseconds, at least one. */
void
mia_sleep(uint64_t ns)
{
	Sleep((DWORD)((ns + NS_PER_MS - 1) / NS_PER_MS));
}

size_t
mia_last_cache_bytes(void)
{
	return 0;
}

/* A Windows program never has more rights than its user. */
const char *
mia_environment(const char *name)
{
	return getenv(name);
}

/*
 * Uses the default stack. The system commits the pages of the default stack
 * when they are used. It commits all pages of a requested size at once.
 */
int
mia_thread_start(mia_thread *thread, void *(*run)(void *), void *arg)
{
	return -pthread_create(thread, NULL, run, arg);
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
	sched_yield();
}

uint32_t
mia_process_id(void)
{
	return GetCurrentProcessId();
}

void
mia_thread_name(size_t number)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "miniasync/%zu", number);
	pthread_setname_np(pthread_self(), name);
}

void *
mia_aligned_alloc(size_t alignment, size_t size)
{
	return _aligned_malloc(size, alignment);
}

void
mia_aligned_free(void *memory)
{
	_aligned_free(memory);
}

/*
 * Windows cannot free a part of a reservation. So reserve twice the size to
 * find an address, free that, and reserve the aligned part. If another thread
 * takes the address in between, try again.
 */
#define MAP_TRIES 8

void *
mia_pages_map(size_t size, enum mia_pages kind)
{
	const DWORD saved_error = GetLastError();
	void *pages = NULL;

	(void)kind; /* Windows has huge pages only on request */
	for (int i = 0; i < MAP_TRIES && pages == NULL; i++) {
		char *found = VirtualAlloc(
			NULL, 2 * size, MEM_RESERVE, PAGE_NOACCESS);

		if (found == NULL)
			break;
		VirtualFree(found, 0, MEM_RELEASE);
		pages = VirtualAlloc(found + (-(uintptr_t)found & (size - 1)),
			size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
	}
	SetLastError(saved_error);
	return pages;
}

bool
mia_pages_unmap(void *pages, size_t size)
{
	(void)size;
	return VirtualFree(pages, 0, MEM_RELEASE) != 0;
}

/* Windows measures the timeout itself, in whole milliseconds. */
bool
mia_cond_wait_until(mia_cond *cond, mia_mutex *mutex, uint64_t until_ns)
{
	const uint64_t now = mia_clock_ns();

	if (now >= until_ns)
		return false;

	const uint64_t ms = (until_ns - now + NS_PER_MS - 1) / NS_PER_MS;

	SleepConditionVariableSRW(
		cond, mutex, ms < INFINITE ? (DWORD)ms : INFINITE - 1, 0);
	return true;
}

static MIA_THREAD_POINTER(void, exit_value, NULL);
static _Atomic(void (*)(void *value)) exit_fn;

int
mia_exit_key_init(mia_exit_key *key, void (*at_exit)(void *value))
{
	*key = 0;
	/* Relaxed, all three: the function pointer publishes no other data. */
	atomic_store_explicit(&exit_fn, at_exit, memory_order_relaxed);
	return 0;
}

void
mia_exit_key_fini(mia_exit_key key)
{
	(void)key;
	atomic_store_explicit(&exit_fn, NULL, memory_order_relaxed);
}

int
mia_exit_key_set(mia_exit_key key, void *value)
{
	(void)key;
	return MIA_THREAD_SET(exit_value, value) ? 0 : -ENOMEM;
}

static void NTAPI
on_thread_event(PVOID module, DWORD reason, PVOID reserved)
{
	void *value = MIA_THREAD_GET(exit_value, NULL);
	void (*at_exit)(void *value) =
		atomic_load_explicit(&exit_fn, memory_order_relaxed);

	(void)module;
	(void)reserved;
	if (reason != DLL_THREAD_DETACH || value == NULL || at_exit == NULL)
		return;

	(void)MIA_THREAD_SET(exit_value, NULL);
	at_exit(value);
}

/*
 * Each ending thread calls the functions in the sections .CRT$XLA to .CRT$XLZ,
 * in the order of these names. winpthreads uses XLF. So the destructors of a
 * program, which may use movers, run before this function.
 */
static const PIMAGE_TLS_CALLBACK thread_event_callback
	__attribute__((section(".CRT$XLM"), used)) = on_thread_event;
