/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * eventloop.c -- libuv's event loop copies large buffers and stays responsive
 *
 *	cc eventloop.c $(pkg-config --cflags --libs libminiasync libuv) \
 *		-o eventloop
 *	./eventloop [MEBIBYTES]
 *	workers: 1024 MiB in 0.19 s, 120 ticks, 36 messages, worst delay 3.1 ms
 *	memcpy:  1024 MiB in 0.15 s, 16 ticks, 29 messages, worst delay 16.3 ms
 *
 * Measured on 2 CPUs that other programs also used.
 *
 * The loop serves a timer and a pipe while copies run. The copies are in a
 * completion queue. When a copy is complete, the queue's descriptor becomes
 * readable, and a uv_poll_t reports it. The loop never blocks in a copy, and
 * never spins. Then the program repeats this with the synchronous mover, which
 * calls memcpy() in the loop. epoll.c does this without libuv.
 *
 * For Linux: other systems have no descriptor for a completion queue.
 */

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libminiasync.h>
#include <uv.h>

#define MIB ((size_t)1 << 20)
#define COPY_MIB 32
#define COPY_BYTES (COPY_MIB * MIB)
#define IN_FLIGHT 2
#define DEFAULT_MIB 1024
#define RING 128 /* operations that can wait in the mover's ring */
#define TICK_MS 1
#define TICK_NS (TICK_MS * UINT64_C(1000000))
#define MESSAGE_MS 5

struct server {
	/* I: init only */
	struct completion_queue *queue;
	char *src, *dst; /* IN_FLIGHT buffers each */

	uv_loop_t loop;
	uv_timer_t timer;
	uv_poll_t copies_done;
	uv_pipe_t pipe;
	uint64_t message_ns; /* when the last message was sent */

	struct vdm *vdm;
	struct vdm_operation_future copies[IN_FLIGHT];
	size_t left;     /* copies to start */
	bool has_failed; /* a copy failed */

	uint64_t start_ns, last_tick_ns;
	uint64_t worst_ns; /* delay of a tick or a message */
	size_t nticks, nmessages;
};

/* Writes the time to a pipe every MESSAGE_MS. */
struct sender {
	/* I: init only */
	uv_thread_t thread;
	int fds[2];

	/* A: main() sets it, and the sender reads it */
	atomic_bool stop;
};

static int
fail(const char *what, const char *why)
{
	fprintf(stderr, "eventloop: %s: %s\n", what, why);
	return -1;
}

static void
start_copy(struct server *server, struct vdm_operation_future *copy)
{
	const size_t at = (size_t)(copy - server->copies) * COPY_BYTES;

	server->left--;
	*copy = vdm_memcpy(
		server->vdm, server->dst + at, server->src + at, COPY_BYTES, 0);
	if (completion_queue_add(
		    server->queue, FUTURE_AS_RUNNABLE(copy), copy) != 0)
		server->has_failed = true;
}

/* Takes complete copies, and starts new ones in their places. */
static void
on_copies_done(uv_poll_t *handle, int status, int events)
{
	struct server *server = handle->data;
	struct completion done[IN_FLIGHT];
	const size_t n = completion_queue_reap(server->queue, done, IN_FLIGHT);

	(void)events;
	for (size_t i = 0; i < n; i++) {
		struct vdm_operation_future *copy = done[i].user_data;

		if (FUTURE_OUTPUT(copy)->result != VDM_SUCCESS)
			server->has_failed = true;
		if (server->left > 0)
			start_copy(server, copy);
	}
	if (status < 0)
		server->has_failed = true;
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
	note_delay(server, server->last_tick_ns + TICK_NS);
	server->last_tick_ns = uv_hrtime();
	server->nticks++;
}

static void
on_alloc(uv_handle_t *pipe, size_t suggested, uv_buf_t *buf)
{
	struct server *server = pipe->data;

	(void)suggested;
	*buf = uv_buf_init(
		(char *)&server->message_ns, sizeof(server->message_ns));
}

/* Messages are so small that pipes do not split them. */
static void
on_read(uv_stream_t *pipe, ssize_t n, const uv_buf_t *buf)
{
	struct server *server = pipe->data;

	(void)buf;
	/* An older message waited before the copies started. */
	if (n == sizeof(server->message_ns) &&
		server->message_ns >= server->start_ns) {
		note_delay(server, server->message_ns);
		server->nmessages++;
	}
}

static int
open_all(struct server *server, int pipe)
{
	const int copies_done = completion_queue_fd(server->queue);

	if (copies_done < 0)
		return fail("completion_queue_fd", strerror(errno));

	int error = uv_timer_init(&server->loop, &server->timer);

	if (error == 0)
		error = uv_poll_init(
			&server->loop, &server->copies_done, copies_done);
	if (error == 0)
		error = uv_pipe_init(&server->loop, &server->pipe, 0);
	if (error == 0)
		error = uv_pipe_open(&server->pipe, pipe);
	server->timer.data = server->copies_done.data = server->pipe.data =
		server;
	if (error == 0)
		error = uv_timer_start(
			&server->timer, on_tick, TICK_MS, TICK_MS);
	if (error == 0)
		error = uv_poll_start(
			&server->copies_done, UV_READABLE, on_copies_done);
	if (error == 0)
		error = uv_read_start(
			(uv_stream_t *)&server->pipe, on_alloc, on_read);
	return error == 0 ? 0 : fail("libuv", uv_strerror(error));
}

static void
close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	uv_close(handle, NULL);
}

/* Makes ncopies copies with the mover, and prints the results. */
static int
copy_and_report(struct server *server, const char *title, struct vdm *vdm,
	size_t ncopies)
{
	server->vdm = vdm;
	server->left = ncopies;
	server->worst_ns = server->nticks = server->nmessages = 0;
	memset(server->dst, 0, IN_FLIGHT * COPY_BYTES);
	server->start_ns = server->last_tick_ns = uv_hrtime();

	for (size_t i = 0; i < IN_FLIGHT; i++)
		start_copy(server, &server->copies[i]);
	while (!server->has_failed &&
		completion_queue_pending(server->queue) > 0)
		uv_run(&server->loop, UV_RUN_ONCE);

	const uint64_t took_ns = uv_hrtime() - server->start_ns;

	if (server->has_failed ||
		memcmp(server->src, server->dst, IN_FLIGHT * COPY_BYTES) != 0) {
		fprintf(stderr, "eventloop: a copy failed or differs\n");
		return -1;
	}
	printf("%-8s %zu MiB in %.2f s, %zu ticks, %zu messages, "
	       "worst delay %.1f ms\n",
		title, ncopies * COPY_MIB, (double)took_ns / 1e9,
		server->nticks, server->nmessages,
		(double)server->worst_ns / 1e6);
	return 0;
}

static void
send_messages(void *arg)
{
	struct sender *sender = arg;

	/* Relaxed: publishes nothing. uv_thread_join() orders the end. */
	while (!atomic_load_explicit(&sender->stop, memory_order_relaxed)) {
		const uint64_t stamp_ns = uv_hrtime();

		if (write(sender->fds[1], &stamp_ns, sizeof(stamp_ns)) < 0)
			break;
		uv_sleep(MESSAGE_MS);
	}
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

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("%sCopies in libuv's event loop, first with workers, "
		       "then with memcpy().\n"
		       "  MEBIBYTES  MiB for each, 64 or more, rounded down to "
		       "a multiple of 32;\n"
		       "             default: %d\n"
		       "  --help     print this help\n"
		       "Example: eventloop 512\n",
			usage, DEFAULT_MIB);
		return EXIT_SUCCESS;
	}
	if (argc > 2 || ncopies == 0) {
		fprintf(stderr,
			"eventloop: '%s': not a valid argument; see eventloop "
			"--help\n%s",
			argv[ncopies == 0 ? 1 : 2], usage);
		return 2;
	}

	const unsigned cpus = uv_available_parallelism();
	struct sender sender = {.stop = false};
	struct server server = {.queue = completion_queue_new(),
		.src = malloc(IN_FLIGHT * COPY_BYTES),
		.dst = malloc(IN_FLIGHT * COPY_BYTES)};

	/* One CPU is for the loop. */
	struct data_mover_threads *dmt = data_mover_threads_new(
		cpus > 2 ? cpus - 1 : 1, RING, FUTURE_NOTIFIER_WAKER);
	struct data_mover_sync *dms = data_mover_sync_new();

	if (server.queue == NULL || server.src == NULL || server.dst == NULL ||
		dmt == NULL || dms == NULL || pipe(sender.fds) != 0) {
		fail("cannot start", strerror(errno));
		exit(EXIT_FAILURE);
	}

	int error = uv_loop_init(&server.loop);

	if (error == 0)
		error = uv_thread_create(
			&sender.thread, send_messages, &sender);
	if (error != 0) {
		fail("cannot start", uv_strerror(error));
		exit(EXIT_FAILURE);
	}
	if (open_all(&server, sender.fds[0]) != 0)
		exit(EXIT_FAILURE);
	for (size_t i = 0; i < IN_FLIGHT * COPY_BYTES; i++)
		server.src[i] = (char)(i * 31 + i / 4096);

	int ret = copy_and_report(
		&server, "workers:", data_mover_threads_get_vdm(dmt), ncopies);

	if (ret == 0)
		ret = copy_and_report(&server,
			"memcpy:", data_mover_sync_get_vdm(dms), ncopies);

	atomic_store_explicit(&sender.stop, true, memory_order_relaxed);
	uv_thread_join(&sender.thread);
	close(sender.fds[1]);
	/* libuv closes sender.fds[0]. */
	uv_walk(&server.loop, close_handle, NULL);
	uv_run(&server.loop, UV_RUN_DEFAULT);
	uv_loop_close(&server.loop);
	completion_queue_delete(server.queue); /* completes all copies */
	data_mover_sync_delete(dms);
	data_mover_threads_delete(dmt);
	free(server.src);
	free(server.dst);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
