/* SPDX-License-Identifier: BSD-3-Clause */

/* stack.c -- see stack.h */

#include "system/stack.h"

#if defined(__linux__)
#include <features.h>
#endif

#if defined(__GLIBC__)

#include <link.h>

/* Adds the thread-local variables of the program, or of a shared object. */
static int
add_thread_local(struct dl_phdr_info *object, size_t size, void *sum)
{
	(void)size;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &object->dlpi_phdr[i];

		if (header->p_type == PT_TLS)
			*(size_t *)sum += header->p_memsz + header->p_align;
	}
	return 0;
}

/*
 * glibc puts the thread-local variables into the stack, and does not add their
 * bytes to its size. A program may have more such variables than a small stack
 * can hold. Variables of a shared object that is loaded later get other memory.
 *
 * In a forked child the loader's lock may be held for ever, and the child may
 * make a mover. So this module enters the lock before any constructor of the
 * program, and not when a thread starts.
 */
static size_t thread_local_bytes; /* I: before main() */

__attribute__((constructor(101))) static void
init(void)
{
	dl_iterate_phdr(add_thread_local, &thread_local_bytes);
}

size_t
mia_stack_bytes(void)
{
	const size_t bytes = MIA_WORKER_STACK_BYTES;

	return bytes > 0 ? bytes + thread_local_bytes : 0;
}

#else

size_t
mia_stack_bytes(void)
{
	return MIA_WORKER_STACK_BYTES;
}

#endif
