/* SPDX-License-Identifier: BSD-3-Clause */

/* token.h -- tokens of regions that a test writes itself, the checksum too */

#ifndef LIBMINIASYNC_TEST_TOKEN_H
#define LIBMINIASYNC_TEST_TOKEN_H 1

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* FNV-1a of 32 bits, once more: of a text. */
static inline uint32_t
token_checksum(const char *text)
{
	uint32_t sum = 0x811c9dc5u;

	for (; *text != '\0'; text++) {
		sum ^= (unsigned char)*text;
		sum *= 0x01000193u;
	}
	return sum;
}

/* The token with this beginning, which ends with a comma: its checksum. */
static inline const char *
token_of(const char *body)
{
	static char token[8192];

	snprintf(token, sizeof(token), "%.4095s%08x", body,
		(unsigned)token_checksum(body));
	return token;
}

#endif /* LIBMINIASYNC_TEST_TOKEN_H */
