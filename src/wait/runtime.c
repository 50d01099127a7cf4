/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * runtime.c -- the public calls, and the waits that they recycle
 *
 * A call takes an unused wait, or makes one, and gives it back at its end. The
 * unused wait that was given back last is taken first. Its memory is warm, and
 * has the size of the last call.
 *
 * Invariants:
 *   - The runtime owns all its waits. It deletes them at its own end only, also
 *     those of calls that never returned.
 *   - A wait that a call has taken is on the list of all waits, but not on that
 *     of the unused.
 *   - An unused wait may have no room for futures, but it keeps what wakers
 *     need (ready.h).
 *
 * Threads: any. A wait belongs to the call that has taken it. The lists are
 * under the lock.
 */

#include "libminiasync/runtime.h"
#include "wait/runtime.h"

#include <errno.h>
#include <stdlib.h>

#include "system/platform.h"
#include "wait/polling.h"
#include "wait/wait.h"

/*
 * Futures, 80 bytes each, for which the unused waits keep room, except the wait
 * that was used last.
 */
#define KEPT_WAITERS ((size_t)32768)

/* The last wait gives up more room than that after so many small uses. */
#define SMALL_USES 16

struct runtime {
	/* I: */
	struct mia_net_times net_times;
	mia_mutex lock;

	/* L: */
	struct mia_wait *all;
	struct mia_wait *unused; /* the one used last comes first */
	size_t nkept;            /* futures that the unused have room for */
};

/*
 * Whether a wait that has room for many futures was used for few of them for
 * some time. Its last use was for n futures.
 */
static bool
is_oversized(struct mia_wait *wait, size_t n)
{
	const size_t capacity = wait->watch.capacity;

	if (capacity <= KEPT_WAITERS || n > capacity / 4)
		wait->small_uses = 0;
	else
		wait->small_uses++;
	return wait->small_uses > SMALL_USES;
}

/*
 * Takes the memory from unused waits, except from those used last, which may
 * keep KEPT_WAITERS together. Under the lock. Returns the list of that memory.
 */
static struct mia_waiters *
strip_unused(struct runtime *runtime)
{
	struct mia_waiters *garbage = NULL;

	runtime->nkept = 0;
	for (struct mia_wait *wait = runtime->unused; wait != NULL;
		wait = wait->next_unused) {
		const size_t capacity = wait->watch.capacity;

		if (runtime->nkept + capacity <= KEPT_WAITERS)
			runtime->nkept += capacity;
		else
			garbage = mia_watch_strip(&wait->watch, garbage);
	}

	return garbage;
}

/*
 * A call for n futures is over. Its own wait keeps its room, so that the next
 * call finds it.
 */
static void
give_back(struct runtime *runtime, struct mia_wait *wait, size_t n)
{
	struct mia_waiters *garbage = NULL;

	if (is_oversized(wait, n))
		mia_waiters_free(mia_watch_strip(&wait->watch, NULL));

	mia_mutex_lock(&runtime->lock);
	if (runtime->nkept > KEPT_WAITERS)
		garbage = strip_unused(runtime);
	runtime->nkept += wait->watch.capacity;
	wait->next_unused = runtime->unused;
	runtime->unused = wait;
	mia_mutex_unlock(&runtime->lock);

	/* Outside of the lock: to free much memory takes long. */
	if (garbage != NULL)
		mia_waiters_free(garbage);
}

/* NULL: there is none. */
static struct mia_wait *
take_unused(struct runtime *runtime)
{
	mia_mutex_lock(&runtime->lock);
	struct mia_wait *wait = runtime->unused;

	if (wait != NULL) {
		runtime->unused = wait->next_unused;
		runtime->nkept -= wait->watch.capacity;
	}
	mia_mutex_unlock(&runtime->lock);
	return wait;
}

static int
add_wait(struct runtime *runtime, struct mia_wait **waitp)
{
	const int error = mia_wait_new(waitp);

	if (error != 0)
		return error;

	mia_mutex_lock(&runtime->lock);
	(*waitp)->next = runtime->all;
	runtime->all = *waitp;
	mia_mutex_unlock(&runtime->lock);
	return 0;
}

/* A wait with room for n futures. Returns 0 or -errno. */
static int
take_wait(struct runtime *runtime, size_t n, struct mia_wait **waitp)
{
	int error = 0;

	*waitp = take_unused(runtime);
	if (*waitp == NULL)
		error = add_wait(runtime, waitp);
	if (error != 0)
		return error;

	error = mia_watch_reserve(&(*waitp)->watch, n);
	if (error != 0)
		give_back(runtime, *waitp, n);
	return error;
}

/* Makes the first wait, so that most calls need no memory. */
static int
init(struct runtime *runtime)
{
	struct mia_wait *wait;
	const int error = take_wait(runtime, 1, &wait);

	if (error == 0)
		give_back(runtime, wait, 1);
	return error;
}

MIA_PUBLIC struct runtime *
runtime_new(void)
{
	struct runtime *runtime = calloc(1, sizeof(*runtime));

	if (runtime == NULL)
		return NULL;

	runtime->net_times = MIA_NET_TIMES;

	int error = mia_mutex_init(&runtime->lock);

	if (error != 0) {
		free(runtime);
		errno = -error;
		return NULL;
	}

	error = init(runtime);
	if (error != 0) {
		runtime_delete(runtime);
		mia_restore_errno(-error);
		return NULL;
	}

	return runtime;
}

MIA_PUBLIC void
runtime_delete(struct runtime *runtime)
{
	if (runtime == NULL)
		return;

	while (runtime->all != NULL) {
		struct mia_wait *next = runtime->all->next;

		mia_wait_delete(runtime->all);
		runtime->all = next;
	}
	mia_mutex_fini(&runtime->lock);
	free(runtime);
}

void
mia_runtime_set_net(struct runtime *runtime, uint64_t min_ns, uint64_t max_ns)
{
	runtime->net_times =
		(struct mia_net_times){.min_ns = min_ns, .max_ns = max_ns};
}

/* Returns how many entries the wait has not seen complete. */
static size_t
wait_for(struct runtime *runtime, struct future *futs[], size_t nfuts,
	struct mia_limit limit)
{
	if (nfuts == 0)
		return 0;

	const int saved_errno = errno;
	struct mia_wait *wait;
	const int error = take_wait(runtime, nfuts, &wait);

	mia_restore_errno(saved_errno);
	if (error != 0)
		return mia_wait_by_polling(futs, nfuts, limit);

	const size_t nleft =
		mia_wait_run(wait, futs, nfuts, limit, &runtime->net_times);

	give_back(runtime, wait, nfuts);
	return nleft;
}

/* All are wanted, however long that takes. */
#define NO_LIMIT ((struct mia_limit){.max_left = 0, .timeout_ns = -1})

MIA_PUBLIC void
runtime_wait_multiple(
	struct runtime *runtime, struct future *futs[], size_t nfuts)
{
	wait_for(runtime, futs, nfuts, NO_LIMIT);
}

MIA_PUBLIC void
runtime_wait(struct runtime *runtime, struct future *fut)
{
	wait_for(runtime, &fut, 1, NO_LIMIT);
}

/* A task may complete other futures too, which the wait has not polled yet. */
static size_t
count_complete(struct future *futs[], size_t n)
{
	size_t ncomplete = 0;

	for (size_t i = 0; i < n; i++)
		if (futs[i]->context.state == FUTURE_STATE_COMPLETE)
			ncomplete++;
	return ncomplete;
}

MIA_PUBLIC size_t
runtime_wait_some(struct runtime *runtime, struct future *futs[], size_t nfuts,
	size_t nwanted, int64_t timeout_ns)
{
	const struct mia_limit limit = {
		.max_left = nwanted < nfuts ? nfuts - nwanted : 0,
		.timeout_ns = timeout_ns,
	};
	const size_t nleft = wait_for(runtime, futs, nfuts, limit);

	return nleft == 0 ? nfuts : count_complete(futs, nfuts);
}
