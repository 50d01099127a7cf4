/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * platform.h -- the functions of the system, under names of our own
 *
 * Other modules use the system only through the headers of this folder. The
 * exception is a memory_<cpu>.c that asks the system for a CPU's instructions.
 * All functions are thread-safe, except inits and finis.
 */

#ifndef LIBMINIASYNC_PLATFORM_H
#define LIBMINIASYNC_PLATFORM_H 1

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Bytes at which two CPUs write variables without slowing each other down. */
#define MIA_CACHE_LINE 64

/* Moves the rare branch out of the common path. */
#define MIA_LIKELY(condition) __builtin_expect(condition, 1)
#define MIA_UNLIKELY(condition) __builtin_expect(condition, 0)

#define MIA_NOINLINE __attribute__((noinline))

#define MIA_NS_PER_S UINT64_C(1000000000)

/*
 * Put this on the definition of every public function. All other symbols are
 * hidden, also in archives. Therefore a plug-in that links an archive calls its
 * own copy, even if the program exports the symbols of another version.
 */
#if defined(__ELF__)
#define MIA_PUBLIC __attribute__((visibility("default")))
#else
#define MIA_PUBLIC
#endif

/*
 * Sets errno to an earlier value. Clang assumes that an allocation leaves errno
 * unchanged, and removes a plain assignment after an allocation. The barrier
 * prevents that.
 */
static inline void
mia_restore_errno(int saved_errno)
{
	__asm__ __volatile__("" ::: "memory");
	errno = saved_errno;
}

/*
 * Returns nanoseconds of the monotonic clock. Keeps errno. Compare the elapsed
 * time, as an unsigned number, with a timeout. Then a wait also ends if the
 * clock goes back.
 */
uint64_t mia_clock_ns(void);

/* Sleeps for about ns nanoseconds. A signal may end the sleep. Keeps errno. */
void mia_sleep(uint64_t ns);

/* Returns the bytes of the last-level cache. 0: unknown. */
size_t mia_last_cache_bytes(void);

/*
 * Returns the value of a variable of the environment, or NULL. Always NULL in a
 * program with more rights than the user who has set the variable.
 */
const char *mia_environment(const char *name);

/* Windows uses the threads of winpthreads. */
typedef pthread_t mia_thread;

/*
 * Like pthread_create(), but the thread blocks all signals except those of its
 * own faults, and has the stack of a worker: see stack.h. Returns 0 or -errno.
 */
int mia_thread_start(mia_thread *thread, void *(*run)(void *), void *arg);

/* Waits for the end of the thread. Not a cancellation point. */
void mia_thread_join(mia_thread thread);

/* Yields the CPU to another thread. Keeps errno. */
void mia_thread_yield(void);

/*
 * mia_thread_id() returns a number that no other thread has and that is not 0.
 * Async-signal-safe. After fork() the thread has the same number in the child.
 */

/*
 * Runs init, unless a call with the same once has run it. Returns when init has
 * ended.
 */
typedef pthread_once_t mia_once;
#define MIA_ONCE_INITIALIZER PTHREAD_ONCE_INIT

static inline void
mia_once_run(mia_once *once, void (*init)(void))
{
	pthread_once(once, init);
}

/* Returns the number of the process. */
uint32_t mia_process_id(void);

/* Names the calling thread miniasync/<number>, if threads have names. */
void mia_thread_name(size_t number);

/*
 * Like aligned_alloc(). Free the memory with mia_aligned_free() only. Returns
 * NULL with errno ENOMEM if memory is short.
 */
void *mia_aligned_alloc(size_t alignment, size_t size);
void mia_aligned_free(void *memory);

/* With small pages, only touched pages use memory. */
enum mia_pages { MIA_PAGES_MAYBE_HUGE, MIA_PAGES_SMALL };

/*
 * mia_pages_map() returns pages of zeros, or NULL if memory is short.
 *
 * size   bytes: a power of two, and a multiple of the page size. The pages are
 *        aligned to it.
 *
 * mia_pages_unmap() returns false and changes nothing at the system's limit of
 * mappings. Both keep errno.
 */
void *mia_pages_map(size_t size, enum mia_pages kind);
bool mia_pages_unmap(void *pages, size_t size);

/*
 * The rest has POSIX functions under names of our own. platform_windows.h has
 * the same names for Windows. Every init returns 0 or -errno.
 *
 *   mia_mutex, mia_sem,   a lock, a semaphore that starts at 0, and a condition
 *   mia_cond              variable. Only an init can fail.
 *   mia_cond_wait_until() returns false when mia_clock_ns() has reached
 *                         until_ns, and true after a signal or for no reason
 *   MIA_THREAD_POINTER    a pointer that each thread has for itself. Pass the
 *                         same initial value to the definition and to each get.
 *                         A set returns false and changes nothing if memory is
 *                         short. After one success it always succeeds.
 *   mia_exit_key          a function that each ending thread calls with its
 *                         value, unless that is NULL. The library has only one
 *                         such key. A set returns 0 or -errno.
 *   mia_at_fork()         pthread_atfork(), but returns 0 or -errno
 *   mia_at_exit()         atexit(). exit() calls the function before all
 *                         destructors. Non-zero if the system cannot do so.
 */
#if defined(_WIN32)
#include "system/platform_windows.h"
#else

#include <semaphore.h>

typedef pthread_mutex_t mia_mutex;
#define MIA_MUTEX_INITIALIZER PTHREAD_MUTEX_INITIALIZER

static inline int
mia_mutex_init(mia_mutex *mutex)
{
	return -pthread_mutex_init(mutex, NULL);
}

static inline void
mia_mutex_fini(mia_mutex *mutex)
{
	pthread_mutex_destroy(mutex);
}

static inline bool
mia_mutex_try_lock(mia_mutex *mutex)
{
	return pthread_mutex_trylock(mutex) == 0;
}

static inline void
mia_mutex_lock(mia_mutex *mutex)
{
	pthread_mutex_lock(mutex);
}

static inline void
mia_mutex_unlock(mia_mutex *mutex)
{
	pthread_mutex_unlock(mutex);
}

typedef pthread_cond_t mia_cond;

int mia_cond_init(mia_cond *cond);
bool mia_cond_wait_until(mia_cond *cond, mia_mutex *mutex, uint64_t until_ns);

static inline void
mia_cond_fini(mia_cond *cond)
{
	pthread_cond_destroy(cond);
}

static inline void
mia_cond_signal(mia_cond *cond)
{
	pthread_cond_signal(cond);
}

typedef sem_t mia_sem;

/* Starts at 0. */
static inline int
mia_sem_init(mia_sem *sem)
{
	return sem_init(sem, 0, 0) == 0 ? 0 : -errno;
}

static inline void
mia_sem_fini(mia_sem *sem)
{
	sem_destroy(sem);
}

/* Keeps errno. */
static inline void
mia_sem_post(mia_sem *sem)
{
	const int saved_errno = errno;

	sem_post(sem);
	mia_restore_errno(saved_errno);
}

static inline void
mia_sem_wait(mia_sem *sem)
{
	while (sem_wait(sem) != 0)
		continue; /* EINTR */
}

/* Initial-exec makes the access one instruction. */
#if defined(__ELF__)
#define MIA_THREAD_LOCAL \
	_Thread_local __attribute__((tls_model("initial-exec")))
#else
#define MIA_THREAD_LOCAL _Thread_local
#endif

extern MIA_THREAD_LOCAL char mia_thread_mark; /* only its address is used */

static inline uintptr_t
mia_thread_id(void)
{
	return (uintptr_t)&mia_thread_mark;
}

#define MIA_THREAD_POINTER(type, name, initial) \
	MIA_THREAD_LOCAL type *name = (initial)
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration */
#define MIA_THREAD_POINTER_EXTERN(type, name) extern MIA_THREAD_LOCAL type *name
#define MIA_THREAD_GET(name, initial) (name)
#define MIA_THREAD_SET(name, value) ((name) = (value), true)

typedef pthread_key_t mia_exit_key;

static inline int
mia_exit_key_init(mia_exit_key *key, void (*at_exit)(void *value))
{
	return -pthread_key_create(key, at_exit);
}

static inline void
mia_exit_key_fini(mia_exit_key key)
{
	pthread_key_delete(key);
}

static inline int
mia_exit_key_set(mia_exit_key key, void *value)
{
	return -pthread_setspecific(key, value);
}

static inline int
mia_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
	return -pthread_atfork(before, parent, child);
}

static inline int
mia_at_exit(void (*fn)(void))
{
	return atexit(fn);
}

#endif

#endif /* LIBMINIASYNC_PLATFORM_H */
