/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * plugin.cpp -- a plug-in whose static object deletes a mover when the plug-in
 * is unloaded. The wakers use the mover, so that its workers have caches.
 */

#include <libminiasync.h>

#include <atomic>
#include <cstring>

static const int N = 8;
static const size_t SIZE = 65536;

static struct owner {
	data_mover_threads *mover = nullptr;

	~owner()
	{
		if (mover != nullptr)
			data_mover_threads_delete(mover);
	}
} owner;

static std::atomic<int> nwoken;

static void
wake(void *)
{
	char from = 'x', to = 0;
	vdm_operation_future f = vdm_memcpy(
		data_mover_threads_get_vdm(owner.mover), &to, &from, 1, 0);

	FUTURE_BUSY_POLL(&f);
	nwoken += to == from;
}

extern "C" int
use(void)
{
	static char from[SIZE], to[SIZE];

	owner.mover = data_mover_threads_new(4, 16, FUTURE_NOTIFIER_WAKER);
	if (owner.mover == nullptr)
		return 0;
	for (int i = 0; i < N; i++) {
		vdm_operation_future f =
			vdm_memcpy(data_mover_threads_get_vdm(owner.mover), to,
				from, SIZE, 0);
		future_notifier n;

		memset(&n, 0, sizeof(n));
		n.waker.wake = wake;
		future_poll(&f.base, &n);
		FUTURE_BUSY_POLL(&f);
	}
	return nwoken >= N;
}
