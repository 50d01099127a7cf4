/* SPDX-License-Identifier: BSD-3-Clause */

/* version.c -- see libminiasync/version.h */

#include "libminiasync/version.h"

#include "system/platform.h"

MIA_PUBLIC const char *
miniasync_version(void)
{
	return MINIASYNC_VERSION;
}
