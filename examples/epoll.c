/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * epoll.c -- an event loop that copies large buffers and stays responsive
 *
 *	cc epoll.c $(pkg-config --cflags --libs libminiasync) -o epoll
 *	./epoll [MEBIBYTES]
 *	workers: 1024 MiB in 0.11 s, 111 ticks, 22 messages, worst delay 1.1 ms
 *	memcpy:  1024 MiB in 0.11 s, 15 ticks, 20 messages, worst delay 7.6 ms
 *
 * One thread serves a timer and a pipe while copies run. It passes a waker to
 * each poll of a copy. The waker writes to an eventfd, so the end of a copy is
 * an event like any other. The loop never blocks in a copy, and never spins.
 * Then the program does the same with memcpy() in the loop.
 *
 * For Linux: epoll, timerfd and eventfd.
 */

#define _GNU_SOURCE

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <libminiasync.h>

#define MIB ((size_t)1 << 20)
#define COPY_MIB 32
#define COPY_BYTES (COPY_MIB * MIB)
#define IN_FLIGHT 2
#define DEFAULT_MIB 1024
#define RING 128 /* operations that can wait in the mover's ring */
#define NS_PER_S 1000000000u
#define TICK_NS 1000000
#define MESSAGE_NS 5000000

/* A copy. Its memory must not move while is_live is true. */
struct copy {
	struct vdm_operation_future future;
	bool is_live;
};

/* Only the thread of the loop uses it, except for wakes. */
struct loop {
	/* I: init only */
	int wakes; /* A: wakers write to this eventfd */
	int epoll, timer, pipe;
	struct vdm *vdm; /* NULL: memcpy() in the loop */
	char *src, *dst; /* IN_FLIGHT buffers each */

	struct copy copies[IN_FLIGHT];
	size_t left; /* copies to start */
	size_t nlive;
	bool has_failed;       /* a copy failed */
	uint64_t next_tick_ns; /* the time of the next tick */
	uint64_t worst_ns;     /* delay of a tick or a message */
	size_t nticks, nmessages;
};

/* Writes the time to a pipe every MESSAGE_NS. */
struct sender {
	/* I: init only */
	pthread_t thread;
	int fds[2];

	/* A: main() sets it, and the sender reads it */
	atomic_bool stop;
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int
fail(const char *what)
{
	fprintf(stderr, "epoll: %s: %s\n", what, strerror(errno));
	return -1;
}

/* The waker of every copy, called from a worker thread. */
static void
wake_loop(void *data)
{
	const uint64_t one = 1;
	const struct loop *loop = data;

	/* It fails only if it is 2^64 - 2 wakes behind. */
	if (write(loop->wakes, &one, sizeof(one)) < 0)
		return;
}

/* Polls a new copy, and each copy after a wake or a tick. */
static void
poll_copy(struct loop *loop, struct copy *copy)
{
	struct future_notifier n = {.waker = {loop, wake_loop}};

	/*
	 * This mover takes every copy and wakes us. Other movers may refuse:
	 * the future then stays idle, nobody wakes us, and the next tick polls
	 * it again.
	 */
	if (future_poll(FUTURE_AS_RUNNABLE(&copy->future), &n) !=
		FUTURE_STATE_COMPLETE)
		return;

	copy->is_live = false;
	loop->nlive--;
	if (FUTURE_OUTPUT(&copy->future)->result != VDM_SUCCESS)
		loop->has_failed = true;
}

/* Polls the copies in flight, and starts new copies in free places. */
static void
serve_copies(struct loop *loop)
{
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		struct copy *copy = &loop->copies[i];
		char *dst = loop->dst + i * COPY_BYTES;
		const char *src = loop->src + i * COPY_BYTES;

		if (copy->is_live)
			poll_copy(loop, copy);
		if (copy->is_live || loop->left == 0)
			continue;
		loop->left--;
		if (loop->vdm == NULL) {
			memcpy(dst, src, COPY_BYTES);
			continue;
		}
		copy->future = vdm_memcpy(loop->vdm, dst, src, COPY_BYTES, 0);
		copy->is_live = true;
		loop->nlive++;
		poll_copy(loop, copy);
	}
}

static void
note_delay(struct loop *loop, uint64_t due_ns)
{
	const uint64_t delay_ns = now_ns() - due_ns;

	if (delay_ns > loop->worst_ns)
		loop->worst_ns = delay_ns;
}

static void
serve_timer(struct loop *loop)
{
	uint64_t expired;

	if (read(loop->timer, &expired, sizeof(expired)) != sizeof(expired))
		return;
	note_delay(loop, loop->next_tick_ns);
	loop->next_tick_ns += expired * TICK_NS;
	loop->nticks++;
}

static void
serve_pipe(struct loop *loop)
{
	uint64_t sent_ns;

	while (read(loop->pipe, &sent_ns, sizeof(sent_ns)) == sizeof(sent_ns)) {
		note_delay(loop, sent_ns);
		loop->nmessages++;
	}
}

/* Serves events until all copies are complete. */
static int
run(struct loop *loop)
{
	while (loop->left > 0 || loop->nlive > 0) {
		struct epoll_event events[4];
		const int n = epoll_wait(loop->epoll, events, 4, -1);

		if (n < 0 && errno != EINTR)
			return fail("epoll_wait");
		for (int i = 0; i < n; i++) {
			uint64_t count;

			if (events[i].data.fd == loop->timer)
				serve_timer(loop);
			else if (events[i].data.fd == loop->pipe)
				serve_pipe(loop);
			else if (read(loop->wakes, &count, sizeof(count)) < 0)
				return fail("eventfd");
		}
		serve_copies(loop);
		if (loop->has_failed) {
			fprintf(stderr, "epoll: a copy failed\n");
			return -1;
		}
	}
	return 0;
}

static int
watch(const struct loop *loop, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int
open_loop(struct loop *loop)
{
	struct itimerspec tick = {{0, TICK_NS}, {0, 0}};

	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	loop->wakes = eventfd(0, EFD_CLOEXEC);
	if (loop->epoll < 0 || loop->timer < 0 || loop->wakes < 0)
		return fail("epoll, timerfd or eventfd");

	loop->next_tick_ns = now_ns() + TICK_NS;
	tick.it_value.tv_sec = (time_t)(loop->next_tick_ns / NS_PER_S);
	tick.it_value.tv_nsec = (long)(loop->next_tick_ns % NS_PER_S);
	if (timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &tick, NULL) != 0 ||
		watch(loop, loop->timer) != 0 || watch(loop, loop->pipe) != 0 ||
		watch(loop, loop->wakes) != 0)
		return fail("timerfd or epoll_ctl");
	return 0;
}

static void
close_loop(const struct loop *loop)
{
	const int fds[] = {loop->epoll, loop->timer, loop->wakes};

	for (size_t i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Makes ncopies copies with the mover or memcpy(), and prints the results. */
static int
copy_and_report(const char *title, struct vdm *vdm, int pipe, size_t ncopies,
	char *src, char *dst)
{
	struct loop loop = {
		.vdm = vdm, .src = src, .dst = dst, .left = ncopies};

	memset(dst, 0, IN_FLIGHT * COPY_BYTES);
	loop.pipe = pipe;
	serve_pipe(&loop); /* discards old messages */
	loop.worst_ns = loop.nmessages = 0;

	const uint64_t start_ns = now_ns();
	int ret = open_loop(&loop);

	if (ret == 0)
		ret = run(&loop);
	/* Completes all copies, so that no waker is called afterwards. */
	for (size_t i = 0; i < IN_FLIGHT; i++)
		if (loop.copies[i].is_live)
			FUTURE_BUSY_POLL(&loop.copies[i].future);

	const uint64_t took_ns = now_ns() - start_ns;

	close_loop(&loop);
	if (ret != 0)
		return -1;
	if (memcmp(src, dst, IN_FLIGHT * COPY_BYTES) != 0) {
		fprintf(stderr, "epoll: the copies differ\n");
		return -1;
	}
	printf("%-8s %zu MiB in %.2f s, %zu ticks, %zu messages, "
	       "worst delay %.1f ms\n",
		title, ncopies * COPY_MIB, (double)took_ns / 1e9, loop.nticks,
		loop.nmessages, (double)loop.worst_ns / 1e6);
	return 0;
}

static void *
send_messages(void *arg)
{
	struct sender *sender = arg;
	const struct timespec pause = {0, MESSAGE_NS};

	/* Relaxed: publishes nothing. pthread_join() orders the end. */
	while (!atomic_load_explicit(&sender->stop, memory_order_relaxed)) {
		const uint64_t stamp_ns = now_ns();

		/* Blocks while the pipe is full. */
		if (write(sender->fds[1], &stamp_ns, sizeof(stamp_ns)) < 0)
			break;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Returns the number of copies for this argument, or 0 if it is wrong. */
static size_t
parse_mib(const char *text)
{
	char *end;
	const unsigned long long mib = strtoull(text, &end, 10);
	const bool is_number = isdigit((unsigned char)*text) && *end == '\0';
	const unsigned long long ncopies = mib / COPY_MIB;

	if (!is_number || mib > SIZE_MAX / MIB)
		return 0;
	return ncopies > IN_FLIGHT ? (size_t)ncopies : IN_FLIGHT;
}

int
main(int argc, char *argv[])
{
	static const char usage[] = "usage: epoll [MEBIBYTES]\n";
	const size_t ncopies =
		argc > 1 ? parse_mib(argv[1]) : DEFAULT_MIB / COPY_MIB;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	if (argc > 2 || ncopies == 0) {
		fputs(usage, stderr);
		return 2;
	}

	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct sender sender = {.stop = false};
	int ret = -1;

	/* One CPU is for the loop. */
	struct data_mover_threads *dmt = data_mover_threads_new(
		cpus > 2 ? (size_t)cpus - 1 : 1, RING, FUTURE_NOTIFIER_WAKER);
	char *src = malloc(IN_FLIGHT * COPY_BYTES);
	char *dst = malloc(IN_FLIGHT * COPY_BYTES);

	if (dmt == NULL || src == NULL || dst == NULL ||
		pipe2(sender.fds, O_CLOEXEC) != 0 ||
		fcntl(sender.fds[0], F_SETFL, O_NONBLOCK) != 0 ||
		(errno = pthread_create(
			 &sender.thread, NULL, send_messages, &sender)) != 0) {
		fail("cannot start");
		exit(EXIT_FAILURE);
	}
	for (size_t i = 0; i < IN_FLIGHT * COPY_BYTES; i++)
		src[i] = (char)(i * 31 + i / 4096);

	if (copy_and_report("workers:", data_mover_threads_get_vdm(dmt),
		    sender.fds[0], ncopies, src, dst) == 0)
		ret = copy_and_report(
			"memcpy:", NULL, sender.fds[0], ncopies, src, dst);

	atomic_store_explicit(&sender.stop, true, memory_order_relaxed);
	pthread_join(sender.thread, NULL);
	close(sender.fds[0]);
	close(sender.fds[1]);
	data_mover_threads_delete(dmt);
	free(src);
	free(dst);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
