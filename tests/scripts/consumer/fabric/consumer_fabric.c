/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * consumer_fabric.c -- a copy into a region of this process and back, by the
 * mover over libfabric
 *
 * WITH_THREADS  one more copy by the threads mover; a runtime waits
 */

#include <libminiasync-vdm-fabric.h>

static char memory[100];
static char from[100] = "b";
static char back[100];

static int
copy_by_fabric(void)
{
	const unsigned access =
		DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE;
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	struct data_mover_region *region =
		data_mover_region_new(memory, sizeof(memory), access, NULL, 0);
	struct data_mover_fabric *dmf;
	struct vdm_operation_future f;

	if (region == NULL ||
		data_mover_region_token(region, token, sizeof(token)) != 0)
		return 0;
	dmf = data_mover_fabric_new(token, NULL);
	if (dmf == NULL)
		return 0;
	f = vdm_memcpy(data_mover_fabric_get_vdm(dmf),
		data_mover_fabric_addr(dmf), from, sizeof(from), 0);
	FUTURE_BUSY_POLL(&f);
	f = vdm_memcpy(data_mover_fabric_get_vdm(dmf), back,
		data_mover_fabric_addr(dmf), sizeof(back), 0);
	FUTURE_BUSY_POLL(&f);
	data_mover_fabric_delete(dmf);
	data_mover_region_delete(region);
	return memory[0] == 'b' && back[0] == 'b';
}

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
	int ok = copy_by_fabric();

#ifdef WITH_THREADS
	ok = ok && copy_by_threads();
#endif
	return ok ? 0 : 1;
}
