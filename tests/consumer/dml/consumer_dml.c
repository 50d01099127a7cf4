/* SPDX-License-Identifier: BSD-3-Clause */

#include <libminiasync-vdm-dml.h>
#include <libminiasync.h>

int
main(void)
{
	struct data_mover_dml *dmd = data_mover_dml_new(DATA_MOVER_DML_AUTO);
	struct runtime *runtime = runtime_new();
	struct vdm_operation_future f;
	char to[100] = "a", from[100] = "b";

	if (dmd == NULL || runtime == NULL)
		return 1;
	f = vdm_memcpy(data_mover_dml_get_vdm(dmd), to, from, sizeof(to),
		VDM_F_MEM_DURABLE);
	runtime_wait(runtime, FUTURE_AS_RUNNABLE(&f));
	runtime_delete(runtime);
	data_mover_dml_delete(dmd);
	return to[0] == 'b' ? 0 : 1;
}
