/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_faults.c -- whatever the system refuses, nothing is lost, nothing is
 * left behind, and no wait is for ever
 *
 * The linker puts __wrap_* in the place of what the library calls. First each
 * call that may fail does so, one after the other, in a scenario with all of
 * the interface; then the clock, the futex, the semaphore and the scheduler
 * misbehave for long. With MIA_TEST_NO_KEY=1 the process gets no key for
 * thread-specific memory. All tests have deadlines.
 */

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_dml.h"
#include "libminiasync-vdm-dml.h"
#include "libminiasync.h"
#include "operation/memory.h"
#include "operation/slabs.h"
#include "wakers.h"

#define HOUR (UINT64_C(3600000) * MS)

/* The test fails by SIGALRM if it is not over in time. */
static void
deadline(unsigned seconds)
{
	alarm(seconds * (TEST_SLOWDOWN > 1 ? 4 : 1));
}

/* Calls that may fail, each time they are made. */
enum fault {
	MALLOC,
	CALLOC,
	SLAB,
	ALIGNED_ALLOC,
	THREAD_CREATE,
	MUTEX_INIT,
	SEM_INIT,
	SET_SPECIFIC,
	GET_AFFINITY,
	CONDATTR_INIT,
	CONDATTR_SETCLOCK,
	COND_INIT,
	FAULTS
};

static const struct {
	const char *name;
	int error;
} faults[FAULTS] = {
	[MALLOC] = {"malloc", ENOMEM},
	[CALLOC] = {"calloc", ENOMEM},
	[SLAB] = {"slab", ENOMEM},
	[ALIGNED_ALLOC] = {"aligned_alloc", ENOMEM},
	[THREAD_CREATE] = {"pthread_create", EAGAIN},
	[MUTEX_INIT] = {"pthread_mutex_init", EAGAIN},
	[SEM_INIT] = {"sem_init", ENOSPC},
	[SET_SPECIFIC] = {"pthread_setspecific", ENOMEM},
	[GET_AFFINITY] = {"sched_getaffinity", ENOSYS},
	[CONDATTR_INIT] = {"pthread_condattr_init", ENOMEM},
	[CONDATTR_SETCLOCK] = {"pthread_condattr_setclock", EINVAL},
	[COND_INIT] = {"pthread_cond_init", EAGAIN},
};

static atomic_long allowed = -1; /* calls until one fails; -1: all succeed */
static atomic_bool all_after;    /* and those after it too */
static atomic_long nfailed[FAULTS];
static atomic_int last_error; /* of the last call that was made to fail */
static atomic_long nlive;     /* allocations */

static bool
fails(enum fault fault)
{
	long left = atomic_load(&allowed);

	do {
		if (left < 0)
			return false;
	} while (!atomic_compare_exchange_weak(&allowed, &left,
		left > 0 || atomic_load(&all_after) ? left - (left > 0) : -1));
	if (left > 0)
		return false;

	atomic_fetch_add(&nfailed[fault], 1);
	atomic_store(&last_error, faults[fault].error);
	errno = faults[fault].error;
	return true;
}

static void *
counted(void *memory)
{
	if (memory != NULL)
		atomic_fetch_add(&nlive, 1);
	return memory;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *
__wrap_malloc(size_t n)
{
	return fails(MALLOC) ? NULL : counted(__real_malloc(n));
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails(CALLOC) ? NULL : counted(__real_calloc(n, size));
}

void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

void *
__wrap_aligned_alloc(size_t align, size_t n)
{
	return fails(ALIGNED_ALLOC) ? NULL
				    : counted(__real_aligned_alloc(align, n));
}

/*
 * One refusal is that of a slab, new pages for it included: no span has a free
 * slab, the system gives none, and no other thread has put one back meanwhile.
 */
static _Thread_local enum {
	WILLING,
	NO_SLAB,
	NO_PAGES,
	NEW_PAGES, /* their first slab counts once */
} slab_refusal;

void *__real_mia_slabs_take(
	struct mia_slabs *slabs, bool *used, struct mia_span **garbage);
void *__wrap_mia_slabs_take(
	struct mia_slabs *slabs, bool *used, struct mia_span **garbage);

void *
__wrap_mia_slabs_take(
	struct mia_slabs *slabs, bool *used, struct mia_span **garbage)
{
	const int saved_errno = errno;

	if (slab_refusal == NEW_PAGES) {
		slab_refusal = WILLING;
		return __real_mia_slabs_take(slabs, used, garbage);
	}
	if (slab_refusal == NO_PAGES)
		slab_refusal = WILLING;
	else if (fails(SLAB))
		slab_refusal = NO_SLAB;
	else
		return __real_mia_slabs_take(slabs, used, garbage);
	errno = saved_errno;
	return NULL;
}

void *__real_mia_pages_map(size_t size, bool small);
void *__wrap_mia_pages_map(size_t size, bool small);

void *
__wrap_mia_pages_map(size_t size, bool small)
{
	const bool refuse = slab_refusal == NO_SLAB;

	slab_refusal = refuse ? NO_PAGES : NEW_PAGES;
	return refuse ? NULL : __real_mia_pages_map(size, small);
}

void __real_free(void *memory);
void __wrap_free(void *memory);

void
__wrap_free(void *memory)
{
	if (memory != NULL)
		atomic_fetch_sub(&nlive, 1);
	__real_free(memory);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*run)(void *), void *arg)
{
	return fails(THREAD_CREATE)
		? faults[THREAD_CREATE].error
		: __real_pthread_create(thread, attr, run, arg);
}

int __real_pthread_mutex_init(
	pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(
	pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);

int
__wrap_pthread_mutex_init(
	pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	return fails(MUTEX_INIT) ? faults[MUTEX_INIT].error
				 : __real_pthread_mutex_init(mutex, attr);
}

int __real_sem_init(sem_t *sem, int shared, unsigned value);
int __wrap_sem_init(sem_t *sem, int shared, unsigned value);

int
__wrap_sem_init(sem_t *sem, int shared, unsigned value)
{
	return fails(SEM_INIT) ? -1 : __real_sem_init(sem, shared, value);
}

int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);

int
__wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
	return fails(SET_SPECIFIC) ? faults[SET_SPECIFIC].error
				   : __real_pthread_setspecific(key, value);
}

static atomic_size_t cpu_mask_min; /* bytes, below which it is too small */

int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int
__wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	if (size < atomic_load(&cpu_mask_min)) {
		errno = EINVAL;
		return -1;
	}
	return fails(GET_AFFINITY) ? -1
				   : __real_sched_getaffinity(pid, size, set);
}

int __real_pthread_condattr_init(pthread_condattr_t *attr);
int __wrap_pthread_condattr_init(pthread_condattr_t *attr);

int
__wrap_pthread_condattr_init(pthread_condattr_t *attr)
{
	return fails(CONDATTR_INIT) ? faults[CONDATTR_INIT].error
				    : __real_pthread_condattr_init(attr);
}

int __real_pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock);
int __wrap_pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock);

int
__wrap_pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock)
{
	return fails(CONDATTR_SETCLOCK)
		? faults[CONDATTR_SETCLOCK].error
		: __real_pthread_condattr_setclock(attr, clock);
}

int __real_pthread_cond_init(
	pthread_cond_t *cond, const pthread_condattr_t *attr);
int __wrap_pthread_cond_init(
	pthread_cond_t *cond, const pthread_condattr_t *attr);

int
__wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
	return fails(COND_INIT) ? faults[COND_INIT].error
				: __real_pthread_cond_init(cond, attr);
}

/* Only before main() is it called. */
int __real_pthread_key_create(pthread_key_t *key, void (*end)(void *));
int __wrap_pthread_key_create(pthread_key_t *key, void (*end)(void *));

int
__wrap_pthread_key_create(pthread_key_t *key, void (*end)(void *))
{
	return getenv("MIA_TEST_NO_KEY") != NULL
		? EAGAIN
		: __real_pthread_key_create(key, end);
}

/* What misbehaves for long. */

static _Atomic uint64_t seed;

static uint64_t
next_random(void)
{
	uint64_t state = atomic_fetch_add(&seed, 0x9e3779b97f4a7c15u);

	return test_random(&state);
}

/* For so long it is the same; in between it is right. */
#define CLOCK_STEP (100 * MS)
#define CLOCK_SHORT_STEP (MS / 10)

static enum clock_mode {
	CLOCK_RIGHT,
	CLOCK_STANDS_STILL,
	CLOCK_LEAPS, /* by hours, forwards */
	CLOCK_FALLS, /* by hours, backwards; in short steps */
	CLOCK_FAILS,
	CLOCK_FAILS_AT_TIMES,
	CLOCK_MODES
} clock_mode;
static const char *const clock_names[] = {
	"right", "stands still", "leaps", "falls", "fails", "fails at times"};

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

/* The time as it is. */
static uint64_t
real_ns(void)
{
	struct timespec ts;

	__real_clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

/* How far the clock is ahead; wraps. */
static uint64_t
clock_ahead(uint64_t now)
{
	switch (clock_mode) {
	case CLOCK_STANDS_STILL:
		return -(now % CLOCK_STEP);
	case CLOCK_LEAPS:
		return now / CLOCK_STEP % 100000 * HOUR;
	case CLOCK_FALLS:
		/* Never below zero, which 32 bits of seconds cannot wrap. */
		return (100000 - now / CLOCK_SHORT_STEP % 100000) * HOUR;
	default:
		return 0;
	}
}

int
__wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (clock != CLOCK_MONOTONIC || clock_mode == CLOCK_RIGHT)
		return __real_clock_gettime(clock, ts);

	uint64_t now = real_ns();

	if (clock_mode == CLOCK_FAILS ||
		(clock_mode == CLOCK_FAILS_AT_TIMES &&
			now / CLOCK_STEP % 2 == 1)) {
		errno = EPERM;
		return -1;
	}
	now += clock_ahead(now);
	ts->tv_sec = (time_t)(now / (1000 * MS));
	ts->tv_nsec = (long)(now % (1000 * MS));
	return 0;
}

static enum sleep_mode {
	SLEEP_RIGHT,
	SLEEP_RETURNS,     /* 0 at once, without a wake */
	SLEEP_INTERRUPTED, /* EINTR */
	SLEEP_AGAIN,       /* EAGAIN */
	SLEEP_MISSING,     /* ENOSYS, and the wake too */
	SLEEP_FORBIDDEN,   /* EPERM, and the wake too */
	SLEEP_MIXED,       /* any of these, or right */
	WAKE_FAILS,        /* the sleep is right */
	SLEEP_MODES
} sleep_mode;
static const char *const sleep_names[] = {"right", "returns at once", "EINTR",
	"EAGAIN", "ENOSYS", "EPERM", "mixed", "wake fails"};
static atomic_long nsleeps;

/* Whether this sleep is to end at once, and with which errno. */
static bool
sleep_fails(int *error)
{
	static const int errors[] = {0, 0, EINTR, EAGAIN, ENOSYS, EPERM};
	enum sleep_mode mode = sleep_mode;

	atomic_fetch_add(&nsleeps, 1);
	if (mode == SLEEP_MIXED)
		mode = (enum sleep_mode)(next_random() % SLEEP_MIXED);
	*error = mode < SLEEP_MIXED ? errors[mode] : 0;
	return mode != SLEEP_RIGHT && mode != WAKE_FAILS;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* The library's only system call of its own is futex. */
long
__wrap_syscall(long number, ...)
{
	va_list args;
	long a[6];
	int error = 0;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);

	const bool is_wake = number == SYS_futex && (a[1] & 127) == 1;
	const bool failing = is_wake
		? sleep_mode == SLEEP_MISSING ||
			sleep_mode == SLEEP_FORBIDDEN ||
			sleep_mode == WAKE_FAILS
		: number == SYS_futex && sleep_fails(&error);

	if (!failing)
		return __real_syscall(
			number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (is_wake)
		error = sleep_mode == SLEEP_FORBIDDEN ? EPERM : ENOSYS;
	errno = error;
	return error == 0 ? 0 : -1;
}

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until);

/*
 * It may wake without a reason, and goes by the same clock as the caller. If
 * that has fallen since the caller looked at it, it is hours until the end: it
 * then wakes without a reason too, before the test's deadline.
 */
int
__wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until)
{
	const uint64_t now = real_ns();
	uint64_t end = (uint64_t)until->tv_sec * 1000 * MS +
		(uint64_t)until->tv_nsec - clock_ahead(now);
	const bool is_far = (int64_t)(end - now) > (int64_t)CLOCK_STEP;
	int error;

	if (sleep_fails(&error))
		return 0;
	if (is_far)
		end = now + CLOCK_STEP;

	const struct timespec real_until = {
		.tv_sec = (time_t)(end / (1000 * MS)),
		.tv_nsec = (long)(end % (1000 * MS))};

	error = __real_pthread_cond_timedwait(cond, mutex, &real_until);
	return is_far ? 0 : error;
}

static atomic_bool sem_wait_interrupted; /* most of the time */
static atomic_long ninterrupted;

int __real_sem_wait(sem_t *sem);
int __wrap_sem_wait(sem_t *sem);

int
__wrap_sem_wait(sem_t *sem)
{
	if (sem_wait_interrupted && next_random() % 16 != 0) {
		atomic_fetch_add(&ninterrupted, 1);
		errno = EINTR;
		return -1;
	}
	return __real_sem_wait(sem);
}

static bool yields_do_nothing;
static atomic_long nyields;

int __real_sched_yield(void);
int __wrap_sched_yield(void);

int
__wrap_sched_yield(void)
{
	if (!yields_do_nothing)
		return __real_sched_yield();
	atomic_fetch_add(&nyields, 1);
	return 0;
}

/* The scenario: all of the interface, and what must hold. */

#define N 24
#define SIZE 20000  /* a worker does it */
#define BIG 2500000 /* the workers share it */
#define ERRNO 4321  /* stays, where it should */

static struct {
	unsigned char src[N][SIZE], dst[N][SIZE];
	unsigned char big_src[BIG], big_dst[BIG];
} memory;

/* Not cmocka's assertions: the scenario has a thread of its own. */
static atomic_long nwrong;
static atomic_long ndone;
static atomic_long nrefused;

#define EXPECT(condition) expect(condition, #condition, __LINE__)

static void
expect(bool holds, const char *what, int line)
{
	if (holds)
		return;
	if (atomic_fetch_add(&nwrong, 1) < 10)
		print_error("line %d: %s does not hold\n", line, what);
}

/* Returns whether it was done, and else for want of memory. */
static bool
was_done(const struct vdm_operation_future *f)
{
	const enum vdm_operation_result result = FUTURE_OUTPUT(f)->result;

	EXPECT(FUTURE_STATE(f) == FUTURE_STATE_COMPLETE);
	EXPECT(result == VDM_SUCCESS || result == VDM_ERROR_OUT_OF_MEMORY);
	atomic_fetch_add(result == VDM_SUCCESS ? &ndone : &nrefused, 1);
	return result == VDM_SUCCESS;
}

static size_t
size_of(int i)
{
	static const size_t sizes[] = {SIZE, 1, 4000, 0, 17000};

	return sizes[i % 5];
}

static struct vdm_operation_future
make(struct vdm *vdm, int i)
{
	switch (i % 4) {
	case 0:
		return vdm_memcpy(vdm, memory.dst[i], memory.src[i], size_of(i),
			VDM_F_NO_CACHE_HINT);
	case 1:
		return vdm_memmove(
			vdm, memory.dst[i], memory.src[i], size_of(i), 0);
	case 2:
		return vdm_memset(vdm, memory.dst[i], i + 1, size_of(i), 0);
	default:
		return vdm_flush(vdm, memory.dst[i], 0, 0);
	}
}

static void
check(const struct vdm_operation_future *f, int i)
{
	unsigned char set[SIZE];

	if (!was_done(f)) {
		memset(set, 0, size_of(i));
		EXPECT(memcmp(memory.dst[i], set, size_of(i)) == 0);
		return;
	}
	memset(set, i + 1, size_of(i));
	if (i % 4 < 3)
		EXPECT(memcmp(memory.dst[i], i % 4 == 2 ? set : memory.src[i],
			       size_of(i)) == 0);
}

static void
fill(void)
{
	for (int i = 0; i < N; i++)
		memset(memory.src[i], i + 100, SIZE);
	memset(memory.dst, 0, sizeof(memory.dst));
	memset(memory.big_src, 7, BIG);
	memset(memory.big_dst, 0, BIG);
}

static void
wait_for(struct runtime *runtime, struct future *futs[], size_t n)
{
	if (runtime != NULL) {
		runtime_wait_multiple(runtime, futs, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		future_busy_poll_impl(futs[i]);
}

/* A thread that leaves futures, polled and not, and its caches behind. */
struct leaver {
	struct vdm *vdm;
	struct vdm_operation_future f[2];
};

static void *
leave(void *arg)
{
	struct leaver *leaver = arg;

	for (int i = 0; i < 2; i++)
		leaver->f[i] = make(leaver->vdm, i);
	future_poll(FUTURE_AS_RUNNABLE(&leaver->f[0]), NULL);
	return NULL;
}

/* Waits in the same runtime while it is being waited for. */
struct nested_data {
	struct runtime *runtime;
	struct vdm_operation_future inner;
};

FUTURE(nested_future, struct nested_data, char);

static enum future_state
nested_task(struct future_context *context, struct future_notifier *n)
{
	struct nested_data *data = future_context_get_data(context);
	struct future *fut = FUTURE_AS_RUNNABLE(&data->inner);

	(void)n;
	wait_for(data->runtime, &fut, 1);
	return FUTURE_STATE_COMPLETE;
}

/* A chain whose second entry is made when the first is done. */
struct pair_data {
	FUTURE_CHAIN_ENTRY(struct vdm_operation_future, first);
	FUTURE_CHAIN_ENTRY_LAST(struct vdm_operation_future, second);
};

FUTURE(pair_future, struct pair_data, char);

static void
make_second(void *future, struct future_context *chain, void *arg)
{
	struct vdm_operation_future *f = future;

	(void)chain;
	*f = make(arg, 1);
}

static void
use_mover(struct vdm *vdm, struct runtime *runtime)
{
	struct vdm_operation_future f[N + 1];
	struct future *futs[N + 1];
	pthread_t thread;

	/* Many at once: the runtime grows. */
	fill();
	errno = ERRNO;
	for (int i = 0; i < N; i++) {
		struct future_notifier n = {.waker = {.wake = wake_nobody}};

		f[i] = make(vdm, i);
		if (i % 3 != 0)
			future_poll(FUTURE_AS_RUNNABLE(&f[i]),
				i % 3 == 1 ? &n : NULL);
		futs[i] = FUTURE_AS_RUNNABLE(&f[i]);
	}
	f[N] = vdm_memcpy(vdm, memory.big_dst, memory.big_src, BIG, 0);
	futs[N] = FUTURE_AS_RUNNABLE(&f[N]);
	wait_for(runtime, futs, N + 1);
	EXPECT(errno == ERRNO);
	for (int i = 0; i < N; i++)
		check(&f[i], i);
	if (was_done(&f[N]))
		EXPECT(memcmp(memory.big_src, memory.big_dst, BIG) == 0);

	/* A wait in a wait, a chain, and what an ended thread has left. */
	fill();
	struct nested_future nested = {.data = {runtime, make(vdm, 4)}};
	struct pair_future pair;
	struct leaver leaver = {.vdm = vdm};

	FUTURE_INIT(&nested, nested_task);
	futs[0] = FUTURE_AS_RUNNABLE(&nested);
	wait_for(runtime, futs, 1);
	EXPECT(FUTURE_STATE(&nested) == FUTURE_STATE_COMPLETE);
	check(&nested.data.inner, 4);

	FUTURE_CHAIN_ENTRY_INIT(&pair.data.first, make(vdm, 0), NULL, NULL);
	FUTURE_CHAIN_ENTRY_LAZY_INIT(
		&pair.data.second, make_second, vdm, NULL, NULL);
	FUTURE_CHAIN_INIT(&pair);
	futs[0] = FUTURE_AS_RUNNABLE(&pair);
	wait_for(runtime, futs, 1);
	check(&pair.data.first.fut, 0);
	check(&pair.data.second.fut, 1);
	EXPECT(errno == ERRNO);

	fill();
	if (__real_pthread_create(&thread, NULL, leave, &leaver) != 0)
		abort();
	pthread_join(thread, NULL);
	for (int i = 0; i < 2; i++) {
		futs[i] = FUTURE_AS_RUNNABLE(&leaver.f[i]);
		FUTURE_BUSY_POLL(&leaver.f[i]);
		check(&leaver.f[i], i);
	}
	wait_for(runtime, futs, 2);

	/* One is dropped. */
	(void)make(vdm, 0);
}

static void *
custom_copy(void *dst, const void *src, size_t n, unsigned flags)
{
	(void)flags;
	return memcpy(dst, src, n);
}

static void *
custom_set(void *str, int c, size_t n, unsigned flags)
{
	(void)flags;
	return memset(str, c, n);
}

/* Without memory for it the library goes on; without these it cannot. */
static bool
is_vital(enum fault fault)
{
	return fault != SET_SPECIFIC && fault != GET_AFFINITY &&
		fault > ALIGNED_ALLOC;
}

static long
failed_so_far(bool vital_only)
{
	long n = 0;

	for (int i = 0; i < FAULTS; i++)
		if (!vital_only || is_vital((enum fault)i))
			n += atomic_load(&nfailed[i]);
	return n;
}

/* What a constructor returns goes with what was refused meanwhile. */
struct refusals {
	long all;
	long vital;
};

static struct refusals
refusals(void)
{
	return (struct refusals){failed_so_far(false), failed_so_far(true)};
}

static bool
was_made(const void *made, struct refusals before)
{
	if (made != NULL) {
		EXPECT(failed_so_far(true) == before.vital);
	} else {
		EXPECT(failed_so_far(false) > before.all);
		EXPECT(errno == atomic_load(&last_error));
	}
	return made != NULL;
}

static void
use_threads(struct data_mover_threads *dmt, struct runtime *runtime)
{
	struct vdm *vdm = data_mover_threads_get_vdm(dmt);

	use_mover(vdm, runtime);
	data_mover_threads_set_memcpy_fn(dmt, custom_copy);
	data_mover_threads_set_memmove_fn(dmt, custom_copy);
	data_mover_threads_set_memset_fn(dmt, custom_set);
	EXPECT(data_mover_threads_set_capabilities(dmt, 0) == 0);
	use_mover(vdm, runtime);
	data_mover_threads_set_memcpy_fn(dmt, NULL);
	data_mover_threads_delete(dmt);
}

static void
use_dml(struct runtime *runtime)
{
	const enum data_mover_dml_type types[] = {
		DATA_MOVER_DML_SOFTWARE, DATA_MOVER_DML_AUTO};

	for (int i = 0; i < 2; i++) {
		const struct refusals before = refusals();
		struct data_mover_dml *dmd = data_mover_dml_new(types[i]);

		if (was_made(dmd, before))
			use_mover(data_mover_dml_get_vdm(dmd), runtime);
		data_mover_dml_delete(dmd);
	}

	/* Without a device: a thread plays that, and may be too late. */
	const long before = failed_so_far(false);

	fake_dml_set_device(false);
	EXPECT(data_mover_dml_new(DATA_MOVER_DML_HARDWARE) == NULL);
	EXPECT(errno == (failed_so_far(false) > before ? ENOMEM : ENODEV));
	fake_dml_set_device(true);
}

static void *
scenario(void *arg)
{
	struct refusals before = refusals();
	struct runtime *runtime = runtime_new();

	was_made(runtime, before);
	before = refusals();
	struct data_mover_sync *dms = data_mover_sync_new();

	if (was_made(dms, before)) {
		EXPECT(data_mover_sync_set_capabilities(dms, 0) == 0);
		use_mover(data_mover_sync_get_vdm(dms), runtime);
	}

	for (int notifier = 0; notifier < 4; notifier++) {
		before = refusals();
		struct data_mover_threads *dmt = notifier == 3
			? data_mover_threads_default()
			: data_mover_threads_new(
				  3, 4, (enum future_notifier_type)notifier);

		if (was_made(dmt, before))
			use_threads(dmt, runtime);
	}

	if (mia_memory_capabilities() == VDM_F_VALID_FLAGS)
		use_dml(runtime);

	/* Later than some movers, and with memory of one that is left. */
	runtime_delete(runtime);
	data_mover_sync_delete(dms);
	return arg;
}

/* On a thread of its own, whose caches go with it. */
static void
run_scenario(void)
{
	pthread_t thread;

	if (__real_pthread_create(&thread, NULL, scenario, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
}

/* Each call that may fail fails; alone, and with all that follow. */
static void
each_refusal_loses_and_leaves_nothing(void **state)
{
	/* Under a sanitizer, not at each but at every so many. */
	const long step = TEST_SLOWDOWN > 1 ? 13 : 1;

	(void)state;
	if (getauxval(AT_BASE) == 0) {
		printf("linked statically: the C library's own calls would be "
		       "refused too\n");
		skip();
	}
	for (int all = 0; all < 2; all++) {
		long calls = (long)(next_random() % (uint64_t)step);

		deadline(120);
		run_scenario();
		const long live = atomic_load(&nlive);

		for (int i = 0; i < FAULTS; i++)
			atomic_store(&nfailed[i], 0);
		atomic_store(&ndone, 0);
		atomic_store(&nrefused, 0);
		atomic_store(&all_after, all != 0);
		for (;; calls += step) {
			atomic_store(&allowed, calls);
			const long before = failed_so_far(false);

			run_scenario();
			atomic_store(&allowed, -1);
			if (atomic_load(&nwrong) != 0)
				print_error("refused: call %ld\n", calls);
			assert_int_equal(atomic_load(&nwrong), 0);
			assert_int_equal(atomic_load(&nlive), live);
			if (failed_so_far(false) == before)
				break;
		}
		printf("%s refused, at each of %ld calls: %ld operations done, "
		       "%ld refused\n",
			all ? "all" : "one", calls, atomic_load(&ndone),
			atomic_load(&nrefused));
		for (int i = 0; i < FAULTS; i++)
			printf("  %s %ld\n", faults[i].name,
				atomic_load(&nfailed[i]));
		for (int i = 0; i < CONDATTR_INIT && step == 1; i++)
			if (i != SET_SPECIFIC ||
				getenv("MIA_TEST_NO_KEY") == NULL)
				assert_true(atomic_load(&nfailed[i]) > 0);
#ifdef MIA_PARKER_PORTABLE
		for (int i = CONDATTR_INIT; i < FAULTS && step == 1; i++)
			assert_true(atomic_load(&nfailed[i]) > 0);
#endif
		assert_true(atomic_load(&ndone) > 0);
		assert_true(step > 1 || atomic_load(&nrefused) > 0);
	}
	deadline(0);
}

/*
 * What may hang: waits for every kind of mover; for a future that forgets to
 * wake, which only the safety net finds complete; for a waker that is slow.
 */

struct forgetful_data {
	uint64_t end; /* ns, of the real clock */
};

FUTURE(forgetful_future, struct forgetful_data, char);

static enum future_state
forgetful_task(struct future_context *context, struct future_notifier *n)
{
	struct forgetful_data *data = future_context_get_data(context);

	if (n != NULL)
		n->notifier_used = FUTURE_NOTIFIER_WAKER;
	return real_ns() >= data->end ? FUTURE_STATE_COMPLETE
				      : FUTURE_STATE_RUNNING;
}

struct slow_waker {
	atomic_bool is_over;
	atomic_int calls;
	atomic_int late; /* calls that were not over when the poll said so */
};

static void
wake_slowly(void *data)
{
	const struct timespec pause = {.tv_nsec = 30000000};
	struct slow_waker *waker = data;

	atomic_fetch_add(&waker->calls, 1);
	nanosleep(&pause, NULL);
	atomic_fetch_add(&waker->late, atomic_load(&waker->is_over));
}

static void
slow_waker_ends(struct vdm *vdm)
{
	struct slow_waker waker = {false};
	struct future_notifier n = {
		.waker = {.wake = wake_slowly, .data = &waker}};
	struct vdm_operation_future f = make(vdm, 0);

	while (future_poll(FUTURE_AS_RUNNABLE(&f), &n) == FUTURE_STATE_IDLE)
		sched_yield();
	while (future_poll(FUTURE_AS_RUNNABLE(&f), NULL) !=
		FUTURE_STATE_COMPLETE)
		continue;
	atomic_store(&waker.is_over, true);
	check(&f, 0);

	/* Longer than a call that should not be there. */
	const struct timespec pause = {.tv_nsec = 50000000};

	nanosleep(&pause, NULL);
	EXPECT(atomic_load(&waker.late) == 0);
}

static void
waits_of_every_kind_end(void)
{
	struct runtime *runtime = runtime_new();
	struct data_mover_sync *dms = data_mover_sync_new();

	fill();
	use_mover(data_mover_sync_get_vdm(dms), runtime);
	for (int notifier = 0; notifier < 3; notifier++) {
		struct data_mover_threads *dmt = data_mover_threads_new(
			2, 4, (enum future_notifier_type)notifier);
		struct vdm *vdm = data_mover_threads_get_vdm(dmt);

		use_mover(vdm, runtime);
		fill();
		/* By such a clock, each poll may ask for one more call. */
		if (notifier == FUTURE_NOTIFIER_WAKER &&
			clock_mode != CLOCK_FALLS)
			slow_waker_ends(vdm);
		data_mover_threads_delete(dmt);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct forgetful_future f = {
			.data = {real_ns() + (i == 0 ? 5 : 250) * MS}};

		FUTURE_INIT(&f, forgetful_task);
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}
	data_mover_sync_delete(dms);
	runtime_delete(runtime);
}

static void
clock_that_lies_ends_all_waits(void **state)
{
	(void)state;
	for (int mode = 0; mode < CLOCK_MODES; mode++) {
		const uint64_t start = real_ns();

		deadline(60);
		clock_mode = (enum clock_mode)mode;
		waits_of_every_kind_end();
		clock_mode = CLOCK_RIGHT;
		printf("clock %s: %llu ms\n", clock_names[mode],
			(unsigned long long)((real_ns() - start) / MS));
		assert_int_equal(atomic_load(&nwrong), 0);
	}
	deadline(0);
}

static void
sleep_that_is_none_ends_all_waits(void **state)
{
	(void)state;
	for (int mode = 0; mode < SLEEP_MODES; mode++) {
		const uint64_t start = real_ns();

		deadline(60);
		atomic_store(&nsleeps, 0);
		sleep_mode = (enum sleep_mode)mode;
		waits_of_every_kind_end();
		sleep_mode = SLEEP_RIGHT;
		printf("sleep %s: %llu ms, %ld times\n", sleep_names[mode],
			(unsigned long long)((real_ns() - start) / MS),
			atomic_load(&nsleeps));
		assert_int_equal(atomic_load(&nwrong), 0);
		assert_true(atomic_load(&nsleeps) > 0);
	}
	deadline(0);
}

/* A worker's sleep is interrupted, fifteen times for each that is not. */
static void
interrupted_workers_lose_nothing(void **state)
{
	struct data_mover_threads *dmt =
		data_mover_threads_new(2, 4, FUTURE_NOTIFIER_WAKER);
	const struct timespec pause = {.tv_nsec = 1000000};

	(void)state;
	deadline(60);
	sem_wait_interrupted = true;
	for (int i = 0; i < 100; i++) {
		struct vdm_operation_future f =
			make(data_mover_threads_get_vdm(dmt), 0);

		fill();
		FUTURE_BUSY_POLL(&f);
		check(&f, 0);
		nanosleep(&pause, NULL); /* they fall asleep */
	}
	data_mover_threads_delete(dmt);
	sem_wait_interrupted = false;
	assert_int_equal(atomic_load(&nwrong), 0);
	printf("%ld interruptions\n", atomic_load(&ninterrupted));
	assert_true(atomic_load(&ninterrupted) > 100);
	deadline(0);
}

static void
yield_that_does_nothing_ends_all_waits(void **state)
{
	(void)state;
	deadline(120);
	yields_do_nothing = true;
	waits_of_every_kind_end();
	yields_do_nothing = false;
	assert_int_equal(atomic_load(&nwrong), 0);
	printf("%ld yields\n", atomic_load(&nyields));
	assert_true(atomic_load(&nyields) > 0);
	deadline(0);
}

/* The mask of a big machine; one bigger than any; and no answer at all. */
static void
unknown_affinity_gives_a_mover_all_the_same(void **state)
{
	const size_t sizes[] = {CPU_ALLOC_SIZE(8192), SIZE_MAX};

	(void)state;
	deadline(60);
	for (int i = 0; i < 2; i++) {
		atomic_store(&cpu_mask_min, sizes[i]);
		struct data_mover_threads *dmt = data_mover_threads_default();

		atomic_store(&cpu_mask_min, 0);
		assert_non_null(dmt);
		fill();
		struct vdm_operation_future f =
			make(data_mover_threads_get_vdm(dmt), 0);

		FUTURE_BUSY_POLL(&f);
		check(&f, 0);
		data_mover_threads_delete(dmt);
		assert_int_equal(atomic_load(&nwrong), 0);
	}
	deadline(0);
}

/*
 * A child makes and uses everything, whatever the parent's threads were at:
 * they create, poll, drop and delete, and exit.
 */
static atomic_bool busy_stop;

static void *
be_busy_once(void *arg)
{
	static unsigned char src[SIZE];
	unsigned char dst[SIZE];
	struct runtime *runtime = runtime_new();
	struct data_mover_sync *dms = data_mover_sync_new();
	struct data_mover_threads *dmt =
		data_mover_threads_new(1, 4, FUTURE_NOTIFIER_WAKER);

	if (runtime == NULL || dms == NULL || dmt == NULL)
		abort();
	for (int i = 0; i < 200; i++) {
		struct vdm_operation_future f =
			vdm_memcpy(i % 8 == 0 ? data_mover_threads_get_vdm(dmt)
					      : data_mover_sync_get_vdm(dms),
				dst, src, i % 8 == 0 ? SIZE : 1, 0);

		if (i % 16 != 1) /* that one is dropped */
			runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	}
	for (int i = 0; i < 10000; i++) {
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_sync_get_vdm(dms), dst, src, 1, 0);

		FUTURE_BUSY_POLL(&f);
	}
	data_mover_threads_delete(dmt);
	data_mover_sync_delete(dms);
	runtime_delete(runtime);
	return arg;
}

static void *
be_busy(void *arg)
{
	while (!atomic_load(&busy_stop)) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, be_busy_once, NULL) != 0)
			abort();
		pthread_join(thread, NULL);
	}
	return arg;
}

static void
child_of_a_busy_parent_uses_movers(void **state)
{
	enum { BUSY = 3, FORKS = 150 };
	static char src[BIG], dst[BIG];
	struct data_mover_threads *dmt =
		data_mover_threads_new(2, 4, FUTURE_NOTIFIER_WAKER);
	pthread_t threads[BUSY];
	char one = 1, other = 0;
	int nhung = 0;

	(void)state;
	/*
	 * The sanitizers' own allocators do not survive a fork of threads, nor
	 * do QEMU's own locks.
	 */
	if (TEST_SLOWDOWN > 1 || getenv("MIA_TEST_EMULATED") != NULL) {
		data_mover_threads_delete(dmt);
		skip();
	}
	deadline(60);
	for (int i = 0; i < BUSY; i++)
		pthread_create(&threads[i], NULL, be_busy, NULL);
	for (int i = 0; i < FORKS && nhung == 0; i++) {
		struct vdm_operation_future f = vdm_memcpy(
			data_mover_threads_get_vdm(dmt), dst, src, BIG, 0);
		int status = -1;

		/* While this is on its way, too. */
		memset(src, i, BIG);
		future_poll(FUTURE_AS_RUNNABLE(&f), NULL);
		const pid_t child = fork();

		if (child == 0) {
			alarm(20);
			be_busy_once(NULL);

			struct data_mover_sync *dms = data_mover_sync_new();
			struct vdm_operation_future g =
				vdm_memcpy(data_mover_sync_get_vdm(dms), &other,
					&one, 1, 0);

			FUTURE_BUSY_POLL(&g);
			data_mover_sync_delete(dms);
			_exit(other == one ? 0 : 1);
		}
		FUTURE_BUSY_POLL(&f);
		assert_memory_equal(src, dst, BIG);
		assert_int_equal(waitpid(child, &status, 0), child);
		nhung += status != 0;
	}
	atomic_store(&busy_stop, true);
	for (int i = 0; i < BUSY; i++)
		pthread_join(threads[i], NULL);
	data_mover_threads_delete(dmt);
	assert_int_equal(nhung, 0);
	deadline(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refusal_loses_and_leaves_nothing),
		cmocka_unit_test(clock_that_lies_ends_all_waits),
		cmocka_unit_test(sleep_that_is_none_ends_all_waits),
		cmocka_unit_test(interrupted_workers_lose_nothing),
		cmocka_unit_test(yield_that_does_nothing_ends_all_waits),
		cmocka_unit_test(unknown_affinity_gives_a_mover_all_the_same),
		cmocka_unit_test(child_of_a_busy_parent_uses_movers),
	};

	atomic_store(&seed, test_seed("faults"));
	fake_dml_reset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
