/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * libminiasync-vdm-fabric.h -- the interface of the mover over libfabric, for
 * the memory of another process, which is a separate library
 */

#ifndef LIBMINIASYNC_VDM_FABRIC_H
#define LIBMINIASYNC_VDM_FABRIC_H 1

#include "libminiasync.h"

#include "libminiasync-vdm-fabric/data_mover_fabric.h"

#endif /* LIBMINIASYNC_VDM_FABRIC_H */
