/* SPDX-License-Identifier: BSD-3-Clause */

/* runtime.c -- the public calls that wait for futures */

#include "libminiasync/runtime.h"
#include "wait/runtime.h"

#include <errno.h>
#include <stdlib.h>

#include "system/platform.h"
#include "system/probe.h"
#include "wait/polling.h"
#include "wait/wait.h"
#include "wait/waits.h"

struct runtime {
	struct mia_net_times net_times; /* I: */
	struct mia_waits waits;
};

MIA_PUBLIC struct runtime *
runtime_new(void)
{
	struct runtime *runtime = malloc(sizeof(*runtime));

	if (runtime == NULL)
		return NULL;

	runtime->net_times = MIA_NET_TIMES;

	const int error = mia_waits_init(&runtime->waits);

	if (error != 0) {
		free(runtime);
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

	mia_waits_fini(&runtime->waits);
	free(runtime);
}

void
mia_runtime_set_net(struct runtime *runtime, uint64_t min_ns, uint64_t max_ns)
{
	runtime->net_times =
		(struct mia_net_times){.min_ns = min_ns, .max_ns = max_ns};
}

/* Returns the number of entries that the wait has not found complete. */
static size_t
wait_for(struct runtime *runtime, struct future *futs[], size_t nfuts,
	struct mia_limit limit)
{
	if (nfuts == 0)
		return 0;

	MIA_PROBE3(wait_begin, runtime, nfuts, nfuts - limit.max_left);

	const int saved_errno = errno;
	struct mia_wait *wait;
	size_t nleft;
	const int error = mia_waits_take(&runtime->waits, nfuts, &wait);

	mia_restore_errno(saved_errno);
	if (error != 0) {
		nleft = mia_wait_by_polling(futs, nfuts, limit);
	} else {
		nleft = mia_wait_run(
			wait, futs, nfuts, limit, &runtime->net_times);
		mia_waits_give_back(&runtime->waits, wait, nfuts);
	}
	MIA_PROBE2(wait_end, runtime, nleft);
	return nleft;
}

/* All futures, without a timeout. */
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

/* A task may also have completed futures that the wait has not polled since. */
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
