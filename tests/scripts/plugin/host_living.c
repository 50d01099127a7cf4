/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * host_living.c -- closes a plug-in while its mover works, and uses it again
 *
 *	host_living PLUGIN
 */

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#define CYCLES 5

int
main(int argc, char **argv)
{
	if (argc != 2)
		return 2;

	alarm(60);
	for (int i = 0; i < CYCLES; i++) {
		void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);

		if (plugin == NULL) {
			puts(dlerror());
			return 1;
		}

		int (*use)(void) = (int (*)(void))dlsym(plugin, "use");

		if (!use()) {
			puts("a copy failed");
			return 1;
		}
		dlclose(plugin);
		/* Time for a worker whose code is gone to crash. */
		usleep(200000);
	}
	return 0;
}
