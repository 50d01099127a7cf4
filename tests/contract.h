/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * contract.h -- what every mover owes its users, as tests
 *
 * A mover joins by a struct contract_mover: how to make one, and how to end
 * it. Its test program passes that to contract_run().
 */

#ifndef LIBMINIASYNC_CONTRACT_H
#define LIBMINIASYNC_CONTRACT_H 1

#include "libminiasync/vdm.h"

struct contract_mover {
	const char *name;
	void *(*make)(void);
	struct vdm *(*get_vdm)(void *mover);
	void (*end)(void *mover);
};

/* Returns the number of tests that failed. */
int contract_run(const struct contract_mover *mover);

#endif /* LIBMINIASYNC_CONTRACT_H */
