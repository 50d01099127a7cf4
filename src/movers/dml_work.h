/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dml_work.h -- the parts of an operation, and the DML job that does them
 *
 * An operation is parsed once, into a piece. The piece goes to DML in parts,
 * one after the other, because a device has a longest transfer. Usually one
 * part is the whole piece. Each segment of a MEMCPYV is a piece, in order.
 *
 *          submit: queue full
 *            +------+
 *            v      |      submit: accepted           check: done
 *           READY --+------------------------> FLYING ------------> READY ...
 *            |      any other status                 any other status
 *            |      `----------> the CPU does the part <----------'
 *            +-- no part left --> DONE
 *
 * Invariants:
 *   - Every part can be done twice, because its source and destination do not
 *     overlap. So the CPU can repeat a part that a device did only partly.
 *   - A part is done when DML has returned DML_STATUS_OK for it, or the CPU has
 *     done it. No other status means success.
 *   - While FLYING, the job and both ranges belong to the device.
 *
 * DML's software path ignores durability. Its flush leaves out incomplete
 * lines, or all lines on a CPU without CLWB (observed in DML 1.1.1). So
 * memory.c writes the lines back where DML may use the software path.
 *
 * A device works in the memory of the process that submitted the part. In a
 * child that was forked later, the CPU does all operations. Operations that
 * were begun before the fork fail in the child.
 *
 * Threads: one thread at a time is inside of an operation, as vdm.h requires.
 * The mover is constant after data_mover_dml_new(), except for part_max_bytes.
 */

#ifndef LIBMINIASYNC_DML_WORK_H
#define LIBMINIASYNC_DML_WORK_H 1

#include <dml/dml.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libminiasync-vdm-dml/data_mover_dml.h"
#include "operation/operation_pool.h"
#include "operation/piece.h"
#include "system/platform.h"

/* The longest part that is tried, until a device refuses its length. */
#define MIA_DML_PART_MAX_BYTES ((uint32_t)1 << 30)

struct data_mover_dml {
	struct vdm vdm; /* first: op_new gets a pointer to it */
	struct mia_operation_pool pool;
	dml_path_t path;
	uint32_t
		forks; /* mia_forks() of the process for which a device works */

	/*
	 * The longest part to try; refusals of a length lower it. Relaxed
	 * everywhere: a hint that publishes no other memory.
	 */
	_Atomic uint32_t part_max_bytes;

	unsigned char probe_src[MIA_CACHE_LINE];
	unsigned char probe_dst[MIA_CACHE_LINE];
};

enum mia_dml_stage {
	MIA_DML_IDLE,   /* not started, or deleted */
	MIA_DML_READY,  /* the next part is to be submitted */
	MIA_DML_FLYING, /* DML has a part */
	MIA_DML_DONE
};

/* The slot of the pool keeps this struct and its job after op_delete. */
struct mia_dml_operation {
	void *pool_link; /* belongs to the pool while the slot is free */
	struct data_mover_dml *dmd;

	/* Set by op_start, because the future may move. */
	struct mia_piece piece; /* 0 bytes if the operation is invalid */
	struct mia_piece rest;  /* the segments after the piece, or 0 bytes */
	size_t distance_bytes;  /* mia_piece_distance() */

	/* The progress. */
	size_t done_bytes;
	enum mia_dml_stage stage;
	enum vdm_operation_result result;
	uint32_t part_bytes; /* of the current part */
	uint16_t refusals;   /* in a row, since DML accepted a part */
	bool is_begun;       /* DML or the CPU has got a part */
	bool has_job;        /* job is initialised */

	_Alignas(max_align_t) unsigned char job[];
};

/* Starts an operation, in a poll. Returns 0, or -EAGAIN: not now. */
int mia_dml_start(
	struct mia_dml_operation *op, const struct vdm_operation *operation);

/* Advances a started operation without waiting. */
void mia_dml_advance(struct mia_dml_operation *op);

/*
 * Called before the memory of a slot is freed. A device may still have a part
 * of an abandoned future. Waits until that operation is complete.
 */
void mia_dml_end(void *slot);

/*
 * Tests the device with a small copy, by a new operation. Returns 0 or -errno.
 * -EINPROGRESS: the device accepted the copy but did not complete it, so it
 * still has the memory.
 */
int mia_dml_probe(struct mia_dml_operation *op);

#endif /* LIBMINIASYNC_DML_WORK_H */
