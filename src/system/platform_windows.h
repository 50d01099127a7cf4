/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * platform_windows.h -- the Windows part of platform.h, which includes it
 *
 * For the GNU compilers with winpthreads. The library uses only the threads of
 * winpthreads. The locks and semaphores of winpthreads allocate memory at their
 * first use. Its keys, and the compiler's _Thread_local, abort the process if
 * memory is short.
 */

#ifndef LIBMINIASYNC_PLATFORM_WINDOWS_H
#define LIBMINIASYNC_PLATFORM_WINDOWS_H 1

#define WIN32_LEAN_AND_MEAN 1
#include <windows.h>

typedef SRWLOCK mia_mutex;
#define MIA_MUTEX_INITIALIZER SRWLOCK_INIT

static inline int
mia_mutex_init(mia_mutex *mutex)
{
	InitializeSRWLock(mutex);
	return 0;
}

static inline void
mia_mutex_fini(mia_mutex *mutex)
{
	(void)mutex;
}

static inline bool
mia_mutex_try_lock(mia_mutex *mutex)
{
	return TryAcquireSRWLockExclusive(mutex) != 0;
}

static inline void
mia_mutex_lock(mia_mutex *mutex)
{
	AcquireSRWLockExclusive(mutex);
}

static inline void
mia_mutex_unlock(mia_mutex *mutex)
{
	ReleaseSRWLockExclusive(mutex);
}

typedef CONDITION_VARIABLE mia_cond;

static inline int
mia_cond_init(mia_cond *cond)
{
	InitializeConditionVariable(cond);
	return 0;
}

static inline void
mia_cond_fini(mia_cond *cond)
{
	(void)cond;
}

static inline void
mia_cond_signal(mia_cond *cond)
{
	WakeConditionVariable(cond);
}

bool mia_cond_wait_until(mia_cond *cond, mia_mutex *mutex, uint64_t until_ns);

typedef HANDLE mia_sem;

static inline int
mia_sem_init(mia_sem *sem)
{
	*sem = CreateSemaphoreA(NULL, 0, LONG_MAX, NULL);
	return *sem != NULL ? 0 : -ENOMEM;
}

static inline void
mia_sem_fini(mia_sem *sem)
{
	CloseHandle(*sem);
}

static inline void
mia_sem_post(mia_sem *sem)
{
	ReleaseSemaphore(*sem, 1, NULL);
}

static inline void
mia_sem_wait(mia_sem *sem)
{
	WaitForSingleObject(*sem, INFINITE);
}

static inline uintptr_t
mia_thread_id(void)
{
	return GetCurrentThreadId();
}

/* The index of a pointer that each thread has for itself. */
struct mia_thread_index {
	DWORD index;
};

/* A constructor makes the index. Before that, a set fails. */
#define MIA_THREAD_POINTER(type, name, initial) \
	struct mia_thread_index name = {TLS_OUT_OF_INDEXES}; \
	__attribute__((constructor)) static void name##_init(void) \
	{ \
		name.index = TlsAlloc(); \
	} \
	extern struct mia_thread_index name
#define MIA_THREAD_POINTER_EXTERN(type, name) \
	extern struct mia_thread_index name
#define MIA_THREAD_GET(name, initial) mia_thread_get(&(name), (initial))
#define MIA_THREAD_SET(name, value) (TlsSetValue((name).index, (value)) != 0)

static inline void *
mia_thread_get(const struct mia_thread_index *pointer, void *initial)
{
	void *value = TlsGetValue(pointer->index);

	return value != NULL ? value : initial;
}

typedef int mia_exit_key; /* the library has one key, in platform_windows.c */

int mia_exit_key_init(mia_exit_key *key, void (*at_exit)(void *value));
void mia_exit_key_fini(mia_exit_key key);
int mia_exit_key_set(mia_exit_key key, void *value);

/* A DLL calls its exit functions when it ends, at an exit and at an unload. */
static inline int
mia_at_exit(void (*fn)(void))
{
	(void)fn;
	return -1;
}

/* Windows has no fork(). */
static inline int
mia_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
	(void)before;
	(void)parent;
	(void)child;
	return 0;
}

#endif /* LIBMINIASYNC_PLATFORM_WINDOWS_H */
