/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * libminiasync-vdm-dml.h -- the interface of the mover over DML, which is a
 * separate library
 */

#ifndef LIBMINIASYNC_VDM_DML_H
#define LIBMINIASYNC_VDM_DML_H 1

/*
 * The mover needs neither of these two headers. Programs written for
 * libminiasync 0.2.1 include only this header and use both. A program that uses
 * only the mover compiles without DML's header.
 */
#if defined(__has_include)
#if __has_include(<dml/dml.h>)
#include <dml/dml.h>
#endif
#endif
#include "libminiasync.h"

#include "libminiasync-vdm-dml/data_mover_dml.h"

#endif /* LIBMINIASYNC_VDM_DML_H */
