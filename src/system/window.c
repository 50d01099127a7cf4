/* SPDX-License-Identifier: BSD-3-Clause */

/* window.c -- see window.h */

#include "system/window.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "system/platform.h"

void *
mia_window_map(size_t size)
{
	const int saved_errno = errno;
	void *window = mmap(NULL, size, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (window == MAP_FAILED)
		window = NULL;
	else
		(void)madvise(window, size, MADV_DONTDUMP);
	mia_restore_errno(saved_errno);
	return window;
}

void
mia_window_unmap(void *window, size_t size)
{
	munmap(window, size);
}

int
mia_random(void *bytes, size_t n)
{
	ssize_t got;

	do
		got = getrandom(bytes, n, 0);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)n ? 0 : got < 0 ? -errno : -EIO;
}
