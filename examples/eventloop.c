/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * eventloop.c -- libuv's event loop copies big buffers and stays awake
 *
 *	cc eventloop.c $(pkg-config --cflags --libs libminiasync libuv) \
 *		-o eventloop
 *	./eventloop
 *	workers: 1024 MiB in 0.10 s, 96 ticks, 21 messages, worst delay 0.9 ms
 *	memcpy:  1024 MiB in 0.10 s, 15 ticks, 18 messages, worst delay 9.2 ms
 *
 * The loop serves a timer and a pipe while copies run. Each copy is polled with
 * a waker that calls uv_async_send(), so the loop hears of its completion as of
 * any other event: it never blocks in a copy, and never spins. Then the same
 * again with memcpy() in the loop. epoll.c does this without a library.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libminiasync.h>
#include <uv.h>

#define MIB ((size_t)1 << 20)
#define COPY_SIZE (32 * MIB)
#define IN_FLIGHT 2
#define TICK_MS 1
#define MESSAGE_NS 5000000

/* A copy in flight; it stays where it is until it is complete. */
struct copy {
	struct vdm_operation_future future;
	bool is_live;
};

struct server {
	uv_loop_t loop;
	uv_timer_t timer;
	uv_async_t wakes;
	uv_pipe_t pipe;
	uint64_t message; /* libuv reads into it */
	size_t message_at;

	struct vdm *vdm; /* NULL: memcpy in the loop */
	struct copy copies[IN_FLIGHT];
	char *src, *dst; /* IN_FLIGHT buffers each */
	size_t left;     /* copies to start */
	size_t nlive;
	bool has_failed;

	uint64_t last_tick; /* in ns */
	uint64_t worst;     /* delay of a tick or a message, in ns */
	size_t nticks, nmessages;
};

/* Sends the time down a pipe, every MESSAGE_NS. */
struct sender {
	pthread_t thread;
	int fd;
	atomic_bool stop;
};

static int
fail(const char *what, int error)
{
	fprintf(stderr, "eventloop: %s: %s\n", what, uv_strerror(error));
	return -1;
}

/* The waker of every copy, called from a worker thread. */
static void
wake_loop(void *data)
{
	struct server *server = data;

	/* The one function of libuv that any thread may call. */
	uv_async_send(&server->wakes);
}

/* Polls a copy, when it is made, and after a wake or a tick. */
static void
poll_copy(struct server *server, struct copy *copy)
{
	struct future_notifier n = {.waker = {server, wake_loop}};

	/*
	 * This mover takes every copy and wakes us. Other movers may refuse:
	 * the future then stays idle, nobody wakes us, and the next tick polls
	 * it again.
	 */
	if (future_poll(FUTURE_AS_RUNNABLE(&copy->future), &n) !=
		FUTURE_STATE_COMPLETE)
		return;

	copy->is_live = false;
	server->nlive--;
	if (FUTURE_OUTPUT(&copy->future)->result != VDM_SUCCESS)
		server->has_failed = true;
}

static void
close_all(struct server *server)
{
	uv_close((uv_handle_t *)&server->timer, NULL);
	uv_close((uv_handle_t *)&server->wakes, NULL);
	uv_close((uv_handle_t *)&server->pipe, NULL);
}

/* Polls what is in flight, and starts copies where there is room. */
static void
serve_copies(struct server *server)
{
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		struct copy *copy = &server->copies[i];
		char *dst = server->dst + i * COPY_SIZE;
		const char *src = server->src + i * COPY_SIZE;

		if (copy->is_live)
			poll_copy(server, copy);
		if (copy->is_live || server->left == 0)
			continue;
		server->left--;
		if (server->vdm == NULL) {
			memcpy(dst, src, COPY_SIZE);
			continue;
		}
		copy->future = vdm_memcpy(server->vdm, dst, src, COPY_SIZE, 0);
		copy->is_live = true;
		server->nlive++;
		poll_copy(server, copy);
	}

	if (server->left == 0 && server->nlive == 0 &&
		!uv_is_closing((uv_handle_t *)&server->timer))
		close_all(server);
}

static void
on_wake(uv_async_t *wakes)
{
	serve_copies(wakes->data);
}

static void
note_delay(struct server *server, uint64_t due)
{
	const uint64_t now = uv_hrtime();

	if (now > due && now - due > server->worst)
		server->worst = now - due;
}

static void
on_tick(uv_timer_t *timer)
{
	struct server *server = timer->data;

	/* libuv counts from the last tick, in whole milliseconds. */
	note_delay(server, server->last_tick + UINT64_C(1000000) * TICK_MS);
	server->last_tick = uv_hrtime();
	server->nticks++;
	serve_copies(server);
}

/* The rest of a message. */
static void
on_alloc(uv_handle_t *pipe, size_t suggested, uv_buf_t *buf)
{
	struct server *server = pipe->data;

	(void)suggested;
	*buf = uv_buf_init((char *)&server->message + server->message_at,
		(unsigned)(sizeof(server->message) - server->message_at));
}

static void
on_read(uv_stream_t *pipe, ssize_t n, const uv_buf_t *buf)
{
	struct server *server = pipe->data;

	(void)buf;
	if (n < 0) {
		uv_read_stop(pipe);
		return;
	}
	server->message_at += (size_t)n;
	if (server->message_at < sizeof(server->message))
		return;
	server->message_at = 0;
	note_delay(server, server->message);
	server->nmessages++;
}

static int
open_all(struct server *server, int fd)
{
	int error = uv_timer_init(&server->loop, &server->timer);

	if (error == 0)
		error = uv_async_init(&server->loop, &server->wakes, on_wake);
	if (error == 0)
		error = uv_pipe_init(&server->loop, &server->pipe, 0);
	if (error == 0)
		error = uv_pipe_open(&server->pipe, fd);
	if (error != 0)
		return fail("cannot make the loop's handles", error);

	server->timer.data = server->wakes.data = server->pipe.data = server;
	server->last_tick = uv_hrtime();
	error = uv_timer_start(&server->timer, on_tick, TICK_MS, TICK_MS);
	if (error == 0)
		error = uv_read_start(
			(uv_stream_t *)&server->pipe, on_alloc, on_read);
	if (error != 0) {
		close_all(server);
		uv_run(&server->loop, UV_RUN_DEFAULT);
		return fail("cannot start the timer or the pipe", error);
	}
	return 0;
}

static void *
send_messages(void *arg)
{
	struct sender *sender = arg;
	const struct timespec pause = {0, MESSAGE_NS};

	while (!atomic_load_explicit(&sender->stop, memory_order_relaxed)) {
		const uint64_t stamp = uv_hrtime();

		if (write(sender->fd, &stamp, sizeof(stamp)) < 0)
			break;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Copies ncopies times, by the mover or by memcpy, and says how it went. */
static int
copy_and_report(const char *title, struct vdm *vdm, size_t ncopies, char *src,
	char *dst)
{
	struct server server = {
		.vdm = vdm, .src = src, .dst = dst, .left = ncopies};
	struct sender sender = {.stop = false};
	int fds[2];
	int error = uv_loop_init(&server.loop);

	if (error != 0)
		return fail("uv_loop_init", error);
	memset(dst, 0, IN_FLIGHT * COPY_SIZE);
	/* The loop closes its end. */
	if (pipe(fds) != 0)
		return fail("pipe", -errno);
	sender.fd = fds[1];
	error = pthread_create(&sender.thread, NULL, send_messages, &sender);
	if (error != 0)
		return fail("pthread_create", -error);

	const uint64_t start = uv_hrtime();
	int ret = open_all(&server, fds[0]);

	if (ret == 0) {
		serve_copies(&server);
		uv_run(&server.loop, UV_RUN_DEFAULT);
	}

	const uint64_t took = uv_hrtime() - start;

	atomic_store_explicit(&sender.stop, true, memory_order_relaxed);
	pthread_join(sender.thread, NULL);
	close(fds[1]);
	uv_loop_close(&server.loop);
	if (ret != 0)
		return -1;
	if (server.has_failed || memcmp(src, dst, IN_FLIGHT * COPY_SIZE) != 0) {
		fprintf(stderr, "eventloop: a copy failed\n");
		return -1;
	}
	printf("%-8s %zu MiB in %.2f s, %zu ticks, %zu messages, "
	       "worst delay %.1f ms\n",
		title, ncopies * (COPY_SIZE / MIB), (double)took / 1e9,
		server.nticks, server.nmessages, (double)server.worst / 1e6);
	return 0;
}

int
main(int argc, char *argv[])
{
	const size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
	size_t ncopies = mib / (COPY_SIZE / MIB);
	const unsigned cpus = uv_available_parallelism();
	int ret = -1;

	if (ncopies < IN_FLIGHT)
		ncopies = IN_FLIGHT;
	/* The last message may find that the loop has closed its end. */
	signal(SIGPIPE, SIG_IGN);

	/* One CPU is the loop's. */
	struct data_mover_threads *dmt = data_mover_threads_new(
		cpus > 2 ? cpus - 1 : 1, 128, FUTURE_NOTIFIER_WAKER);
	char *src = malloc(IN_FLIGHT * COPY_SIZE);
	char *dst = malloc(IN_FLIGHT * COPY_SIZE);

	if (dmt == NULL || src == NULL || dst == NULL) {
		fail("cannot begin", -errno);
	} else {
		for (size_t i = 0; i < IN_FLIGHT * COPY_SIZE; i++)
			src[i] = (char)(i * 31 + i / 4096);
		ret = copy_and_report("workers:",
			data_mover_threads_get_vdm(dmt), ncopies, src, dst);
		if (ret == 0)
			ret = copy_and_report(
				"memcpy:", NULL, ncopies, src, dst);
	}

	data_mover_threads_delete(dmt);
	free(src);
	free(dst);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
