/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_v6.c -- tests movers/data_mover_fabric with the
 * installed libfabric: regions that listen on each kind of address
 */

#include "test.h"

#include "fabric_pair.h"
#include "netns.h"
#include "token.h"

#define SIZE (3 * 1024 * KIB + 5)

static struct netns net;
static bool has_net;

static void
check(struct pair *p, struct vdm_operation_future f)
{
	pair_wait(p, FUTURE_AS_RUNNABLE(&f));
	if (FUTURE_OUTPUT(&f)->result != VDM_SUCCESS)
		fail_msg("%s, %s", vdm_result_string(FUTURE_OUTPUT(&f)->result),
			strerror(data_mover_fabric_error(p->dmf)));
}

/* All four kinds of operations. */
static void
check_pair(struct pair *p)
{
	char *local = malloc(SIZE), *back = malloc(SIZE);
	const size_t half = SIZE / 2;

	assert_true(local != NULL && back != NULL);
	for (size_t i = 0; i < SIZE; i++)
		local[i] = (char)(i * 11 + i / 253);
	check(p, vdm_memcpy(p->vdm, p->window, local, SIZE, 0));
	assert_memory_equal(p->memory, local, SIZE);
	check(p, vdm_memcpy(p->vdm, back, p->window, SIZE, 0));
	assert_memory_equal(back, local, SIZE);
	check(p, vdm_memmove(p->vdm, p->window + 3, p->window, half, 0));
	memmove(local + 3, local, half);
	check(p, vdm_memset(p->vdm, p->window + half, 9, half, 0));
	memset(local + half, 9, half);
	assert_memory_equal(p->memory, local, SIZE);
	free(local);
	free(back);
}

/* The token has the address, in brackets, and the port. */
static void
check_token(struct data_mover_region *region, const char *listen)
{
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	const size_t n = strcspn(listen, "]") + 1;
	const char *address;

	assert_int_equal(
		data_mover_region_token(region, token, sizeof(token)), 0);
	address = strchr(token, ',') + 1;
	if (strncmp(address, listen, n) != 0 || address[n] != ':' ||
		address[n + 1] == '0')
		fail_msg("%s listens on %s", token, listen);
}

static bool
system_has(const char *listen)
{
	static char byte;
	struct data_mover_region *region = data_mover_region_new(
		&byte, 1, DATA_MOVER_REGION_READ, listen, 0);

	if (region == NULL && errno != EADDRNOTAVAIL)
		fail_msg("%s: %s", listen, strerror(errno));
	data_mover_region_delete(region);
	return region != NULL;
}

static void
the_loopback_address(void **state)
{
	static const char *const listens[] = {
		"[::1]:0", "[::1]", "[0:0:0:0:0:0:0:1]:0"};

	(void)state;
	if (!system_has("[::1]:0"))
		TEST_LEFT_OUT("IPv6");
	for (size_t i = 0; i < 3; i++)
		for (int no_thread = 0; no_thread < 2; no_thread++) {
			struct pair p;

			pair_init(&p,
				(struct pair_of){.size = SIZE,
					.no_mover_thread = no_thread != 0,
					.no_region_thread = no_thread != 0,
					.listen = listens[i]});
			check_token(p.region, listens[i]);
			check_pair(&p);
			pair_fini(&p);
		}
}

/* An address of IPv4 in the form of IPv6. */
static void
a_mapped_address(void **state)
{
	struct pair p;

	(void)state;
	if (!system_has("[::1]:0"))
		TEST_LEFT_OUT("IPv6");
	pair_init(&p,
		(struct pair_of){.size = SIZE, .listen = "[::ffff:127.0.0.1]"});
	check_token(p.region, "[::ffff:127.0.0.1]");
	check_pair(&p);
	pair_fini(&p);
}

/* The same port is free for the other family, and not for its own. */
static void
ports_of_both_families(void **state)
{
	static char byte;
	struct data_mover_region *first, *second;
	char token[DATA_MOVER_REGION_TOKEN_MAX], listen[80];
	unsigned port;

	(void)state;
	if (!system_has("[::1]:0"))
		TEST_LEFT_OUT("IPv6");
	first = data_mover_region_new(
		&byte, 1, DATA_MOVER_REGION_READ, "[::1]:0", 0);
	assert_non_null(first);
	data_mover_region_token(first, token, sizeof(token));
	assert_int_equal(
		sscanf(token, "miniasync-region-1,[::1]:%u,", &port), 1);
	snprintf(listen, sizeof(listen), "[::1]:%u", port);
	errno = 0;
	assert_null(data_mover_region_new(
		&byte, 1, DATA_MOVER_REGION_READ, listen, 0));
	assert_int_equal(errno, EADDRINUSE);
	snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	second = data_mover_region_new(
		&byte, 1, DATA_MOVER_REGION_READ, listen, 0);
	assert_true(second != NULL || errno == EADDRINUSE);
	data_mover_region_delete(second);
	data_mover_region_delete(first);
}

/* Addresses of a network: a global one, and one of the link with its zone. */
static void
addresses_of_a_network(void **state)
{
	static const char *const listens[] = {"[" NETNS_AWAY_V6 "]:0",
		"[" NETNS_AWAY_LOCAL "]:0", NETNS_AWAY_V4 ":0"};

	(void)state;
	if (!has_net || !net.has_v6)
		TEST_LEFT_OUT("namespaces or IPv6");
	for (size_t i = 0; i < 3; i++)
		for (int no_thread = 0; no_thread < 2; no_thread++) {
			struct pair p;

			pair_init(&p,
				(struct pair_of){.size = SIZE,
					.no_mover_thread = no_thread != 0,
					.listen = listens[i],
					.away = net.fds[NETNS_AWAY],
					.here = net.fds[NETNS_HERE]});
			check_pair(&p);
			pair_fini(&p);
		}
}

/* EINVAL: no address of one machine. EADDRNOTAVAIL: not of this one. */
static void
bad_addresses_are_refused(void **state)
{
	static const struct {
		const char *listen;
		int error;
	} bad[] = {
		{"::1", EINVAL},
		{"::1:0", EINVAL},
		{"[::1", EINVAL},
		{"[::1]0", EINVAL},
		{"[::1]:", EINVAL},
		{"[::1]:-1", EINVAL},
		{"[::1]:65536", EINVAL},
		{"[::1]:0 ", EINVAL},
		{" [::1]:0", EINVAL},
		{"[127.0.0.1]:0", EINVAL},
		{"[]:0", EINVAL},
		{"[:]:0", EINVAL},
		{"[::]:0", EINVAL},
		{"[::%lo]:0", EINVAL},
		{"[::0.0.0.0]", EINVAL},
		{"[::ffff:0:0]", EINVAL},
		{"[::1%]:0", EINVAL},
		{"[fe80::1%]:0", EINVAL},
		{"[g::1]:0", EINVAL},
		{"[1::2::3]:0", EINVAL},
		{"[localhost]:0", EINVAL},
		{"[fe80::1]:0", EINVAL}, /* of which link? */
		{"[ff02::1]:0", EINVAL}, /* of many machines */
		{"[2001:db8::1]:0", EADDRNOTAVAIL},
		{"[fe80::1%nowhere]:0", EADDRNOTAVAIL},
	};
	static char byte;

	(void)state;
	if (!system_has("[::1]:0"))
		TEST_LEFT_OUT("IPv6");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		errno = 0;

		struct data_mover_region *region = data_mover_region_new(
			&byte, 1, DATA_MOVER_REGION_READ, bad[i].listen, 0);

		if (region != NULL || errno != bad[i].error)
			fail_msg("%s: %s, not %s", bad[i].listen,
				region != NULL ? "taken" : strerror(errno),
				strerror(bad[i].error));
	}
}

/* A zone is of the machine that listens. Here it is another one. */
static void
an_interface_of_another_machine(void **state)
{
	(void)state;
	errno = 0;
	assert_null(data_mover_fabric_new(
		token_of("miniasync-region-1,[fe80::1%nowhere]:9,64,3,1,"),
		NULL));
	assert_int_equal(errno, EADDRNOTAVAIL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_loopback_address),
		cmocka_unit_test(a_mapped_address),
		cmocka_unit_test(ports_of_both_families),
		cmocka_unit_test(addresses_of_a_network),
		cmocka_unit_test(bad_addresses_are_refused),
		cmocka_unit_test(an_interface_of_another_machine),
	};

	has_net = netns_init(&net, NETNS_CABLE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
