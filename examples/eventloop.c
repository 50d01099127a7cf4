/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * eventloop.c -- libuv's event loop copies large buffers and stays responsive
 *
 *	cc eventloop.c $(pkg-config --cflags --libs libminiasync libuv) \
 *		-o eventloop
 *	./eventloop [MEBIBYTES]
 *	workers: 1024 MiB in 0.10 s, 96 ticks, 21 messages, worst delay 0.9 ms
 *	memcpy:  1024 MiB in 0.10 s, 15 ticks, 18 messages, worst delay 9.2 ms
 *
 * The loop serves a timer and a pipe while copies run. It passes a waker to
 * each poll of a copy. The waker calls uv_async_send(), so the end of a copy is
 * an event like any other. The loop never blocks in a copy, and never spins.
 * Then the program does the same with memcpy() in the loop. epoll.c does this
 * without libuv.
 */

#define _GNU_SOURCE

#include <ctype.h>
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
#define COPY_MIB 32
#define COPY_BYTES (COPY_MIB * MIB)
#define IN_FLIGHT 2
#define DEFAULT_MIB 1024
#define RING 128 /* operations that can wait in the mover's ring */
#define NS_PER_MS UINT64_C(1000000)
#define TICK_MS 1
#define MESSAGE_NS 5000000

/* A copy. Its memory must not move while is_live is true. */
struct copy {
	struct vdm_operation_future future;
	bool is_live;
};

/* Only the thread of the loop uses it, except for wakes. */
struct server {
	/* I: init only */
	struct vdm *vdm; /* NULL: memcpy() in the loop */
	char *src, *dst; /* IN_FLIGHT buffers each */

	uv_loop_t loop;
	uv_timer_t timer;
	uv_async_t wakes; /* A: wakers send it */
	uv_pipe_t pipe;
	uint64_t message_ns; /* the time at which it was sent */
	size_t message_at;   /* bytes of it that libuv has read */

	struct copy copies[IN_FLIGHT];
	size_t left; /* copies to start */
	size_t nlive;
	bool has_failed; /* a copy failed */

	uint64_t last_tick_ns;
	uint64_t worst_ns; /* delay of a tick or a message */
	size_t nticks, nmessages;
};

/* Writes the time to a pipe every MESSAGE_NS. */
struct sender {
	/* I: init only */
	pthread_t thread;
	int fd;

	/* A: main() sets it, and the sender reads it */
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

	/* Any thread may call this function of libuv, but no other. */
	uv_async_send(&server->wakes);
}

/* Polls a new copy, and each copy after a wake or a tick. */
static void
poll_copy(struct server *server, struct copy *copy)
{
	struct future_notifier n = {.waker = {server, wake_loop}};

	/*
	 * This mover accepts every copy and calls the waker. Other movers may
	 * refuse a copy. Its future then stays idle, no waker is called, and
	 * the next tick polls the future again.
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

/* Polls the copies in flight, and starts new copies in free places. */
static void
serve_copies(struct server *server)
{
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		struct copy *copy = &server->copies[i];
		char *dst = server->dst + i * COPY_BYTES;
		const char *src = server->src + i * COPY_BYTES;

		if (copy->is_live)
			poll_copy(server, copy);
		if (copy->is_live || server->left == 0)
			continue;
		server->left--;
		if (server->vdm == NULL) {
			memcpy(dst, src, COPY_BYTES);
			continue;
		}
		copy->future = vdm_memcpy(server->vdm, dst, src, COPY_BYTES, 0);
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
note_delay(struct server *server, uint64_t due_ns)
{
	const uint64_t now_ns = uv_hrtime();

	if (now_ns > due_ns && now_ns - due_ns > server->worst_ns)
		server->worst_ns = now_ns - due_ns;
}

static void
on_tick(uv_timer_t *timer)
{
	struct server *server = timer->data;

	/* libuv counts whole milliseconds from the last tick. */
	note_delay(server, server->last_tick_ns + NS_PER_MS * TICK_MS);
	server->last_tick_ns = uv_hrtime();
	server->nticks++;
	serve_copies(server);
}

/* Reads the rest of a message. */
static void
on_alloc(uv_handle_t *pipe, size_t suggested, uv_buf_t *buf)
{
	struct server *server = pipe->data;

	(void)suggested;
	*buf = uv_buf_init((char *)&server->message_ns + server->message_at,
		(unsigned)(sizeof(server->message_ns) - server->message_at));
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
	if (server->message_at < sizeof(server->message_ns))
		return;
	server->message_at = 0;
	note_delay(server, server->message_ns);
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
	server->last_tick_ns = uv_hrtime();
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

	/* Relaxed: publishes nothing. pthread_join() orders the end. */
	while (!atomic_load_explicit(&sender->stop, memory_order_relaxed)) {
		const uint64_t stamp_ns = uv_hrtime();

		if (write(sender->fd, &stamp_ns, sizeof(stamp_ns)) < 0)
			break;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Makes ncopies copies with the mover or memcpy(), and prints the results. */
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
	memset(dst, 0, IN_FLIGHT * COPY_BYTES);
	/* The loop closes fds[0]. */
	if (pipe(fds) != 0) {
		fail("pipe", -errno);
		uv_loop_close(&server.loop);
		return -1;
	}
	sender.fd = fds[1];
	error = pthread_create(&sender.thread, NULL, send_messages, &sender);
	if (error != 0) {
		close(fds[0]);
		close(fds[1]);
		uv_loop_close(&server.loop);
		return fail("pthread_create", -error);
	}

	const uint64_t start_ns = uv_hrtime();
	int ret = open_all(&server, fds[0]);

	if (ret == 0) {
		serve_copies(&server);
		uv_run(&server.loop, UV_RUN_DEFAULT);
	}

	const uint64_t took_ns = uv_hrtime() - start_ns;

	atomic_store_explicit(&sender.stop, true, memory_order_relaxed);
	pthread_join(sender.thread, NULL);
	close(fds[1]);
	uv_loop_close(&server.loop);
	if (ret != 0)
		return -1;
	if (server.has_failed ||
		memcmp(src, dst, IN_FLIGHT * COPY_BYTES) != 0) {
		fprintf(stderr, "eventloop: a copy failed\n");
		return -1;
	}
	printf("%-8s %zu MiB in %.2f s, %zu ticks, %zu messages, "
	       "worst delay %.1f ms\n",
		title, ncopies * COPY_MIB, (double)took_ns / 1e9, server.nticks,
		server.nmessages, (double)server.worst_ns / 1e6);
	return 0;
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
	static const char usage[] = "usage: eventloop [MEBIBYTES]\n";
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

	const unsigned cpus = uv_available_parallelism();
	int ret = -1;

	/* The sender may write after the loop has closed its end. */
	signal(SIGPIPE, SIG_IGN);

	/* One CPU is for the loop. */
	struct data_mover_threads *dmt = data_mover_threads_new(
		cpus > 2 ? cpus - 1 : 1, RING, FUTURE_NOTIFIER_WAKER);
	char *src = malloc(IN_FLIGHT * COPY_BYTES);
	char *dst = malloc(IN_FLIGHT * COPY_BYTES);

	if (dmt == NULL || src == NULL || dst == NULL) {
		fail("cannot start", -errno);
	} else {
		for (size_t i = 0; i < IN_FLIGHT * COPY_BYTES; i++)
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
