/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * brought.h -- a program that includes one header of libminiasync and nothing
 * else, for headers.sh
 *
 * It uses the functions and types that programs written for libminiasync 0.2.1
 * get through that header. USE_DML chooses the header of the mover over DML.
 */

#ifdef USE_DML
#include <libminiasync-vdm-dml.h>
#else
#include <libminiasync.h>
#endif

int brought(void);

int
brought(void)
{
	struct runtime *runtime = runtime_new();
	void *memory = malloc(1);
	int sum = printf("%d\n", runtime == NULL) + (stderr == NULL);

#if defined(__x86_64__)
	sum += _mm_cvtsi128_si32(_mm_setzero_si128());
#endif
#ifdef USE_DML
	struct data_mover_dml *dmd = data_mover_dml_new(DATA_MOVER_DML_AUTO);
	uint32_t size = 0;
	const dml_status_t status = dml_get_job_size(DML_PATH_SW, &size);

	sum += status == DML_STATUS_OK;
	data_mover_dml_delete(dmd);
#endif
	free(memory);
	runtime_delete(runtime);
	return sum;
}
