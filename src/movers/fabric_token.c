/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_token.c -- see fabric_token.h */

#include "movers/fabric_token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "libminiasync-vdm-fabric/data_mover_fabric.h"

#define NAME "miniasync-region-"
#define VERSION 1

/* Parses digits only: no sign, no space, no prefix. */
static bool
parse_number(const char **text, unsigned base, uint64_t max, uint64_t *number)
{
	static const char digits[] = "0123456789abcdef";
	const char *start = *text;

	*number = 0;
	for (;; (*text)++) {
		const char *digit =
			**text != '\0' ? memchr(digits, **text, base) : NULL;

		if (digit == NULL)
			return *text != start;

		const uint64_t value = (uint64_t)(digit - digits);

		if (value > max || *number > (max - value) / base)
			return false;
		*number = *number * base + value;
	}
}

/* Whether host is the address of one machine, as numbers. */
static bool
is_host(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	char plain[MIA_FABRIC_HOST_MAX];

	if (inet_pton(AF_INET, host, &v4) == 1)
		return v4.s_addr != 0;

	/* inet_pton() does not support zones. */
	const size_t length = strcspn(host, "%");

	memcpy(plain, host, length);
	plain[length] = '\0';
	if (inet_pton(AF_INET6, plain, &v6) != 1 ||
		strcmp(host + length, "%") == 0)
		return false;

	/* Refuses "all addresses", also of IPv4: ::ffff:0.0.0.0. */
	memcpy(&v4, &v6.s6_addr[sizeof(v6) - sizeof(v4)], sizeof(v4));
	return !IN6_IS_ADDR_UNSPECIFIED(&v6) &&
		(!IN6_IS_ADDR_V4MAPPED(&v6) || v4.s_addr != 0);
}

/* Parses an address, and moves *text behind it. */
static bool
parse_address(struct mia_fabric_address *address, const char **text)
{
	const bool is_in_brackets = **text == '[';
	const char *host = *text + (is_in_brackets ? 1 : 0);
	const size_t length = strcspn(host, is_in_brackets ? "]," : ":,");
	uint64_t port = 0;

	if (length >= sizeof(address->host))
		return false;
	memcpy(address->host, host, length);
	address->host[length] = '\0';
	*text = host + length;
	if (is_in_brackets && *(*text)++ != ']')
		return false;
	if (**text == ':') {
		(*text)++;
		if (!parse_number(text, 10, UINT16_MAX, &port))
			return false;
	}
	(void)snprintf(address->port, sizeof(address->port), "%" PRIu16,
		(uint16_t)port);
	return is_in_brackets == (strchr(address->host, ':') != NULL) &&
		is_host(address->host);
}

int
mia_fabric_address_parse(struct mia_fabric_address *address, const char *text)
{
	return parse_address(address, &text) && *text == '\0' ? 0 : -EINVAL;
}

/* FNV-1a with 32 bits. */
static uint32_t
checksum(const char *text, size_t n)
{
	uint32_t sum = UINT32_C(2166136261);

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ (unsigned char)text[i]) * UINT32_C(16777619);
	return sum;
}

int
mia_fabric_token_write(
	const struct mia_fabric_token *token, char *text, size_t size)
{
	const bool is_v6 = strchr(token->address.host, ':') != NULL;
	char whole[DATA_MOVER_REGION_TOKEN_MAX];
	const int body = snprintf(whole, sizeof(whole),
		NAME "%d,%s%s%s:%s,%" PRIx64 ",%x,%016" PRIx64 ",", VERSION,
		is_v6 ? "[" : "", token->address.host, is_v6 ? "]" : "",
		token->address.port, token->size, token->access, token->key);
	const int length = body +
		snprintf(whole + body, sizeof(whole) - (size_t)body,
			"%08" PRIx32, checksum(whole, (size_t)body));

	if ((size_t)length >= size)
		return -ENOSPC;
	memcpy(text, whole, (size_t)length + 1);
	return 0;
}

static bool
skip(const char **text, const char *expected)
{
	const size_t n = strlen(expected);

	if (strncmp(*text, expected, n) != 0)
		return false;
	*text += n;
	return true;
}

int
mia_fabric_token_parse(struct mia_fabric_token *token, const char *text)
{
	const unsigned moves = DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE;
	const unsigned all = moves | MIA_FABRIC_PERSISTENT;
	const char *const start = text;
	uint64_t version, access, sum;

	if (!skip(&text, NAME) ||
		!parse_number(&text, 10, UINT32_MAX, &version) ||
		!skip(&text, ","))
		return -EINVAL;
	if (version != VERSION)
		return -EPROTO;
	if (!parse_address(&token->address, &text) || !skip(&text, ",") ||
		!parse_number(&text, 16, UINT64_MAX, &token->size) ||
		!skip(&text, ",") || !parse_number(&text, 16, all, &access) ||
		!skip(&text, ",") ||
		!parse_number(&text, 16, UINT64_MAX, &token->key) ||
		!skip(&text, ","))
		return -EINVAL;

	const uint32_t right = checksum(start, (size_t)(text - start));

	token->access = (unsigned)access;
	return parse_number(&text, 16, UINT32_MAX, &sum) && *text == '\0' &&
			sum == right && token->size > 0 && (access & moves) != 0
		? 0
		: -EINVAL;
}
