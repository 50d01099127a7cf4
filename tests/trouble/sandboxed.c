/* SPDX-License-Identifier: BSD-3-Clause */

/* sandboxed.c -- see sandboxed.h */

#include "sandboxed.h"

#ifdef HAS_TABLE

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libminiasync.h"
#include "test.h"
#include "wakers.h"

#define BIG ((size_t)2200000)
#define NMOVERS 4
#define MAX_CALLS 64
#define SILENT_MS 2000

/* Calls of this program, and not of the library. */
static const long ours[] = {SYS_exit_group, SYS_seccomp,
#ifdef SYS_poll
	SYS_poll,
#endif
	SYS_ppoll};
#define NOURS (sizeof(ours) / sizeof(ours[0]))

static struct data_mover_sync *dms;
static struct data_mover_threads *dmt[3]; /* by notifier */
static struct vdm *vdms[NMOVERS];         /* NULL: not made */
static struct runtime *runtime;
static struct completion_queue *queue;
static int fd;
static char *src, *dst;
static int troubles;

static struct sock_filter
statement(unsigned code, unsigned k)
{
	return (struct sock_filter)BPF_STMT((unsigned short)code, k);
}

/* Skips the next statement if the call is another one. */
static struct sock_filter
if_call(long call)
{
	return (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1);
}

/* For all threads. */
static bool
apply(const struct filter *filter)
{
	struct sock_filter code[2 * (MAX_CALLS + NOURS) + 4];
	const struct sock_filter allow =
		statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	unsigned short n = 0;

	code[n++] = statement(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	if (filter->refused >= 0) {
		code[n++] = if_call(filter->refused);
		code[n++] = statement(BPF_RET | BPF_K,
			SECCOMP_RET_ERRNO | (unsigned)filter->error);
	}
	for (size_t i = 0; i < NOURS; i++) {
		code[n++] = if_call(ours[i]);
		code[n++] = allow;
	}
	for (size_t i = 0; i < filter->ncalls && i < MAX_CALLS; i++) {
		code[n++] = if_call(filter->calls[i]);
		code[n++] = allow;
	}
	code[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);

	const struct sock_fprog program = {n, code};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		       SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

/* By a call that is ours, so that clock_nanosleep is the library's. */
static void
sleep_2_ms(void)
{
	(void)poll(NULL, 0, 2);
}

static void *
slow_memcpy(void *to, const void *from, size_t n, unsigned flags)
{
	(void)flags;
	sleep_2_ms();
	return memcpy(to, from, n);
}

/* After a function that makes something has failed. */
static void
check_errno(enum trouble trouble)
{
	const bool is_clear = errno == EPERM || errno == ENOSYS ||
		errno == EAGAIN || errno == ENOMEM;

	troubles |= is_clear ? trouble : WRONG;
}

static void
make(void)
{
	vdms[0] = NULL;
	dms = data_mover_sync_new();
	if (dms != NULL)
		vdms[0] = data_mover_sync_get_vdm(dms);
	else
		check_errno(NO_MEMORY);
	for (int i = 0; i < 3; i++) {
		const enum future_notifier_type type = i;

		dmt[i] = type == FUTURE_NOTIFIER_WAKER
			? data_mover_threads_default()
			: data_mover_threads_new(6, 8, type);
		vdms[i + 1] = NULL;
		if (dmt[i] != NULL)
			vdms[i + 1] = data_mover_threads_get_vdm(dmt[i]);
		else
			check_errno(NOT_MADE);
	}
	runtime = runtime_new();
	queue = completion_queue_new();
	if (runtime == NULL || queue == NULL)
		check_errno(NO_MEMORY);
	fd = queue != NULL ? completion_queue_fd(queue) : -1;
	if (fd < 0)
		check_errno(NO_DESCRIPTOR);
}

static void
check(const struct vdm_operation_future *f, size_t n)
{
	if (f->base.context.state != FUTURE_STATE_COMPLETE)
		troubles |= WRONG;
	else if (f->output.result == VDM_ERROR_OUT_OF_MEMORY)
		troubles |= NO_MEMORY;
	else if (f->output.result != VDM_SUCCESS || memcmp(dst, src, n) != 0)
		troubles |= WRONG;
	memset(dst, 0, n);
}

static void
busy_poll(struct vdm_operation_future f, size_t n)
{
	FUTURE_BUSY_POLL(&f);
	check(&f, n);
}

static void
poll_with_waker(struct vdm_operation_future f, size_t n)
{
	struct future_notifier notifier = {.waker = {.wake = wake_nobody}};

	(void)future_poll(FUTURE_AS_RUNNABLE(&f), &notifier);
	busy_poll(f, n);
}

static void
wait_for(struct vdm_operation_future f, size_t n)
{
	struct future *futs[] = {FUTURE_AS_RUNNABLE(&f)};

	if (runtime == NULL)
		return;
	/* A time limit that may end, and then none. */
	(void)runtime_wait_some(runtime, futs, 1, 1, (int64_t)MS);
	runtime_wait(runtime, futs[0]);
	check(&f, n);
}

static void
wait_in_queue(struct vdm_operation_future f, size_t n)
{
	struct completion done;

	if (queue == NULL)
		return;
	if (completion_queue_add(queue, FUTURE_AS_RUNNABLE(&f), NULL) != 0)
		troubles |= NO_MEMORY;
	else
		(void)completion_queue_wait(queue, &done, 1, 1, -1);
	busy_poll(f, n);
}

/* As an event loop does. */
static void
watch_descriptor(struct vdm_operation_future f, size_t n)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	struct completion done;
	size_t nreaped = 0;

	/* One is enough: each takes SILENT_MS. */
	if (fd < 0 || (troubles & SILENT) != 0)
		return;
	if (completion_queue_add(queue, FUTURE_AS_RUNNABLE(&f), NULL) != 0) {
		troubles |= NO_MEMORY;
		return;
	}
	/* Negative: the process was stopped, and restart_syscall refused. */
	while (nreaped == 0 && poll(&readable, 1, SILENT_MS) != 0)
		nreaped = completion_queue_reap(queue, &done, 1);
	if (nreaped == 0) {
		troubles |= SILENT;
		(void)completion_queue_wait(queue, &done, 1, 1, -1);
	}
	/* The first reap without a completion resets it. */
	(void)completion_queue_reap(queue, &done, 1);
	if (poll(&readable, 1, 0) != 0)
		troubles |= READABLE;
	check(&f, n);
}

static void
use_each_way(struct vdm *vdm, size_t n)
{
	struct vdm_segment s[2] = {
		{dst, src, n / 2}, {dst + n / 2, src + n / 2, n - n / 2}};
	struct vdm_operation_future flush = vdm_flush(vdm, dst, n, 0);
	struct vdm_operation_future set = vdm_memset(vdm, dst, 0, n, 0);

	FUTURE_BUSY_POLL(&flush); /* a CPU may not be able to do it */
	FUTURE_BUSY_POLL(&set);
	busy_poll(vdm_memcpy(vdm, dst, src, n, 0), n);
	busy_poll(vdm_memcpyv(vdm, s, 2, 0), n);
	poll_with_waker(vdm_memmove(vdm, dst, src, n, 0), n);
	wait_for(vdm_memcpy(vdm, dst, src, n, 0), n);
	wait_in_queue(vdm_memcpy(vdm, dst, src, n, 0), n);
	watch_descriptor(vdm_memcpy(vdm, dst, src, n, 0), n);
}

static void
use(void)
{
	for (int i = 0; i < NMOVERS; i++) {
		if (vdms[i] == NULL)
			continue;
		use_each_way(vdms[i], 64);
		use_each_way(vdms[i], 40000);
		use_each_way(vdms[i], BIG);
		/* The workers sleep, and so does a thread that waits. */
		sleep_2_ms();
		if (i > 0)
			data_mover_threads_set_memcpy_fn(
				dmt[i - 1], slow_memcpy);
		use_each_way(vdms[i], 20000);
		if (i > 0)
			data_mover_threads_set_memcpy_fn(dmt[i - 1], NULL);
	}
}

static void delete (void)
{
	completion_queue_delete(queue);
	runtime_delete(runtime);
	for (int i = 0; i < 3; i++)
		data_mover_threads_delete(dmt[i]);
	data_mover_sync_delete(dms);
}

/*
 * A thread that lives already when the filter comes, and uses movers for the
 * first time afterwards. It ends with the process.
 */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	enum { STARTING, ASKED, ANSWERED } state;
} other = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, STARTING};

static void
tell(int state)
{
	pthread_mutex_lock(&other.mutex);
	other.state = state;
	pthread_cond_broadcast(&other.cond);
	pthread_mutex_unlock(&other.mutex);
}

static void
await_state(int state)
{
	pthread_mutex_lock(&other.mutex);
	while ((int)other.state != state)
		pthread_cond_wait(&other.cond, &other.mutex);
	pthread_mutex_unlock(&other.mutex);
}

static void *
run_other(void *arg)
{
	await_state(ASKED);
	for (int i = 0; i < NMOVERS; i++)
		if (vdms[i] != NULL)
			use_each_way(vdms[i], 40000);
	tell(ANSWERED);
	for (;;)
		await_state(STARTING);
	return arg;
}

int
sandboxed_run(const struct filter *const filters[NPHASES])
{
	pthread_attr_t attr;
	pthread_t thread;

	/* Stacks so large that the C library keeps only some of them. */
	if (pthread_attr_init(&attr) != 0 ||
		pthread_attr_setstacksize(&attr, (size_t)8 << 20) != 0 ||
		pthread_setattr_default_np(&attr) != 0)
		return NOT_POSSIBLE;

	troubles = 0;
	src = malloc(BIG);
	dst = malloc(BIG);
	if (src == NULL || dst == NULL ||
		pthread_create(&thread, NULL, run_other, NULL) != 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return NOT_POSSIBLE;
	memset(src, 7, BIG);
	memset(dst, 0, BIG);

	for (int i = 0; i < NPHASES; i++) {
		if (filters[i] != NULL && !apply(filters[i]))
			return NOT_POSSIBLE;
		switch ((enum phase)i) {
		case MAKE:
			make();
			break;
		case USE:
			use();
			tell(ASKED);
			await_state(ANSWERED);
			break;
		case DELETE:
			delete ();
			break;
		case NPHASES:
			break;
		}
	}
	return troubles;
}

#else

extern int unused; /* a file must not be empty */

#endif
