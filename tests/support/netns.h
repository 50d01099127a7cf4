/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * netns.h -- two network namespaces of a test's own, with a link between them
 *
 * The thread that makes them is in the one that is called here; threads and
 * sockets are in the namespace of the thread that makes them. The link is a
 * virtual cable, or two ends that the test itself moves packets between. Its
 * name is NETNS_LINK in both namespaces.
 */

#ifndef LIBMINIASYNC_TEST_NETNS_H
#define LIBMINIASYNC_TEST_NETNS_H 1

#include <stdbool.h>

#define NETNS_LINK "link0"
#define NETNS_HERE_V4 "10.77.0.1"
#define NETNS_AWAY_V4 "10.77.0.2"
#define NETNS_AWAY_V6 "fd77::2"
#define NETNS_AWAY_LOCAL "fe80::77:2%" NETNS_LINK

enum netns_kind { NETNS_CABLE, NETNS_TUN };

enum netns_side { NETNS_HERE, NETNS_AWAY };

struct netns {
	int fds[2];  /* the namespaces, by enum netns_side */
	int tuns[2]; /* NETNS_TUN: the ends; otherwise -1 */
	bool has_v6;
};

/*
 * The process may have no other thread. Returns false if the system does not
 * allow it or lacks ip(8); then it has printed why.
 */
bool netns_init(struct netns *netns, enum netns_kind kind);

/* This thread goes over to that side. */
void netns_enter(const struct netns *netns, enum netns_side side);

/* Plugs that end of the link in, or pulls it out. */
void netns_plug(const struct netns *netns, enum netns_side side, bool is_up);

/*
 * Limits what that side sends: "1mbit", or NULL for no limit. Returns false if
 * the system has no such limit.
 */
bool netns_limit(
	const struct netns *netns, enum netns_side side, const char *rate);

#endif /* LIBMINIASYNC_TEST_NETNS_H */
