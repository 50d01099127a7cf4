/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dml/dml.h -- the part of DML's C interface that the mover uses, for the fake
 *
 * Names, values, types and the order of members are DML's. The test dml_facts
 * compares them with the real header, if that is installed. Members of the job
 * that the mover does not use have no names.
 */

#ifndef FAKE_DML_H
#define FAKE_DML_H 1

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t dml_operation_flags_t;

#define DML_FLAG_PREFETCH_CACHE 0x100u
#define DML_FLAG_DST1_DURABLE 0x8000u

typedef enum { DML_PATH_AUTO = 0, DML_PATH_SW = 1, DML_PATH_HW = 2 } dml_path_t;

typedef enum {
	DML_OP_MEM_MOVE = 0x03,
	DML_OP_FILL = 0x04,
	DML_OP_CACHE_FLUSH = 0x20
} dml_operation_t;

typedef enum {
	DML_STATUS_OK = 0,
	DML_STATUS_FALSE_PREDICATE_OK = 1,
	DML_STATUS_BEING_PROCESSED = 2,
	DML_STATUS_INTERNAL_ERROR = 3,
	DML_STATUS_NULL_POINTER_ERROR = 4,
	DML_STATUS_LIMITS_ERROR = 5,
	DML_STATUS_PATH_ERROR = 6,
	DML_STATUS_JOB_FLAGS_ERROR = 14,
	DML_STATUS_JOB_LENGTH_ERROR = 15,
	DML_STATUS_OVERLAPPING_BUFFER_ERROR = 18,
	DML_STATUS_JOB_CORRUPTED = 23,
	DML_STATUS_WORK_QUEUE_OVERFLOW_ERROR = 24,
	DML_STATUS_PAGE_FAULT_ERROR = 25,
	DML_STATUS_INTL_HARDWARE_TIMEOUT = 44,
	DML_STATUS_LIBACCEL_NOT_FOUND = 100,
	DML_STATUS_LIBACCEL_ERROR = 101,
	DML_STATUS_WORK_QUEUES_NOT_AVAILABLE = 102
} dml_status_t;

typedef struct {
	uint8_t *source_first_ptr;
	void *unnamed_1;
	uint8_t *destination_first_ptr;
	void *unnamed_2[2];
	uint32_t source_length;
	uint32_t destination_length;
	uint32_t unnamed_3;
	uint8_t pattern[8];
	dml_operation_t operation;
	uint32_t unnamed_4[2];
	dml_operation_flags_t flags;
	uint32_t unnamed_5[7];
	uint8_t *internal_data_ptr;
} dml_job_t;

dml_status_t dml_get_job_size(dml_path_t path, uint32_t *job_size);
dml_status_t dml_init_job(dml_path_t path, dml_job_t *job);
dml_status_t dml_finalize_job(dml_job_t *job);
dml_status_t dml_submit_job(dml_job_t *job);
dml_status_t dml_check_job(dml_job_t *job);

#ifdef __cplusplus
}
#endif

#endif /* FAKE_DML_H */
