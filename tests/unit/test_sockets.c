/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_sockets.c -- tests system/sockets: which connections an epoll
 * descriptor watches, and what is done to them
 */

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system/sockets.h"

/* Two sockets that are connected to each other. */
struct line {
	int near, far;
};

static struct line
tcp_line(void)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct line line = {.far = socket(AF_INET, SOCK_STREAM, 0)};

	assert_true(listener >= 0 && line.far >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&name, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(
		getsockname(listener, (struct sockaddr *)&name, &size), 0);
	assert_int_equal(connect(line.far, (struct sockaddr *)&name, size), 0);
	line.near = accept(listener, NULL, NULL);
	assert_true(line.near >= 0);
	close(listener);
	return line;
}

static void
line_close(struct line line)
{
	close(line.near);
	close(line.far);
}

static int
new_epoll(void)
{
	const int epoll = epoll_create1(0);

	assert_true(epoll >= 0);
	return epoll;
}

static void
watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

static int
is_shut(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void
watched_connections_are_shut(void **state)
{
	const int outer = new_epoll(), inner = new_epoll();
	const struct line line = tcp_line(), nested = tcp_line(),
			  other = tcp_line();
	struct line local;
	int fds[2], pipes[2];
	/* A number with more digits. */
	const int high = fcntl(line.near, F_DUPFD, 200);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	local = (struct line){fds[0], fds[1]};
	assert_int_equal(pipe(pipes), 0);
	assert_true(high >= 200);
	watch(outer, pipes[0]);
	watch(outer, high);
	watch(outer, local.near);
	watch(outer, inner);
	watch(inner, nested.near);

	errno = EDOM;
	mia_sockets_shut(outer);
	assert_int_equal(errno, EDOM);
	assert_true(is_shut(high));
	assert_true(is_shut(nested.near));
	assert_false(is_shut(other.near));
	assert_false(is_shut(local.near));

	line_close(line);
	line_close(nested);
	line_close(other);
	line_close(local);
	close(high);
	close(pipes[0]);
	close(pipes[1]);
	close(inner);
	close(outer);
}

/* epoll watches a file until its last descriptor is closed. */
static void
another_connection_with_the_number_is_left_alone(void **state)
{
	const int epoll = new_epoll();
	const struct line line = tcp_line(), other = tcp_line();
	const int copy = dup(line.near);

	(void)state;
	assert_true(copy >= 0);
	watch(epoll, line.near);
	assert_int_equal(dup2(other.near, line.near), line.near);
	mia_sockets_shut(epoll);
	assert_false(is_shut(other.near));
	assert_false(is_shut(copy));

	line_close(line);
	line_close(other);
	close(copy);
	close(epoll);
}

/* QEMU returns one int. The counters are behind the structure of glibc. */
static bool
system_counts_bytes(int fd)
{
	char info[512];
	socklen_t size = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0 &&
		size > sizeof(struct tcp_info);
}

static void
bytes_of_both_directions_count(void **state)
{
	static const char text[1000];
	char received[sizeof(text)];
	const int epoll = new_epoll();
	const struct line line = tcp_line();

	(void)state;
	if (!system_counts_bytes(line.near)) {
		printf("left out: the system does not count the bytes\n");
		line_close(line);
		close(epoll);
		return;
	}
	watch(epoll, line.near);

	const uint64_t before = mia_sockets_bytes(epoll);

	assert_int_equal(send(line.far, text, 1000, 0), 1000);
	assert_int_equal(recv(line.near, received, 1000, MSG_WAITALL), 1000);
	assert_int_equal(mia_sockets_bytes(epoll) - before, 1000);

	assert_int_equal(send(line.near, text, 500, 0), 500);
	assert_int_equal(recv(line.far, received, 500, MSG_WAITALL), 500);
	/* The acknowledgement may come later. */
	while (mia_sockets_bytes(epoll) - before < 1500)
		test_sleep_ns(MS);
	assert_int_equal(mia_sockets_bytes(epoll) - before, 1500);

	line_close(line);
	close(epoll);
}

static void
idle_connections_are_checked(void **state)
{
	const int epoll = new_epoll();
	const struct line line = tcp_line();
	int is_on = 0, idle = 0;
	socklen_t size = sizeof(int);

	(void)state;
	watch(epoll, line.near);
	mia_sockets_keep_alive(epoll);
	assert_int_equal(
		getsockopt(line.near, SOL_SOCKET, SO_KEEPALIVE, &is_on, &size),
		0);
	assert_true(is_on);
	assert_int_equal(
		getsockopt(line.near, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size),
		0);
	assert_int_equal(idle, 60);

	line_close(line);
	close(epoll);
}

static void
descriptor_that_is_no_epoll_watches_nothing(void **state)
{
	const struct line line = tcp_line();

	(void)state;
	errno = EDOM;
	mia_sockets_shut(line.near);
	mia_sockets_shut(-1);
	assert_false(is_shut(line.near));
	assert_int_equal(mia_sockets_bytes(line.near), 0);
	assert_int_equal(mia_sockets_bytes(-1), 0);
	line_close(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watched_connections_are_shut),
		cmocka_unit_test(
			another_connection_with_the_number_is_left_alone),
		cmocka_unit_test(bytes_of_both_directions_count),
		cmocka_unit_test(idle_connections_are_checked),
		cmocka_unit_test(descriptor_that_is_no_epoll_watches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
