/* SPDX-License-Identifier: BSD-3-Clause */

/* test_fabric_token.c -- tests movers/fabric_token: regions as text */

#include "test.h"

#include <errno.h>

#include "libminiasync-vdm-fabric/data_mover_fabric.h"
#include "movers/fabric_token.h"
#include "token.h"

#define NAME "miniasync-region-1,"
#define LONGEST \
	"1234:5678:9abc:def0:1234:5678:9abc:def0%an_interface_with_a_long_" \
	"name"
#define PLAIN "127.0.0.1:1," REST
#define REST "100,3,89abcdef01234567,"

static struct mia_fabric_token
example(const char *host)
{
	struct mia_fabric_token token = {.address = {.port = "4711"},
		.size = 0x100,
		.key = UINT64_C(0x89abcdef01234567),
		.access = 3};

	snprintf(token.address.host, sizeof(token.address.host), "%s", host);
	return token;
}

static int
parse(const char *text)
{
	struct mia_fabric_token token;

	return mia_fabric_token_parse(&token, text);
}

/* What lies behind the end of a text is not read: ASan would see it. */
static int
parse_exactly(const char *text, size_t n)
{
	char *copy = malloc(n + 1);
	int error;

	assert_non_null(copy);
	memcpy(copy, text, n);
	copy[n] = '\0';
	error = parse(copy);
	free(copy);
	return error;
}

static void
check_equal(const struct mia_fabric_token *a, const struct mia_fabric_token *b)
{
	assert_string_equal(a->address.host, b->address.host);
	assert_string_equal(a->address.port, b->address.port);
	assert_true(a->size == b->size);
	assert_true(a->key == b->key);
	assert_int_equal(a->access, b->access);
}

static void
a_token_has_the_form_that_is_documented(void **state)
{
	const struct mia_fabric_token token = example("127.0.0.1");
	char text[DATA_MOVER_REGION_TOKEN_MAX];

	(void)state;
	assert_int_equal(mia_fabric_token_write(&token, text, sizeof(text)), 0);
	assert_string_equal(text, token_of(NAME "127.0.0.1:4711," REST));

	const struct mia_fabric_token v6 = example("fe80::1%eth0");

	assert_int_equal(mia_fabric_token_write(&v6, text, sizeof(text)), 0);
	assert_string_equal(text, token_of(NAME "[fe80::1%eth0]:4711," REST));
}

static void
what_is_written_is_parsed(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "255.255.255.254",
		"::1", "2001:db8::1", "fe80::1%eth0", "::ffff:10.0.0.1",
		LONGEST};
	static const uint64_t numbers[] = {1, 0xf, 0x10, UINT32_MAX,
		UINT64_C(1) << 32, UINT64_MAX - 1, UINT64_MAX};
	static const char *const ports[] = {"0", "1", "65535"};

	(void)state;
	for (size_t h = 0; h < sizeof(hosts) / sizeof(*hosts); h++)
		for (size_t i = 0; i < 7 * 7 * 3 * 3; i++) {
			struct mia_fabric_token token = example(hosts[h]), got;
			char text[DATA_MOVER_REGION_TOKEN_MAX];

			token.size = numbers[i % 7];
			token.key = numbers[i / 7 % 7];
			token.access = (1 + (unsigned)(i / 49 % 3)) |
				(i % 2 == 0 ? MIA_FABRIC_PERSISTENT : 0);
			memcpy(token.address.port, ports[i / 147],
				strlen(ports[i / 147]) + 1);
			assert_int_equal(mia_fabric_token_write(
						 &token, text, sizeof(text)),
				0);
			assert_int_equal(mia_fabric_token_parse(&got, text), 0);
			check_equal(&got, &token);
			for (const char *c = text; *c != '\0'; c++)
				assert_true(*c > ' ' && *c < 127);
		}
}

/* The longest one that there is has room, and no byte too many is written. */
static void
a_token_fits_or_is_refused(void **state)
{
	struct mia_fabric_token token = example("");
	char text[DATA_MOVER_REGION_TOKEN_MAX + 1];

	(void)state;
	memset(token.address.host, '1', sizeof(token.address.host) - 1);
	memcpy(token.address.host, "1:", 2);
	memcpy(token.address.port, "65535", 6);
	token.size = UINT64_MAX;
	token.key = UINT64_MAX;
	assert_int_equal(mia_fabric_token_write(
				 &token, text, DATA_MOVER_REGION_TOKEN_MAX),
		0);

	const size_t length = strlen(text);

	for (size_t size = 0; size <= length; size++) {
		memset(text, 'x', sizeof(text));
		assert_int_equal(
			mia_fabric_token_write(&token, text, size), -ENOSPC);
		for (size_t i = 0; i < sizeof(text); i++)
			assert_int_equal(text[i], 'x');
	}
	assert_int_equal(mia_fabric_token_write(&token, text, length + 1), 0);
	assert_int_equal(text[length + 1], 'x');
}

static void
every_cut_is_refused(void **state)
{
	const char *token = token_of(NAME "127.0.0.1:4711," REST);
	const size_t length = strlen(token);

	(void)state;
	assert_int_equal(parse_exactly(token, length), 0);
	for (size_t n = 0; n < length; n++)
		assert_int_equal(parse_exactly(token, n), -EINVAL);
	for (size_t n = 1; n <= length; n++)
		assert_int_not_equal(parse(token + n), 0);
}

/* By every other byte; none is inserted, left out or twice there either. */
static void
every_changed_character_is_refused(void **state)
{
	const char *token = token_of(NAME "127.0.0.1:4711," REST);
	const size_t length = strlen(token);
	const size_t version = strlen("miniasync-region-");
	char text[4096];

	(void)state;
	for (size_t i = 0; i < length; i++)
		for (int c = 1; c < 256; c++) {
			strcpy(text, token);
			text[i] = (char)c;
			if (text[i] == token[i])
				continue;

			const int error = parse(text);

			const int is_version =
				i == version && c >= '0' && c <= '9';

			assert_int_equal(error, is_version ? -EPROTO : -EINVAL);
		}
	for (size_t i = 0; i <= length; i++)
		for (int c = 1; c < 256; c++) {
			memcpy(text, token, i);
			text[i] = (char)c;
			strcpy(text + i + 1, token + i);
			/* A zero before a number does not change it. */
			if (parse(text) == 0)
				assert_true(c == '0' && i == length - 8);
		}
	for (size_t i = 0; i < length; i++) {
		memcpy(text, token, i);
		strcpy(text + i, token + i + 1);
		assert_int_not_equal(parse(text), 0);
	}
}

static void
other_versions_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(
		parse(token_of("miniasync-region-2,127.0.0.1:1," REST)),
		-EPROTO);
	assert_int_equal(parse("miniasync-region-2,whatever comes"), -EPROTO);
	assert_int_equal(parse("miniasync-region-10,"), -EPROTO);
	assert_int_equal(parse("miniasync-region-x,"), -EINVAL);
	assert_int_equal(parse("miniasync-region-,"), -EINVAL);
	assert_int_equal(parse("miniasync-region-"), -EINVAL);
	assert_int_equal(parse("miniasync-regio"), -EINVAL);
	assert_int_equal(parse(""), -EINVAL);
}

static void
numbers_out_of_range_are_refused(void **state)
{
	static const char *const right[] = {
		"127.0.0.1:0,1,1,0,",
		"127.0.0.1:65535,ffffffffffffffff,3,ffffffffffffffff,",
		"127.0.0.1,1,2,00000000000000000000ab,",
	};
	static const char *const wrong[] = {
		"127.0.0.1:65536,1,1,0,",
		"127.0.0.1:99999999999999999999999,1,1,0,",
		"127.0.0.1:18446744073709551617,1,1,0,",
		"127.0.0.1:-1,1,1,0,",
		"127.0.0.1:+1,1,1,0,",
		"127.0.0.1: 1,1,1,0,",
		"127.0.0.1:0x1,1,1,0,",
		"127.0.0.1:f,1,1,0,",
		"127.0.0.1:,1,1,0,",
		"127.0.0.1:1,0,1,0,",
		"127.0.0.1:1,10000000000000000,1,0,",
		"127.0.0.1:1,10000000000000001,1,0,",
		"127.0.0.1:1,ffffffffffffffffffff,1,0,",
		"127.0.0.1:1,-1,1,0,",
		"127.0.0.1:1,0x1,1,0,",
		"127.0.0.1:1,A,1,0,",
		"127.0.0.1:1,g,1,0,",
		"127.0.0.1:1,,1,0,",
		"127.0.0.1:1,1,0,0,",
		"127.0.0.1:1,1,4,0,",
		"127.0.0.1:1,1,8,0,",
		"127.0.0.1:1,1,b,0,",
		"127.0.0.1:1,1,11,0,",
		"127.0.0.1:1,1,10000000000000001,0,",
		"127.0.0.1:1,1,,0,",
		"127.0.0.1:1,1,1,10000000000000000,",
		"127.0.0.1:1,1,1,,",
		"127.0.0.1:1,1,1,-0,",
		"127.0.0.1:1,1,1,0,0,",
		"127.0.0.1:1,1,1,",
		"127.0.0.1:1,1,1,0",
		" 127.0.0.1:1,1,1,0,",
		"127.0.0.1:1 ,1,1,0,",
	};
	char body[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		snprintf(body, sizeof(body), NAME "%s", right[i]);
		if (parse(token_of(body)) != 0)
			fail_msg("refused: %s", body);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		snprintf(body, sizeof(body), NAME "%s", wrong[i]);
		if (parse(token_of(body)) != -EINVAL)
			fail_msg("not refused: %s", body);
	}
}

/* As text for data_mover_region_new(), and as a part of a token. */
static void
addresses_of_one_machine_are_taken(void **state)
{
	static const struct {
		const char *text, *host, *port;
	} right[] = {
		{"127.0.0.1", "127.0.0.1", "0"},
		{"127.0.0.1:0", "127.0.0.1", "0"},
		{"127.0.0.1:4711", "127.0.0.1", "4711"},
		{"192.0.2.255:00080", "192.0.2.255", "80"},
		{"[::1]", "::1", "0"},
		{"[::1]:65535", "::1", "65535"},
		{"[2001:DB8::1]:1", "2001:DB8::1", "1"},
		{"[fe80::1%eth0]:1", "fe80::1%eth0", "1"},
		{"[::ffff:10.0.0.1]", "::ffff:10.0.0.1", "0"},
	};
	struct mia_fabric_address address;
	char body[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		assert_int_equal(
			mia_fabric_address_parse(&address, right[i].text), 0);
		assert_string_equal(address.host, right[i].host);
		assert_string_equal(address.port, right[i].port);
		snprintf(body, sizeof(body), NAME "%s," REST, right[i].text);
		assert_int_equal(parse(token_of(body)), 0);
	}
}

static void
other_addresses_are_refused(void **state)
{
	static const char *const wrong[] = {"", ":", ":1", "localhost",
		"localhost:1", "0.0.0.0", "0.0.0.0:1", "0", "127.1", "127.0.0",
		"127.0.0.1.1", "127.0.0.256", "127.0.0.1:", "127.0.0.1:65536",
		"127.0.0.1:1:1", "127.0.0.1 ", " 127.0.0.1", "127.0.0.1/8",
		"127.0.0.1%lo", "[127.0.0.1]", "[127.0.0.1]:1", "::1", "::1:1",
		"[::1", "::1]", "[::1]1", "[::1]:", "[::1]:65536", "[]", "[",
		"]", "[::]", "[::]:1", "[0:0:0:0:0:0:0:0]", "[::%lo]",
		"[::%1]:1", "[::0.0.0.0]", "[::ffff:0.0.0.0]", "[::ffff:0:0]:1",
		"[::ffff:0:0%1]", "[::1%]", "[%eth0]", "%", "[:]", "[:::]",
		"[1::2::3]", "[12345::]", "[::g]", "[[::1]]", "0x7f.0.0.1",
		"127.0.0.1\n", "\x80"};
	struct mia_fabric_address address;
	char body[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (mia_fabric_address_parse(&address, wrong[i]) != -EINVAL)
			fail_msg("not refused: %s", wrong[i]);
		snprintf(body, sizeof(body), NAME "%s," REST, wrong[i]);
		if (parse(token_of(body)) != -EINVAL)
			fail_msg("not refused: %s", body);
	}
}

/* All lengths around that of the member that holds it. */
static void
long_addresses_are_refused(void **state)
{
	struct mia_fabric_address address;
	char text[300];

	(void)state;
	for (size_t n = 1; n < 250; n++) {
		memset(text, 'e', sizeof(text));
		memcpy(text, "[fe80::1%", 9);
		memcpy(text + 9 + n, "]:1", 4);
		assert_int_equal(mia_fabric_address_parse(&address, text),
			8 + n < MIA_FABRIC_HOST_MAX ? 0 : -EINVAL);
		memset(text, '1', n);
		text[n] = '\0';
		assert_int_equal(
			mia_fabric_address_parse(&address, text), -EINVAL);
	}
}

/* Texts made of the parts of tokens: no crash, and what is taken stays. */
static void
random_texts_are_tokens_or_refused(void **state)
{
	static const char *const parts[] = {NAME, "miniasync-region-", "1", ",",
		"127.0.0.1", ":", "[", "]", "::", "fe80::1", "%lo", "0", "3",
		"f", "89abcdef01234567", "10000000000000000", "65536", "-", " ",
		"\xff", PLAIN, REST};
	const size_t nparts = sizeof(parts) / sizeof(*parts);
	uint64_t seed = test_seed("random texts");
	int taken = 0;

	(void)state;
	for (int i = 0; i < TEST_ROUNDS(2000000); i++) {
		char body[1024] = "";
		struct mia_fabric_token token, again;
		char text[DATA_MOVER_REGION_TOKEN_MAX];
		const uint64_t n = test_random(&seed) % 10;

		if (test_random(&seed) % 4 != 0)
			strcpy(body, NAME);
		for (uint64_t k = 0; k < n; k++)
			strcat(body, parts[test_random(&seed) % nparts]);
		if (mia_fabric_token_parse(&token, token_of(body)) != 0)
			continue;
		taken++;
		assert_int_equal(
			mia_fabric_token_write(&token, text, sizeof(text)), 0);
		assert_int_equal(mia_fabric_token_parse(&again, text), 0);
		check_equal(&again, &token);
		assert_true(
			token.size > 0 && token.access > 0 && token.access < 4);
	}
	printf("%d of them were tokens\n", taken);
	assert_true(taken > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_has_the_form_that_is_documented),
		cmocka_unit_test(what_is_written_is_parsed),
		cmocka_unit_test(a_token_fits_or_is_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(every_changed_character_is_refused),
		cmocka_unit_test(other_versions_are_told_apart),
		cmocka_unit_test(numbers_out_of_range_are_refused),
		cmocka_unit_test(addresses_of_one_machine_are_taken),
		cmocka_unit_test(other_addresses_are_refused),
		cmocka_unit_test(long_addresses_are_refused),
		cmocka_unit_test(random_texts_are_tokens_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
