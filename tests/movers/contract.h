/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * contract.h -- the contract of every mover with its users, as tests
 *
 * A mover joins by a struct contract_mover with its constructor and destructor.
 * The test program of the mover passes this struct to contract_run(). Movers of
 * other projects join by contract.sh; see doc/writing_a_mover.md. The tests use
 * only public headers.
 */

#ifndef LIBMINIASYNC_CONTRACT_H
#define LIBMINIASYNC_CONTRACT_H 1

#include <stdbool.h>
#include <stddef.h>

#include "libminiasync/vdm.h"

/* Memory that the mover alone can access; a test writes and reads it by this.
 */
struct contract_memory {
	/* Any bytes, at most 16 MiB for one mover. They go with the mover. */
	void *(*get)(void *mover, size_t n);
	void (*write)(void *mover, void *to, const void *from, size_t n);
	void (*read)(void *mover, void *to, const void *from, size_t n);
};

struct contract_mover {
	const char *name;
	void *(*make)(void);
	struct vdm *(*get_vdm)(void *mover);
	void (*end)(void *mover);
	bool cannot_flush; /* vdm_flush() ends with VDM_ERROR_JOB_CORRUPTED */
	bool cannot_be_durable; /* so do others with VDM_F_MEM_DURABLE */
	bool is_slow;           /* gets half of the work */
	const struct contract_memory *memory; /* NULL: ordinary memory */
};

/* Returns the number of tests that failed. */
int contract_run(const struct contract_mover *mover);

#endif /* LIBMINIASYNC_CONTRACT_H */
