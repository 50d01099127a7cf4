/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * host.c PLUG-IN -- a program that uses one version of the library and loads a
 * plug-in that uses another
 */

#include <libminiasync.h>

#include <dlfcn.h>
#include <stdio.h>

/* One copy by the program's own version. Returns 1 if it succeeds. */
static int
copy(void)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	char src[8] = "x", dst[8] = "";
	struct vdm_operation_future f;

	if (dms == NULL)
		return 0;
	f = vdm_memcpy(data_mover_sync_get_vdm(dms), dst, src, sizeof(dst), 0);
	FUTURE_BUSY_POLL(&f);
	data_mover_sync_delete(dms);
	return FUTURE_OUTPUT(&f)->result == VDM_SUCCESS && dst[0] == 'x';
}

int
main(int argc, char *argv[])
{
	union {
		void *symbol;
		int (*function)(void);
	} use;
	void *plugin;

	if (argc != 2 || !copy()) {
		fprintf(stderr, "host: its own copy failed\n");
		return 1;
	}
	plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (plugin == NULL) {
		fprintf(stderr, "host: %s\n", dlerror());
		return 1;
	}
	use.symbol = dlsym(plugin, "use");
	if (use.symbol == NULL || !use.function() || !copy()) {
		fprintf(stderr, "host: the plug-in's operations failed\n");
		return 1;
	}
	printf("host and plug-in succeeded\n");
	return 0;
}
