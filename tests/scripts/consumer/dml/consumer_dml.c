/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * consumer_dml.c -- one copy by each of the movers that it is compiled for
 *
 * WITHOUT_DML    not by the mover over DML
 * WITH_THREADS   by the threads mover; a runtime waits
 * WITH_DML_TYPES the header of the mover brings DML's header
 */

#include <libminiasync-vdm-dml.h>

static char from[100] = "b";

#ifndef WITHOUT_DML
static int
copy_by_dml(void)
{
	struct data_mover_dml *dmd = data_mover_dml_new(DATA_MOVER_DML_AUTO);
	struct vdm_operation_future f;
	char to[sizeof(from)] = "a";

	if (dmd == NULL)
		return 0;
	f = vdm_memcpy(data_mover_dml_get_vdm(dmd), to, from, sizeof(to),
		VDM_F_MEM_DURABLE);
	FUTURE_BUSY_POLL(&f);
	data_mover_dml_delete(dmd);
	return to[0] == 'b';
}
#endif

#ifdef WITH_THREADS
static int
copy_by_threads(void)
{
	struct data_mover_threads *dmt = data_mover_threads_default();
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f;
	char to[sizeof(from)] = "a";

	if (dmt == NULL || runtime == NULL)
		return 0;
	f = vdm_memcpy(
		data_mover_threads_get_vdm(dmt), to, from, sizeof(to), 0);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	runtime_delete(runtime);
	data_mover_threads_delete(dmt);
	return to[0] == 'b';
}
#endif

int
main(void)
{
	int ok = 1;

#ifdef WITH_DML_TYPES
	const dml_status_t status = DML_STATUS_OK;

	ok = ok && status == DML_STATUS_OK;
#endif
#ifndef WITHOUT_DML
	ok = ok && copy_by_dml();
#endif
#ifdef WITH_THREADS
	ok = ok && copy_by_threads();
#endif
	return ok ? 0 : 1;
}
