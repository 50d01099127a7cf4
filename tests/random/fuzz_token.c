/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fuzz_token.c -- texts from libFuzzer, as tokens of regions: the text as it
 * is, and with the right checksum behind it
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libminiasync-vdm-fabric/data_mover_fabric.h"
#include "movers/fabric_token.h"
#include "token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(int is_so, const char *what, const char *text)
{
	if (is_so)
		return;
	fprintf(stderr, "WRONG: %s: %s\n", what, text);
	abort();
}

/* What is taken is written and taken again, as the same. */
static void
parse(const char *text)
{
	struct mia_fabric_token token, again;
	char written[DATA_MOVER_REGION_TOKEN_MAX];

	if (mia_fabric_token_parse(&token, text) != 0)
		return;
	expect(token.size > 0 && (token.access & 3) != 0 && token.access < 8,
		"value out of range", text);
	expect(mia_fabric_token_write(&token, written, sizeof(written)) == 0,
		"the token cannot be written", text);
	expect(mia_fabric_token_parse(&again, written) == 0,
		"the written token cannot be parsed", written);
	expect(strcmp(token.address.host, again.address.host) == 0 &&
			strcmp(token.address.port, again.address.port) == 0 &&
			token.size == again.size && token.key == again.key &&
			token.access == again.access,
		"the parsed token is different", written);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mia_fabric_address address;
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	parse(text);
	(void)mia_fabric_address_parse(&address, text);
	if (size < 4000)
		parse(token_of(text));
	free(text);
	return 0;
}
