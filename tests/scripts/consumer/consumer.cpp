/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * consumer.cpp -- a C++ program that uses the installed library; an exception
 * leaves a wait
 */

#include <libminiasync.h>

struct nothing {
	char c;
};
FUTURE(throwing_future, struct nothing, char);

static enum future_state
throwing_task(struct future_context *, struct future_notifier *)
{
	throw 1;
}

/* An exception of a task leaves the wait. */
static bool
is_thrown(struct runtime *runtime)
{
	struct throwing_future f;

	FUTURE_INIT(&f, throwing_task);
	try {
		runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	} catch (int) {
		return true;
	}
	return false;
}

int
main(void)
{
	struct data_mover_sync *dms = data_mover_sync_new();
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f;
	char to = 'a';

	if (dms == NULL || runtime == NULL)
		return 1;
	f = vdm_memset(data_mover_sync_get_vdm(dms), &to, 'b', 1, 0);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));

	const bool ok = to == 'b' && is_thrown(runtime);

	runtime_delete(runtime);
	data_mover_sync_delete(dms);
	return ok ? 0 : 1;
}
