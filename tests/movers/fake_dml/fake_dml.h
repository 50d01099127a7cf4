/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fake_dml.h -- controls the fake DML, and reads its records
 *
 * The fake replaces DML at the link. Its device is a thread with a bounded
 * queue. The device runs jobs by itself, and fails on command. On the software
 * path, and on the automatic path without a device, a job is complete when it
 * is submitted. Both ignore durability, as the real DML does.
 */

#ifndef FAKE_DML_CONTROL_H
#define FAKE_DML_CONTROL_H 1

#include <dml/dml.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The outcome of one submitted job. */
enum fake_dml_outcome {
	FAKE_DML_DONE,
	FAKE_DML_DONE_LATE,      /* after a few ms */
	FAKE_DML_QUEUE_FULL,     /* refused, with the status of DML 1.x */
	FAKE_DML_QUEUE_OVERFLOW, /* refused, with the status of DML 0.1 */
	FAKE_DML_PAGE_FAULT,     /* a part is done */
	FAKE_DML_DEVICE_GONE,    /* refused: there is no device any more */
	FAKE_DML_DEVICE_LOST,    /* a part is done, then the device times out */
	FAKE_DML_CORRUPT,        /* refused: the job is damaged */
	FAKE_DML_CORRUPT_LATE, /* accepted, then found damaged; nothing done */
	FAKE_DML_FALSE_PREDICATE, /* a false success; nothing done */
	FAKE_DML_INTERNAL,        /* a part is done, then an internal error */
	FAKE_DML_REFUSED,         /* with the status that was set */
	FAKE_DML_FAILED,      /* a part is done, then that status, at once */
	FAKE_DML_FAILED_LATE, /* the same, after a moment */
	FAKE_DML_SILENT,      /* no answer until fake_dml_answer() */
};

#define FAKE_DML_OUTCOMES (FAKE_DML_SILENT + 1)

/* Everything as at the start: a device, no script, nothing seen. */
void fake_dml_reset(void);

enum fake_dml_device { FAKE_DML_NO_DEVICE, FAKE_DML_DEVICE };

void fake_dml_set_device(enum fake_dml_device device);
void fake_dml_set_max_transfer(uint32_t bytes);
void fake_dml_set_job_size(uint32_t bytes); /* 0: there is no such path */
void fake_dml_set_init_status(dml_status_t status);

/* The status of REFUSED, FAILED and FAILED_LATE; at first, an unknown one. */
void fake_dml_set_status(dml_status_t status);

/* The outcomes of the next n jobs, which are then done; copied. */
void fake_dml_script(const enum fake_dml_outcome *outcomes, size_t n);
/* The outcome of every job, from now on. */
void fake_dml_always(enum fake_dml_outcome outcome);
/* Random outcomes without SILENT, one in `one_in` not DONE. 0: no more. */
void fake_dml_random(uint64_t seed, unsigned one_in);

/* Ends FAKE_DML_SILENT: the device runs all jobs that it has. */
void fake_dml_answer(void);

struct fake_dml_job {
	dml_operation_t operation;
	const uint8_t *source;
	uint8_t *destination;
	uint32_t length;
	dml_operation_flags_t flags;
};

struct fake_dml_seen {
	size_t inits;
	size_t finalizes;
	size_t submits; /* that were taken */
	size_t refusals;
	size_t outcomes[FAKE_DML_OUTCOMES];
	size_t in_flight;             /* now */
	size_t misuses;               /* of the interface; printed */
	struct fake_dml_job jobs[64]; /* the first ones that were taken */
};

struct fake_dml_seen fake_dml_seen(void);

#endif /* FAKE_DML_CONTROL_H */
