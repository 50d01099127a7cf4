/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * test_data_mover_fabric_tokens.c -- tests movers/data_mover_fabric with the
 * installed libfabric: bad arguments, wrong and forged tokens, and ports where
 * no region answers
 */

#include "fabric_pair.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "token.h"

static char memory[100000];

static void
check_no_region(void *addr, size_t n, unsigned access, const char *listen,
	unsigned flags, int error)
{
	errno = 0;
	assert_null(data_mover_region_new(addr, n, access, listen, flags));
	if (errno != error)
		fail_msg("%s: %s, not %s", listen != NULL ? listen : "NULL",
			strerror(errno), strerror(error));
}

static void
bad_arguments_make_no_region(void **state)
{
	const size_t n = sizeof(memory);

	(void)state;
	check_no_region(NULL, n, 3, NULL, 0, EINVAL);
	check_no_region(memory, 0, 3, NULL, 0, EINVAL);
	check_no_region(memory, n, 0, NULL, 0, EINVAL);
	check_no_region(memory, n, 4, NULL, 0, EINVAL);
	check_no_region(memory, n, 7, NULL, 0, EINVAL);
	check_no_region(memory, n, 3, NULL, 4, EINVAL);
	check_no_region(memory, SIZE_MAX, 3, NULL, 0, EINVAL);
	check_no_region(
		memory, SIZE_MAX - (uintptr_t)memory + 1, 3, NULL, 0, EINVAL);
	check_no_region(memory, n, 3, "", 0, EINVAL);
	check_no_region(memory, n, 3, "localhost", 0, EINVAL);
	check_no_region(memory, n, 3, "0.0.0.0:0", 0, EINVAL);
	check_no_region(memory, n, 3, "[::]:0", 0, EINVAL);
	check_no_region(memory, n, 3, "[::ffff:0.0.0.0]", 0, EINVAL);
	check_no_region(memory, n, 3, "127.0.0.1:65536", 0, EINVAL);
	check_no_region(memory, n, 3, "192.0.2.1", 0, EADDRNOTAVAIL);
	check_no_region(memory, n, 3, "[2001:db8::77]", 0, EADDRNOTAVAIL);
}

static void
a_port_is_used_once(void **state)
{
	struct data_mover_region *first = data_mover_region_new(
		memory, 100, DATA_MOVER_REGION_READ, "127.0.0.1:0", 0);
	char token[DATA_MOVER_REGION_TOKEN_MAX], listen[64];

	(void)state;
	assert_non_null(first);
	assert_int_equal(
		data_mover_region_token(first, token, sizeof(token)), 0);
	snprintf(listen, sizeof(listen), "%.*s",
		(int)strcspn(strchr(token, ',') + 1, ","),
		strchr(token, ',') + 1);
	check_no_region(
		memory, 100, DATA_MOVER_REGION_READ, listen, 0, EADDRINUSE);
	for (size_t size = 0; size <= strlen(token); size++) {
		errno = 0;
		assert_int_equal(
			data_mover_region_token(first, listen, size), -1);
		assert_int_equal(errno, ENOSPC);
		if (size > 20)
			break;
	}
	data_mover_region_delete(first);
	data_mover_region_delete(NULL);
	data_mover_fabric_delete(NULL);
}

static void
check_no_mover(const char *token,
	const struct data_mover_fabric_options *options, int error)
{
	errno = 0;
	assert_null(data_mover_fabric_new(token, options));
	if (errno != error)
		fail_msg("%s: %s, not %s", token != NULL ? token : "NULL",
			strerror(errno), strerror(error));
}

/* A token for the region of another one, with parts replaced. */
static const char *
token_with(const char *token, const char *size, const char *access,
	const char *key)
{
	char body[DATA_MOVER_REGION_TOKEN_MAX], parts[5][100];

	assert_int_equal(
		sscanf(token, "%99[^,],%99[^,],%99[^,],%99[^,],%99[^,]",
			parts[0], parts[1], parts[2], parts[3], parts[4]),
		5);
	snprintf(body, sizeof(body), "%.30s,%.60s,%.20s,%.20s,%.20s,", parts[0],
		parts[1], size != NULL ? size : parts[2],
		access != NULL ? access : parts[3],
		key != NULL ? key : parts[4]);
	return token_of(body);
}

static void
bad_tokens_and_options_make_no_mover(void **state)
{
	const struct data_mover_fabric_options none = {0},
					       small_one = {.size = 8},
					       big = {.size = sizeof(big) + 8};
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	struct pair p;

	(void)state;
	pair_init(&p, (struct pair_of){.size = 1000});
	assert_int_equal(
		data_mover_region_token(p.region, token, sizeof(token)), 0);
	check_no_mover(NULL, NULL, EINVAL);
	check_no_mover("", NULL, EINVAL);
	check_no_mover("miniasync-region-2,whatever", NULL, EPROTO);
	check_no_mover(token, &none, EINVAL);
	check_no_mover(token, &small_one, EINVAL);
	check_no_mover(token, &big, EINVAL);
	check_no_mover(token_with(token, NULL, NULL, "1234567890abcdef"), NULL,
		EACCES);
	check_no_mover(token_with(token, "ffffffffffffffff", NULL, NULL), NULL,
		ENOTSUP);
	check_no_mover(token_with(token, "1000000000000000", NULL, NULL), NULL,
		ENOMEM);
	/* The region goes on after all of them. */
	assert_int_equal(
		pair_finish(&p, vdm_memset(p.vdm, p.window, 7, 1000, 0)),
		VDM_SUCCESS);
	assert_int_equal(p.memory[999], 7);
	pair_fini(&p);
}

/* Cut at each byte, or with a byte more. */
static void
cut_tokens_make_no_mover(void **state)
{
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	struct pair p;

	(void)state;
	pair_init(&p, (struct pair_of){.size = 1000});
	assert_int_equal(
		data_mover_region_token(p.region, token, sizeof(token)), 0);
	for (size_t n = 0; n < strlen(token); n++) {
		char cut[sizeof(token)];

		memcpy(cut, token, n);
		cut[n] = '\0';
		check_no_mover(cut, NULL, EINVAL);
	}
	strcat(token, "0");
	check_no_mover(token, NULL, EINVAL);
	assert_int_equal(
		pair_finish(&p, vdm_memset(p.vdm, p.window, 7, 1000, 0)),
		VDM_SUCCESS);
	pair_fini(&p);
}

/* A region that may only be read or written answers no token that claims more.
 */
static void
rights_that_were_not_given(void **state)
{
	static const struct {
		unsigned access;
		const char *claimed;
	} forged[] = {
		{DATA_MOVER_REGION_WRITE, "1"},
		{DATA_MOVER_REGION_WRITE, "3"},
		{DATA_MOVER_REGION_READ, "2"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forged) / sizeof(*forged); i++) {
		char token[DATA_MOVER_REGION_TOKEN_MAX];
		struct pair p;

		pair_init(&p,
			(struct pair_of){
				.size = 1000, .access = forged[i].access});
		data_mover_region_token(p.region, token, sizeof(token));
		check_no_mover(token_with(token, NULL, forged[i].claimed, NULL),
			NULL, EACCES);
		assert_int_equal(data_mover_fabric_error(p.dmf), 0);
		pair_fini(&p);
	}
}

enum forged_way { PUT, GET, SET, MOVE_TO, MOVE_FROM };

#define FORGED_WAYS (MOVE_FROM + 1)

/* Of the ways, a sanitizer gets three. */
#define STEP (TEST_SLOWDOWN > 1 ? 2 : 1)

static struct vdm_operation_future
forged_access(
	struct data_mover_fabric *dmf, enum forged_way way, size_t at, size_t n)
{
	static char local[8] = "local..";
	struct vdm *vdm = data_mover_fabric_get_vdm(dmf);
	char *window = data_mover_fabric_addr(dmf);

	switch (way) {
	case PUT:
		return vdm_memcpy(vdm, window + at, local, n, 0);
	case GET:
		return vdm_memcpy(vdm, local, window + at, n, 0);
	case MOVE_TO:
		return vdm_memcpy(vdm, window + at, window, n, 0);
	case MOVE_FROM:
		return vdm_memcpy(vdm, window, window + at, n, 0);
	case SET:
		break;
	}
	return vdm_memset(vdm, window + at, 7, n, 0);
}

/* A size or rights that the region has not given: the region checks. */
static void
what_a_forged_token_claims_does_not_arrive(void **state)
{
	static const struct {
		unsigned access;
		const char *size, *claimed;
		size_t at, n;
	} forged[] = {
		{PAIR_BOTH, "3e9", NULL, 1000, 1}, /* one byte more */
		{PAIR_BOTH, "3e9", NULL, 993, 8},
		{PAIR_BOTH, "10000", NULL, 60000, 8},
		{PAIR_BOTH, "2000000000", NULL, 0xffffff00, 8},
		{PAIR_BOTH, "2000000000", NULL, 0xfffffffc, 8},
#if SIZE_MAX > UINT32_MAX
		{PAIR_BOTH, "2000000000", NULL, 0x100000000, 8},
#endif
		{DATA_MOVER_REGION_READ, NULL, "3", 0, 8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forged) / sizeof(*forged); i++)
		for (int way = PUT; way < FORGED_WAYS; way += STEP) {
			char token[DATA_MOVER_REGION_TOKEN_MAX], local[8];
			struct pair p;

			if (forged[i].claimed != NULL &&
				(way == GET || way == MOVE_FROM))
				continue;
			pair_init(&p,
				(struct pair_of){.size = 1000,
					.access = forged[i].access});
			data_mover_region_token(p.region, token, sizeof(token));

			struct data_mover_fabric *dmf = data_mover_fabric_new(
				token_with(token, forged[i].size,
					forged[i].claimed, NULL),
				NULL);

			assert_non_null(dmf);

			struct vdm_operation_future f =
				forged_access(dmf, (enum forged_way)way,
					forged[i].at, forged[i].n);

			pair_wait(&p, FUTURE_AS_RUNNABLE(&f));
			assert_int_equal(FUTURE_OUTPUT(&f)->result,
				VDM_ERROR_JOB_CORRUPTED);
			assert_int_equal(
				data_mover_fabric_error(dmf), ECONNRESET);
			for (size_t k = 0; k < 1000; k++)
				assert_int_equal(p.memory[k], 0x5a);
			data_mover_fabric_delete(dmf);
			/* Other peers of the region notice nothing. */
			assert_int_equal(data_mover_fabric_error(p.dmf), 0);
			assert_int_equal(pair_finish(&p,
						 vdm_memcpy(p.vdm, local,
							 p.window, 8, 0)),
				VDM_SUCCESS);
			pair_fini(&p);
		}
}

/* A port where nobody listens, and one that accepts and says nothing. */
static void
nobody_answers(void **state)
{
	const struct data_mover_fabric_options options = {
		.size = sizeof(options), .connect_ms = 300};
	struct sockaddr_in name = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char body[DATA_MOVER_REGION_TOKEN_MAX];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
	snprintf(body, sizeof(body),
		"miniasync-region-1,127.0.0.1:%u,1000,3,1234567890abcdef,",
		(unsigned)ntohs(name.sin_port));

	uint64_t start_ns = test_clock_ns(CLOCK_MONOTONIC);

	check_no_mover(token_of(body), NULL, ECONNREFUSED);
	assert_true(test_clock_ns(CLOCK_MONOTONIC) - start_ns < 2000 * MS);

	assert_int_equal(listen(fd, 10), 0);
	start_ns = test_clock_ns(CLOCK_MONOTONIC);
	check_no_mover(token_of(body), &options, ETIMEDOUT);
	start_ns = test_clock_ns(CLOCK_MONOTONIC) - start_ns;
	assert_in_range(start_ns, 290 * MS, 3000 * MS);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_arguments_make_no_region),
		cmocka_unit_test(a_port_is_used_once),
		cmocka_unit_test(bad_tokens_and_options_make_no_mover),
		cmocka_unit_test(cut_tokens_make_no_mover),
		cmocka_unit_test(rights_that_were_not_given),
		cmocka_unit_test(what_a_forged_token_claims_does_not_arrive),
		cmocka_unit_test(nobody_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
