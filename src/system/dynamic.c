/* SPDX-License-Identifier: BSD-3-Clause */

/* dynamic.c -- see dynamic.h */

#include "system/dynamic.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

void *
mia_dynamic_open(const char *name)
{
	return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

bool
mia_dynamic_get(void *library, const char *name, void *function)
{
	void *symbol = dlsym(library, name);

	/* POSIX guarantees that a pointer to a function fits. */
	memcpy(function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

void
mia_handlers_save(struct mia_handlers *handlers)
{
	memset(handlers, 0, sizeof(*handlers));
	for (int i = 1; i < MIA_SIGNALS; i++)
		handlers->is_known[i] =
			sigaction(i, NULL, &handlers->actions[i]) == 0;
}

/* Compares signal by signal, because the C library fills a part of a set. */
static bool
are_equal(const sigset_t *a, const sigset_t *b)
{
	for (int i = 1; i < MIA_SIGNALS; i++)
		if (sigismember(a, i) != sigismember(b, i))
			return false;
	return true;
}

void
mia_handlers_restore(const struct mia_handlers *handlers)
{
	for (int i = 1; i < MIA_SIGNALS; i++) {
		const struct sigaction *old = &handlers->actions[i];
		struct sigaction now;

		memset(&now, 0, sizeof(now));
		if (!handlers->is_known[i] || sigaction(i, NULL, &now) != 0)
			continue;

		/*
		 * sa_handler and sa_sigaction share memory, so one comparison
		 * is enough.
		 */
		if (now.sa_handler != old->sa_handler ||
			now.sa_flags != old->sa_flags ||
			!are_equal(&now.sa_mask, &old->sa_mask))
			sigaction(i, old, NULL);
	}
}
