/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_library.c -- see fabric_library.h */

#include "movers/fabric_library.h"

#include <stdbool.h>

#include "system/dynamic.h"
#include "system/platform.h"

static struct mia_fabric_library library;
static bool is_loaded;
static mia_once once = MIA_ONCE_INITIALIZER;

/* libfabric finds its providers, and loads their libraries, in getinfo(). */
static bool
load_functions(void)
{
	uint32_t (*version)(void);
	void *handle = mia_dynamic_open("libfabric.so.1");
	struct fi_info *info = NULL;

	if (handle == NULL ||
		!mia_dynamic_get(handle, "fi_version", &version) ||
		!mia_dynamic_get(handle, "fi_getinfo", &library.getinfo) ||
		!mia_dynamic_get(handle, "fi_freeinfo", &library.freeinfo) ||
		!mia_dynamic_get(handle, "fi_dupinfo", &library.dupinfo) ||
		!mia_dynamic_get(handle, "fi_fabric", &library.fabric) ||
		FI_VERSION_LT(version(), MIA_FABRIC_VERSION))
		return false;
	library.version = version();

	/* Fails if FI_PROVIDER allows no provider. */
	if (library.getinfo(MIA_FABRIC_VERSION, NULL, NULL, 0, NULL, &info) !=
		0)
		return false;
	library.freeinfo(info);
	return true;
}

static void
load(void)
{
	struct mia_handlers handlers;

	mia_handlers_save(&handlers);
	is_loaded = load_functions();
	mia_handlers_restore(&handlers);
}

const struct mia_fabric_library *
mia_fabric_library_get(void)
{
	mia_once_run(&once, load);
	return is_loaded ? &library : NULL;
}
