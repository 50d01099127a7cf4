/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * facts.c -- prints the facts in which the fake DML and the real one must agree
 *
 * Built once with each header. Both programs must print the same.
 */

#include <dml/dml.h>
#include <stddef.h>
#include <stdio.h>

#define VALUE(name) printf(#name " = %llu\n", (unsigned long long)(name))
#define MEMBER(name) \
	printf("dml_job_t." #name ": %zu bytes at %zu\n", \
		sizeof(((dml_job_t *)0)->name), offsetof(dml_job_t, name))

/* The compiler refuses another signature. */
static dml_status_t (*const get_job_size)(
	dml_path_t, uint32_t *) = dml_get_job_size;
static dml_status_t (*const functions[])(dml_job_t *) = {
	dml_finalize_job, dml_submit_job, dml_check_job};
static dml_status_t (*const init_job)(dml_path_t, dml_job_t *) = dml_init_job;

int
main(void)
{
	dml_status_t status = DML_STATUS_OK;
	uint32_t size = 0;

	VALUE(DML_FLAG_PREFETCH_CACHE);
	VALUE(DML_FLAG_DST1_DURABLE);
	VALUE(DML_PATH_AUTO);
	VALUE(DML_PATH_SW);
	VALUE(DML_PATH_HW);
	VALUE(DML_OP_MEM_MOVE);
	VALUE(DML_OP_FILL);
	VALUE(DML_OP_CACHE_FLUSH);
	VALUE(DML_STATUS_OK);
	VALUE(DML_STATUS_FALSE_PREDICATE_OK);
	VALUE(DML_STATUS_BEING_PROCESSED);
	VALUE(DML_STATUS_INTERNAL_ERROR);
	VALUE(DML_STATUS_NULL_POINTER_ERROR);
	VALUE(DML_STATUS_LIMITS_ERROR);
	VALUE(DML_STATUS_PATH_ERROR);
	VALUE(DML_STATUS_JOB_FLAGS_ERROR);
	VALUE(DML_STATUS_JOB_LENGTH_ERROR);
	VALUE(DML_STATUS_OVERLAPPING_BUFFER_ERROR);
	VALUE(DML_STATUS_JOB_CORRUPTED);
	VALUE(DML_STATUS_WORK_QUEUE_OVERFLOW_ERROR);
	VALUE(DML_STATUS_PAGE_FAULT_ERROR);
	VALUE(DML_STATUS_INTL_HARDWARE_TIMEOUT);
	VALUE(DML_STATUS_LIBACCEL_NOT_FOUND);
	VALUE(DML_STATUS_LIBACCEL_ERROR);
	VALUE(DML_STATUS_WORK_QUEUES_NOT_AVAILABLE);

	MEMBER(source_first_ptr);
	MEMBER(destination_first_ptr);
	MEMBER(source_length);
	MEMBER(destination_length);
	MEMBER(pattern);
	MEMBER(operation);
	MEMBER(flags);
	MEMBER(internal_data_ptr);
	VALUE(sizeof(dml_job_t));
	VALUE(sizeof(dml_operation_flags_t));

	/* A job fits. Both return an error for a path that does not exist. */
	status = get_job_size(DML_PATH_SW, &size);
	printf("job size: %d, %s\n", (int)status,
		size >= sizeof(dml_job_t) && size < 4096 ? "as expected" : "?");
	VALUE(get_job_size((dml_path_t)7, &size));
	VALUE(get_job_size(DML_PATH_SW, NULL));
	VALUE(init_job(DML_PATH_SW, NULL));
	for (int i = 0; i < 3; i++)
		VALUE(functions[i](NULL));
	return 0;
}
