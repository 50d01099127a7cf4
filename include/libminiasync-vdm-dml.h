/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * libminiasync-vdm-dml.h -- the interface of the mover over DML, which is in an
 * archive of its own
 */

#ifndef LIBMINIASYNC_VDM_DML_H
#define LIBMINIASYNC_VDM_DML_H 1

#include "libminiasync-vdm-dml/data_mover_dml.h"

#endif /* LIBMINIASYNC_VDM_DML_H */
