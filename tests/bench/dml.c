/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dml.c -- the mover over DML, on DML's software path: its cost over calls of
 * DML, and the gain of using a job again
 */

#include "bench.h"

#include <dml/dml.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <libminiasync-vdm-dml.h>

struct dml_copy {
	dml_job_t *job;
	bool is_new_each_time; /* the job */
	struct vdm *vdm;       /* instead of the job */
	char *dst, *src;
	size_t size;
};

static void
init_job(dml_job_t *job)
{
	if (dml_init_job(DML_PATH_SW, job) != DML_STATUS_OK)
		fail("DML: dml_init_job() failed");
}

/* As a program without the library calls DML: members, submit, check. */
static double
run_dml(void *arg, size_t repeats)
{
	const struct dml_copy *c = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < repeats; i++) {
		dml_status_t status;

		if (c->is_new_each_time)
			init_job(c->job);
		c->job->operation = DML_OP_MEM_MOVE;
		c->job->source_first_ptr = (uint8_t *)c->src;
		c->job->destination_first_ptr = (uint8_t *)c->dst;
		c->job->source_length = (uint32_t)hide(c->size);
		c->job->destination_length = c->job->source_length;
		c->job->flags = DML_FLAG_PREFETCH_CACHE;
		status = dml_submit_job(c->job);
		while (status == DML_STATUS_OK &&
			(status = dml_check_job(c->job)) ==
				DML_STATUS_BEING_PROCESSED) {
		}
		if (status != DML_STATUS_OK)
			fail("DML: a job failed with status %d", (int)status);
		if (c->is_new_each_time)
			dml_finalize_job(c->job);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static double
run_mover(void *arg, size_t repeats)
{
	const struct dml_copy *c = arg;
	const double start = clock_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < repeats; i++) {
		struct vdm_operation_future f =
			vdm_memcpy(c->vdm, c->dst, c->src, hide(c->size), 0);

		FUTURE_BUSY_POLL(&f);
		check(&f);
	}
	return clock_ns(CLOCK_MONOTONIC) - start;
}

void
bench_dml(void)
{
	struct data_mover_dml *dmd =
		data_mover_dml_new(DATA_MOVER_DML_SOFTWARE);
	struct data_mover_sync *dms = data_mover_sync_new();
	char *dst = new_memory(MIB), *src = new_memory(MIB);
	uint32_t job_size;
	char what[64];

	if (dmd == NULL || dms == NULL ||
		dml_get_job_size(DML_PATH_SW, &job_size) != DML_STATUS_OK)
		fail("cannot make a mover over DML");

	dml_job_t *kept = new_memory(job_size), *fresh = new_memory(job_size);

	init_job(kept);
	snprintf(what, sizeof(what), "software path of DML %u.%u.%u",
		(unsigned)dml_get_library_version()->major,
		(unsigned)dml_get_library_version()->minor,
		(unsigned)dml_get_library_version()->patch);
	report_section(what, "DML", "other");

	for (size_t size = 64; size <= MIB; size *= size == 64 ? 64 : 256) {
		const struct dml_copy common = {
			.dst = dst, .src = src, .size = size};
		struct dml_copy copies[] = {common, common, common, common};
		struct contestant c[] = {
			{.run = run_dml, .arg = &copies[0], .units = 1},
			{.run = run_dml, .arg = &copies[1], .units = 1},
			{.run = run_mover, .arg = &copies[2], .units = 1},
			{.run = run_mover, .arg = &copies[3], .units = 1},
		};
		static const char *const names[] = {"", "a job made each time",
			"mover over DML", "synchronous mover"};

		copies[0].job = kept;
		copies[1].job = fresh;
		copies[1].is_new_each_time = true;
		copies[2].vdm = data_mover_dml_get_vdm(dmd);
		copies[3].vdm = data_mover_sync_get_vdm(dms);
		contest(c, 4, settings.target_ns);
		for (int i = 1; i < 4; i++) {
			snprintf(what, sizeof(what), "%s, over DML, %zu B",
				names[i], size);
			report_row(what, c[0].median, c[i].median,
				difference(&c[i], &c[0]), "ns", NO_TARGET, 0);
		}
	}

	dml_finalize_job(kept);
	free(kept);
	free(fresh);
	free(dst);
	free(src);
	data_mover_sync_delete(dms);
	data_mover_dml_delete(dmd);
}
