/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * epoll.c -- an event loop that copies large buffers and stays responsive
 *
 *	cc epoll.c $(pkg-config --cflags --libs libminiasync) -o epoll
 *	./epoll [MEBIBYTES]
 *	workers: 1024 MiB in 0.22 s, 178 ticks, 42 messages, worst delay 4.6 ms
 *	memcpy:  1024 MiB in 0.16 s, 16 ticks, 31 messages, worst delay 14.0 ms
 *
 * Measured on 2 CPUs that other programs also used.
 *
 * One thread serves a timer and a pipe while copies run. The copies are in a
 * completion queue. When a copy is complete, the queue's descriptor becomes
 * readable, and epoll reports it. The loop never blocks in a copy, and never
 * spins. Then the program repeats this with the synchronous mover, which calls
 * memcpy() in the loop.
 *
 * For Linux: epoll and timerfd.
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
#define TICK_NS 1000000
#define MESSAGE_NS 5000000

struct loop {
	/* I: init only */
	int epoll, timer, pipe;
	struct completion_queue *queue;
	char *src, *dst; /* IN_FLIGHT buffers each */

	struct vdm *vdm;
	struct vdm_operation_future copies[IN_FLIGHT];
	size_t left;           /* copies to start */
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
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int
fail(const char *what)
{
	fprintf(stderr, "epoll: %s: %s\n", what, strerror(errno));
	return -1;
}

static int
start_copy(struct loop *loop, struct vdm_operation_future *copy)
{
	const size_t at = (size_t)(copy - loop->copies) * COPY_BYTES;

	loop->left--;
	*copy = vdm_memcpy(
		loop->vdm, loop->dst + at, loop->src + at, COPY_BYTES, 0);
	if (completion_queue_add(loop->queue, FUTURE_AS_RUNNABLE(copy), copy) !=
		0)
		return fail("completion_queue_add");
	return 0;
}

/* Takes complete copies, and starts new ones in their places. */
static int
serve_copies(struct loop *loop)
{
	struct completion done[IN_FLIGHT];
	const size_t n = completion_queue_reap(loop->queue, done, IN_FLIGHT);

	for (size_t i = 0; i < n; i++) {
		struct vdm_operation_future *copy = done[i].user_data;

		if (FUTURE_OUTPUT(copy)->result != VDM_SUCCESS) {
			fprintf(stderr, "epoll: a copy failed\n");
			return -1;
		}
		if (loop->left > 0 && start_copy(loop, copy) != 0)
			return -1;
	}
	return 0;
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
	for (size_t i = 0; i < IN_FLIGHT; i++)
		if (start_copy(loop, &loop->copies[i]) != 0)
			return -1;

	while (completion_queue_pending(loop->queue) > 0) {
		struct epoll_event events[3];
		const int n = epoll_wait(loop->epoll, events, 3, -1);
		bool has_copies = false;

		if (n < 0 && errno != EINTR)
			return fail("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == loop->timer)
				serve_timer(loop);
			else if (events[i].data.fd == loop->pipe)
				serve_pipe(loop);
			else
				has_copies = true;
		}
		/* Last, because the synchronous mover copies at the start. */
		if (has_copies && serve_copies(loop) != 0)
			return -1;
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
	const struct itimerspec tick = {{0, TICK_NS}, {0, TICK_NS}};

	loop->queue = completion_queue_new();
	if (loop->queue == NULL)
		return fail("completion_queue_new");

	const int copies = completion_queue_fd(loop->queue);

	if (copies < 0)
		return fail("completion_queue_fd");
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	loop->next_tick_ns = now_ns() + TICK_NS;
	if (loop->epoll < 0 || loop->timer < 0 ||
		timerfd_settime(loop->timer, 0, &tick, NULL) != 0 ||
		watch(loop, loop->timer) != 0 || watch(loop, loop->pipe) != 0 ||
		watch(loop, copies) != 0)
		return fail("cannot set up epoll or timerfd");
	return 0;
}

/* Makes ncopies copies with the mover, and prints the results. */
static int
copy_and_report(
	struct loop *loop, const char *title, struct vdm *vdm, size_t ncopies)
{
	loop->vdm = vdm;
	loop->left = ncopies;
	memset(loop->dst, 0, IN_FLIGHT * COPY_BYTES);
	/* Discards old events. */
	serve_timer(loop);
	serve_pipe(loop);
	loop->worst_ns = loop->nticks = loop->nmessages = 0;

	const uint64_t start_ns = now_ns();

	if (run(loop) != 0)
		return -1;

	const uint64_t took_ns = now_ns() - start_ns;

	if (memcmp(loop->src, loop->dst, IN_FLIGHT * COPY_BYTES) != 0) {
		fprintf(stderr, "epoll: the copies differ from the source\n");
		return -1;
	}
	printf("%-8s %zu MiB in %.2f s, %zu ticks, %zu messages, "
	       "worst delay %.1f ms\n",
		title, ncopies * COPY_MIB, (double)took_ns / 1e9, loop->nticks,
		loop->nmessages, (double)loop->worst_ns / 1e6);
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

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("%sCopies in an event loop, first with workers, then "
		       "with "
		       "memcpy().\n"
		       "  MEBIBYTES  MiB for each, 64 or more, rounded down to "
		       "a multiple of 32;\n"
		       "             default: %d\n"
		       "  --help     print this help\n"
		       "Example: epoll 512\n",
			usage, DEFAULT_MIB);
		return EXIT_SUCCESS;
	}
	if (argc > 2 || ncopies == 0) {
		fprintf(stderr,
			"epoll: '%s': not a valid argument; see epoll "
			"--help\n%s",
			argv[ncopies == 0 ? 1 : 2], usage);
		return 2;
	}

	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct sender sender = {.stop = false};
	struct loop loop = {.src = malloc(IN_FLIGHT * COPY_BYTES),
		.dst = malloc(IN_FLIGHT * COPY_BYTES)};

	/* One CPU is for the loop. */
	struct data_mover_threads *dmt = data_mover_threads_new(
		cpus > 2 ? (size_t)cpus - 1 : 1, RING, FUTURE_NOTIFIER_WAKER);
	struct data_mover_sync *dms = data_mover_sync_new();

	if (loop.src == NULL || loop.dst == NULL || dmt == NULL ||
		dms == NULL || pipe2(sender.fds, O_CLOEXEC | O_NONBLOCK) != 0) {
		fail("cannot start");
		exit(EXIT_FAILURE);
	}
	loop.pipe = sender.fds[0];
	if (open_loop(&loop) != 0)
		exit(EXIT_FAILURE);
	errno = pthread_create(&sender.thread, NULL, send_messages, &sender);
	if (errno != 0) {
		fail("pthread_create");
		exit(EXIT_FAILURE);
	}
	for (size_t i = 0; i < IN_FLIGHT * COPY_BYTES; i++)
		loop.src[i] = (char)(i * 31 + i / 4096);

	int ret = copy_and_report(
		&loop, "workers:", data_mover_threads_get_vdm(dmt), ncopies);

	if (ret == 0)
		ret = copy_and_report(&loop,
			"memcpy:", data_mover_sync_get_vdm(dms), ncopies);

	atomic_store_explicit(&sender.stop, true, memory_order_relaxed);
	pthread_join(sender.thread, NULL);
	close(loop.epoll);
	completion_queue_delete(loop.queue); /* completes all copies */
	close(loop.timer);
	close(sender.fds[0]);
	close(sender.fds[1]);
	data_mover_sync_delete(dms);
	data_mover_threads_delete(dmt);
	free(loop.src);
	free(loop.dst);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
