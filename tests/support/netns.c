/* SPDX-License-Identifier: BSD-3-Clause */

/* netns.c -- see netns.h */

#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A command of the shell, in the namespace of this thread. */
__attribute__((format(printf, 1, 2))) static bool
command(const char *format, ...)
{
	char text[400];
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return n > 0 && (size_t)n < sizeof(text) && system(text) == 0;
}

static bool
refused(const char *what)
{
	printf("left out: %s: %s\n", what, strerror(errno));
	return false;
}

static bool
write_text(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text);
}

/* Who is not root becomes it in a user namespace. */
static bool
leave_the_network(void)
{
	const unsigned uid = getuid(), gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWNET) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return refused("namespaces");
	snprintf(map, sizeof(map), "0 %u 1\n", uid);
	if (!write_text("/proc/self/uid_map", map))
		return refused("a map of users");
	snprintf(map, sizeof(map), "0 %u 1\n", gid);
	if (!write_text("/proc/self/setgroups", "deny") ||
		!write_text("/proc/self/gid_map", map))
		return refused("a map of groups");
	return true;
}

static int
own_namespace(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int
open_tun(void)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	strcpy(request.ifr_name, NETNS_LINK);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) != 0) {
		const int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* The end of the link on one side gets its addresses. */
static bool
configure(struct netns *netns, enum netns_side side)
{
	const int number = side == NETNS_HERE ? 1 : 2;

	netns_enter(netns, side);
	if (!command("ip link set lo up && ip link set %s addrgenmode none "
		     "mtu 1500 up && ip addr add 10.77.0.%d/24 dev %s",
		    NETNS_LINK, number, NETNS_LINK))
		return refused("ip(8)");
	netns->has_v6 &= command("(ip addr add fd77::%d/64 dev %s nodad && "
				 "ip addr add fe80::77:%d/64 dev %s nodad) "
				 "2>/dev/null",
		number, NETNS_LINK, number, NETNS_LINK);
	return true;
}

static bool
connect_ends(struct netns *netns, enum netns_kind kind)
{
	switch (kind) {
	case NETNS_CABLE:
		netns_enter(netns, NETNS_HERE);
		if (!command("ip link add %s type veth peer name %s "
			     "netns /proc/%d/fd/%d",
			    NETNS_LINK, NETNS_LINK, (int)getpid(),
			    netns->fds[NETNS_AWAY]))
			return refused("a virtual cable");
		return true;
	case NETNS_TUN:
		for (int side = 0; side < 2; side++) {
			netns_enter(netns, (enum netns_side)side);
			netns->tuns[side] = open_tun();
			if (netns->tuns[side] < 0)
				return refused("/dev/net/tun");
		}
		return true;
	}
	return false;
}

bool
netns_init(struct netns *netns, enum netns_kind kind)
{
	*netns = (struct netns){{-1, -1}, {-1, -1}, true};
	if (system("ip -V >/dev/null 2>&1") != 0) {
		printf("left out: there is no ip(8)\n");
		return false;
	}
	if (!leave_the_network())
		return false;
	netns->fds[NETNS_AWAY] = own_namespace();
	if (unshare(CLONE_NEWNET) != 0)
		return refused("a second namespace");
	netns->fds[NETNS_HERE] = own_namespace();
	if (netns->fds[0] < 0 || netns->fds[1] < 0)
		return refused("/proc/thread-self/ns/net");
	return connect_ends(netns, kind) && configure(netns, NETNS_AWAY) &&
		configure(netns, NETNS_HERE);
}

void
netns_enter(const struct netns *netns, enum netns_side side)
{
	if (setns(netns->fds[side], CLONE_NEWNET) != 0) {
		perror("setns");
		abort();
	}
}

void
netns_plug(const struct netns *netns, enum netns_side side, bool is_up)
{
	struct ifreq request = {.ifr_flags = 0};
	int fd;

	netns_enter(netns, side);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(request.ifr_name, NETNS_LINK);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0)
		abort();
	if (is_up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags &= ~IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		abort();
	close(fd);
	netns_enter(netns, NETNS_HERE);
}

bool
netns_limit(const struct netns *netns, enum netns_side side, const char *rate)
{
	bool done;

	netns_enter(netns, side);
	done = rate != NULL
		? command("tc qdisc replace dev %s root tbf rate %s burst 16kb "
			  "latency 200ms 2>/dev/null",
			  NETNS_LINK, rate)
		: command("tc qdisc del dev %s root", NETNS_LINK);
	netns_enter(netns, NETNS_HERE);
	return done;
}
