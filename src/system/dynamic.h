/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dynamic.h -- libraries that are loaded at run time, and the state of the
 * thread and of the program that they must not change
 *
 * Threads: safe from any thread. But a handler that another thread sets between
 * a save and its restore may be lost.
 */

#ifndef LIBMINIASYNC_DYNAMIC_H
#define LIBMINIASYNC_DYNAMIC_H 1

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "system/platform.h"

/* Loads a library, which then stays loaded. Returns it, or NULL. */
void *mia_dynamic_open(const char *name);

/*
 * Stores the function with this name at function, a pointer to a function
 * pointer. Returns false if the library has no such function.
 */
bool mia_dynamic_get(void *library, const char *name, void *function);

/*
 * For calls of such a library in a thread of the program. The leave restores
 * errno. The calls in between are no cancellation points of pthread_cancel().
 * May be nested.
 */
struct mia_foreign {
	int saved_errno;
	int cancel_state;
};

static inline struct mia_foreign
mia_foreign_enter(void)
{
	struct mia_foreign foreign = {.saved_errno = errno};

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &foreign.cancel_state);
	return foreign;
}

static inline void
mia_foreign_leave(struct mia_foreign foreign)
{
	pthread_setcancelstate(foreign.cancel_state, &foreign.cancel_state);
	mia_restore_errno(foreign.saved_errno);
}

#define MIA_SIGNALS 65

struct mia_handlers {
	struct sigaction actions[MIA_SIGNALS];
	bool is_known[MIA_SIGNALS];
};

void mia_handlers_save(struct mia_handlers *handlers);

/* Restores the handlers that have changed. */
void mia_handlers_restore(const struct mia_handlers *handlers);

#endif /* LIBMINIASYNC_DYNAMIC_H */
