/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * epoll.c -- an event loop that copies big buffers and stays awake
 *
 *	cc epoll.c $(pkg-config --cflags --libs libminiasync) -o epoll
 *	./epoll
 *	workers: 1024 MiB in 0.11 s, 111 ticks, 22 messages, worst delay 1.1 ms
 *	memcpy:  1024 MiB in 0.11 s, 15 ticks, 20 messages, worst delay 7.6 ms
 *
 * One thread serves a timer and a pipe while copies run. Each copy is polled
 * with a waker that writes to an eventfd, so the loop hears of its completion
 * as of any other event: it never blocks in a copy, and never spins. Then the
 * same again with memcpy() in the loop. (Linux: epoll, timerfd, eventfd.)
 */

#define _GNU_SOURCE

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
#define COPY_SIZE (32 * MIB)
#define IN_FLIGHT 2
#define TICK_NS 1000000
#define MESSAGE_NS 5000000

/* A copy in flight; it stays where it is until it is complete. */
struct copy {
	struct vdm_operation_future future;
	bool is_live;
};

struct loop {
	int epoll, timer, wakes, pipe;
	struct vdm *vdm; /* NULL: memcpy in the loop */
	struct copy copies[IN_FLIGHT];
	char *src, *dst; /* IN_FLIGHT buffers each */
	size_t left;     /* copies to start */
	size_t nlive;
	bool has_failed;    /* a copy has */
	uint64_t next_tick; /* when it is due, in ns */
	uint64_t worst;     /* delay of a tick or a message, in ns */
	size_t nticks, nmessages;
};

/* Sends the time down a pipe, every MESSAGE_NS. */
struct sender {
	pthread_t thread;
	int fds[2];
	atomic_bool stop;
};

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
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

/* Polls a copy, when it is made, and after a wake or a tick. */
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

/* Polls what is in flight, and starts copies where there is room. */
static void
serve_copies(struct loop *loop)
{
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		struct copy *copy = &loop->copies[i];
		char *dst = loop->dst + i * COPY_SIZE;
		const char *src = loop->src + i * COPY_SIZE;

		if (copy->is_live)
			poll_copy(loop, copy);
		if (copy->is_live || loop->left == 0)
			continue;
		loop->left--;
		if (loop->vdm == NULL) {
			memcpy(dst, src, COPY_SIZE);
			continue;
		}
		copy->future = vdm_memcpy(loop->vdm, dst, src, COPY_SIZE, 0);
		copy->is_live = true;
		loop->nlive++;
		poll_copy(loop, copy);
	}
}

static void
note_delay(struct loop *loop, uint64_t due)
{
	const uint64_t delay = now() - due;

	if (delay > loop->worst)
		loop->worst = delay;
}

static void
serve_timer(struct loop *loop)
{
	uint64_t expired;

	if (read(loop->timer, &expired, sizeof(expired)) != sizeof(expired))
		return;
	note_delay(loop, loop->next_tick);
	loop->next_tick += expired * TICK_NS;
	loop->nticks++;
}

static void
serve_pipe(struct loop *loop)
{
	uint64_t sent;

	while (read(loop->pipe, &sent, sizeof(sent)) == sizeof(sent)) {
		note_delay(loop, sent);
		loop->nmessages++;
	}
}

/* Serves events until all is copied. */
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

	loop->next_tick = now() + TICK_NS;
	tick.it_value.tv_sec = (time_t)(loop->next_tick / 1000000000u);
	tick.it_value.tv_nsec = (long)(loop->next_tick % 1000000000u);
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

/* Copies ncopies times, by the mover or by memcpy, and says how it went. */
static int
copy_and_report(const char *title, struct vdm *vdm, int pipe, size_t ncopies,
	char *src, char *dst)
{
	struct loop loop = {
		.vdm = vdm, .src = src, .dst = dst, .left = ncopies};

	memset(dst, 0, IN_FLIGHT * COPY_SIZE);
	loop.pipe = pipe;
	serve_pipe(&loop); /* what came before the loop */
	loop.worst = loop.nmessages = 0;

	const uint64_t start = now();
	int ret = open_loop(&loop);

	if (ret == 0)
		ret = run(&loop);
	/* No copy is in flight any more, and no waker will come, after this. */
	for (size_t i = 0; i < IN_FLIGHT; i++)
		if (loop.copies[i].is_live)
			FUTURE_BUSY_POLL(&loop.copies[i].future);

	const uint64_t took = now() - start;

	close_loop(&loop);
	if (ret != 0)
		return -1;
	if (memcmp(src, dst, IN_FLIGHT * COPY_SIZE) != 0) {
		fprintf(stderr, "epoll: the copies differ\n");
		return -1;
	}
	printf("%-8s %zu MiB in %.2f s, %zu ticks, %zu messages, "
	       "worst delay %.1f ms\n",
		title, ncopies * (COPY_SIZE / MIB), (double)took / 1e9,
		loop.nticks, loop.nmessages, (double)loop.worst / 1e6);
	return 0;
}

static void *
send_messages(void *arg)
{
	struct sender *sender = arg;
	const struct timespec pause = {0, MESSAGE_NS};

	while (!atomic_load_explicit(&sender->stop, memory_order_relaxed)) {
		const uint64_t stamp = now();

		/* When the loop is asleep for long the pipe fills: then wait.
		 */
		if (write(sender->fds[1], &stamp, sizeof(stamp)) < 0)
			break;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int
main(int argc, char *argv[])
{
	const size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
	size_t ncopies = mib / (COPY_SIZE / MIB);
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct sender sender = {.stop = false};
	int ret = -1;

	if (ncopies < IN_FLIGHT)
		ncopies = IN_FLIGHT;

	/* One CPU is the loop's. */
	struct data_mover_threads *dmt = data_mover_threads_new(
		cpus > 2 ? (size_t)cpus - 1 : 1, 128, FUTURE_NOTIFIER_WAKER);
	char *src = malloc(IN_FLIGHT * COPY_SIZE);
	char *dst = malloc(IN_FLIGHT * COPY_SIZE);

	if (dmt == NULL || src == NULL || dst == NULL ||
		pipe2(sender.fds, O_CLOEXEC) != 0 ||
		fcntl(sender.fds[0], F_SETFL, O_NONBLOCK) != 0 ||
		(errno = pthread_create(
			 &sender.thread, NULL, send_messages, &sender)) != 0) {
		fail("cannot begin");
		exit(EXIT_FAILURE);
	}
	for (size_t i = 0; i < IN_FLIGHT * COPY_SIZE; i++)
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
