/* SPDX-License-Identifier: BSD-3-Clause */

/* word.c -- see word.h */

#include "operation/word.h"

#include <stdatomic.h>

#include "system/platform.h"

#define WORDS 1024

static _Atomic uint64_t words[WORDS];

static _Atomic uint64_t *
word_of(const void *operation)
{
	return &words[(uintptr_t)operation / MIA_CACHE_LINE % WORDS];
}

uint64_t *
mia_word_of(const void *operation)
{
	return (uint64_t *)(uintptr_t)word_of(operation);
}

void
mia_word_change(void *operation)
{
	/*
	 * Release: publishes the state of the operation, which has changed
	 * before, to polls. Pairs with the acquire of the thread that monitors
	 * the word.
	 */
	atomic_fetch_add_explicit(word_of(operation), 1, memory_order_release);
}
