/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_plan.h -- the kind of an operation of the mover over libfabric: local,
 * for the network, or invalid
 *
 * Threads: safe from any thread, for different operations.
 */

#ifndef LIBMINIASYNC_FABRIC_PLAN_H
#define LIBMINIASYNC_FABRIC_PLAN_H 1

#include <stdbool.h>

#include "movers/fabric_work.h"

/*
 * Parses the operation. Returns true if it is for the network. Otherwise it is
 * done already, or is invalid, and *result is set.
 */
bool mia_fabric_plan(struct mia_fabric_operation *op,
	const struct vdm_operation *operation,
	enum vdm_operation_result *result);

#endif /* LIBMINIASYNC_FABRIC_PLAN_H */
