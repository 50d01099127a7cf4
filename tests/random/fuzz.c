/* SPDX-License-Identifier: BSD-3-Clause */

/* fuzz.c -- random programs from libFuzzer, which looks for new coverage */

#include <stdio.h>
#include <stdlib.h>

#include "program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream stream = {.data = data, .size = size};
	struct tally tally = {0};
	struct stage *stage = stage_new(40000);
	const char *wrong = program_run(stage, &stream, UINT64_MAX, &tally);

	stage_delete(stage);
	if (wrong != NULL) {
		fprintf(stderr, "WRONG: %s\n", wrong);
		abort();
	}
	return 0;
}
